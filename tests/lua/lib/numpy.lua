-- NumPy's files as NumPy would write them, for tests: numpy.npy(numbers, shape, { kind = "<f8", fortran = false }) -> bytes;
-- numpy.with_header(header, numbers' bytes, version or 1) -> bytes; numpy.npz({ { name, bytes }, .. }) -> bytes of an archive,
-- not compressed; an entry may have a size and a crc that are not those of its bytes, and a method other than 0 (stored).
local numpy = {}

local formats = { ["<f8"] = "<d", [">f8"] = ">d", ["<f4"] = "<f", ["<i4"] = "<i4", ["<f2"] = "<I2" }

-- A normal number that float16 has, as its 16 bits.
local function half(x)
  if x == 0 then return 0 end
  local exponent = math.floor(math.log(math.abs(x), 2))
  return (x < 0 and 0x8000 or 0) | exponent + 15 << 10 | math.floor(math.abs(x) / 2.0 ^ exponent * 1024) - 1024
end

function numpy.npy(list, shape, options)
  local kind = options and options.kind or "<f8"
  local header = ("{'descr': '%s', 'fortran_order': %s, 'shape': (%s,), }"):format(kind,
    options and options.fortran and "True" or "False", table.concat(shape, ", "))
  header = header .. (" "):rep(-(#header + 11) % 64) .. "\n"
  local parts = {}
  for i, x in ipairs(list) do parts[i] = (formats[kind] or "<d"):pack(kind == "<f2" and half(x) or x) end
  return numpy.with_header(header, table.concat(parts))
end

function numpy.with_header(header, numbers, version)
  version = version or 1
  return "\x93NUMPY" .. string.char(version) .. "\0" .. string.pack(version == 1 and "<s2" or "<s4", header) .. numbers
end

function numpy.crc32(bytes)
  local crc = 0xffffffff
  for i = 1, #bytes do
    crc = crc ~ bytes:byte(i)
    for _ = 1, 8 do crc = crc >> 1 ~ (crc & 1) * 0xedb88320 end
  end
  return crc ~ 0xffffffff
end

function numpy.npz(entries)
  local files, directory, at = {}, {}, 0
  for i, e in ipairs(entries) do
    local name, bytes = e[1] .. ".npy", e[2]
    local about = string.pack("<I2I2I2I2I2I4I4I4I2I2", 20, 0, e.method or 0, 0, 33, e.crc or numpy.crc32(bytes), #bytes,
      e.size or #bytes, #name, 0)
    files[i] = "PK\3\4" .. about .. name .. bytes
    directory[i] = "PK\1\2" .. string.pack("<I2", 20) .. about .. string.pack("<I2I2I2I4I4", 0, 0, 0, 0, at) .. name
    at = at + #files[i]
  end
  local list = table.concat(directory)
  return table.concat(files) .. list .. "PK\5\6" .. string.pack("<I2I2I2I2I4I4I2", 0, 0, #entries, #entries, #list, at, 0)
end

return numpy
