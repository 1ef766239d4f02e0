-- show(value): one short line for people. Tables as they could be written in Lua, cut where they are long or deep.
-- Reads raw: of a script's code only __tostring runs, protected.
local concat, sort, format, sub = table.concat, table.sort, string.format, string.sub
local find, getmetatable, next, pcall, rawget, rawlen = string.find, getmetatable, next, pcall, rawget, rawlen
local tostring, type = tostring, type

local most_entries, most_depth, longest = 12, 3, 900

local keywords = {}
for _, word in next, { "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in",
  "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while" } do keywords[word] = true end

local function by_its_own_words(x)
  local ok, text = pcall(tostring, x)
  if ok then return text end
  return format("(%s whose __tostring failed: %s)", type(x), type(text) == "string" and text or type(text))
end

local function shown_by_fields(x)
  if type(x) ~= "table" then return false end
  local meta = getmetatable(x)
  return meta == nil or type(meta) == "table" and rawget(meta, "__tostring") == nil and rawget(meta, "__name") == nil
end

local function quoted(text)
  if #text > 60 then text = sub(text, 1, 57) .. "..." end
  return (string.gsub(format("%q", text), "\\\n", "\\n"))
end

local function key_text(key)
  if type(key) ~= "string" then return "[" .. (type(key) == "table" and "table" or by_its_own_words(key)) .. "]" end
  return find(key, "^[%a_][%w_]*$") and not keywords[key] and key or "[" .. quoted(key) .. "]"
end

local show -- (value, how deep, the tables around it)

-- Names first, in their order; then whatever else serves as a key.
local function sorted_keys(t, list_length)
  local keys = {}
  for key in next, t do
    if math.type(key) ~= "integer" or key < 1 or key > list_length then keys[#keys + 1] = key end
  end
  sort(keys, function(a, b)
    if type(a) ~= type(b) then return type(a) == "string" or type(b) ~= "string" and type(a) < type(b) end
    if type(a) == "string" or type(a) == "number" then return a < b end
    return false
  end)
  return keys
end

local function fields(t, depth, around)
  if next(t) == nil then return "{}" end
  if around[t] or depth == most_depth then return "{..}" end
  around[t] = true
  local parts, n, length = {}, rawlen(t), 0
  local keys = sorted_keys(t, n)
  local function add(text)
    parts[#parts + 1] = text
    length = length + #text + 2
    return length > longest
  end
  for i = 1, n do
    if n > most_entries and i > most_entries - 2 then -- as in long tensors: the beginning and the last one
      add ".."
      add(show(rawget(t, n), depth + 1, around))
      break
    end
    if add(show(rawget(t, i), depth + 1, around)) then break end
  end
  for i = 1, #keys do
    if length > longest or i > 2 * most_entries then
      add ".."
      break
    end
    add(key_text(keys[i]) .. " = " .. show(rawget(t, keys[i]), depth + 1, around))
  end
  around[t] = nil
  return "{" .. concat(parts, ", ") .. "}"
end

function show(x, depth, around)
  if type(x) == "string" then return quoted(x) end
  if type(x) == "function" then return "function" end
  if shown_by_fields(x) then return fields(x, depth, around) end
  return by_its_own_words(x)
end

return function(x)
  if shown_by_fields(x) then return fields(x, 0, {}) end
  return by_its_own_words(x)
end
