-- NumPy's files: .npy, and .npz, which is a zip archive of them.
local core = require "rwkv.core"

local npy = {}

local function half(bits)
  local sign, exponent, fraction = bits >> 15 == 1 and -1 or 1, bits >> 10 & 31, bits & 1023
  if exponent == 31 then return fraction > 0 and 0 / 0 or sign * math.huge end
  return exponent > 0 and sign * (fraction + 1024) * 2.0 ^ (exponent - 25) or sign * fraction * 2.0 ^ -24
end

-- By kind and size: how string.unpack reads one, and what becomes of it.
local kinds = {
  f8 = { "d", dtype = "f64" }, f4 = { "f", dtype = "f32" },
  f2 = { "I2", half, dtype = "f16" },
  i8 = { "i8", dtype = "i64" }, i4 = { "i4", dtype = "i32" }, i2 = { "i2", dtype = "i32" }, i1 = { "i1", dtype = "i32" },
  u8 = { "I8", dtype = "i64" }, u4 = { "I4", dtype = "i64" }, u2 = { "I2", dtype = "i32" }, u1 = { "B", dtype = "u8" },
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

-- The bytes of a .npy file -> { value = flat tensor, shape =, dtype = }. name: for errors.
function npy.parse(bytes, name)
  local function bad(what) error(("%s: not a .npy file that can be read: %s"):format(name, what), 0) end
  if bytes:sub(1, 6) ~= "\x93NUMPY" then bad "it does not begin with \\x93NUMPY" end
  local length, at = string.unpack(bytes:byte(7) == 1 and "<I2" or "<I4", bytes, 9)
  local header = bytes:sub(at, at + length - 1)
  local order, kind = header:match "'descr':%s*'([<>|=]?)(%a%d+)'"
  local fortran, sizes = header:match "'fortran_order':%s*(%a+)", header:match "'shape':%s*%(([^)]*)%)"
  if not (kind and fortran and sizes) then bad("header " .. header) end
  local reader = kinds[kind] or bad(("numbers of type %s"):format(kind))
  local shape, n = {}, 1
  for size in sizes:gmatch "%d+" do
    shape[#shape + 1] = math.tointeger(size)
    n = n * shape[#shape]
  end
  local format, size = (order == ">" and ">" or "<") .. reader[1], tonumber(kind:match "%d+")
  local list, place = {}, at + length
  if #bytes - place + 1 < n * size then bad(("%d bytes for %d numbers"):format(#bytes - place + 1, n)) end
  local convert = reader[2]
  for i = 1, n do
    local x = string.unpack(format, bytes, place)
    list[i] = convert and convert(x) or x
    place = place + size
  end
  if fortran == "True" then list = reordered(list, shape) end
  return { value = n > 0 and core.tensor(list) or core.zeros(0), shape = shape, dtype = reader.dtype }
end

local function read_all(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

-- A .npz (or .npy) file -> { name = { value =, shape =, dtype = } }, names; an .npy is called after its file.
function npy.load(path)
  if path:find "%.npy$" then
    local name = path:match "([^/]+)%.npy$"
    return { [name] = npy.parse(read_all(path), path) }, { name }
  end
  local map, names = {}, {}
  local entries, order = core.unzip(path)
  for _, entry in ipairs(order) do
    local name = entry:gsub("%.npy$", "")
    map[name] = npy.parse(entries[entry], path .. ": " .. entry)
    names[#names + 1] = name
  end
  return map, names
end

return npy
