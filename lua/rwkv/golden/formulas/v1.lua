-- v1: attention with learned weights of positions, and a channel mixing with a gate. It has no recurrence.
local core = require "rwkv.core"
local shift = require "rwkv.golden.formulas.shift"

local function linear(m, _, x, w, b) return m.linear_bias(x, w, b) end
local function sigmoid_linear(m, _, x, w, b) return m.sigmoid(m.linear_bias(x, w, b)) end

local function shifted(line, c, state, tag)
  shift.lines(line, c, state, {}, tag)
  line("z", { "x", "prev" }, function(_, k, x, prev)
    local half = k.dim // 2
    return core.concat({ prev:slice(3, 1, half), x:slice(3, half + 1, k.dim) }, 3)
  end, "the first half of the channels of the token before, the rest of this one", tag)
end

-- The weights of token u for token t, as [A]: time_w by distance from its end, alpha of u, beta of t.
local function weight(m, c, t, u, w, alpha, beta)
  local by_distance = w:slice(2, c.ctx - (t - u), c.ctx - (t - u)):reshape(-1)
  local both = m.f(m.f(by_distance * alpha:slice(3, u, u):reshape(-1)) * beta:slice(2, t, t):reshape(-1))
  return (both:reshape(-1, 1) + core.zeros(c.head_size)):reshape(-1)
end

local function average(m, c, k, v, w, alpha, beta)
  local f, rows, sum, kv = m.f, {}, 0, m.f(k * v)
  for t = 1, k:size(2) do
    local total = 0
    for u = 1, t do total = total + kv:slice(2, u, u) * weight(m, c, t, u, w, alpha, beta) end
    sum = f(k:slice(2, t, t) + sum)
    rows[t] = f(f(total) / sum)
  end
  return #rows == 1 and rows[1] or core.concat(rows, 2)
end

local function time_mix(line, c)
  shifted(line, c, "state.att_xx", "v1.1")
  line("k", { "z", "@key.weight", "@key.bias" }, function(m, _, x, w, b)
    return m.f(m.linear_bias(x, w, b):clamp(-60, 30):exp())
  end, "e^clamp(W_k z + b, -60, 30)", "v1.2")
  line("v", { "z", "@value.weight", "@value.bias" }, linear, "W_v z + b", "v1.3")
  line("r", { "z", "@receptance.weight", "@receptance.bias" }, sigmoid_linear, "sigmoid(W_r z + b)", "v1.3")
  line("y", { "k", "v", "@time_w", "@time_alpha", "@time_beta" }, average,
    "sum of w alpha beta k v over earlier tokens, divided by the sum of k", "v1.4")
  line("out", { "r", "y", "@output.weight", "@output.bias", "@time_gamma" }, function(m, k, r, y, w, b, gamma)
    return m.mul(m.linear_bias(m.mul(r, y), w, b), gamma:slice(1, 1, k.T))
  end, "time_gamma (W_o (r y) + b)", "v1.5")
end

local function mlp(line, c)
  shifted(line, c, "state.mlp_xx", "v1.6")
  line("k", { "z", "@key.weight", "@key.bias" }, function(m, _, x, w, b) return m.h(m.linear_bias(x, w, b):mish()) end,
    "mish(W_k z + b)", "v1.6")
  line("v", { "z", "@value.weight", "@value.bias" }, linear, "W_v z + b", "v1.6")
  line("r", { "z", "@receptance.weight", "@receptance.bias" }, sigmoid_linear, "sigmoid(W_r z + b)", "v1.6")
  line("out", { "r", "k", "v", "@weight.weight", "@weight.bias" }, function(m, _, r, k, v, w, b)
    return m.mul(r, m.linear_bias(m.mul(k, v), w, b))
  end, "r (W (k v) + b)", "v1.6")
end

return { time_mix = time_mix, channel_mix = mlp }
