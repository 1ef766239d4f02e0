-- Which gate does recall need? Versions with every gate, on MQAR with random filler, several seeds.
--   aviary experiments/gating_ablation.lua [--version v7] [--seeds 2] [--examples 16000] [--out DIR]
-- Writes OUT/gating_ablation.tsv and .png; finished runs are kept.
local rwkv = require "rwkv"
local mqar = require "experiments.tasks.mqar"

local o = rwkv.options(arg, { version = "v7", seeds = 2, examples = 16000, out = "runs/gating_ablation" })

rwkv.hook { kind = "gate", name = "sigmoid", -- a full matrix, as the output gate of an LSTM
  params = function(d) return { weight = { d.A, d.C, init = 0 } } end,
  apply = function(x, p) return 2 * x:linear(p.weight):sigmoid() end }

rwkv.hook { kind = "gate", name = "per-head", -- one number for each head
  params = function(d) return { weight = { d.H, d.C, init = 0 } } end,
  apply = function(x, p, d)
    local g = 2 * x:linear(p.weight):sigmoid():reshape(d.B, d.T, d.H, 1)
    return (g + rwkv.zeros(d.H, d.N)):reshape(d.B, d.T, d.A)
  end }

local s = { examples = o.examples, every = 2000, tests = 500, dim = 64, head_size = 64, vocab = 256, seq = 64 }
local function task(seed)
  return mqar.new { vocab = s.vocab, seq = s.seq, pairs = 8, random_filler = true, seed = seed }
end
local runs, seeds = {}, {}
for i, gate in ipairs { "none", "per-head", "silu", "sigmoid", "sigmoid-lora" } do
  runs[i] = { label = gate, version = o.version, hooks = { gate = gate } }
end
for i = 1, o.seeds do seeds[i] = i - 1 end

local rows, path = rwkv.learn { name = "gating_ablation", out = o.out, settings = s, runs = runs, columns = { pairs = 8, filler = "random" }, seeds = seeds,
  train = function(seed) return task(1000 + seed) end, test = task(7) }
rwkv.plot { series = rwkv.curves(rows), kind = "linespoints", yrange = { 0, 1.05 },
  title = ("RWKV-%s with other gates: recall of 8 pairs, mean of %d seeds"):format(o.version:sub(2), o.seeds),
  xlabel = "examples seen", ylabel = "accuracy on held-out examples", file = (path:gsub("tsv$", "png")) }
