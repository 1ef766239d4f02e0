-- NumPy's files: what is whole is read, and of what is not an error says so, beginning with the file's name.
local rwkv = require "rwkv"
local file = require "rwkv.file"
local numpy = require "tests.lua.lib.numpy"
local check = require "tests.lua.lib.check"
local test, equal = check.test, check.equal

local dir = os.tmpname()
os.remove(dir)
rwkv.mkdir(dir)

local function put(name, bytes)
  rwkv.write_file(dir .. "/" .. name, bytes)
  return dir .. "/" .. name
end

local function load(path)
  local map, _, names = file.tensors(path)
  return map, names
end

-- Reading must fail with a message that begins with the file and has the texts in it.
local function refused(path, ...)
  local ok, message = pcall(load, path)
  assert(not ok, path .. ": expected a failure")
  for _, part in ipairs { ... } do assert(message:find(part, 1, true), message .. "\nexpected in it: " .. part) end
  assert(message:sub(1, #path + 2) == path .. ": ", message)
  assert(not message:find "attempt to" and not message:find "bad argument", message)
end

local six = string.pack("<dddddd", 1, 2, 3, 4, 5, 6)
local function header(shape, descr, order)
  return ("{'descr': %s, 'fortran_order': %s, 'shape': %s, }\n"):format(descr or "'<f8'", order or "False", shape)
end

test("headers of all versions, and shapes as Python writes them", function()
  for version = 1, 3 do
    for text, shape in pairs { ["(6,)"] = { 6 }, ["(2, 3)"] = { 2, 3 }, ["(2, 3, )"] = { 2, 3 }, ["(2L, 3L)"] = { 2, 3 },
      ["( 1,6,1 )"] = { 1, 6, 1 } } do
      local map, names = load(put("x.npy", numpy.with_header(header(text), six, version)))
      equal(names, { "x" })
      equal(map.x.shape, shape)
      equal(map.x.value:reshape(-1):tolist(), { 1, 2, 3, 4, 5, 6 })
    end
  end
  local one = load(put("x.npy", numpy.with_header(header "()", string.pack("<d", 7), 1))).x
  equal({ one.shape, one.value:item() }, { {}, 7 })
  equal(load(put("x.npy", numpy.with_header(header "(2, 0)", "", 1))).x.shape, { 2, 0 })
  local large = put("x.npy", numpy.with_header(header("(1,)", "'<u8'"), string.pack("<I8", -1), 1))
  refused(large, "which a tensor cannot hold exactly")
end)

test("shapes that cannot be", function()
  for _, shape in ipairs { "(4294967296, 4294967296)", "(2305843009213693952,)", "(99999999999999999999,)", "(-1, 3)", "(7,)", "(5,)",
    "(2, 3, 2)", "(2147483647, 2147483647, 2147483647)", "(2.5,)", "(0x6,)", "(6)(6)", "(,)", "(2,,3)", "(2 3)", "(six,)", "6",
    "(" .. ("1,"):rep(33) .. ")", "(2147483648, 0)", "(" .. ("2147483647,"):rep(40) .. ")" } do
    refused(put("x.npy", numpy.with_header(header(shape), six)))
  end
end)

test("headers that are none", function()
  for _, text in ipairs { "", "{}", "nothing", header("(6,)") .. "more", header("(6,)", "'<c16'"), header("(6,)", "[('a', '<f8')]"),
    header("(6,)", "'<f8'", "Maybe"), header("(6,)", "'<f8'", "None"), header("(6,)", "'f'"), header("(6,)", "'<f10'"),
    header("(6,)", "'<f999999999999999999999'"), "{'shape': (6,), 'shape': (6,)}", "{'descr': '<f8', 'shape': (6,)}",
    "{'fortran_order': False, 'shape': (6,)}", "\0\1\27[2J", (header("(6,)"):gsub("'shape'", "'shape' 'x'")) } do
    refused(put("x.npy", numpy.with_header(text, six)), "not a .npy file that can be read")
  end
  refused(put("x.npy", numpy.with_header(header "(6,)", six, 4)), "version 4")
  refused(put("x.npy", numpy.with_header(header "(6,)", six, 0)), "version 0")
end)

test("a file that is cut, or longer than it says", function()
  for version = 1, 3 do
    local whole = numpy.with_header(header "(6,)", six, version)
    for n = 0, #whole - 1 do
      refused(put("short.npy", whole:sub(1, n)), n < 6 and "" or n < #whole - #six and "not a .npy" or "\"short\" has")
    end
    refused(put("short.npy", whole .. "\0"), "\"short\" has 49 bytes for 6 numbers")
  end
  refused(put("short.npy", "\x93NUMPY\2\0\xff\xff\xff\xff" .. six), "a header of 4294967295 bytes")
end)

test("an archive's entries have the size they claim; what is packed is compared with its CRC", function()
  local good = numpy.npy({ 1, 2, 3 }, { 3 })
  local damaged = good:sub(1, -2) .. "\1"
  local function archive(e) return put("x.npz", numpy.npz { { "whole", good }, e }) end
  equal(load(archive { "a", good }).a.value:tolist(), { 1, 2, 3 })
  equal(load(archive { "a", damaged, crc = numpy.crc32(good) }).a.shape, { 3 }) -- what is stored is mapped, not read
  for _, size in ipairs { 0, 1, #good - 1, #good + 1, 2 ^ 31, 2 ^ 32 - 2 } do
    refused(archive { "a", good, size = math.tointeger(size) })
  end
  -- deflated: a block of stored bytes, which is the smallest there is
  local function deflated(bytes) return "\1" .. string.pack("<I2I2", #bytes, ~#bytes & 0xffff) .. bytes end
  local crc = numpy.crc32(good)
  equal(load(archive { "a", deflated(good), method = 8, size = #good, crc = crc }).a.value:tolist(), { 1, 2, 3 })
  refused(archive { "a", deflated(damaged), method = 8, size = #good, crc = crc }, "entry a.npy", "it is damaged")
  for _, size in ipairs { 0, #good - 1, #good + 1, 2 ^ 32 - 2 } do
    refused(archive { "a", deflated(good), method = 8, size = math.tointeger(size), crc = crc })
  end
  refused(archive { "a", deflated(good):sub(1, -9), method = 8, size = #good, crc = crc }, "a.npy")
  refused(archive { "a", "\7" .. good, method = 8, size = #good, crc = crc }, "a.npy")
  refused(archive { "a", good, method = 99 })
  refused(put("x.npz", numpy.npz { { "a", good } }:sub(1, -5)))
end)

test("names of entries", function()
  local good = numpy.npy({ 1 }, { 1 })
  refused(put("x.npz", numpy.npz { { "a", good }, { "a", good } }), "twice")
  refused(put("x.npz", numpy.npz { { "a\nb", good } }), "control character")
  refused(put("x.npz", numpy.npz { { "a", "text" } }), "entry a.npy: not a .npy file")
  for _, name in ipairs { "", " ", "../a", "/a", "a/b", "a.npy", "\u{3b1}", "a\\b", "%s" } do
    equal(load(put("x.npz", numpy.npz { { name, good } }))[name] ~= nil, true)
  end
end)

test("what is no regular file", function()
  refused(dir .. "/none.npy", "No such file")
  refused(dir .. "/none.npz", "No such file")
  rwkv.mkdir(dir .. "/d.npy")
  rwkv.mkdir(dir .. "/d.npz")
  assert(os.execute(("mkfifo %s/p.npy %s/p.npz"):format(dir, dir)))
  for _, kind in ipairs { ".npy", ".npz" } do
    refused(dir .. "/d" .. kind, "is a directory")
    refused(dir .. "/p" .. kind, "not a regular file")
  end
end)

os.execute("rm -r " .. dir)
