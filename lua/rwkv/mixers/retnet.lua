-- RetNet (Sun et al. 2023, arXiv:2307.08621, section 2.2): one fixed decay a head, gamma_h = 1 - 2^(-5-h); rotary
-- positions, group norm without scale, swish gate.
--   S_t = gamma S_{t-1} + k_t v_t',  y_t = q_t' S_t / sqrt N
-- Values have the width of keys (the paper's are twice as wide).
local rwkv = require "rwkv.core"
local parts = require "rwkv.mixers.parts"

local function decays(d) -- gamma for every channel
  local gamma = {}
  for i = 1, d.A do gamma[i] = 1 - 2 ^ (-5 - (i - 1) // d.N) end
  return gamma
end

return {
  kind = "time_mix", name = "retnet",
  params = function(d)
    return { ["query.weight"] = parts.map(d.A, d.C), ["key.weight"] = parts.map(d.A, d.C),
      ["value.weight"] = parts.map(d.A, d.C), ["gate.weight"] = parts.map(d.A, d.C),
      ["output.weight"] = parts.map(d.C, d.A) }
  end,
  state = function(d) return { S = { d.H, d.N, d.N }, position = { 1 } } end,
  flops = function(d) return 5 * d.A * d.N end, -- as wkv6
  apply = function(x, s, p, d)
    local gamma = rwkv.tensor(decays(d))
    local cos, sin, y
    cos, sin, s.position = parts.rotation(s.position, d)
    local q = parts.rotate(x:linear(p["query.weight"]), cos, sin, d) * d.N ^ -0.5
    local k = parts.rotate(x:linear(p["key.weight"]), cos, sin, d)
    -- wkv6 reads before it decays: gamma q' (S_{t-1} + k v'/gamma)
    y, s.S = rwkv.wkv6(q * gamma, gamma:log(), k, x:linear(p["value.weight"]), 1 / gamma, s.S)
    y = y:group_norm(d.H, rwkv.ones(d.A), rwkv.zeros(d.A), 1e-5)
    return (y * x:linear(p["gate.weight"]):silu()):linear(p["output.weight"])
  end,
}
