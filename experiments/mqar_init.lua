-- Does it matter how training starts? Official initial values against naive ones, weight decay on all parameters against
-- matrices only, and the eps of Adam, on MQAR.
--   aviary experiments/mqar_init.lua [--scale quick|small|paper] [--versions "v6 v7"] [--jobs 2]
-- Writes below runs/mqar_init: mqar_init.tsv, all curves, and mqar_init.figure.tsv, their means over seeds, which
-- plots/mqar_init.gp draws.
local rwkv = require "rwkv"
local initial = require "experiments.measure.initial"
local models = require "experiments.models"
local mqar = require "experiments.tasks.mqar"

local o = rwkv.experiment.options(arg, { versions = "v7" })
local s = rwkv.experiment.scale(o, {
  quick = { seeds = 1, examples = 16000, every = 2000, tests = 200 },
  small = { seeds = 2, examples = 20000, every = 2000, tests = 500 },
  paper = { seeds = 5, examples = 100000, every = 10000, tests = 3000 },
})

local ways, configs = {
  { label = "official" },
  { label = "naive initial values", start = "naive" },
  { label = "weight decay on all", decay_all = true },
  { label = "eps 1e-18", eps = 1e-18 },
}, {}
for version in o.versions:gmatch "%S+" do
  for _, way in ipairs(ways) do
    local c = { version = models.version(version) }
    for name, value in pairs(way) do c[name] = value end
    c.label = o.versions:find " " and version .. " " .. way.label or way.label
    configs[#configs + 1] = c
  end
end

local note = ("RWKV-%s from other starts. MQAR: T=64, K=8, V=256, filler 0; 2 layers, d=64, batch 64, AdamW lr 0.003, eps 1e-8")
  :format(o.versions:gsub("v", ""))
local rows, path = rwkv.experiment.run { name = "mqar_init", options = o, keep_models = false,
  configs = rwkv.product({ { "way", configs }, { "seed", rwkv.seeds(s.seeds) } },
    { dim = 64, head_size = 64, vocab = 256, seq = 64, pairs = 8, filler = "zero", start = "official", lr = 3e-3, warmup = 10,
      batch = 64, examples = s.examples, every = s.every, tests = s.tests }),
  task = mqar.of,
  prepare = function(model, c) if c.start == "naive" then initial.naive(model, rwkv.rng(c.layers, 99)) end end,
  note = note }

rwkv.experiment.figure(path, { "label", "examples", "mean", "low", "high", "runs", "parameters", "state_floats", "commit" },
  rwkv.summary(rows, { by = { "label", "examples" } }), note)
