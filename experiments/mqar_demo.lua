-- Recall: RWKV versions learn MQAR from the same examples with the same budget.
--   aviary experiments/mqar_demo.lua [--scale smoke|small] [--versions "v4 v7"] [--seed 0]
-- Writes runs/mqar_demo/mqar_demo.tsv; plots/mqar_demo.gp draws it.
local rwkv = require "rwkv"
local models = require "experiments.models"
local mqar = require "experiments.tasks.mqar"

local o = rwkv.experiment.options(arg, { versions = "v1 v2 v3 v4 v5.0 v5.1 v5.2 v6 v7", seed = 0 })
local s = rwkv.experiment.scale(o, {
  smoke = { examples = 256, every = 128, tests = 50, dim = 32, vocab = 64, seq = 32 },
  small = { examples = 16000, every = 2000, tests = 500, dim = 64, vocab = 256, seq = 64 },
})
s.head_size, s.seed = s.dim, o.seed
local K = s.seq // 8 -- pairs of key and value

rwkv.learn { name = "mqar_demo", options = o, settings = s, runs = models.pick(o.versions),
  columns = { pairs = K, filler = "zero" },
  train = mqar.new { vocab = s.vocab, seq = s.seq, pairs = K, random_filler = false, seed = 1000 + o.seed },
  test = mqar.new { vocab = s.vocab, seq = s.seq, pairs = K, random_filler = false, seed = 7 },
  note = ("MQAR: T=%d, K=%d pairs, V=%d, filler 0; 2 layers, d=%d, batch 64, AdamW lr 0.003, weight decay 0.1 on matrices")
    :format(s.seq, K, s.vocab, s.dim) }
