-- What the head of a table in plots/ says: which commands and commits made it.
--   # ./aviary experiments/parity.lua (commit 59bec4e1d1, fast kernels, float32)
--   # a note on the settings
local rwkv = require "rwkv"
local tsv = require "rwkv.tsv"

-- The different values of a column, in order.
local function values(rows, name)
  local list, seen = {}, {}
  for _, row in ipairs(rows) do
    local x = row[name]
    if x ~= nil and not seen[x] then list[#list + 1], seen[x] = x, true end
  end
  table.sort(list, function(a, b) return tostring(a) < tostring(b) end)
  return list
end

local function most(rows, name)
  local n
  for _, row in ipairs(rows) do
    if type(row[name]) == "number" and row[name] > (n or 0) then n = row[name] end
  end
  return n
end

-- { made = { { command =, commit =, scale = or nil }, .. }, notes = { lines }, commits = those of its rows, seeds = how many or nil }.
-- A commit that ends in "+" had changes in it that are committed nowhere.
return function(path)
  local text = rwkv.read_file(path)
  local head = { made = {}, notes = {} }
  for line in text:gmatch "[^\n]+" do
    local comment = line:match "^# ?(.*)"
    if not comment then break end
    local command, commit = comment:match "^(%S.*) %(commit (%x+%+?)[,)]"
    if command then
      local usual = command:find "experiments/" and "small" or nil
      head.made[#head.made + 1] = { command = command, commit = commit, scale = command:match "%-%-scale (%S+)" or usual }
    else
      head.notes[#head.notes + 1] = comment
    end
  end
  if #head.made == 0 then
    error(("%s: expected a first line '# COMMAND (commit ...)', found '%s'"):format(path, text:match "[^\n]*"), 0)
  end
  local rows = tsv.parse(text, path)
  head.commits = values(rows, "commit")
  local seeds = #values(rows, "seed")
  head.seeds = seeds > 0 and seeds or most(rows, "runs")
  return head
end
