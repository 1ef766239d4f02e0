-- What the target npy begins with, written into the directory arg[1].
local rwkv = require "rwkv"
local numpy = require "tests.lua.lib.numpy"

local six = { 1, 2, 3, 4, 5, 6 }
for i, options in ipairs { {}, { kind = ">f8" }, { kind = "<f4", fortran = true }, { kind = "<f2" }, { kind = "<i4" } } do
  rwkv.write_file(("%s/%d.npy"):format(arg[1], i), numpy.npy(six, { 2, 3 }, options))
end
rwkv.write_file(arg[1] .. "/old.npy", numpy.with_header("{'shape': (3L,), 'fortran_order': True, 'descr': '|u1'}", "abc", 3))
