-- Which commit made which table, by which command and at which scale, as the heads of the tables say.
--   ./aviary plots/provenance.lua plots/*.tsv
-- A commit with "+" had changes that are committed nowhere; "rows of" names the commits of rows that the table took over.
local head_of = require "plots.table_head"

if #arg == 0 then error("provenance: expected tables, as plots/*.tsv; found none", 0) end

local lines = { { "table", "commit", "scale", "seeds", "command" } }
for _, path in ipairs(arg) do
  local head = head_of(path)
  for _, made in ipairs(head.made) do
    local rows = {}
    for _, commit in ipairs(head.commits) do
      if commit ~= made.commit then rows[#rows + 1] = commit end
    end
    lines[#lines + 1] = { path:match "([^/]+)%.tsv$" or path, made.commit .. (#rows > 0 and #head.made == 1 and
      (", rows of " .. table.concat(rows, ", ")) or ""), made.scale or "-", head.seeds and ("%d"):format(head.seeds) or "-", made.command }
  end
end

local widths = {}
for _, line in ipairs(lines) do
  for i, cell in ipairs(line) do widths[i] = math.max(widths[i] or 0, #cell) end
end
for _, line in ipairs(lines) do
  for i = 1, #line - 1 do line[i] = line[i] .. (" "):rep(widths[i] - #line[i]) end
  print(table.concat(line, "  "))
end
