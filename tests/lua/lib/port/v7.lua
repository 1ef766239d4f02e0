-- RWKV-7: a matrix S [value, key] for each head, of which every token removes what stands under one key (kappa) before it
-- writes under another.
local block = require "tests.lua.lib.port.block"
local heads = require "tests.lua.lib.port.heads"
local numbers = require "tests.lua.lib.port.numbers"

local exp, sigmoid, tanh, sqrt, abs = math.exp, numbers.sigmoid, numbers.tanh, math.sqrt, math.abs

-- ---- what depends on one token ----

-- x W1, inner of it, W2
local function low_rank(p, x, W1, W2, inner)
  local num = p.num
  local function product(y, W) return p.wrong "lora-layout" and num.linear(W, y) or num.matmul(y, W) end
  local low = product(x, W1)
  return product(inner and num.each(inner, low) or low, W2)
end

local function decay(p, W, x)
  local num, wide, wrong = p.num, p.num.wide, p.wrong
  local inner = not (wrong "decay-no-tanh" or wrong "decay-tanh-late") and tanh or nil
  local low = low_rank(p, x, W "w1", W "w2", inner)
  if wrong "decay-tanh-late" then low = num.each(tanh, low) end
  local w = num.add(W "w0", low)
  local half = wrong "decay-constant" and 0.606531 or wrong "decay-no-half" and 1 or exp(-0.5)
  if wrong "decay-v6" then w = wide.times(-1, wide.each(exp, w))
  else w = wide.times(-half, wide.each(sigmoid, w)) end
  return block.log_decay(p, w)
end

local function gate(p, W, x)
  local num, wrong = p.num, p.wrong
  local inner = wrong "gate-tanh" and tanh or not (wrong "gate-no-sigmoid" or wrong "gate-sigmoid-late") and sigmoid or nil
  local g = low_rank(p, x, W "g1", W "g2", inner)
  return wrong "gate-sigmoid-late" and num.each(sigmoid, g) or g
end

local function learning_rate(p, W, x)
  local num, wrong = p.num, p.wrong
  local a = num.each(sigmoid, num.add(W "a0", low_rank(p, x, W "a1", W "a2", wrong "iclr-tanh" and tanh or nil)))
  return wrong "iclr-doubled" and num.times(2, a) or a
end

-- of: v of this token in the layers before, [0], [1], ..
local function value(p, W, now, layer, of)
  local num, wrong = p.num, p.wrong
  local from = wrong "value-residual-of-layer-1" and layer > 1 and 1 or wrong "value-residual-previous" and layer - 1 or p.first
  if layer == p.first then return now.v0 end
  local mix = num.add(W "v0", low_rank(p, now.xv, W "v1", W "v2"))
  if not wrong "value-residual-tanh" then mix = num.each(sigmoid, mix) end
  now.mix = mix
  if wrong "value-residual-missing" then return now.v0 end
  local mine, first = now.v0, of[from]
  if wrong "value-residual-direction" then mine, first = first, mine end
  return num.add(mine, num.mul(num.sub(first, mine), mix))
end

-- The length by which the removal key of a head is divided.
local function length(p, kk, channel)
  local num, wrong, N = p.num, p.wrong, #kk
  if channel then N = p.N else channel = function(n) return n end end
  local function squared(n) return num.wide.round(kk[channel(n)] ^ 2) end -- as a norm computes in half precision
  if wrong "key-not-normalised" then return 1 end
  if wrong "key-norm-l1" then return math.max(num.sum(N, function(n) return abs(kk[channel(n)]) end), 1e-12) end
  local sum = num.wide.sum(N, squared)
  if wrong "key-norm-rms" then sum = sum / N end
  local inside = wrong.number "eps-key-norm-inside-"
  if inside then return num.round(sqrt(sum + inside)) end
  return math.max(num.round(sqrt(sum)), wrong.number "eps-key-norm-" or 1e-12)
end

local function removal_key(p, W, now)
  local num, wrong = p.num, p.wrong
  local kk = wrong "key-after-rescale" and now.k or now.k0
  if not wrong "key-without-k_k" then kk = num.mul(kk, W "k_k") end
  local y = {}
  for h = 0, p.H - 1 do
    local function channel(n) return p.channel(h, n) end
    local divisor = length(p, kk, not wrong "key-norm-over-all" and channel or nil)
    for n = 1, p.N do y[channel(n)] = num.round(kk[channel(n)] / divisor) end
  end
  return y
end

local function rescaled(p, W, now)
  local num, wrong = p.num, p.wrong
  if wrong "key-no-rescale" then return now.k0 end
  if wrong "key-rescale-full" then return num.mul(now.k0, now.a) end
  return num.mul(now.k0, num.plus(1, num.mul(num.plus(-1, now.a), W "k_a")))
