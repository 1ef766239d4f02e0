-- Token shift that depends on the token: Table 19 of arXiv:2404.05892. RWKV-6 mixes each token with the one before it by weights
-- that a low-rank map makes of the token itself (DDLerp). Three arms: for all five streams, for the decay alone, for none.
-- Published: 2.91, 2.923, 2.926, so both differences are below .6 %, and most of the gain is not the decay's.
--   make text; aviary experiments/ddlerp.lua [--scale quick|small|paper] [--text FILE] [--jobs 2]
-- Writes below runs/ddlerp: ddlerp.tsv and ddlerp.figure.tsv, which plots/ddlerp.gp draws.
local rwkv = require "rwkv"
local arms = require "experiments.measure.arms"

local o = rwkv.experiment.options(arg, { text = "" })
local s = rwkv.experiment.scale(o, arms.scales { quick = { examples = 2000 } })

-- How much of the token before a stream gets at the start: the official values.
local function start_of(stream)
  return function(layer, d)
    local late, rest, list = (layer - 1) / (d.layers - 1), 1 - (layer - 1) / d.layers, {}
    for c = 1, d.C do
      local power = ((c - 1) / d.C) ^ ((stream == "r" or stream == "g") and rest / 2 or rest)
      list[c] = 1 - power - (stream == "v" and 0.3 * late or 0)
    end
    return list
  end
end

-- The token shift of RWKV-6 with the low-rank map for these streams only.
local function shift(name, dependent)
  return rwkv.hook { kind = "shift", name = name,
    params = function(d)
      local list = { mu_x = dependent ~= "" and { d.C, init = start_of "x" } or nil }
      for _, stream in ipairs(d.streams) do
        list["mu_" .. stream] = { d.C, init = start_of(stream) }
        if dependent:find(stream, 1, true) then
          list["w1_" .. stream] = { d.C, d.mix_rank, init = 0 }
          list["w2_" .. stream] = { d.mix_rank, d.C, init = "uniform", gain = 0.01 }
        end
      end
      return list
    end,
    apply = function(x, prev, p, d)
      local mixed, change = {}, prev - x
      local z = dependent ~= "" and x + change * p.mu_x
      for _, stream in ipairs(d.streams) do
        local mu = p["mu_" .. stream]
        if dependent:find(stream, 1, true) then mu = mu + z:matmul(p["w1_" .. stream]):tanh():matmul(p["w2_" .. stream]) end
        mixed[stream] = x + change * mu
      end
      return mixed
    end }
end

arms.run { name = "ddlerp", options = o, scale = s,
  note = "RWKV-6, of whose token shift the part that depends on the token is taken away",
  panels = { { panel = "RWKV-6: which token shift depends on the token", version = "v6", arms = {
    { label = "all streams (DDLerp)", mix_rank = s.dim // 8 },
    { label = "the decay's alone", mix_rank = s.dim // 8, hooks = { shift = shift("ddlerp-decay", "w") } },
    { label = "none", mix_rank = s.dim // 8, hooks = { shift = shift("ddlerp-none", "") } },
  } } } }
