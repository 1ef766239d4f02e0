-- State tracking: parity of bits, trained on 3 to 40 of them, tested on 40 to 256. Table of arXiv:2411.12537. The prediction
-- that is tested: RWKV-7 as shipped, whose transition has no eigenvalue below -0.455, fails; with doubled in-context learning
-- rates, and eigenvalues down to -1, it does not.
--   aviary experiments/parity.lua [--scale quick|small|paper] [--models "v6 v7 mine"] [--jobs 2]
-- Writes below runs/parity: parity.tsv, all curves, and parity.figure.tsv, accuracy by length, which plots/parity.gp draws.
local rwkv = require "rwkv"
local models = require "experiments.models"
local parity = require "experiments.tasks.parity"

local all = "v4 v5.2 v6 v7 v7-doubled attention deltanet deltanet_negative"
local o = rwkv.experiment.options(arg, { models = "", seeds = 0 })
local s = rwkv.experiment.scale(o, {
  quick = { models = "v6 v7 v7-doubled", layers = 2, dim = 32, head_size = 32, batch = 64, examples = 64000, every = 16000, tests = 256,
    lr = { 3e-3 }, seeds = 1 },
  small = { models = "v6 v7 v7-doubled attention", layers = 2, dim = 64, head_size = 32, batch = 64, examples = 192000, every = 19200,
    tests = 512, lr = { 2e-3 }, seeds = 3 },
  paper = { models = all, layers = 2, dim = 128, head_size = 32, batch = 256, examples = 5120000, every = 51200, tests = 8192,
    lr = { 1e-3 }, seeds = 3 },
})

local note = ("parity: %d layers, d=%d, heads of %d, batch %d, %d examples of 3-40 bits, lr %g with warm-up and cosine, no weight "
  .. "decay, clip 1; accuracy scaled so that chance is 0"):format(s.layers, s.dim, s.head_size, s.batch, s.examples, s.lr[1])
local rows, path = rwkv.experiment.run { name = "parity", options = o,
  configs = rwkv.product({ { "model", models.pick(o.models ~= "" and o.models or s.models) }, { "lr", s.lr },
    { "seed", rwkv.seeds(o.seeds > 0 and o.seeds or s.seeds) } },
    { layers = s.layers, dim = s.dim, head_size = s.head_size, vocab = parity.vocab, seq = 40, low = 3, high = 40, test_low = 40,
      test_high = 256, batch = s.batch, examples = s.examples, every = s.every, tests = s.tests, schedule = "cosine",
      warmup = s.examples // s.batch // 10, final_lr = 0.001, weight_decay = 0, clip = 1, beta2 = 0.999 }),
  task = function(c)
    return parity.new { low = c.low, high = c.high, seed = 1000 + c.seed },
      parity.new { low = c.test_low, high = c.test_high, seed = 7 }
  end,
  evaluate = function(model, test, c)
    local correct, size = 0, 64
    for first = 1, c.tests, size do
      rwkv.no_grad(function()
        local _, score = model:loss(test:batch(first, math.min(size, c.tests - first + 1)))
        correct = correct + score.correct
      end)
    end
    return { accuracy = correct / c.tests, scaled = 2 * correct / c.tests - 1 }
  end,
  final = function(model, _, c) -- by length
    local list = {}
    for _, length in ipairs { 4, 8, 16, 24, 32, 40, 64, 96, 128, 192, 256 } do
      local task, correct = parity.new { low = length, high = length, seed = 8 }, 0
      for first = 1, c.tests, 64 do
        local _, score = model:loss(task:batch(first, math.min(64, c.tests - first + 1)))
        correct = correct + score.correct
      end
      list[#list + 1] = { length = length, accuracy = correct / c.tests, scaled = 2 * correct / c.tests - 1 }
    end
    return list
  end,
  note = note }

-- Of several seeds the best counts in the paper; the mean and the worst stand beside it.
local columns, list = { "label", "length", "mean", "low", "high", "runs", "parameters", "state_floats", "commit" }, {}
for _, row in ipairs(rows) do
  if row.part == "curve" then row.length = "40-256" else row.part = "curve" end -- the whole test stands for its last row
  list[#list + 1] = row
end
rwkv.experiment.figure(path, columns, rwkv.summary(list, { by = { "label", "length" }, value = "scaled" }), note)
for _, r in ipairs(rwkv.summary(list, { by = { "label", "length" }, value = "scaled" })) do
  if r.length == "40-256" then print(("%-20s scaled accuracy on 40-256 bits: mean %.3f, seeds from %.3f to %.3f"):format(r.label, r.mean, r.low, r.high)) end
end
