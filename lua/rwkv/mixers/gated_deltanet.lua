-- Gated DeltaNet (Yang et al. 2024, arXiv:2412.06464, eq. 10): the delta rule with a decay for each head and token,
--   S_t = alpha_t S_{t-1} (I - beta_t k_t k_t') + beta_t v_t k_t',  y_t = S_t q_t
--   alpha_t = exp(-exp(A) softplus(x Wa + b)), as in Mamba-2
local rwkv = require "rwkv.core"
local parts = require "rwkv.mixers.parts"
local deltanet = require "rwkv.mixers.deltanet"

return {
  kind = "time_mix", name = "gated_deltanet",
  params = function(d)
    local list = deltanet.params(d)
    list["gate.weight"], list["decay.weight"] = parts.map(d.A, d.C), parts.map(d.H, d.C)
    list.log_rate = { d.H, init = function(_, _, rng) return (rng:tensor("uniform", d.H) * 15 + 1):log() end }
    list.decay_bias = { d.H, init = parts.inverse_softplus }
    return list
  end,
  state = deltanet.state,
  flops = function(d) return 9 * d.A * d.N end, -- as wkv7
  apply = function(x, s, p, d)
    local q, k, v = deltanet.streams(x, s, p, d)
    local beta = parts.per_channel(x:linear(p["beta.weight"]):sigmoid(), d)
    local w = parts.per_channel(-p.log_rate:exp() * x:linear(p["decay.weight"], p.decay_bias):softplus(), d)
    local y
    y, s.S = rwkv.wkv7(q, w, k, v * beta, -k, k * beta * w:exp(), s.S)
    y = y:group_norm(d.H, p.scale, rwkv.zeros(d.A), 1e-5)
    return (y * x:linear(p["gate.weight"]):silu()):linear(p["output.weight"])
  end,
}
