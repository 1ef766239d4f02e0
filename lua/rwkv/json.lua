-- JSON that is read: objects and arrays become tables, null becomes json.null, texts stay UTF-8. RFC 8259, nothing beyond it.
local json = { null = setmetatable({}, { __tostring = function() return "null" end, __metatable = "null" }) }

local deepest = 100

-- What is wrong, and the byte at which.
local function fail(text, at, expected)
  local found = at > #text and "the end" or ("'%s'"):format(text:sub(at, (utf8.offset(text, 2, at) or at + 1) - 1))
  error(("byte %d: expected %s, found %s"):format(at, expected, found), 0)
end

local function skip_space(text, at) return text:find("[^ \t\r\n]", at) or #text + 1 end

local escapes = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

-- \uXXXX at `at`; two of them for what lies beyond 16 bits. Half of a pair becomes U+FFFD.
local function code_point(text, at)
  local code = tonumber(text:match("^\\u(%x%x%x%x)", at) or fail(text, at + 2, "four hexadecimal digits"), 16)
  if code < 0xd800 or code > 0xdfff then return utf8.char(code), at + 6 end
  local low = tonumber(text:match("^\\u(%x%x%x%x)", at + 6) or "0", 16)
  if code > 0xdbff or low < 0xdc00 or low > 0xdfff then return utf8.char(0xfffd), at + 6 end
  return utf8.char(0x10000 + (code - 0xd800 << 10) + (low - 0xdc00)), at + 12
end

local function read_text(text, at)
  local parts, from = {}, at + 1
  while true do
    local stop = text:find('[%z\1-\31"\\]', from) or #text + 1
    parts[#parts + 1] = text:sub(from, stop - 1)
    local c = text:sub(stop, stop)
    if c == '"' then return table.concat(parts), stop + 1 end
    if c ~= "\\" then fail(text, stop, "the end of a text, or a character of it") end
    local letter = text:sub(stop + 1, stop + 1)
    if letter == "u" then
      parts[#parts + 1], from = code_point(text, stop)
    else
      parts[#parts + 1], from = escapes[letter] or fail(text, stop + 1, "an escape"), stop + 2
    end
  end
end

local function read_number(text, at)
  local digits = text:match("^-?%d+", at) or fail(text, at, "a value")
  if digits:find "^-?0%d" then fail(text, at + #digits - 1, "no digit after a first 0") end
  local stop = at + #digits
  stop = text:match("^%.%d+()", stop) or stop
  stop = text:match("^[eE][+-]?%d+()", stop) or stop
  return tonumber(text:sub(at, stop - 1)), stop
end

local read_value

-- What stands between brackets, each part read by `entry`.
local function read_list(text, at, close, entry)
  at = skip_space(text, at + 1)
  if text:sub(at, at) == close then return at + 1 end
  while true do
    at = skip_space(text, entry(at))
    local c = text:sub(at, at)
    if c == close then return at + 1 end
    if c ~= "," then fail(text, at, ("',' or '%s'"):format(close)) end
    at = skip_space(text, at + 1)
  end
end

local function read_array(text, at, depth)
  local list, n = {}, 0
  return list, read_list(text, at, "]", function(from)
    n = n + 1
    list[n], from = read_value(text, from, depth)
    return from
  end)
end

local function read_object(text, at, depth)
  local object = {}
  return object, read_list(text, at, "}", function(from)
    if text:sub(from, from) ~= '"' then fail(text, from, "a name in quotes") end
    local name
    name, from = read_text(text, from)
    from = skip_space(text, from)
    if text:sub(from, from) ~= ":" then fail(text, from, "':'") end
    object[name], from = read_value(text, skip_space(text, from + 1), depth)
    return from
  end)
end

local words = { t = { "true", true }, f = { "false", false }, n = { "null", json.null } }

-- The value that begins at `at`, and where the text goes on.
function read_value(text, at, depth)
  local c = text:sub(at, at)
  if c == '"' then return read_text(text, at) end
  if c == "{" or c == "[" then
    if depth == deepest then fail(text, at, ("at most %d values inside each other"):format(deepest)) end
    return (c == "{" and read_object or read_array)(text, at, depth + 1)
  end
  local word = words[c]
  if not word then return read_number(text, at) end
  if text:sub(at, at + #word[1] - 1) ~= word[1] then fail(text, at, "a value") end
  return word[2], at + #word[1]
end

-- The value in a text, or an error that begins "byte N: ".
function json.decode(text)
  local _, bad = utf8.len(text)
  if bad then error(("byte %d: expected UTF-8, found \\x%02x"):format(bad, text:byte(bad)), 0) end
  local value, at = read_value(text, skip_space(text, 1), 0)
  at = skip_space(text, at)
  if at <= #text then fail(text, at, "the end") end
  return value
end

-- The lines of a file of JSON lines, each an object, in their order: { line = its number, value = the object }, and what
-- stands in the file. Empty lines count, but hold nothing.
function json.lines(text, path)
  local list, number = {}, 0
  for line in text:gmatch "([^\n]*)\n?" do
    number = number + 1
    if line:find "[^ \t\r]" then
      local ok, value = pcall(json.decode, line)
      if not ok then error(("%s: line %d: %s"):format(path, number, value), 0) end
      if type(value) ~= "table" or value == json.null or value[1] ~= nil then
        error(("%s: line %d: expected an object {..}"):format(path, number), 0)
      end
      list[#list + 1] = { line = number, value = value }
    end
  end
  return list
end

return json
