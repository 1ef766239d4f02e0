-- Tables as text: a header of '#' comment lines, a line of column names, then rows, all with tabs between. What is written
-- is read back equal: numbers with as many digits as they need, `nan`, `inf`, `-inf`, `true`, `false`, and text as it is, or
-- in quotes "\t \n \r \\ \" \xHH" where it would be read as something else. Files are written whole or not at all.
local core = require "rwkv.core"

local tsv = {}

local controls = "[\0-\31\127]"

-- ---- cells ----

local function number_text(x)
  if math.type(x) == "integer" then return ("%d"):format(x) end
  if x ~= x then return "nan" end
  if x == math.huge or x == -math.huge then return x > 0 and "inf" or "-inf" end
  for _, form in ipairs { "%.9g", "%.15g", "%.17g" } do
    local text = form:format(x)
    if tonumber(text) == x then return text end
  end
end

local words = { nan = 0 / 0, ["-nan"] = 0 / 0, inf = math.huge, ["-inf"] = -math.huge, ["-0"] = -0.0, ["true"] = true,
  ["false"] = false }

local escapes = { ["\t"] = "\\t", ["\n"] = "\\n", ["\r"] = "\\r", ["\\"] = "\\\\", ['"'] = '\\"' }
local characters = { t = "\t", n = "\n", r = "\r", ["\\"] = "\\", ['"'] = '"' }

local function quoted(text)
  return '"' .. text:gsub('[\0-\31\127"\\]', function(c) return escapes[c] or ("\\x%02x"):format(c:byte()) end) .. '"'
end

-- The text of a cell in quotes; nil if it is none: older tables have quotes that stand for themselves.
local function unquoted(cell)
  local inner, whole = cell:match '^"(.*)"$', true
  if not inner or inner:gsub("\\.", ""):find '["\\]' then return nil end
  local text = inner:gsub("\\(.)(%x?%x?)", function(c, hex)
    if c == "x" and #hex == 2 then return string.char(tonumber(hex, 16)) end
    whole = whole and characters[c] ~= nil
    return (characters[c] or "") .. hex
  end)
  return whole and text or nil
end

-- A number if the cell looks like one of ours (a commit such as 12345e6789 does not), nil if it is empty.
local function value(cell)
  local text = unquoted(cell)
  if text then return text end
  if words[cell] ~= nil then return words[cell] end
  local x = tonumber(cell)
  if x and number_text(x) == cell then return x end
  return cell ~= "" and cell or nil
end

-- A '#' begins a comment, a quote a cell in quotes.
local function is_plain(text) return not text:find(controls) and not text:find '^[#"]' end

local function cell_text(x, name)
  if x == nil then return "" end
  if type(x) == "number" then return number_text(x) end
  if type(x) == "boolean" then return tostring(x) end
  if type(x) ~= "string" then
    error(("table: column '%s' has a %s, expected a number, text or boolean"):format(name, type(x)), 0)
  end
  return is_plain(x) and value(x) == x and x or quoted(x)
end

local function header_text(name) return is_plain(name) and name or quoted(name) end

-- ---- tables ----

-- columns: list of names; rows: list of tables by column name; comments: list of lines.
function tsv.text(columns, rows, comments)
  local lines, cells = {}, {}
  for _, comment in ipairs(comments or {}) do lines[#lines + 1] = "# " .. comment:gsub("[\r\n]+", "\n# ") end
  for i, name in ipairs(columns) do cells[i] = header_text(name) end
  lines[#lines + 1] = table.concat(cells, "\t")
  for _, row in ipairs(rows) do
    for i, name in ipairs(columns) do cells[i] = cell_text(row[name], name) end
    lines[#lines + 1] = table.concat(cells, "\t")
  end
  return table.concat(lines, "\n") .. "\n"
end

-- The rows of a table's text, by column name, and the names. path: what errors call it.
function tsv.parse(text, path)
  local columns, rows, n = nil, {}, 0
  for line, ending in text:gmatch "([^\n]*)(\n?)" do
    n = n + 1
    if ending == "" then -- what follows the last line
      if line ~= "" then error(("%s: line %d has no end: the file is cut"):format(path, n), 0) end
    elseif line:sub(1, 1) ~= "#" then
      local cells = {}
      for cell in (line .. "\t"):gmatch "([^\t]*)\t" do cells[#cells + 1] = cell end
      if not columns then
        columns = cells
        for i, cell in ipairs(cells) do columns[i] = unquoted(cell) or cell end
      else
        if #cells ~= #columns then
          error(("%s: line %d has %d cells, expected %d"):format(path, n, #cells, #columns), 0)
        end
        local row = {}
        for i, name in ipairs(columns) do row[name] = value(cells[i]) end
        rows[#rows + 1] = row
      end
    end
  end
  if not columns then error(("%s: expected a line of column names, found none"):format(path), 0) end
  return rows, columns
end

function tsv.write(path, columns, rows, comments) core.write_file(path, tsv.text(columns, rows, comments)) end

-- The rows of a file and its columns; nil if it is not there.
function tsv.read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text, why = file:read "a"
  file:close()
  if not text then error(("%s: %s"):format(path, why), 0) end -- it is a directory
  return tsv.parse(text, path)
end

return tsv
