-- What the target safetensors begins with, written into the directory arg[1].
local rwkv = require "rwkv"

local function save(name, ...) rwkv.save_tensors(("%s/%s.safetensors"):format(arg[1], name), ...) end

local list = {}
for _, dtype in ipairs { "f64", "f32", "bf16", "f16", "i64" } do
  list[#list + 1] = { name = dtype, value = rwkv.arange(4), dtype = dtype }
end
save("all", list, { version = "v7", text = "\u{e9} \"" })
save("one", { { name = "x", value = rwkv.zeros(1) } })
save("none", {})
