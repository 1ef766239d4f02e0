-- Recall against the size of the state: the numbers a model really keeps, counted from what is allocated. After Figure 2 of
-- arXiv:2402.18668 (Based) and Zoology's later plots, in which RWKV-7's state was counted 4 and 16 times too large.
--   aviary experiments/mqar_state.lua [--scale quick|small|paper] [--models "v4 v7 mine"] [--jobs 2]
-- Writes below runs/mqar_state: mqar_state.tsv, all curves, and mqar_state.figure.tsv, which plots/mqar_state.gp draws.
local rwkv = require "rwkv"
local models = require "experiments.models"
local mqar = require "experiments.tasks.mqar"

local o = models.options(arg, { models = "" })
local s = rwkv.experiment.scale(o, {
  quick = { models = "v4 v6 v7", sizes = { { dim = 32, head_size = 16 }, { dim = 64, head_size = 64 } }, lr = { 2.2e-3 }, seeds = 1,
    batch = 64, examples = 25000, every = 5000, tests = 500, seq = 64, pairs = 8 },
  small = { models = "v4 v5.2 v6 v7 deltanet gated_deltanet gla", sizes = { { dim = 32, head_size = 8 },
    { dim = 32, head_size = 32 }, { dim = 64, head_size = 32 }, { dim = 64, head_size = 64 } }, lr = { 2.2e-3, 1e-3 }, seeds = 2,
    batch = 64, examples = 120000, every = 10000, tests = 1000, seq = 64, pairs = 16 },
  paper = { models = "v4 v5.2 v6 v7 deltanet gated_deltanet gla mamba linear_attention attention", sizes = { { dim = 64, head_size = 16 },
    { dim = 64, head_size = 64 }, { dim = 128, head_size = 64 }, { dim = 256, head_size = 64 } },
    lr = { 1e-3, 3.2e-3, 1e-2, 3.2e-2 }, seeds = 1, batch = 256, examples = 6400000, every = 100000, tests = 1000, seq = 256,
    pairs = 64 },
})

local note = ("MQAR: T=%d, K=%d pairs, V=8192, filler 0; 2 layers without channel mixing, tied embedding, batch %d, %d examples, "
  .. "lr %s"):format(s.seq, s.pairs, s.batch, s.examples, table.concat(s.lr, ", "))
local rows, path = rwkv.experiment.run { name = "mqar_state", options = o, keep_models = false,
  configs = rwkv.product({ { "model", models.pick(o.models ~= "" and o.models or s.models, { channel_mix = "none" }) },
    { "size", s.sizes }, { "lr", s.lr }, { "seed", rwkv.seeds(s.seeds) } },
    { layers = 2, vocab = 8192, tied = 1, seq = s.seq, pairs = s.pairs, filler = "zero", set = 100000, beta2 = 0.999,
      weight_decay = 0.1, decay_all = true, schedule = "cosine", batch = s.batch, examples = s.examples, every = s.every,
      tests = s.tests }),
  task = mqar.of,
  stop = function(row) return row.accuracy > 0.99 end,
  note = note }

local best = rwkv.best(rows, { over = "lr", by = { "label", "dim", "head_size" } })
rwkv.experiment.figure(path, { "label", "state_bytes", "state_floats", "mean", "low", "high", "runs", "dim", "head_size", "lr",
  "parameters", "commit" }, rwkv.summary(best, { by = { "label", "dim", "head_size" }, keep = { "lr" } }), note)
