-- DeltaNet (Schlag et al. 2021, arXiv:2102.11174; Yang et al. 2024, arXiv:2406.06484): the delta rule,
--   S_t = S_{t-1} (I - beta_t k_t k_t') + beta_t v_t k_t',  y_t = S_t q_t
-- with keys and queries of unit length after a short convolution and SiLU, and beta in (0, range). A range of 2 gives
-- the transition negative eigenvalues (Grazzi et al. 2024, arXiv:2411.12537).
local rwkv = require "rwkv.core"
local parts = require "rwkv.mixers.parts"

local width = 4 -- of the short convolutions

local function params(d)
  local list = { ["output.weight"] = parts.map(d.C, d.A), ["beta.weight"] = parts.map(d.H, d.C), scale = { d.A, init = 1 } }
  for _, name in ipairs { "query", "key", "value" } do
    list[name .. ".weight"] = parts.map(d.A, d.C)
    list[name .. "_conv"] = parts.conv_weight(d.A, width)
  end
  return list
end

local function state(d)
  local past = { width - 1, d.A }
  return { S = { d.H, d.N, d.N }, query = past, key = past, value = past }
end

-- Query, key (both of unit length in each head) and value, [B,T,A]; for deltanet and gated_deltanet.
local function streams(x, s, p, d)
  local out = {}
  for i, name in ipairs { "query", "key", "value" } do
    local y
    y, s[name] = parts.short_conv(x:linear(p[name .. ".weight"]), s[name], p[name .. "_conv"])
    out[i] = y:silu()
  end
  return out[1]:l2norm(d.H, 1e-6), out[2]:l2norm(d.H, 1e-6), out[3]
end

local function with_range(name, range)
  return {
    kind = "time_mix", name = name, params = params, state = state,
    flops = function(d) return 9 * d.A * d.N end, -- as wkv7
    apply = function(x, s, p, d)
      local q, k, v = streams(x, s, p, d)
      local beta = parts.per_channel(x:linear(p["beta.weight"]):sigmoid() * range, d)
      local y
      y, s.S = rwkv.wkv7(q, rwkv.zeros(d.B, d.T, d.A), k, v * beta, -k, k * beta, s.S)
      return y:group_norm(d.H, p.scale, rwkv.zeros(d.A), 1e-5):linear(p["output.weight"])
    end,
  }
end

return { deltanet = with_range("deltanet", 1), negative = with_range("deltanet_negative", 2), params = params,
  state = state, streams = streams }