end

local function line_of(p, layer, now, of)
  local num, wrong = p.num, p.wrong
  local function W(name) return p.weight("att." .. name, layer) end
  local function z(stream) return block.mix(p, "att", now, "x" .. stream, W("x_" .. stream)) end
  now.r = wrong.rounded("receptance", num.linear(W "receptance.weight", z "r"))
  now.w = decay(p, W, z "w")
  now.k0, now.v0 = block.keys_and_values(p, num.linear(W "key.weight", z "k"), num.linear(W "value.weight", z "v"))
  now.a, now.g = learning_rate(p, W, z "a"), gate(p, W, z "g")
  now.v = value(p, W, now, layer, of)
  of[layer] = now.v
  now.k = block.clamped(p, rescaled(p, W, now))
  now.kappa = removal_key(p, W, now)
end

-- ---- the state ----

-- S after a token that finds S; d: e^w
local function written(p, S, now, d)
  local wrong, f, N, new = p.wrong, p.num.wide.round, p.N, {}
  for h = 0, p.H - 1 do
    local function key(n) return p.channel(h, n) end
    for i = 1, N do -- values
      local row, removed = (h * N + i - 1) * N, 0
      for j = 1, N do
        local seen = wrong "remove-after-decay" and f(S[row + j] * d[key(j)]) or S[row + j]
        removed = f(removed - f(seen * now.kappa[key(j)]))
      end
      if wrong "remove-adds" then removed = -removed end
      if wrong "remove-missing" then removed = 0 end
      for j = 1, N do -- keys
        local change = f(removed * f(now.kappa[key(j)] * now.a[key(j)]))
        local kept = f(S[row + j] * d[key(wrong "decay-wrong-axis" and i or j)])
        new[row + j] = f(f(kept + change) + f(now.v[key(i)] * now.k[key(j)]))
      end
    end
  end
  return new
end

local function read(p, S, r)
  local f, N, y = p.num.wide.round, p.N, {}
  for h = 0, p.H - 1 do
    for i = 1, N do
      local sum = 0
      for j = 1, N do
        local at = p.wrong "read-transposed" and (h * N + j - 1) * N + i or (h * N + i - 1) * N + j
        sum = f(sum + f(S[at] * r[p.channel(h, j)]))
      end
      y[p.channel(h, i)] = p.num.round(sum)
    end
  end
  return y
end

local function with_bonus(p, y, now, r_k)
  local num, wrong, bonus = p.num, p.wrong, {}
  if wrong "bonus-missing" then return y end
  local k = wrong "bonus-plain-key" and now.k0 or now.k
  for h = 0, p.H - 1 do
    local weight = num.sum(p.N, function(n)
      local c = p.channel(h, n)
      return num.round(num.round(now.r[c] * k[c]) * r_k[h * p.N + n])
    end)
    for n = 1, p.N do bonus[p.channel(h, n)] = num.round(weight * now.v[p.channel(h, n)]) end
  end
  return num.add(y, bonus)
end

local function output(p, layer, now)
  local wrong, num = p.wrong, p.num
  local r_k = p.weight("att.r_k", layer)
  if wrong "bonus-before-norm" then
    now.norm = heads.norm(p, with_bonus(p, now.wkv, now, r_k), layer)
    now.ungated = now.norm
  else
    now.norm = wrong.rounded("norm", heads.norm(p, now.wkv, layer))
    now.ungated = wrong "bonus-after-gate" and now.norm or with_bonus(p, now.norm, now, r_k)
  end
  now.y = wrong "gate-missing" and now.ungated or num.mul(now.ungated, now.g)
  if wrong "bonus-after-gate" then now.y = with_bonus(p, now.y, now, r_k) end
  now.out = num.linear(p.weight("att.output.weight", layer), now.y)
end

return function(p, layer, tokens, state)
  local wrong, states, S = p.wrong, {}, state.S
  for t, now in ipairs(tokens) do line_of(p, layer, now, p.values[t]) end
  for t, now in ipairs(tokens) do
    local d = wrong.rounded("decay", p.num.wide.each(exp, heads.decay_of(p, tokens, t)))
    local old = heads.found(p, S, t)
    S = old
    for _ = 1, wrong.times_absorbed(t, #tokens) do S = wrong.rounded("state", written(p, S, now, d)) end
    now.wkv = wrong.rounded("wkv", read(p, wrong "read-before-update" and old or S, now.r))
    states[t] = wrong "state-transposed" and heads.transposed(S, p.H, p.N) or S
    output(p, layer, now)
  end
  state.S = S
  p.record(("state.%d.att_kv"):format(layer), states, p.H, p.N, p.N)
end
