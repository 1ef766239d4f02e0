-- NumPy's files: .npy, and .npz, which is a zip archive of them.
local core = require "rwkv.core"
local file = require "rwkv.file"

local npy = {}

local function half(bits)
  local sign, exponent, fraction = bits >> 15 == 1 and -1 or 1, bits >> 10 & 31, bits & 1023
  if exponent == 31 then return fraction > 0 and 0 / 0 or sign * math.huge end
  return exponent > 0 and sign * (fraction + 1024) * 2.0 ^ (exponent - 25) or sign * fraction * 2.0 ^ -24
end

local function unsigned(bits) return bits < 0 and bits + 2.0 ^ 64 or bits end

-- By kind and size: how string.unpack reads one, and what becomes of it.
local kinds = {
  f8 = { "d", dtype = "f64" }, f4 = { "f", dtype = "f32" },
  f2 = { "I2", half, dtype = "f16" },
  i8 = { "i8", dtype = "i64" }, i4 = { "i4", dtype = "i32" }, i2 = { "i2", dtype = "i32" }, i1 = { "i1", dtype = "i32" },
  u8 = { "I8", unsigned, dtype = "i64" }, u4 = { "I4", dtype = "i64" }, u2 = { "I2", dtype = "i32" }, u1 = { "B", dtype = "u8" },
  b1 = { "B", dtype = "bool" },
}

-- Column by column -> row by row.
local function reordered(list, shape)
  local n, out, strides, stride = #list, {}, {}, 1
  for axis = 1, #shape do strides[axis], stride = stride, stride * shape[axis] end
  for i = 0, n - 1 do
    local rest, from = i, 0
    for axis = #shape, 1, -1 do
      from = from + rest % shape[axis] * strides[axis]
      rest = rest // shape[axis]
    end
    out[i + 1] = list[from + 1]
  end
  return out
end

-- ---- the header: a dictionary of Python's ----

local patterns = {
  type = "'descr'%s*:%s*'([<>|=]?%a%d+)'",
  order = "'fortran_order'%s*:%s*(%a+)",
  sizes = "'shape'%s*:%s*%(([%dL,%s]*)%)",
}

-- What stands under the three keys, if nothing else does.
local function fields_of(header)
  local found, rest = {}, header
  for key, pattern in pairs(patterns) do
    rest = rest:gsub(pattern, function(value) found[key] = value return "" end, 1)
  end
  return rest:find "^%s*{[%s,]*}%s*$" and found.type and found.order and found.sizes and found
end

-- "3, 4" -> {3, 4}, how many numbers that is (a float: it may be very many); nil if it is no list of sizes.
local function shape_of(sizes)
  local shape, n = {}, 1.0
  for part in (sizes:find "%S" and sizes:gsub(",?%s*$", ",") or ""):gmatch "([^,]*)," do
    local size = math.tointeger(tonumber(part:match "^%s*(%d+)L?%s*$"))
    if not size or size >= 2 ^ 31 or #shape == 32 then return nil end -- NumPy has at most 32 axes
    shape[#shape + 1] = size
    n = n * size
  end
  return shape, n
end

-- The format of the header's length, by version.
local lengths = { "<I2", "<I4", "<I4" }

-- The bytes of a .npy file -> { value = flat tensor, shape =, dtype = }. name: for errors.
function npy.parse(bytes, name)
  local function bad(what, ...)
    error(("%s: not a .npy file that can be read: %s"):format(name, what:format(...)), 0)
  end
  if bytes:sub(1, 6) ~= "\x93NUMPY" then bad "it does not begin with \\x93NUMPY" end
  if #bytes < 12 then bad("%d bytes are too short", #bytes) end
  local length = lengths[bytes:byte(7)] or bad("version %d, expected 1 to 3", bytes:byte(7))
  local place
  length, place = length:unpack(bytes, 9)
  if length > #bytes - place + 1 then bad("a header of %d bytes, the file has %d", length, #bytes) end
  local header = bytes:sub(place, place + length - 1)
  local found = fields_of(header)
  if not found then
    bad("its header is %s, expected descr, fortran_order and shape", header:sub(1, 200):gsub("%s*$", ""):gsub("[^ -~]", "?"))
  end
  local order, kind = found.type:match "([<>|=]?)(.*)"
  local reader = kinds[kind] or bad("numbers of type %s", found.type)
  if found.order ~= "True" and found.order ~= "False" then bad("fortran_order is %s", found.order) end
  local shape, n = shape_of(found.sizes)
  if not shape then bad("a shape of (%s)", found.sizes) end
  local format, size = (order == ">" and ">" or "<") .. reader[1], tonumber(kind:match "%d+")
  place = place + length
  if #bytes - place + 1 ~= n * size then
    bad("%d bytes for %.0f numbers of %d bytes", #bytes - place + 1, n, size)
  end
  local list, convert = {}, reader[2]
  for i = 1, n do
    local x = string.unpack(format, bytes, place)
    list[i] = convert and convert(x) or x
    place = place + size
  end
  if found.order == "True" then list = reordered(list, shape) end
  return { value = n > 0 and core.tensor(list) or core.zeros(0), shape = shape, dtype = reader.dtype }
end

-- A .npz (or .npy) file -> { name = { value =, shape =, dtype = } }, names; an .npy is called after its file.
function npy.load(path)
  if path:find "%.npy$" then
    local name = path:match "([^/]+)%.npy$" or ""
    return { [name] = npy.parse(file.bytes(path), path) }, { name }
  end
  local map, names = {}, {}
  local entries, order = file.entries(path)
  for _, entry in ipairs(order) do
    local name = entry:gsub("%.npy$", "")
    if map[name] then error(("%s: entry %s stands there twice"):format(path, name), 0) end
    map[name] = npy.parse(entries[entry], path .. ": entry " .. entry)
    names[#names + 1] = name
  end
  return map, names
end

return npy
