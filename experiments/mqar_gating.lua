-- Which gate does recall need? One version with every gate, on MQAR with random filler.
--   aviary experiments/mqar_gating.lua [--scale quick|small|paper] [--version v7] [--jobs 2]
-- Writes below runs/mqar_gating: mqar_gating.tsv, all curves, and mqar_gating.figure.tsv, their means over seeds, which
-- plots/mqar_gating.gp draws.
local rwkv = require "rwkv"
local models = require "experiments.models"
local mqar = require "experiments.tasks.mqar"

local o = rwkv.experiment.options(arg, { version = "v7" })
local s = rwkv.experiment.scale(o, {
  quick = { seeds = 1, examples = 16000, every = 2000, tests = 200 },
  small = { seeds = 2, examples = 16000, every = 2000, tests = 500 },
  paper = { seeds = 5, examples = 100000, every = 10000, tests = 3000 },
})

rwkv.hook { kind = "gate", name = "sigmoid", -- a full matrix, as the output gate of an LSTM
  params = function(d) return { weight = { d.A, d.C, init = 0 } } end,
  apply = function(x, p) return 2 * x:linear(p.weight):sigmoid() end }

rwkv.hook { kind = "gate", name = "per-head", -- one number for each head
  params = function(d) return { weight = { d.H, d.C, init = 0 } } end,
  apply = function(x, p, d)
    local g = 2 * x:linear(p.weight):sigmoid():reshape(d.B, d.T, d.H, 1)
    return (g + rwkv.zeros(d.H, d.N)):reshape(d.B, d.T, d.A)
  end }

local version, variants = models.version(o.version), {}
for i, gate in ipairs { "none", "per-head", "silu", "sigmoid", "sigmoid-lora" } do
  variants[i] = { label = gate, version = version, hooks = { gate = gate } }
end

local note = ("RWKV-%s with other gates. MQAR: T=64, K=8, V=256, random filler; 2 layers, d=64, batch 64, AdamW lr 0.003")
  :format(version:sub(2))
local rows, path = rwkv.experiment.run { name = "mqar_gating", options = o, keep_models = false,
  configs = rwkv.product({ { "model", variants }, { "seed", rwkv.seeds(s.seeds) } },
    { dim = 64, head_size = 64, vocab = 256, seq = 64, pairs = 8, filler = "random", lr = 3e-3, warmup = 10, batch = 64,
      examples = s.examples, every = s.every, tests = s.tests }),
  task = mqar.of,
  note = note }

rwkv.experiment.figure(path, { "label", "examples", "mean", "low", "high", "runs", "parameters", "state_floats", "commit" },
  rwkv.summary(rows, { by = { "label", "examples" } }), note)
