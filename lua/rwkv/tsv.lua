-- Tables of numbers as text: a header of '#' comment lines, a line of column names, then rows, all with
-- tabs between. Files are written whole or not at all.
local core = require "rwkv.core"

local tsv = {}

local function text(x)
  if x == nil then return "" end
  if math.type(x) == "float" then return ("%.9g"):format(x) end
  return (tostring(x):gsub("[\t\n]", " "))
end

-- columns: list of names; rows: list of tables by column name; comments: list of lines.
function tsv.write(path, columns, rows, comments)
  local lines = {}
  for _, c in ipairs(comments or {}) do lines[#lines + 1] = "# " .. c end
  lines[#lines + 1] = table.concat(columns, "\t")
  for _, row in ipairs(rows) do
    local cells = {}
    for i, name in ipairs(columns) do cells[i] = text(row[name]) end
    lines[#lines + 1] = table.concat(cells, "\t")
  end
  core.write_file(path, table.concat(lines, "\n") .. "\n")
end

-- A cell as it was written: a number if it looks like one of ours (a commit such as 12345e6789 does not), nil if empty.
local function value(cell)
  local x = tonumber(cell)
  if x and text(x) == cell then return x end
  return cell ~= "" and cell or nil
end

-- The rows of a file, by column name, numbers as numbers; nil if it is not there.
function tsv.read(path)
  local file = io.open(path)
  if not file then return nil end
  local _, why = file:read(0)
  if why then error(("%s: %s"):format(path, why), 0) end -- it is a directory
  local columns, rows = nil, {}
  for line in file:lines() do
    if line:sub(1, 1) ~= "#" then
      local cells = {}
      for cell in (line .. "\t"):gmatch "(.-)\t" do cells[#cells + 1] = cell end
      if not columns then
        columns = cells
      else
        local row = {}
        for i, name in ipairs(columns) do row[name] = value(cells[i]) end
        rows[#rows + 1] = row
      end
    end
  end
  file:close()
  return rows, columns
end

return tsv
