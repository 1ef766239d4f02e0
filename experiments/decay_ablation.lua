-- Which decay does recall need? One version with every built-in decay, and one written here, on MQAR.
--   aviary experiments/decay_ablation.lua [--version v7] [--seed 0] [--examples 16000] [--out DIR]
-- Writes OUT/decay_ablation.tsv and .png; finished runs are kept.
local rwkv = require "rwkv"
local mqar = require "experiments.tasks.mqar"

local o = rwkv.options(arg, { version = "v7", seed = 0, examples = 16000, out = "runs/decay_ablation" })
local s = { examples = o.examples, every = 2000, tests = 500, dim = 64, head_size = 64, vocab = 256, seq = 64,
  seed = o.seed }

rwkv.hook { kind = "decay", name = "mild", -- as RWKV-7's, but never below e^-0.1 = 0.905
  params = function(d) return { w0 = { d.A, init = "decay_v7", lr = 2 }, w1 = { d.C, 32, init = 0 },
    w2 = { 32, d.A, init = "orthogonal_wide", gain = 0.1 } } end,
  apply = function(x, p) return -0.1 * (p.w0 + x:matmul(p.w1):tanh():matmul(p.w2)):sigmoid() end }

local runs = {}
for _, decay in ipairs { "none", "v4", "v5", "scalar-per-head", "v6", "v7", "sigmoid-floor", "mild" } do
  runs[#runs + 1] = { label = decay, version = o.version, hooks = { decay = decay } }
end

local rows, path = rwkv.learn { name = "decay_ablation", out = o.out, settings = s, runs = runs, columns = { pairs = 8, filler = "zero" },
  train = mqar.new { vocab = s.vocab, seq = s.seq, pairs = 8, random_filler = false, seed = 1000 + o.seed },
  test = mqar.new { vocab = s.vocab, seq = s.seq, pairs = 8, random_filler = false, seed = 7 } }

rwkv.plot { series = rwkv.curves(rows), kind = "linespoints", yrange = { 0, 1.05 },
  title = ("RWKV-%s with other decays: recall of 8 pairs"):format(o.version:sub(2)),
  xlabel = "examples seen", ylabel = "accuracy on held-out examples", file = (path:gsub("tsv$", "png")) }
