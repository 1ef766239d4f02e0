-- Does it help to start from tiny embeddings and a norm after them? Loss against step, word by word: the official start, uniform within
-- ±1e-4 and then a layer norm, against N(0, .02), with that norm and without it. Figures 8 and 9 of arXiv:2305.13048.
--   make text; aviary experiments/small_init.lua [--scale quick|small|paper] [--text FILE] [--models "v4 v7 mine"]
-- Writes below runs/small_init: small_init.tsv, all curves, and small_init.figure.tsv, which plots/small_init.gp draws: each run and
-- the medians, of losses and of how far they are behind the official start. Predicted: the official start is ahead from the first
-- hundreds of steps on.
local rwkv = require "rwkv"
local models = require "experiments.models"
local text = require "experiments.tasks.text"
local words = require "experiments.tasks.words"

local o = models.options(arg, { models = "v4 v7 attention", text = "" })
local s = rwkv.experiment.scale(o, {
  quick = { layers = 2, dim = 32, head_size = 16, vocab = 2048, seq = 64, batch = 8, lr = 1e-3, steps = 100, every_steps = 20,
    tests = 100, seeds = 1 },
  small = { layers = 2, dim = 64, head_size = 32, vocab = 4096, seq = 128, batch = 8, lr = 1e-3, steps = 300, every_steps = 25,
    tests = 100, seeds = 3 },
  paper = { layers = 6, dim = 512, head_size = 64, vocab = 4096, seq = 512, batch = 8, lr = 4e-4, steps = 50000, every_steps = 500,
    tests = 200, seeds = 1 }, -- the authors' demo; the paper's figure has batches of 400
})

-- Both arms of N(0, .02) have the same numbers; `start` is what stands in the table.
local starts = {
  { start = "±1e-4, norm", embedding = 0 },
  { start = "N(0, .02), norm", embedding = 0.02 },
  { start = "N(0, .02), no norm", embedding = 0.02, hooks = { embed_norm = "none" } },
}

local parts = text.default(o.text)
local read = words.read(parts, s.vocab)
local note = ("Tiny embeddings, then a norm: words and punctuation of %s, vocabulary %d (%.1f %% of the test); %d layers, d=%d, T=%d, "
  .. "batch %d, AdamW lr %g, constant"):format(parts.text:match "[^/]+$", s.vocab, 100 * read.known, s.layers, s.dim, s.seq, s.batch, s.lr)
local rows, path = rwkv.experiment.run { name = "small_init", options = o, keep_models = false,
  configs = rwkv.product({ { "model", models.pick(o.models) }, { "start", starts }, { "seed", rwkv.seeds(s.seeds) } },
    { layers = s.layers, dim = s.dim, head_size = s.head_size, vocab = s.vocab, seq = s.seq, batch = s.batch, lr = s.lr, clip = 1,
      examples = s.steps * s.batch, every = s.every_steps * s.batch, tests = s.tests, text = parts.text, text_sum = parts.text_sum }),
  task = function(c) return words.of(c, read) end,
  prepare = models.embed,
  title = function(c) return c.label .. ", " .. c.start end,
  note = note }

-- Of each run also how far it is behind the official start with the same seed.
local official = {}
local function of(row) return ("%s %d %d"):format(row.label, row.seed, row.examples) end
for _, row in ipairs(rows) do if row.start == starts[1].start then official[of(row)] = row.test_loss end end
for _, row in ipairs(rows) do
  local ahead = official[of(row)] -- not there while that run is missing
  row.behind = ahead and row.test_loss - ahead
end
local shown = {}
for _, value in ipairs { "test_loss", "behind" } do
  for _, row in ipairs(rwkv.summary(rows, { by = { "label", "start", "examples" }, value = value, keep = { "batch" }, each = true })) do
    row.step, row.drawn = row.examples // row.batch, value
    shown[#shown + 1] = row
  end
end
rwkv.experiment.figure(path, { "label", "start", "drawn", "step", "median", "low", "high", "runs", "seed", "value", "parameters",
  "commit" }, shown, note)
