-- State tracking: word problems of groups. How many layers does a model need for words of a length? Figure 3 of
-- arXiv:2404.08819 and its counterpart in arXiv:2503.14456. Here one model is trained on words of the full length, scored at
-- every prefix, and counts as solving a length if it gets more than 90 % of the words right up to there.
--   aviary experiments/state_tracking.lua [--scale quick|small|paper] [--groups "Z60 A5"] [--models "v7 mine"] [--jobs 2]
-- Writes below runs/state_tracking: state_tracking.tsv, with a row a length (part = final), and state_tracking.figure.tsv,
-- the mean over seeds, which plots/state_tracking.gp draws.
local rwkv = require "rwkv"
local models = require "experiments.models"
local groups = require "experiments.tasks.groups"

local o = models.options(arg, { models = "", groups = "", seeds = 0 })
local s = rwkv.experiment.scale(o, {
  quick = { models = "v7 v7-doubled", groups = "Z60 A5", depths = { 1, 2 }, length = 6, dim = 64, head_size = 32, batch = 128,
    examples = 256000, ramp = 200000, every = 32000, tests = 200, lr = { 5e-3 }, seeds = 1 },
  small = { models = "v6 v7 v7-doubled attention", groups = "Z60 A5", depths = { 1, 2, 3, 4 }, length = 12, dim = 64,
    head_size = 32, batch = 128, examples = 768000, ramp = 600000, every = 96000, tests = 500, lr = { 5e-3, 2e-3 },
    seeds = 1 },
  paper = { models = "v4 v5.2 v6 v7 v7-doubled attention mamba deltanet deltanet_negative", groups = "Z60 A4xZ5 A5 S5",
    depths = { 1, 2, 3, 4 }, length = 20, dim = 512, head_size = 64, batch = 512, examples = 16000000, ramp = 0,
    every = 800000, tests = 5000, lr = { 1e-4 }, seeds = 3 },
})

local tasks, depths = {}, {}
for name in (o.groups ~= "" and o.groups or s.groups):gmatch "%S+" do
  local _, order = groups.table(name)
  tasks[#tasks + 1] = { group = name, vocab = order + 1 }
end
for i, layers in ipairs(s.depths) do depths[i] = { layers = layers } end

local note = ("words of %d elements, token of its own in front; d=%d, heads of %d, batch %d, %d examples (in the first %d the "
  .. "scored prefix grows from 2), warm-up and cosine, weight decay 0.01, clip 1; best of lr %s"):format(s.length, s.dim,
    s.head_size, s.batch, s.examples, s.ramp, table.concat(s.lr, ", "))
local rows, path = rwkv.experiment.run { name = "state_tracking", options = o,
  configs = rwkv.product({ { "task", tasks }, { "depth", depths }, { "lr", s.lr },
    { "model", models.pick(o.models ~= "" and o.models or s.models) }, { "seed", rwkv.seeds(o.seeds > 0 and o.seeds or s.seeds) } },
    { dim = s.dim, head_size = s.head_size, length = s.length, seq = s.length + 1, ramp = s.ramp, batch = s.batch,
      examples = s.examples, every = s.every, tests = s.tests, schedule = "cosine", warmup = 100, weight_decay = 0.01,
      beta2 = 0.999, clip = 1 }),
  task = function(c)
    return groups.new { group = c.group, length = c.length, seed = 1000 + c.seed, ramp = c.ramp },
      groups.new { group = c.group, length = c.length, seed = 7 }
  end,
  evaluate = function(model, test, c)
    local whole, single = groups.right(model, test, c.tests)
    local mean = 0
    for _, x in ipairs(single) do mean = mean + x / #single end
    return { accuracy = mean, words = whole[#whole] }
  end,
  stop = function(row) return row.words > 0.99 end,
  final = function(model, test, c)
    local list = {}
    local whole, single = groups.right(model, test, 2 * c.tests)
    for t = 1, c.length do list[t] = { prefix = t, words = whole[t], accuracy = single[t] } end
    return list
  end,
  note = note }

local best = rwkv.best(rows, { over = "lr", by = { "label", "group", "layers" } })
rwkv.experiment.figure(path, { "label", "group", "layers", "prefix", "mean", "low", "high", "runs", "lr", "parameters",
  "state_floats", "commit" }, rwkv.summary(best, { by = { "label", "group", "layers", "prefix" }, part = "final", value = "words",
    keep = { "lr" } }), note)
