-- A small model that guesses some last words of LAMBADA and not others, for counting to be compared:
--   aviary experiments/peers/lambada.lua --vocab rwkv_vocab_v20230424.txt --data lambada_test.jsonl
--   aviary --double eval lambada runs/lambada.safetensors --vocab rwkv_vocab_v20230424.txt --data lambada_test.jsonl --limit 200
--   python3 experiments/peers/lambada.py runs/lambada.safetensors --vocab rwkv_vocab_v20230424.txt --data lambada_test.jsonl
-- It is trained on the last words of the first passages until it has learnt a part of them by heart.
local rwkv = require "rwkv"
local versions = require "rwkv.versions"
local lambada = require "rwkv.eval.lambada"
local vocab = require "rwkv.text.vocab"

local o = rwkv.options(arg, { version = "v7", layers = 2, dim = 64, passages = 150, steps = 120, vocab = "", data = "",
  out = "runs/lambada.safetensors" })
if o.data == "" then error("usage: aviary experiments/peers/lambada.lua --data FILE [--vocab FILE] [--version v7] [--out FILE]", 0) end
local tokenizer = vocab.find(o.vocab ~= "" and o.vocab or nil, o.data, 65536)
local items = lambada.items(rwkv.read_file(o.data), o.data, tokenizer, versions.of(o.version).begins_with == "zero" and { 0 } or tokenizer:encode "\n",
  o.passages)
local model = rwkv.model { version = o.version, layers = o.layers, dim = o.dim, vocab = 65536, init = "uniform", seed = 1 }
local opt = rwkv.adamw(model, { lr = 3e-3 })
local bar = rwkv.progress("lambada", o.steps, "step")

-- The next ten passages, padded on the right; targets are the tokens of the last words.
local function batch(step)
  local some, inputs, targets, longest = {}, {}, {}, 0
  for b = 1, 10 do
    some[b] = items[((step - 1) * 10 + b - 1) % #items + 1]
    longest = math.max(longest, #some[b].ids - 1)
  end
  for b, item in ipairs(some) do
    inputs[b], targets[b] = {}, {}
    for t = 1, longest do
      inputs[b][t], targets[b][t] = item.ids[t] or 0, t + 1 >= item.from and item.ids[t + 1] or -1
    end
  end
  return inputs, targets
end

for step = 1, o.steps do
  local loss = model:loss(batch(step))
  loss:backward()
  bar:update(step, ("loss %.3f"):format(loss:item()))
  opt:step()
  opt:zero_grad()
end
model:save(o.out)
bar:finish(o.out)
