-- RWKV-1: every token sees all before it, weighed by learned curves of the distance; biases; half the channels are shifted.
local block = require "tests.lua.lib.port.block"
local numbers = require "tests.lua.lib.port.numbers"

local map, exp, sigmoid = numbers.map, math.exp, numbers.sigmoid
local v1 = {}

local function halves(p, part, now)
  local x, prev = now.x, now.prev
  if p.wrong(("shift-missing-%s-z"):format(part)) then prev = x end
  now.z = map(p.C, function(c) return ((c <= p.C // 2) ~= (p.wrong "shift-halves" or false) and prev or x)[c] end)
end

local function mish(x) return x * numbers.tanh(math.max(x, 0) + math.log(1 + exp(-math.abs(x)))) end

function v1.time_mix(p, layer, tokens)
  local num, wrong, f = p.num, p.wrong, p.num.round
  local function W(name) return p.weight("attn." .. name, layer) end
  local function linear(name, x) return num.linear(W(name .. ".weight"), x, W(name .. ".bias")) end
  local ctx, time_w, alpha, beta = W "time_w".shape[2], W "time_w", W "time_alpha", W "time_beta"
  if wrong "alpha-beta-swapped" then alpha, beta = beta, alpha end
  local head = {} -- where the numbers of a channel's head begin
  for h = 0, p.H - 1 do for n = 1, p.N do head[p.channel(h, n)] = h * ctx end end
  -- how much token u counts for token t in a channel
  local function weight(c, t, u)
    local at = wrong "time-w-reversed" and t - u + 1 or ctx - (t - u)
    return f(f(time_w[head[c] + at] * alpha[head[c] + u]) * beta[head[c] + t])
  end
  for t, now in ipairs(tokens) do
    halves(p, "att", now)
    local k = linear("key", now.z)
    if not wrong "no-clamp" then k = num.each(function(x) return math.max(-60, math.min(x, 30)) end, k) end
    now.k, now.v = block.clamped(p, num.each(exp, k)), wrong.rounded("value", linear("value", now.z))
    now.r = linear("receptance", now.z)
    if not wrong "receptance-linear" then now.r = num.each(sigmoid, now.r) end
    now.r = wrong.rounded("receptance", now.r)
    now.y = map(p.C, function(c)
      local above, below = 0, 0
      for u = 1, t do
        local w, before = weight(c, t, u), tokens[u]
        above = f(above + f(w * f(before.k[c] * before.v[c])))
        below = f(below + (wrong "denominator-weighted" and f(w * before.k[c]) or before.k[c]))
      end
      return f(above / below)
    end)
    now.y = wrong.rounded("wkv", now.y)
    local gamma = wrong "no-gamma" and 1 or W "time_gamma"[t]
    if wrong "gamma-before-bias" then now.out = linear("output", num.times(gamma, num.mul(now.r, now.y)))
    else now.out = num.times(gamma, linear("output", num.mul(now.r, now.y))) end
  end
end

function v1.channel_mix(p, layer, tokens)
  local num = p.num
  local function linear(name, x)
    return num.linear(p.weight(("mlp.%s.weight"):format(name), layer), x, p.weight(("mlp.%s.bias"):format(name), layer))
  end
  for _, now in ipairs(tokens) do
    halves(p, "ffn", now)
    now.k = block.activation(p, linear("key", now.z), function(k) return num.each(mish, k) end)
    now.v = linear("value", now.z)
    now.r = num.each(sigmoid, linear("receptance", now.z))
    now.out = num.mul(now.r, linear("weight", num.mul(now.k, now.v)))
  end
end

return v1
