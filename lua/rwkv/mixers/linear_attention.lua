-- Linear attention (Katharopoulos et al. 2020, arXiv:2006.16236, eq. 8-12) with the feature map elu(x) + 1:
--   S_t = S_{t-1} + k_t v_t',  z_t = z_{t-1} + k_t,  y_t = q_t' S_t / q_t' z_t
local rwkv = require "rwkv.core"
local parts = require "rwkv.mixers.parts"

local function feature(x) return x:relu() + x:minimum(0):exp() end -- elu(x) + 1 > 0

return {
  kind = "time_mix", name = "linear_attention",
  params = function(d)
    return { ["query.weight"] = parts.map(d.A, d.C), ["key.weight"] = parts.map(d.A, d.C),
      ["value.weight"] = parts.map(d.A, d.C), ["output.weight"] = parts.map(d.C, d.A) }
  end,
  state = function(d) return { S = { d.H, d.N, d.N }, z = { d.A } } end,
  flops = function(d) return 5 * d.A * d.N end, -- as wkv6
  apply = function(x, s, p, d)
    local q, k = feature(x:linear(p["query.weight"])), feature(x:linear(p["key.weight"]))
    local y, sums
    y, s.S = rwkv.wkv6(q, rwkv.zeros(d.A), k, x:linear(p["value.weight"]), rwkv.ones(d.A), s.S)
    sums = rwkv.concat({ s.z:reshape(d.B, 1, d.A), k }, 2):cumsum(2):slice(2, 2)
    s.z = sums:slice(2, -1):reshape(d.B, d.A)
    local heads = { d.B, d.T, d.H, d.N }
    local norm = (q * sums):reshape(heads):sum(-1, true)
    return (y:reshape(heads) / norm):reshape(d.B, d.T, d.A):linear(p["output.weight"])
  end,
}
