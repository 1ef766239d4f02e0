-- Long texts: the loss against the position, far beyond the length trained on; with and without the state carried on while
-- training. A small form of Figure 5 of arXiv:2404.05892, byte by byte.
--   make text; aviary experiments/longctx_loss.lua [--scale quick|small|paper] [--text FILE] [--models "v4 v7 mine"] [--seeds 1]
-- Writes below runs/longctx_loss: longctx_loss.tsv, with a row a position (part = final), and longctx_loss.figure.tsv, the mean
-- over seeds, which plots/longctx_loss.gp draws. The document is not trained on, not tested on, and read once.
local rwkv = require "rwkv"
local models = require "experiments.models"
local positions = require "experiments.measure.positions"
local text = require "experiments.tasks.text"

local o = models.options(arg, { models = "v4 v5.2 v6 v7 attention", text = "", seeds = 0 })
local s = rwkv.experiment.scale(o, {
  quick = { layers = 2, dim = 64, head_size = 32, seq = 128, batch = 16, passes = 0.3, lr = 4e-3, seeds = 1, length = 6144,
    documents = 8, at_once = 8, tests = 100 },
  small = { layers = 2, dim = 128, head_size = 64, seq = 512, batch = 8, passes = 1, lr = 4e-3, seeds = 1, length = 24576,
    documents = 15, at_once = 5, tests = 100 },
  paper = { layers = 12, dim = 768, head_size = 64, seq = 4096, batch = 8, passes = 20, lr = 6e-4, seeds = 1, length = 65536,
    documents = 5, at_once = 1, tests = 16 },
})
s.examples = math.floor(s.passes * text.default(o.text).test_from / s.seq) // s.batch * s.batch
s.every = math.max(s.batch, s.examples // 4)

-- A state that grows with the text cannot be carried through all of it.
local function grows(c)
  local function floats(tokens)
    local hooks = c.hooks and rwkv.experiment.by_layer(c.hooks, c.layers)
    return rwkv.model { version = c.version, hooks = hooks, layers = c.layers, dim = 32, head_size = 32, vocab = 256, ctx = 8 }
      :state_floats(tokens)
  end
  return floats(1) ~= floats(2)
end

local configs = {}
for _, c in ipairs(rwkv.product({ { "model", models.pick(o.models) }, { "carry", { 0, 1 } },
  { "seed", rwkv.seeds(o.seeds > 0 and o.seeds or s.seeds) }, { "text", { text.default(o.text) } } }, s)) do
  c.vocab, c.schedule, c.final_lr, c.warmup, c.clip, c.test_batch = 256, "cosine", 0.05, 20, 1, s.batch
  if c.carry == 0 or not grows(c) then configs[#configs + 1] = c end
end

local note = ("%d layers, d=%d, %.1f MB of text in %.2g passes, T=%d, batch %d, lr %g; loss on %d documents of %d bytes, standard "
  .. "error over documents"):format(s.layers, s.dim, text.default(o.text).test_from / 1e6, s.passes, s.seq, s.batch, s.lr,
    s.documents, s.length)
local rows, path = rwkv.experiment.run { name = "longctx_loss", options = o, configs = configs,
  task = text.of,
  final = function(model, test, c)
    local document, losses = test.document, {}
    local starts = document:stretches(c.documents, c.length + 1)
    for first = 1, #starts, c.at_once do
      local some = {}
      for i = first, math.min(first + c.at_once - 1, #starts) do some[#some + 1] = document:bytes(starts[i], c.length + 1) end
      for _, l in ipairs(positions.losses(model, some, 512)) do losses[#losses + 1] = l end
    end
    return positions.binned(losses, 24)
  end,
  note = note }

local means = rwkv.summary(rows, { by = { "label", "carry", "position" }, part = "final", value = "loss",
  also = { "loss", "bits", "stderr" }, keep = { "first", "last", "count", "seq" } })
rwkv.experiment.figure(path, { "label", "carry", "position", "loss", "stderr", "bits", "first", "last", "count", "runs", "seq",
  "parameters", "commit" }, means, note)
