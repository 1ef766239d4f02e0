-- Gated linear attention (Yang et al. 2023, arXiv:2312.06635, section 4): a decay for every key channel and token,
--   alpha_t = sigmoid(x W1 W2 + b)^(1/16),  S_t = diag(alpha_t) S_{t-1} + k_t v_t',  y_t = q_t' S_t / sqrt N
-- then a norm of each head and a swish gate. Keys have the width of values (the paper's are half as wide).
local rwkv = require "rwkv.core"
local parts = require "rwkv.mixers.parts"

return {
  kind = "time_mix", name = "gla",
  params = function(d)
    return { ["query.weight"] = parts.map(d.A, d.C), ["key.weight"] = parts.map(d.A, d.C),
      ["value.weight"] = parts.map(d.A, d.C), ["gate.weight"] = parts.map(d.A, d.C),
      ["output.weight"] = parts.map(d.C, d.A), ["decay1.weight"] = parts.map(16, d.C),
      ["decay2.weight"] = parts.map(d.A, 16), decay_bias = { d.A, init = 0 }, scale = { d.A, init = 1 } }
  end,
  state = function(d) return { S = { d.H, d.N, d.N } } end,
  flops = function(d) return 5 * d.A * d.N end, -- as wkv6
  apply = function(x, s, p, d)
    local q, k = x:linear(p["query.weight"]) * d.N ^ -0.5, x:linear(p["key.weight"])
    local v = x:linear(p["value.weight"])
    local w = (-x:linear(p["decay1.weight"]):linear(p["decay2.weight"], p.decay_bias)):softplus() * (-1 / 16)
    local y
    y, s.S = rwkv.wkv6(q * w:exp(), w, k, v, rwkv.zeros(d.A), s.S) -- what was stored before, decayed
    local heads = { d.B, d.T, d.H, d.N }
    local now = (q * k):reshape(heads):sum(-1, true) * v:reshape(heads) -- and the token itself
    y = (y + now:reshape(d.B, d.T, d.A)):group_norm(d.H, p.scale, rwkv.zeros(d.A), 1e-5)
    return (y * x:linear(p["gate.weight"]):silu()):linear(p["output.weight"])
  end,
}
