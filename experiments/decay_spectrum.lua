-- How fast channels forget: the decays e^w of every layer in increasing order, with the official initial values and after
-- training (figure 9 of arXiv:2305.13048).
--   aviary experiments/decay_spectrum.lua [--scale quick|small|paper] [--text FILE] [--models "v4 v7"] [--out DIR]
-- Writes OUT/decay_spectrum.figure.tsv, the sorted decays, and OUT/decay_summary.figure.tsv, what part of each layer is fast and slow;
-- plots/decay_spectrum.gp draws them. The trained models are those of experiments/measure/small_models.lua.
local rwkv = require "rwkv"
local decay = require "experiments.measure.decay"
local models = require "experiments.models"
local quantile = require "experiments.measure.quantile"
local small = require "experiments.measure.small_models"

local o = small.options(arg)
local s = rwkv.experiment.scale(o, {
  smoke = { tokens = 20, layers = 3, dim = 64 },
  quick = { tokens = 500, layers = 12, dim = 768 }, -- the size of RWKV-4 169M
  small = { tokens = 2000, layers = 12, dim = 768 },
  paper = { tokens = 4000, layers = 12, dim = 768 },
})
local layers, dim = s.layers, s.dim
local points = 128 -- so many of the sorted channels stand in the table
local path = rwkv.experiment.path(o, "decay_spectrum")
local summary = rwkv.experiment.path(o, "decay_summary", "runs/decay_spectrum")
local rows, summaries = {}, {}

local function summarise(part, label, seed, layer, of, sorted)
  local sum = decay.summary(sorted)
  sum.part, sum.label, sum.seed, sum.layer, sum.layers, sum.channels = part, label, seed, layer, of, #sorted
  summaries[#summaries + 1] = sum
end

local runs, text = small.train(o) -- first: what follows is not for workers

local known = {}
for _, m in ipairs(models.pick(o.models)) do
  local label = m.label
  local found = decay.initial(m, layers, dim)
  known[label] = m
  for layer = 0, found[0] and layers - 1 or -1 do
    local sorted = found[layer]
    summarise("initial", label, 0, layer, layers, sorted)
    for i = 1, points do
      local at = (i - 0.5) / points -- of all channels, so many are faster
      rows[#rows + 1] = { label = label, part = "initial", seed = 0, layer = layer, layers = layers, channel = at,
        decay = quantile(sorted, at) }
    end
  end
end

for _, run in ipairs(runs) do
  local found, config = decay.on_text(run.model, text.held(1, s.tokens)), run.model:config()
  local start = decay.initial(known[run.label], config.layers, config.dim, config.head_size)
  for layer = 0, found[0] and config.layers - 1 or -1 do
    local means, channels = {}, found[layer]
    for i, c in ipairs(channels) do
      means[i] = c.mean
      rows[#rows + 1] = { label = run.label, part = "trained", seed = run.seed, layer = layer, layers = config.layers,
        channel = (i - 0.5) / #channels, decay = c.mean, low = c.low, high = c.high, initial = start[layer] and start[layer][i] }
    end
    if start[layer] then summarise("start", run.label, run.seed, layer, config.layers, start[layer]) end
    summarise("trained", run.label, run.seed, layer, config.layers, means)
  end
end

local note = ("initial: %d layers, d=%d; trained: %s, held-out bytes: %d"):format(layers, dim, text.note, s.tokens)
rwkv.experiment.figure(path, { "label", "part", "seed", "layer", "layers", "channel", "decay", "low", "high",
  "initial" }, rows, note)
rwkv.experiment.figure(summary, { "label", "part", "seed", "layer", "layers", "channels", "below", "above", "median" },
  summaries, note .. "; parts of the channels with e^w below 0.1 and above 0.9, median e^w")
print("          e^w          below 0.1  above 0.9  median")
for _, x in ipairs(summaries) do
  if x.seed == 0 and (x.part ~= "initial" or x.layer % (layers // 2) == 0 or x.layer == layers - 1) then
    print(("%-5s %-8s layer %-3d %5.1f %%   %5.1f %%   %.3f"):format(x.label, x.part, x.layer, 100 * x.below, 100 * x.above,
      x.median))
  end
end
print((path:gsub("tsv$", "figure.tsv")))
