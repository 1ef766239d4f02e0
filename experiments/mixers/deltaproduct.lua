-- DeltaProduct (Siems et al. 2025, arXiv:2502.10297) with two steps of the delta rule a token, each with a key, a value and a
-- beta in (0, 2) of its own; otherwise as the built-in mixer deltanet_negative:
--   S <- S (I - beta k k') + beta v k'   twice,  y_t = S_t q_t
-- So a token can be two reflections, a rotation.
local rwkv = require "rwkv"
local parts = require "rwkv.mixers.parts"

local steps, width = 2, 4 -- of the short convolutions
local streams = { { "query", 1 }, { "key", steps }, { "value", steps } }

return rwkv.hook { kind = "time_mix", name = "deltaproduct",
  params = function(d)
    local list = { ["output.weight"] = parts.map(d.C, d.A), ["beta.weight"] = parts.map(steps * d.H, d.C),
      scale = { d.A, init = 1 } }
    for _, stream in ipairs(streams) do
      local name, n = stream[1], stream[2]
      list[name .. ".weight"] = parts.map(n * d.A, d.C)
      list[name .. "_conv"] = parts.conv_weight(n * d.A, width)
    end
    return list
  end,
  state = function(d)
    local list = { S = { d.H, d.N, d.N } }
    for _, stream in ipairs(streams) do list[stream[1]] = { width - 1, stream[2] * d.A } end
    return list
  end,
  flops = function(d) return steps * 9 * d.A * d.N end, -- as wkv7, of twice as many tokens
  apply = function(x, s, p, d)
    local tokens, out = steps * d.T, {} -- a token becomes two
    for _, stream in ipairs(streams) do
      local name = stream[1]
      local y
      y, s[name] = parts.short_conv(x:linear(p[name .. ".weight"]), s[name], p[name .. "_conv"])
      out[name] = y:silu()
    end
    local q = out.query:l2norm(d.H, 1e-6)
    q = rwkv.concat({ q, q }, 3):reshape(d.B, tokens, d.A)
    local k = out.key:reshape(d.B, tokens, d.A):l2norm(d.H, 1e-6)
    local beta = (x:linear(p["beta.weight"]):sigmoid() * 2):reshape(d.B, tokens, d.H, 1) + rwkv.zeros(d.H, d.N)
    beta = beta:reshape(d.B, tokens, d.A)
    local y
    y, s.S = rwkv.wkv7(q, rwkv.zeros(d.B, tokens, d.A), k, out.value:reshape(d.B, tokens, d.A) * beta, -k, k * beta, s.S)
    y = y:reshape(d.B, d.T, steps * d.A):slice(3, (steps - 1) * d.A + 1, steps * d.A) -- after the last step
    return y:group_norm(d.H, p.scale, rwkv.zeros(d.A), 1e-5):linear(p["output.weight"])
  end }
