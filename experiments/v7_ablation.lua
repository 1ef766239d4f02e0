-- What the parts of RWKV-7 are worth on text: the arms of appendix K of arXiv:2503.14456. Published, as recalled (training and
-- validation loss of a small model on minipile): full 2.834 / 2.541; scalar decay 2.873 / 2.609; scalar in-context rate 2.843 /
-- 2.591; one key for removal and replacement 2.840 / 2.560; no bonus 2.841 / 2.588. So the scalar decay should cost most.
--   make text; aviary experiments/v7_ablation.lua [--scale quick|small|paper] [--text FILE] [--jobs 2]
-- Writes below runs/v7_ablation: v7_ablation.tsv and v7_ablation.figure.tsv, which plots/v7_ablation.gp draws.
local rwkv = require "rwkv"
local arms = require "experiments.measure.arms"

local o = rwkv.experiment.options(arg, { text = "" })
local s = rwkv.experiment.scale(o, arms.scales { quick = { examples = 1600 } })

-- The official decay with one number a head: w0 starts at the mean over the head of its official values, 6 (n / (A-1))^e - 5.5.
local scalar_decay = rwkv.hook { kind = "decay", name = "v7-scalar",
  params = function(d)
    local function start(layer)
      local power, list = 1 + ((layer - 1) / (d.layers - 1)) ^ 0.3, {}
      for h = 1, d.H do
        local sum = 0
        for n = (h - 1) * d.N, h * d.N - 1 do sum = sum + 6 * (n / (d.A - 1)) ^ power - 5.5 end
        list[h] = sum / d.N
      end
      return list
    end
    return { w0 = { d.H, init = start, lr = 2 }, w1 = { d.C, d.decay_rank, init = 0 },
      w2 = { d.decay_rank, d.H, init = "orthogonal_wide", gain = 0.1 } }
  end,
  apply = function(x, p, d)
    local w = -math.exp(-0.5) * (p.w0 + x:matmul(p.w1):tanh():matmul(p.w2)):sigmoid() -- [B,T,H]
    return (w:reshape(d.B, d.T, d.H, 1) + rwkv.zeros(d.H, d.N)):reshape(d.B, d.T, d.A)
  end }

-- The removal key is the key itself, normalised; with k_a = 0 the replacement key is it, too.
local plain_key = rwkv.hook { kind = "key_norm", name = "plain", apply = function(k, _, _, d) return k:l2norm(d.H) end }
local function one_key(model)
  for name, t in model:parameters() do
    if name:find "att%.k_a$" then
      t:set(0)
      t:requires_grad(false)
    end
  end
end

arms.run { name = "v7_ablation", options = o, scale = s, note = "RWKV-7, one part changed in each arm",
  starts = { ["one key"] = one_key },
  panels = { { panel = "RWKV-7 without one of its parts, on text", version = "v7", arms = {
    { label = "full" },
    { label = "scalar decay", hooks = { decay = scalar_decay } },
    { label = "scalar in-context rate", hooks = { iclr = "scalar" } },
    { label = "one key for both", hooks = { key_norm = plain_key }, start = "one key" },
    { label = "no bonus", hooks = { bonus = "none" } },
  } } } }
