-- Mamba (Gu & Dao 2023, arXiv:2312.00752, section 3 and figure 3), sizes and initial values as the official code but
-- for the linear maps:
--   h_t = exp(delta_t A) h_{t-1} + delta_t B_t x_t,  y_t = C_t h_t + D x_t
-- inside a block with a short convolution and a gate; expansion 2, 16 numbers of state a channel.
local rwkv = require "rwkv.core"
local parts = require "rwkv.mixers.parts"

local N, width = 16, 4
local function inner(d) return 2 * d.C end
local function rank(d) return math.max(1, (d.C + 15) // 16) end

return {
  kind = "time_mix", name = "mamba",
  params = function(d)
    local D, R = inner(d), rank(d)
    return { ["input.weight"] = parts.map(2 * D, d.C), ["output.weight"] = parts.map(d.C, D),
      conv = parts.conv_weight(D, width), conv_bias = { D, init = "uniform", gain = width ^ -0.5 },
      ["select.weight"] = parts.map(R + 2 * N, D), delta = { D, R, init = "uniform", gain = R ^ -0.5 },
      delta_bias = { D, init = parts.inverse_softplus },
      log_A = { D, N, init = function() -- the real S4D: -1 .. -N
        local row, rows = {}, {}
        for n = 1, N do row[n] = math.log(n) end
        for i = 1, D do rows[i] = row end
        return rows
      end }, skip = { D, init = 1 } }
  end,
  state = function(d) return { h = { inner(d), N }, past = { width - 1, inner(d) } } end,
  flops = function(d) return 7 * inner(d) * N end,
  apply = function(x, s, p, d)
    local D, R = inner(d), rank(d)
    local both = x:linear(p["input.weight"])
    local u, z = both:slice(3, 1, D), both:slice(3, D + 1)
    u, s.past = parts.short_conv(u, s.past, p.conv)
    u = (u + p.conv_bias):silu()
    local chosen = u:linear(p["select.weight"])
    local delta = chosen:slice(3, 1, R):linear(p.delta, p.delta_bias):softplus()
    local B, C = chosen:slice(3, R + 1, R + N), chosen:slice(3, R + N + 1)
    local y
    y, s.h = rwkv.selective_scan(u, delta, -p.log_A:exp(), B, C, s.h)
    return ((y + u * p.skip) * z:silu()):linear(p["output.weight"])
  end,
}
