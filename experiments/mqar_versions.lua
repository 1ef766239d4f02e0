-- Recall: which version learns MQAR, at which width and length? Figure 4 of arXiv:2404.05892, after Figure 2 of arXiv:2312.04927.
--   aviary experiments/mqar_versions.lua [--scale quick|small|paper] [--models "v4 v7 mine"] [--jobs 2] [--seeds 2]
-- Writes below runs/mqar_versions: mqar_versions.tsv, all curves, and mqar_versions.figure.tsv, the best learning rate (highest
-- mean over seeds at the end), which plots/mqar_versions.gp draws.
local rwkv = require "rwkv"
local models = require "experiments.models"
local mqar = require "experiments.tasks.mqar"
local rates = require "experiments.rates"

local o = models.options(arg, { models = "", seeds = 0 })
local published = { 1e-4, 4.6e-4, 2.2e-3, 1e-2 } -- Zoology's learning rates, of which the best counts
local s = rwkv.experiment.scale(o, {
  quick = { models = "v4 v5.2 v6 v7 attention", lengths = { 64 }, dims = { 64 }, lr = { 2.2e-3 }, lr_of_vectors = { 1e-2 },
    seeds = 1, batch = 64, examples = 50000, every = 5000, tests = 500 },
  small = { models = "v4 v5.2 v6 v7", lengths = { 64, 128, 256 }, dims = { 64, 128 }, lr = { 2.2e-3 }, lr_of_vectors = { 1e-2 },
    seeds = 3, batch = 64, examples = 200000, every = 10000, tests = 1000 },
  paper = { models = "v1 v2 v3 v4 v5.0 v5.1 v5.2 v6 v7 attention mamba linear_attention", lengths = { 64, 128, 256, 512 },
    dims = { 64, 128, 256, 512 }, lr = published, lr_of_vectors = published, seeds = 1, batch = 512, examples = 6400000,
    every = 100000, tests = 3000 },
})
local lengths, tasks = { [64] = { pairs = 4 }, [128] = { pairs = 8 }, [256] = { pairs = 16 }, [512] = { pairs = 64 } }, {}
for i, seq in ipairs(s.lengths) do
  if not lengths[seq] then error(("--set lengths=%s: expected 64, 128, 256 or 512"):format(seq), 0) end
  tasks[i] = { seq = seq, pairs = lengths[seq].pairs }
end
if o.scale == "paper" then -- smaller batches where the sequences are longer
  for _, t in ipairs(tasks) do t.batch = ({ [256] = 256, [512] = 128 })[t.seq] end
end

local compared = rates.each(models.pick(o.models ~= "" and o.models or s.models, { channel_mix = "none" }), s)
local note = ("MQAR as in Zoology's Figure 2: V=8192, filler 0, 2 layers without channel mixing, tied embedding; batch %d, "
  .. "%d examples at most (published: 64 epochs of 100000), lr %s, of v1 to v4 %s"):format(s.batch, s.examples,
  table.concat(s.lr, ", "), table.concat(s.lr_of_vectors, ", "))
local rows, path = rwkv.experiment.run { name = "mqar_versions", options = o, keep_models = false,
  configs = rwkv.product({ { "task", tasks }, { "dim", s.dims }, { "model", compared },
    { "seed", rwkv.seeds(o.seeds > 0 and o.seeds or s.seeds) } },
    { layers = 2, head_size = 64, vocab = 8192, tied = 1, filler = "zero", set = 100000, beta2 = 0.999, weight_decay = 0.1,
      decay_all = true, schedule = "cosine", batch = s.batch, examples = s.examples, every = s.every, tests = s.tests }),
  task = mqar.of,
  stop = function(row) return row.accuracy > 0.99 end,
  note = note }

local best = rwkv.best(rows, { over = "lr", by = { "label", "seq", "dim" } })
rwkv.experiment.figure(path, { "label", "seq", "dim", "median", "low", "high", "runs", "seed", "value", "lr", "parameters",
  "state_floats", "state_bytes", "commit" },
  rwkv.summary(best, { by = { "label", "seq", "dim" }, keep = { "lr" }, each = true }), note)
