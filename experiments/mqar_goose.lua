-- How much does a state of RWKV-7 hold? Recall of more and more pairs, in bits per number of the state: the MQAR table of
-- arXiv:2503.14456, whose last row says .547. A pair is worth log2 of its possible keys and values; what is recalled of all pairs,
-- over the entries of the matrix states of all layers, is the density.
--   aviary experiments/mqar_goose.lua [--scale quick|small|paper] [--jobs 2] [--seeds 2]
-- Predicted: recall is complete while the pairs need less than a few tenths of a bit an entry, and falls above it; what matters is
-- bits an entry, not the length.
-- Writes below runs/mqar_goose: mqar_goose.tsv, all curves, and mqar_goose.figure.tsv, which plots/mqar_goose.gp draws.
local rwkv = require "rwkv"
local models = require "experiments.models"
local mqar = require "experiments.tasks.mqar"

local o = models.options(arg, { seeds = 0 })
-- sizes: of the state of a layer, dim x head_size; lengths: T and K. The published learning rate is m / (sqrt(dim) T), m = 1, 2, 4.
local s = rwkv.experiment.scale(o, {
  quick = { sizes = { { dim = 32, head_size = 8 }, { dim = 32, head_size = 32 } },
    lengths = { { seq = 32, pairs = 4 }, { seq = 32, pairs = 8 } }, vocab = 64, multiples = { 1 }, seeds = 1, batch = 32,
    examples = 24000, every = 4000, tests = 200 },
  small = { sizes = { { dim = 64, head_size = 8 }, { dim = 64, head_size = 16 }, { dim = 64, head_size = 32 } },
    lengths = { { seq = 32, pairs = 8 }, { seq = 64, pairs = 16 }, { seq = 128, pairs = 32 } }, vocab = 512, multiples = { 1, 2 },
    seeds = 2, batch = 64, examples = 80000, every = 8000, tests = 500 },
  paper = { sizes = { { dim = 64, head_size = 64 }, { dim = 128, head_size = 64 }, { dim = 256, head_size = 64 },
    { dim = 512, head_size = 64 } }, lengths = { { seq = 64, pairs = 4, batch = 512 }, { seq = 128, pairs = 8, batch = 512 },
    { seq = 256, pairs = 16, batch = 256 }, { seq = 512, pairs = 64, batch = 128 }, { seq = 1024, pairs = 128, batch = 64 },
    { seq = 2048, pairs = 256, batch = 32 } }, vocab = 8192, multiples = { 1, 2, 4 }, seeds = 1, batch = 512, examples = 6400000,
    every = 100000, tests = 3000 },
})

local layers, cells = 2, {}
for _, size in ipairs(s.sizes) do
  for _, length in ipairs(s.lengths) do
    for _, multiple in ipairs(s.multiples) do
      cells[#cells + 1] = { dim = size.dim, head_size = size.head_size, seq = length.seq, pairs = length.pairs,
        batch = length.batch or s.batch, lr = multiple / (math.sqrt(size.dim) * length.seq) }
    end
  end
end

local note = ("MQAR, random filler, V=%d, RWKV-7 of %d layers with channel mixing, tied embedding; %d examples at most, lr m / (sqrt(d) T), "
  .. "m = %s"):format(s.vocab, layers, s.examples, table.concat(s.multiples, ", "))
local rows, path = rwkv.experiment.run { name = "mqar_goose", options = o, keep_models = false,
  configs = rwkv.product({ { "model", models.pick "v7" }, { "cell", cells }, { "seed", rwkv.seeds(o.seeds > 0 and o.seeds or s.seeds) } },
    { layers = layers, vocab = s.vocab, tied = 1, filler = "random", set = 100000, beta2 = 0.999, eps = 1e-18, weight_decay = 0.1,
      schedule = "cosine", examples = s.examples, every = s.every, tests = s.tests }),
  task = mqar.of,
  stop = function(row) return row.accuracy > 0.99 end,
  note = note }

local by = { "dim", "head_size", "seq", "pairs" }
local list = rwkv.summary(rwkv.best(rows, { over = "lr", by = by }), { by = by, keep = { "label", "lr" }, each = true })
for _, r in ipairs(list) do
  r.wkv_entries = layers * r.dim * r.head_size
  r.asked = r.pairs * 2 * math.log(s.vocab // 2, 2) / r.wkv_entries -- bits an entry, if all is recalled
  r.bits = r.asked * (r.median or r.value)
end
rwkv.experiment.figure(path, { "label", "dim", "head_size", "wkv_entries", "seq", "pairs", "asked", "bits", "median", "low", "high", "runs",
  "seed", "value", "lr", "parameters", "state_floats", "commit" }, list, note)
