-- Which decay does recall need? One version with every built-in decay, and one written here, on MQAR.
--   aviary experiments/mqar_decay.lua [--scale quick|small|paper] [--version v7] [--jobs 2]
-- Writes below runs/mqar_decay: mqar_decay.tsv, all curves, and mqar_decay.figure.tsv, their means over seeds, which
-- plots/mqar_decay.gp draws.
local rwkv = require "rwkv"
local models = require "experiments.models"
local mqar = require "experiments.tasks.mqar"

local o = rwkv.experiment.options(arg, { version = "v7" })
local s = rwkv.experiment.scale(o, {
  quick = { decays = { "none", "v6", "v7", "mild" }, seeds = 1, examples = 16000, every = 2000, tests = 200 },
  small = { decays = { "none", "v4", "v5", "scalar-per-head", "v6", "v7", "sigmoid-floor", "mild" }, seeds = 2, examples = 16000,
    every = 2000, tests = 500 },
  paper = { decays = { "none", "v4", "v5", "scalar-per-head", "v6", "v7", "sigmoid-floor", "mild" }, seeds = 5,
    examples = 100000, every = 10000, tests = 3000 },
})

rwkv.hook { kind = "decay", name = "mild", -- as RWKV-7's, but never below e^-0.1 = 0.905
  params = function(d) return { w0 = { d.A, init = "decay_v7", lr = 2 }, w1 = { d.C, 32, init = 0 },
    w2 = { 32, d.A, init = "orthogonal_wide", gain = 0.1 } } end,
  apply = function(x, p) return -0.1 * (p.w0 + x:matmul(p.w1):tanh():matmul(p.w2)):sigmoid() end }

local version, variants = models.version(o.version), {}
for i, decay in ipairs(s.decays) do variants[i] = { label = decay, version = version, hooks = { decay = decay } } end

local note = ("RWKV-%s with other decays. MQAR: T=64, K=8, V=256, filler 0; 2 layers, d=64, batch 64, AdamW lr 0.003")
  :format(version:sub(2))
local rows, path = rwkv.experiment.run { name = "mqar_decay", options = o, keep_models = false,
  configs = rwkv.product({ { "model", variants }, { "seed", rwkv.seeds(s.seeds) } },
    { dim = 64, head_size = 64, vocab = 256, seq = 64, pairs = 8, filler = "zero", lr = 3e-3, warmup = 10, batch = 64,
      examples = s.examples, every = s.every, tests = s.tests }),
  task = mqar.of,
  note = note }

rwkv.experiment.figure(path, { "label", "examples", "mean", "low", "high", "runs", "parameters", "state_floats", "commit" },
  rwkv.summary(rows, { by = { "label", "examples" } }), note)
