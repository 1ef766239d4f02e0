-- A small experiment for test_experiment.lua, run as a script: aviary tests/lua/lib/grid.lua --out DIR [--what ..]
local rwkv = require "rwkv"
local mqar = require "experiments.tasks.mqar"

local o = rwkv.experiment.options(arg, { examples = 512, carry = false, fails = false, diverge = false, seeds = 2 })

-- Streams of counting numbers that go on from batch to batch, and begin anew every 8 batches.
local function counting(c)
  local task = { carry = true }
  function task.batch(_, first, count)
    local step, rows, targets = (first - 1) // count, {}, {}
    for b = 1, count do
      rows[b], targets[b] = {}, {}
      for t = 1, c.seq do
        rows[b][t] = (b * 3 + (step % 8) * c.seq + t) % c.vocab
        targets[b][t] = (rows[b][t] * 2 + step) % c.vocab
      end
    end
    return rwkv.tokens(rows), rwkv.tokens(targets)
  end
  function task.restarts(_, first) return (first - 1) // c.batch % 8 == 0 end
  return task
end

local rows, path = rwkv.experiment.run { name = "grid", options = o,
  configs = rwkv.product({ { "model", { { label = "v7", version = "v7" }, { label = "v4", version = "v4" } } },
    { "seed", rwkv.seeds(o.seeds) } },
    { dim = 16, head_size = 8, vocab = 32, seq = 16, pairs = 2, lr = o.diverge and 1e6 or 3e-3, batch = 16, clip = 1,
      schedule = "cosine", examples = o.examples, every = 128, tests = 20, carry = o.carry }),
  task = function(c)
    if c.carry then return counting(c), counting(c) end
    local function task(seed)
      return mqar.new { vocab = c.vocab, seq = c.seq, pairs = c.pairs, random_filler = false, seed = seed }
    end
    return task(c.seed), task(7)
  end,
  final = function(model, _, c)
    if o.fails and c.version == "v4" then error "this run fails" end
    return { { position = 1, first = model:param("emb.weight"):sum():item() }, { position = 2, first = 2 } }
  end,
  note = "a test" }
print(#rows, path)
