-- What RWKV-7 learns to do with its vectors: the removal key's multiplier xi (k_k), how much the learning rate scales the added key,
-- alpha (k_a), and over the tokens of a text the decay e^w and the learning rate a, layer by layer, at the start and after training.
-- Appendix L of arXiv:2503.14456.
--   aviary experiments/parameter_stats.lua [--scale quick|small|paper] [--text FILE] [--models "v7"] [--out DIR]
-- Writes OUT/parameter_stats.figure.tsv: the least, the 10 %, 50 % and 90 % quantile and the most of each; plots/parameter_stats.gp draws
-- it. The trained models are those of experiments/measure/small_models.lua.
local rwkv = require "rwkv"
local small = require "experiments.measure.small_models"
local spread = require "experiments.measure.spread"

local o = small.options(arg, { models = "v7" })
local s = rwkv.experiment.scale(o, { smoke = { tokens = 20 }, quick = { tokens = 500 }, small = { tokens = 2000 },
  paper = { tokens = 4000 } })
local runs, read = small.train(o)
local tokens = read.held(1, s.tokens)
local path, rows = rwkv.experiment.path(o, "parameter_stats"), {}

-- Of a layer (from 0): { name =, numbers = list }, of channels, or of channels and tokens; what a model has of them.
local function numbers_of(model, layer, seen)
  local list, block = {}, ("blocks.%d.att."):format(layer)
  local function add(name, tensor)
    if tensor then list[#list + 1] = { name = name, numbers = tensor:reshape(-1):tolist() } end
  end
  local parameters = {}
  for name, p in model:parameters() do parameters[name] = p end
  rwkv.no_grad(function()
    add("xi", parameters[block .. "k_k"])
    add("alpha", parameters[block .. "k_a"])
    add("decay", seen[block .. "w"] and seen[block .. "w"]:exp())
    add("rate", seen[block .. "a"])
  end)
  return list
end

local function measure(model, part, run)
  local seen = rwkv.no_grad(function() return (model:trace(tokens)) end)
  for layer = 0, model:config().layers - 1 do
    for _, x in ipairs(numbers_of(model, layer, seen)) do
      local row = spread(x.numbers)
      row.label, row.part, row.seed, row.layer, row.name = run.label, part, run.seed, layer, x.name
      rows[#rows + 1] = row
      print(("%-6s seed %d  %-8s layer %d  %-6s least %.3f  10 %% %.3f  middle %.3f  90 %% %.3f  most %.3f"):format(run.label, run.seed,
        part, layer, x.name, row.least, row.low, row.middle, row.high, row.most))
    end
  end
end

for _, run in ipairs(runs) do
  if run.seed == runs[1].seed then measure(rwkv.model(run.model:config()), "start", run) end
  measure(run.model, "trained", run)
end
if #rows == 0 then error(("--models %s: none of them has k_k, k_a, a decay or a learning rate"):format(o.models), 0) end

rwkv.experiment.figure(path, { "label", "part", "seed", "layer", "name", "least", "low", "middle", "high", "most", "count" }, rows,
  ("RWKV-7's vectors: %s; decay and rate over %d bytes that it was not trained on"):format(read.note, s.tokens))
print((path:gsub("tsv$", "figure.tsv")))
