-- Which version predicts text best at equally many parameters? Loss of all versions and of attention against bytes read, with and
-- without token shift in attention: a small form of the figure that came with RWKV-1 in 2021 (RWKV against attention on characters).
--   make text; aviary experiments/loss_by_version.lua [--scale quick|small|paper] [--text FILE] [--models "v4 v7 mine"]
-- Writes below runs/loss_by_version: loss_by_version.tsv, all curves, and loss_by_version.figure.tsv, each run and the medians of the
-- best learning rate, which plots/loss_by_version.gp draws. Predicted: RWKV before attention, and attention with token shift between them.
local rwkv = require "rwkv"
local equal_parameters = require "experiments.measure.equal_parameters"
local models = require "experiments.models"
local text = require "experiments.tasks.text"

-- Attention as RWKV-1 was compared with: rotary positions, and before queries, keys and values half of the channels of a token are those
-- of the token before it; the same before channel mixing.
local attention = rwkv.mixers.attention
local shifted = rwkv.hook { kind = "time_mix", name = "attention_shift", params = attention.params, flops = attention.flops,
  state = function(d) return { keys = { "tokens", d.A }, values = { "tokens", d.A }, position = { 1 }, last = { d.C } } end,
  apply = function(x, s, p, d)
    local before
    before, s.last = x:shift(s.last)
    local half = d.C // 2
    return attention.apply(rwkv.concat({ before:slice(3, 1, half), x:slice(3, half + 1) }, 3), s, p, d)
  end }
models.add("attention-shift", "v7", { time_mix = shifted, ffn_shift = "half" })

local o = models.options(arg, { models = "v1 v2 v3 v4 v5.0 v5.1 v5.2 v6 v7 attention attention-shift", text = "" })
local s = rwkv.experiment.scale(o, {
  quick = { layers = 2, dim = 32, head_size = 16, seq = 64, batch = 16, lr = { 6e-3 }, seeds = 1, bytes = 60000, tests = 100 },
  small = { layers = 2, dim = 64, head_size = 32, seq = 128, batch = 16, lr = { 6e-3, 1.2e-2 }, seeds = 2, bytes = 500000, tests = 100 },
  paper = { layers = 5, dim = 512, head_size = 64, seq = 256, batch = 32, lr = { 4e-4, 6e-4 }, seeds = 1, bytes = 500000000,
    tests = 400 }, -- the figure's sizes, on any text
})

-- Every model gets as many parameters as RWKV-6 has, the largest of them, by the width of its channel mixing.
local sizes = { layers = s.layers, dim = s.dim, head_size = s.head_size, vocab = 256, ctx = s.seq }
local target, tolerance = equal_parameters.describe({ version = "v6" }, sizes).parameters, 0.02
local compared = models.pick(o.models)
for _, m in ipairs(compared) do m.dim_ffn = equal_parameters.dim_ffn(m, sizes, target, tolerance) end

local steps = math.max(10, s.bytes // (s.seq * s.batch))
local note = ("Loss by version at %d parameters within %g %%, by the width of channel mixing: %d layers, d=%d, heads of %d; %.2g MB of "
  .. "%s in windows of %d bytes, batch %d, AdamW, cosine, best lr of %s"):format(target, 100 * tolerance, s.layers, s.dim, s.head_size,
  steps * s.batch * s.seq / 1e6, text.default(o.text).text:match "[^/]+$", s.seq, s.batch, table.concat(s.lr, ", "))
local rows, path = rwkv.experiment.run { name = "loss_by_version", options = o, keep_models = false,
  configs = rwkv.product({ { "model", compared }, { "lr", s.lr }, { "seed", rwkv.seeds(s.seeds) }, { "text", { text.default(o.text) } } },
    { layers = s.layers, dim = s.dim, head_size = s.head_size, vocab = 256, ctx = s.seq, seq = s.seq, batch = s.batch, carry = 0,
      warmup = 20, clip = 1, schedule = "cosine", final_lr = 0.05, examples = steps * s.batch, every = steps // 10 * s.batch,
      tests = s.tests }),
  task = text.of,
  note = note }

local best = rwkv.best(rows, { over = "lr", by = { "label" }, value = "test_loss", lowest = true })
local shown = rwkv.summary(best, { by = { "label", "examples" }, value = "test_loss", keep = { "lr", "dim_ffn", "seq" }, each = true })
for _, row in ipairs(shown) do row.megabytes = row.examples * row.seq / 1e6 end
rwkv.experiment.figure(path, { "label", "megabytes", "median", "low", "high", "runs", "seed", "value", "lr", "dim_ffn", "parameters",
  "state_bytes", "commit" }, shown, note)
