-- Plain values as text and back: numbers, texts, booleans, and tables of them. It is JSON, in which what JSON lacks stands as an
-- object with an empty name: {"":"nan"}; {"":[[key, value], ..]} for a table that is neither a list nor named throughout; and, for
-- whoever writes something else in its place, {"":"..."}. Integers stay integers, and every bit of a float stays.
local json = require "rwkv.json"
local sorted = require "rwkv.sorted"

local plain = {}

local deepest = 40

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r" }

local function text_of(s, path)
  if not utf8.len(s) then error(("%s is no text in UTF-8"):format(path), 0) end
  return '"' .. s:gsub('[%c"\\]', function(c) return escapes[c] or ("\\u%04x"):format(c:byte()) end) .. '"'
end

local function number_of(x)
  if math.type(x) == "integer" then return ("%d"):format(x) end
  if x ~= x then return '{"":"nan"}' end
  if x == math.huge or x == -math.huge then return x > 0 and '{"":"inf"}' or '{"":"-inf"}' end
  local text = ("%.17g"):format(x)
  return text:find "[.e]" and text or text .. ".0"
end

-- Where something stands: "log[3].rate".
function plain.path(path, key)
  if type(key) ~= "string" then return ("%s[%s]"):format(path, tostring(key)) end
  return path == "" and key or path .. "." .. key
end

local encode

local function table_of(t, path, depth, instead)
  if depth > deepest then error(("%s lies more than %d tables deep, or in itself"):format(path, deepest), 0) end
  local keys, named, list = sorted(t), true, #t
  for i, key in ipairs(keys) do
    if type(key) ~= "string" and type(key) ~= "number" and type(key) ~= "boolean" then
      error(("%s: a %s is a key; expected texts and numbers"):format(path == "" and "the table" or path, type(key)), 0)
    end
    named = named and type(key) == "string" and key ~= ""
    if list and key ~= i then list = nil end
  end
  local function inside(key) return encode(t[key], plain.path(path, key), depth + 1, instead) end
  local parts = {}
  for i, key in ipairs(keys) do
    if #keys == list then parts[i] = inside(key)
    elseif named then parts[i] = text_of(key, path) .. ":" .. inside(key)
    else parts[i] = "[" .. encode(key, path, depth, instead) .. "," .. inside(key) .. "]" end
  end
  local all = table.concat(parts, ",")
  if #keys == 0 then return "{}" end
  if #keys == list then return "[" .. all .. "]" end
  return named and "{" .. all .. "}" or '{"":[' .. all .. "]}"
end

function encode(x, path, depth, instead)
  local kind = type(x)
  if kind == "string" then return text_of(x, path) end
  if kind == "number" then return number_of(x) end
  if kind == "boolean" then return tostring(x) end
  if kind == "table" and getmetatable(x) == nil then return table_of(x, path, depth, instead) end
  local name = instead and instead(x, path)
  if name then return '{"":' .. text_of(name, path) .. "}" end
  error(("%s is a %s"):format(path, kind), 0)
end

-- The text of x. instead(value, path): a name for what is not plain, which stands in its place, or nil: an error.
function plain.encode(x, instead) return encode(x, "", 0, instead) end

local special = { nan = 0 / 0, inf = math.huge, ["-inf"] = -math.huge }

local function restored(x, named)
  if type(x) ~= "table" then return x end
  local inside = x[""]
  if inside == nil then
    for key, value in pairs(x) do x[key] = restored(value, named) end
    return x
  end
  if type(inside) == "string" then return special[inside] or named(inside) end
  local t = {}
  for _, pair in ipairs(type(inside) == "table" and inside or { false }) do
    local key = type(pair) == "table" and pair[1]
    if type(key) == "table" then key = restored(key, named) end
    if not (type(key) == "string" or type(key) == "boolean" and pair or type(key) == "number" and key == key) then
      error("expected pairs of a key and a value", 0)
    end
    t[key] = restored(pair[2], named)
  end
  return t
end

-- The value of a text; named(name): what stands in the place of such a name.
function plain.decode(text, named)
  return restored(json.decode(text), named or function(name) error(("'%s' is no value"):format(name), 0) end)
end

return plain
