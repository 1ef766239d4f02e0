-- What the target gguf begins with, written into the directory arg[1]: also text with a number a line, for any file that is
-- none of the others may be that.
local rwkv = require "rwkv"

local list = { { name = "x", value = rwkv.arange(6):reshape(2, 3), dtype = "f32" }, { name = "t", value = rwkv.tokens { 1, 2 } } }
rwkv.save_tensors(arg[1] .. "/x.gguf", list, { key = "text", ["rwkv7.block_count"] = "3" })
rwkv.save_tensors(arg[1] .. "/half.gguf", { { name = "h", value = rwkv.ones(3), dtype = "bf16" } })
rwkv.save_tensors(arg[1] .. "/none.gguf", {})
local u4, text = function(x) return ("<I4"):pack(x) end, function(s) return ("<s8"):pack(s) end
rwkv.write_file(arg[1] .. "/lists.gguf", "GGUF" .. u4(3) .. ("<I8I8"):pack(1, 3) .. text "general.alignment" .. u4(4) .. u4(8)
  .. text "tokens" .. u4(9) .. u4(8) .. ("<I8"):pack(2) .. text "a" .. text "b" .. text "lists" .. u4(9) .. u4(9) .. ("<I8"):pack(1)
  .. u4(6) .. ("<I8"):pack(1) .. u4(0) .. text "x" .. u4(1) .. ("<I8"):pack(2) .. u4(24) .. ("<I8"):pack(0) .. ("\0"):rep(7) .. "\1\2")
rwkv.write_file(arg[1] .. "/numbers.txt", "# some\n1\n-2.5e3\nnan\n\n0x1p3 # more\n")
