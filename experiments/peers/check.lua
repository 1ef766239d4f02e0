-- What Aviary computes, for a peer to compare with: random weights, tokens, logits, loss and every gradient in float64.
--   aviary --double --trust experiments/peers/check.lua --version v7 --out FILE
--   python3 experiments/peers/torch_rwkv.py --check FILE
-- `aviary bench peers --check` does both for all versions.
local rwkv = require "rwkv"

local o = rwkv.options(arg, { version = "v7", dim = 32, head_size = 16, layers = 3, vocab = 61, batch = 2, seq = 32, seed = 1,
  out = "runs/check.safetensors" })
rwkv.need_double()
rwkv.backend "reference"

local model = rwkv.model { version = o.version, dim = o.dim, head_size = o.head_size, layers = o.layers, vocab = o.vocab,
  seed = o.seed }
local rng = rwkv.rng(o.seed, "check")
for _, p in model:parameters() do -- no number stays a round one
  p:set(rwkv.no_grad(function() return p + rng:tensor("normal", p:shape()) * 0.1 end))
end
local inputs, targets = {}, {}
for b = 1, o.batch do
  inputs[b], targets[b] = {}, {}
  for t = 1, o.seq do
    inputs[b][t] = rng:integer(0, o.vocab - 1)
    targets[b][t] = t % 3 == 0 and -100 or rng:integer(0, o.vocab - 1)
  end
end

local header, body, at = {}, {}, 0
local function write(name, shape, format, type, numbers)
  local bytes = {}
  for i, x in ipairs(numbers) do bytes[i] = format:pack(x) end
  bytes = table.concat(bytes)
  header[#header + 1] = ('"%s":{"dtype":"%s","shape":[%s],"data_offsets":[%d,%d]}'):format(name, type,
    table.concat(shape, ","), at, at + #bytes)
  body[#body + 1], at = bytes, at + #bytes
end
local function flat(list, out)
  if type(list) ~= "table" then list = { list } end
  for _, x in ipairs(list) do
    if type(x) == "table" then flat(x, out) else out[#out + 1] = x end
  end
  return out
end
local function write_tensor(name, t) write(name, t:shape(), "<d", "F64", flat(t:tolist(), {})) end

write("tokens", { o.batch, o.seq }, "<i8", "I64", flat(inputs, {}))
write("targets", { o.batch, o.seq }, "<i8", "I64", flat(targets, {}))
rwkv.no_grad(function() write_tensor("logits", (model:forward(inputs))) end)
local loss = model:loss(inputs, targets)
loss:backward()
write_tensor("loss", loss)
for name, p in model:parameters() do
  write_tensor("weight." .. name, p)
  write_tensor("grad." .. name, p:grad() or rwkv.zeros(p:shape()))
end
header[#header + 1] = ('"__metadata__":{"version":"%s","head_size":"%d"}'):format(o.version, o.head_size)
header = "{" .. table.concat(header, ",") .. "}"
rwkv.write_file(o.out, ("<I8"):pack(#header) .. header .. table.concat(body))
