-- What RWKV-1 learns to weigh: its time_w, a weight for each distance and head, at the start and after training on text. The picture of
-- learned curves in the repository of RWKV v1 (2021).
--   make text; aviary experiments/position_curves.lua [--scale quick|small|paper] [--text FILE] [--seeds 1] [--jobs 2]
-- Writes below runs/position_curves: position_curves.tsv, and position_curves.figure.tsv, which plots/position_curves.gp draws.
-- Predicted: the nearest tokens weigh most, and heads come to differ.
local rwkv = require "rwkv"
local text = require "experiments.tasks.text"

local o = rwkv.experiment.options(arg, { text = "", seeds = 0 })
local s = rwkv.experiment.scale(o, {
  quick = { layers = 2, dim = 64, head_size = 16, seq = 128, batch = 16, lr = 2e-3, examples = 3200, seeds = 1 },
  small = { layers = 5, dim = 128, head_size = 16, seq = 256, batch = 8, lr = 2e-3, examples = 8000, seeds = 1 },
  paper = { layers = 5, dim = 512, head_size = 64, seq = 256, batch = 32, lr = 6e-4, examples = 1200000, seeds = 1 },
})

local parts = text.default(o.text)
local note = ("RWKV-1: %d layers, d=%d, heads of %d; %d windows of %d bytes of %s, batch %d, AdamW lr %g"):format(s.layers, s.dim,
  s.head_size, s.examples, s.seq, parts.text:match "[^/]+$", s.batch, s.lr)
local common = { label = "v1", version = "v1", layers = s.layers, dim = s.dim, head_size = s.head_size, vocab = 256, ctx = s.seq, seq = s.seq,
  batch = s.batch, examples = s.examples, every = s.examples // 4, tests = 100, lr = s.lr, warmup = 20, clip = 1, schedule = "cosine",
  final_lr = 0.1, beta2 = 0.99 }
for name, value in pairs(parts) do common[name] = value end
local runs, path = rwkv.experiment.run { name = "position_curves", options = o, note = note, task = text.of,
  configs = rwkv.product({ { "seed", rwkv.seeds(o.seeds > 0 and o.seeds or s.seeds) } }, common) }

local rows = {}
-- Rows for the weights of some layers of a model. Distance 0 is the token itself: the last weight of a head.
local function add(model, layers, fields)
  for name, p in model:parameters() do
    local layer = tonumber(name:match "^blocks%.(%d+)%.attn%.time_w$")
    for head, list in ipairs(layer and layer < layers and p:tolist() or {}) do
      for distance = 0, #list - 1 do
        local row = { layer = layer + 1, head = head, distance = distance, weight = tonumber(("%.5g"):format(list[#list - distance])) }
        for field, value in pairs(fields) do row[field] = value end
        rows[#rows + 1] = row
      end
    end
  end
end

local found = {}
for _, run in ipairs(runs) do
  if run.model and not found[run.run] then
    local model = rwkv.load(run.model)
    if not next(found) then add(rwkv.model(model:config()), 1, { when = "start" }) end -- all layers begin with the same
    add(model, s.layers, { when = "trained", seed = run.seed })
    found[run.run] = true
  end
end
rwkv.experiment.figure(path, { "when", "seed", "layer", "head", "distance", "weight" }, rows, note)
