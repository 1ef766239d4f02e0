-- State tracking: parity of bits, trained on 3 to 40 of them and tested on 40 to 256, as in the table of arXiv:2411.12537. The
-- prediction that is tested: RWKV-7 as shipped, whose transition has no eigenvalue below -0.455, fails on long texts; with
-- doubled in-context learning rates, and eigenvalues down to -1, it does not. Embeddings start from N(0,1); what becomes of it
-- from the official ±1e-4 is shown beside it.
--   aviary experiments/parity.lua [--scale quick|small|paper] [--models "v6 v7 mine"] [--jobs 2]
-- Writes below runs/parity: parity.tsv, all curves, and parity.figure.tsv, accuracy by length, which plots/parity.gp draws.
local rwkv = require "rwkv"
local models = require "experiments.models"
local parity = require "experiments.tasks.parity"

local all = "v4 v5.2 v6 v7 v7-doubled v7-no-bonus attention deltanet deltanet_negative"
local o = models.options(arg, { models = "", seeds = 0 })
local s = rwkv.experiment.scale(o, {
  quick = { models = "v7 v7-doubled deltanet_negative", official = "v7-doubled", layers = 2, dim = 64, head_size = 32,
    batch = 64, examples = 128000, every = 12800, tests = 256, lr = { 2e-3 }, seeds = 3 },
  small = { models = "v6 v7 v7-no-bonus v7-doubled attention deltanet deltanet_negative",
    official = "v7 v7-doubled deltanet_negative", layers = 2, dim = 64, head_size = 32, batch = 64, examples = 160000,
    every = 16000, tests = 512, lr = { 2e-3 }, seeds = 3 },
  paper = { models = all, official = all, layers = 2, dim = 128, head_size = 32, batch = 256, examples = 5120000,
    every = 51200, tests = 8192, lr = { 1e-3 }, seeds = 3 },
})

-- The part of `count` examples whose parity is answered rightly; their memory is given back in pieces.
local function right(model, task, count)
  local correct = 0
  for first = 1, count, 64 do
    rwkv.no_grad(function()
      local _, score = model:loss(task:batch(first, math.min(64, count - first + 1)))
      correct = correct + score.correct
    end)
  end
  return correct / count
end

local note = ("parity: %d layers, d=%d, heads of %d, batch %d, %d examples, best of lr %s with warm-up and cosine, no "
  .. "weight decay, clip 1; accuracy scaled so that chance is 0"):format(s.layers, s.dim, s.head_size, s.batch, s.examples,
    table.concat(s.lr, ", "))
local function configs(names, embedding)
  return rwkv.product({ { "model", models.pick(o.models ~= "" and o.models or names) }, { "lr", s.lr },
    { "seed", rwkv.seeds(o.seeds > 0 and o.seeds or s.seeds) } },
    { low = 3, high = 40, seq = 40, test_low = 40, test_high = 256, embedding = embedding, layers = s.layers, dim = s.dim,
      head_size = s.head_size, vocab = parity.vocab, batch = s.batch, examples = s.examples, every = s.every, tests = s.tests,
      schedule = "cosine", warmup = s.examples // s.batch // 10, final_lr = 0.001, weight_decay = 0, clip = 1, beta2 = 0.999 })
end
local both = configs(s.models, 1)
table.move(configs(s.official, 0), 1, 1000, #both + 1, both)

local rows, path = rwkv.experiment.run { name = "parity", options = o, configs = both,
  task = function(c)
    return parity.new { low = c.low, high = c.high, seed = 1000 + c.seed },
      parity.new { low = c.test_low, high = c.test_high, seed = 7 }
  end,
  prepare = models.embed,
  evaluate = function(model, test, c)
    local part = right(model, test, c.tests)
    return { accuracy = part, scaled = 2 * part - 1 }
  end,
  final = function(model, _, c) -- by length
    local list = {}
    for i, length in ipairs { 4, 8, 16, 24, 32, 40, 64, 96, 128, 192, 256 } do
      local part = right(model, parity.new { low = length, high = length, seed = 8 }, c.tests)
      list[i] = { length = length, accuracy = part, scaled = 2 * part - 1 }
    end
    return list
  end,
  note = note }

-- The test, of all lengths beyond those trained on, and single lengths. Of several seeds the best counts in the paper; the
-- mean and the worst stand beside it.
local best = rwkv.best(rows, { over = "lr", by = { "label", "embedding" } })
for _, row in ipairs(best) do row.start = row.embedding == 0 and "official" or "wide" end
local figure = rwkv.summary(best, { by = { "label", "start" }, value = "scaled" })
for _, row in ipairs(figure) do row.measured = "test" end
for _, row in ipairs(rwkv.summary(best, { by = { "label", "start", "length" }, part = "final", value = "scaled" })) do
  row.measured = "length"
  figure[#figure + 1] = row
end
rwkv.experiment.figure(path, { "label", "measured", "start", "length", "mean", "low", "high", "runs", "parameters",
  "state_floats", "commit" }, figure, note)
