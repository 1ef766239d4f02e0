-- What the target zip begins with, written into the directory arg[1].
local rwkv = require "rwkv"
local numpy = require "tests.lua.lib.numpy"

local list = { { name = "x", value = rwkv.arange(3), dtype = "f32" }, { name = "t", value = rwkv.tokens { 1, 2 } } }
rwkv.save_tensors(arg[1] .. "/x.pth", list, { key = "text" })
rwkv.save_tensors(arg[1] .. "/x.npz", list, { key = "text" })
local array = numpy.npy({ 1, 2 }, { 2 })
local deflated = "\1" .. ("<I2I2"):pack(#array, ~#array & 0xffff) .. array
rwkv.write_file(arg[1] .. "/deflated.npz", numpy.npz { { "x", deflated, method = 8, size = #array, crc = numpy.crc32(array) } })
rwkv.write_file(arg[1] .. "/two.npz", numpy.npz { { "a", array }, { "b/c", array } })
