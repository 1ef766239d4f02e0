-- aviary convert IN OUT [--dtype f32|bf16|f16|f64] [--names official|fla|transformers|llama.cpp] [--shards SIZE]
-- Writes a model, or any file of tensors, once more. IN: .safetensors, .pth, .npz, .npy, .gguf, text with a number a line, an index,
-- or a directory with a model. OUT says by its ending what it becomes: .pth, .pt and .bin PyTorch, .npz NumPy, .gguf GGUF, anything
-- else safetensors. Shapes, numbers and metadata stay, and names unless --names wants a model's to be those of a family.
-- --dtype: floating numbers are rounded to the nearest ones of this type. --shards: several files of at most SIZE (2G, 500M,
-- bytes), NAME-00001-of-0000N.safetensors and so on, and NAME.safetensors.index.json
local rwkv = require "rwkv"
local command = require "rwkv.command"
local visible = require "rwkv.visible"

local usage = "usage: aviary convert IN OUT [--dtype f32|bf16|f16|f64] [--names FAMILY] [--shards SIZE]"

-- "2G" -> bytes
local units = { [""] = 1, K = 2 ^ 10, M = 2 ^ 20, G = 2 ^ 30, T = 2 ^ 40 }
local function bytes_of(size)
  local number, unit = size:match "^(%d+%.?%d*)([KMGT]?)$"
  local bytes = number and math.tointeger((tonumber(number) * units[unit]) // 1)
  if not bytes or bytes < 1 then
    error(("--shards %s: expected a size such as 2G, 500M or 1000000"):format(size), 0)
  end
  return bytes
end

command.run("convert", function(arguments)
  local o = rwkv.options(arguments, { dtype = "", names = "", shards = "" })
  if #o ~= 2 then error(usage, 0) end
  local bar
  local function progress(done, all)
    bar = bar or rwkv.progress("convert", all, "B")
    bar:update(done)
  end
  local ok, files = pcall(rwkv.convert, o[1], o[2], { dtype = o.dtype ~= "" and o.dtype or nil, names = o.names ~= "" and o.names or nil,
    shards = o.shards ~= "" and bytes_of(o.shards) or nil, progress = progress })
  if bar then bar:clear() end
  if not ok then error(files, 0) end
  print(("%s%s"):format(visible.line(o[2]), o.shards ~= "" and (".index.json and %d files"):format(files) or ""))
end)
