-- Hybrids: attention in one layer of RWKV-7. Recall (MQAR) against the whole state of a sequence, the cache of attention counted,
-- and against the position of the question, up to 16 times as far as in training.
-- Predicted: what is kept decides, of whichever kind it is (Based, arXiv:2402.18668); one layer of attention recalls like many
-- (Jamba, arXiv:2403.19887), but not the first, which sees no pair of key and value, only single tokens. Past the length of
-- training rotary positions fail and a hybrid with them, RWKV-7 and a hybrid whose attention has no positions hold.
--   aviary experiments/hybrids.lua [--scale quick|small|paper] [--models "v7 hybrid-middle mine"] [--seeds 2] [--jobs 2]
-- Writes below runs/hybrids: hybrids.tsv, with a row for a range of positions (part = final), and hybrids.figure.tsv, the means
-- over seeds for both panels, which plots/hybrids.gp draws.
local rwkv = require "rwkv"
local models = require "experiments.models"
local mqar = require "experiments.tasks.mqar"
local recall = require "experiments.measure.recall"

local o = models.options(arg, { models = "v7 hybrid-first hybrid-middle hybrid-last hybrid-nope attention", seeds = 0 })
local s = rwkv.experiment.scale(o, {
  quick = { layers = 3, sizes = { { dim = 32, head_size = 8 }, { dim = 64, head_size = 32 } }, lr = { 3e-3 }, seeds = 1,
    vocab = 64, seq = 32, pairs = 8, batch = 32, examples = 16000, every = 4000, tests = 200, far = 256, asked = 100 },
  small = { layers = 3, sizes = { { dim = 32, head_size = 8 }, { dim = 48, head_size = 16 }, { dim = 64, head_size = 32 } },
    lr = { 6e-3, 3e-3 }, seeds = 2, vocab = 64, seq = 32, pairs = 8, batch = 32, examples = 24000, every = 3000, tests = 500,
    far = 512, asked = 400 },
  paper = { layers = 12, sizes = { { dim = 64, head_size = 16 }, { dim = 64, head_size = 64 }, { dim = 128, head_size = 64 },
    { dim = 256, head_size = 64 } }, lr = { 3e-4, 1e-3, 3e-3 }, seeds = 3, vocab = 8192, seq = 512, pairs = 64, batch = 256,
    examples = 6400000, every = 100000, tests = 1000, far = 8192, asked = 1000 },
})

local note = ("MQAR: T=%d, K=%d pairs, V=%d, filler 0; %d layers without channel mixing, tied embedding, batch %d, %d examples, "
  .. "lr %s"):format(s.seq, s.pairs, s.vocab, s.layers, s.batch, s.examples, table.concat(s.lr, ", "))
local rows, path = rwkv.experiment.run { name = "hybrids", options = o, keep_models = false,
  configs = rwkv.product({ { "seed", rwkv.seeds(o.seeds > 0 and o.seeds or s.seeds) }, { "size", s.sizes },
    { "model", models.pick(o.models, { channel_mix = "none" }) }, { "lr", s.lr } },
    { layers = s.layers, vocab = s.vocab, tied = 1, seq = s.seq, pairs = s.pairs, filler = "zero", beta2 = 0.999, clip = 1,
      warmup = 20, schedule = "cosine", batch = s.batch, examples = s.examples, every = s.every, tests = s.tests, far = s.far,
      asked = s.asked }),
  task = mqar.of,
  stop = function(row) return row.accuracy > 0.99 end,
  final = function(model, test, c)
    local far = mqar.new { vocab = c.vocab, seq = c.far, pairs = c.pairs, random_filler = false, seed = test.seed + 1 }
    return recall.by_position(model, far, c.asked, 10, 20)
  end,
  note = note }

local best = rwkv.best(rows, { over = "lr", by = { "label", "dim", "head_size" } })
local drawn = rwkv.summary(best, { by = { "label", "dim", "head_size" }, keep = { "lr", "seq" } })
for _, row in ipairs(drawn) do row.part = "state" end
for _, row in ipairs(rwkv.summary(best, { by = { "label", "dim", "head_size", "position" }, part = "final",
  keep = { "lr", "seq", "first", "last", "count" } })) do
  row.part = "position"
  drawn[#drawn + 1] = row
end
rwkv.experiment.figure(path, { "part", "label", "dim", "head_size", "state_floats", "state_bytes", "position", "first", "last",
  "count", "mean", "low", "high", "runs", "seq", "lr", "parameters", "commit" }, drawn, note)
