-- A small model that guesses some last words of LAMBADA and not others, for counting to be compared:
--   aviary experiments/peers/lambada.lua --vocab rwkv_vocab_v20230424.txt --data lambada_test.jsonl --out runs/lambada.safetensors
--   aviary --double eval lambada runs/lambada.safetensors --vocab rwkv_vocab_v20230424.txt --data lambada_test.jsonl --limit 200
--   python3 experiments/peers/lambada.py runs/lambada.safetensors --vocab rwkv_vocab_v20230424.txt --data lambada_test.jsonl
-- It is trained on the last words of the first passages until it has learnt a part of them by heart.
local rwkv = require "rwkv"
local lambada = require "rwkv.eval.lambada"
local vocab = require "rwkv.text.vocab"

local o = rwkv.options(arg, { version = "v7", layers = 2, dim = 64, passages = 150, steps = 120, vocab = "", data = "",
  out = "runs/lambada.safetensors" })
local tokenizer = vocab.find(o.vocab, o.out, 65536)
local items = lambada.items(rwkv.read_file(o.data), o.data, tokenizer, o.version == "v7" and { 0 } or tokenizer:encode "\n",
  o.passages)
local model = rwkv.model { version = o.version, layers = o.layers, dim = o.dim, vocab = 65536, init = "uniform", seed = 1 }
local opt = rwkv.adamw(model, { lr = 3e-3 })
local bar = rwkv.progress("lambada", o.steps, "step")
for step = 1, o.steps do
  local inputs, targets, longest = {}, {}, 0
  for b = 1, 10 do
    inputs[b], targets[b] = {}, {}
    local ids = items[((step - 1) * 10 + b - 1) % #items + 1].ids
    longest = math.max(longest, #ids - 1)
  end
  for b = 1, 10 do
    local item = items[((step - 1) * 10 + b - 1) % #items + 1]
    for t = 1, longest do
      inputs[b][t], targets[b][t] = item.ids[t] or 0, t + 1 >= item.from and item.ids[t + 1] or -1
    end
  end
  local loss = model:loss(inputs, targets)
  loss:backward()
  bar:update(step, ("loss %.3f"):format(loss:item()))
  opt:step()
  opt:zero_grad()
end
model:save(o.out)
bar:finish(o.out)
