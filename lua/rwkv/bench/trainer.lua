-- A training step on MQAR, for benchmarks: o has version, layers, dim, vocab, pairs, seq and batch. Returns a function
-- that takes a step (loss at the labelled positions, backward, AdamW) and returns its seconds, and what it counts:
-- tokens and flops of a step, parameters, state_floats.
local rwkv = require "rwkv"
local common = require "rwkv.bench.common"
local mqar = require "experiments.tasks.mqar"

-- Multiplications and additions of a step. A backward pass has twice those of its forward pass. The head is applied where
-- there is a label. Counted are the matrices, low-rank ones included, and the recurrence, as rwkv.describe counts them;
-- not norms, mixes, activations, the embedding and AdamW.
local function step_flops(o, sizes, labels)
  local head = 2 * o.dim * o.vocab
  return 3 * (o.batch * o.seq * (sizes.flops_per_token - head) + labels * head)
end

return function(o)
  local design = { version = o.version, layers = o.layers, dim = o.dim, head_size = math.min(64, o.dim), vocab = o.vocab,
    ctx = o.seq }
  local count = { tokens = (o.seq - 1) // 2 } -- v1 looks back at all tokens: at half of them in the mean
  for name, value in pairs(design) do count[name] = value end
  local fits, sizes = pcall(rwkv.describe, count)
  if not fits then common.fail("%s", sizes) end
  local made, task = pcall(mqar.new, { vocab = o.vocab, seq = o.seq, pairs = o.pairs, random_filler = false, seed = 1 })
  if not made then common.fail("%s", task) end
  local inputs, targets = task:batch(1, o.batch)
  design.seed = 1
  local model = rwkv.model(design)
  local opt = rwkv.adamw(model, { lr = 1e-3, betas = { 0.9, 0.99 }, eps = 1e-8, weight_decay = 0.1 })
  return common.stepper(model, opt, inputs, targets), { tokens = o.batch * o.seq, flops = step_flops(o, sizes, o.batch * o.pairs),
    parameters = sizes.parameters, state_floats = model:state_floats(o.seq) }
end
