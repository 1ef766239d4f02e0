-- A training step, for benchmarks: o has version, layers, dim, vocab, pairs, seq and batch. Returns a function
-- that takes a step (loss at the labelled positions, backward, AdamW) and returns its seconds, and what it counts:
-- tokens and flops of a step, parameters, state_floats.
local rwkv = require "rwkv"
local common = require "rwkv.bench.common"

-- Multiplications and additions of a step. A backward pass has twice those of its forward pass. The head is applied where
-- there is a label. Counted are the matrices, low-rank ones included, and the recurrence, as rwkv.describe counts them;
-- not norms, mixes, activations, the embedding and AdamW.
local function step_flops(o, sizes, labels)
  local head = 2 * o.dim * o.vocab
  return 3 * (o.batch * o.seq * (sizes.flops_per_token - head) + labels * head)
end

-- Random tokens laid out as those of MQAR (experiments/tasks/mqar.lua): pairs, then filler, in which as many places have a
-- label. How long a step takes does not depend on what stands there.
local function make_batch(o)
  local context, rng = 2 * o.pairs, rwkv.rng(1)
  if o.seq < 2 * context then
    common.fail("%d pairs, shown and asked for, need a seq of %d, found %d", o.pairs, 2 * context, o.seq)
  end
  local inputs, targets = {}, {}
  for b = 1, o.batch do
    local input, target = {}, {}
    for t = 1, o.seq do input[t], target[t] = t <= context and rng:integer(0, o.vocab - 1) or 0, -100 end
    for i = 0, o.pairs - 1 do
      local t = context + 1 + i * (o.seq - context) // o.pairs
      input[t], target[t] = rng:integer(0, o.vocab - 1), rng:integer(0, o.vocab - 1)
    end
    inputs[b], targets[b] = input, target
  end
  return rwkv.tokens(inputs), rwkv.tokens(targets)
end

return function(o)
  local design = { version = o.version, layers = o.layers, dim = o.dim, head_size = math.min(64, o.dim), vocab = o.vocab,
    ctx = o.seq }
  local count = { tokens = (o.seq - 1) // 2 } -- v1 looks back at all tokens: at half of them in the mean
  for name, value in pairs(design) do count[name] = value end
  local fits, sizes = pcall(rwkv.describe, count)
  if not fits then common.fail("%s", sizes) end
  local inputs, targets = make_batch(o)
  design.seed = 1
  local model = rwkv.model(design)
  local opt = rwkv.adamw(model, { lr = 1e-3, betas = { 0.9, 0.99 }, eps = 1e-8, weight_decay = 0.1 })
  return common.stepper(model, opt, inputs, targets), { tokens = o.batch * o.seq, flops = step_flops(o, sizes, o.batch * o.pairs),
    parameters = sizes.parameters, state_floats = model:state_floats(o.seq) }
end
