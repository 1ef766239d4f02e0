-- Time mixing of v7.
local time = require "rwkv.golden.formulas.over_time"
local shift = require "rwkv.golden.formulas.shift"

local at, row, column = time.at, time.row, time.column

local function linear(m, _, x, w) return m.linear(x, w) end

-- f(x w1) w2
local function low_rank(m, x, w1, w2, f)
  local hidden = m.matmul(x, w1)
  return m.matmul(f and m.h(f(hidden)) or hidden, w2)
end

local function decay(m, _, x, w0, w1, w2)
  local low = low_rank(m, x, w1, w2, function(y) return y:tanh() end)
  return m.f((m.exact and -math.exp(-0.5) or -0.606531) * m.f(m.add(w0:reshape(-1), low):sigmoid())) -- inference code's constant
end

local function sigmoid_low(m, _, x, a0, a1, a2) return m.sigmoid(m.add(a0:reshape(-1), low_rank(m, x, a1, a2))) end

local function removal_key(m, c, k, k_k)
  local kk = c.split(m.mul(k, k_k:reshape(-1)))
  return c.join(m.h(kk / m.h(kk:norm(-1, true)):maximum(c.eps.key)))
end

-- S [B,H,value,key] after each token, flat behind [B,T]
local function state(m, c, w, k, v, kappa, a)
  local f, h, S, states = m.f, m.h, nil, {}
  local W, K, V, R, A = c.split(f(w:exp())), c.split(k), c.split(v), c.split(kappa), c.split(a)
  local G = h(R * A) -- what is written where something was removed
  for t = 1, w:size(2) do
    local vk = h(column(at(V, t)) * row(at(K, t)))
    S = S and c.carry(S, t)
    if not S then S = vk
    elseif m.exact then S = S * row(at(W, t)) - (S * row(at(R, t))):sum(-1, true) * row(at(G, t)) + vk
    else S = f(f(f(S * row(at(W, t))) + f(S:bmm(h(column(h(-at(R, t))) * row(at(G, t)))))) + vk) end
    states[t] = S
  end
  return time.stack(states)
end

local function read(m, c, r, S)
  local R, y, N = c.split(r), {}, r:size(3) // c.heads
  for t = 1, r:size(2) do
    y[t] = m.h((m.h(at(S, t):reshape(r:size(1), c.heads, N, N)) * row(at(R, t))):sum(-1))
  end
  return c.join(time.stack(y))
end

local function group_norm(m, c, y, w, b) return m.h(m.group_norm(y, c.heads, w, b, c.eps.group)) end

local function with_bonus(m, c, y, r, k, v, r_k)
  local weight = m.h(m.h(m.h(c.split(r) * c.split(k)) * r_k):sum(-1, true))
  return m.add(y, c.join(m.h(weight * c.split(v))))
end

local function tanh(x) return x:tanh() end
local function sigmoid(x) return x:sigmoid() end

-- The removal key of the release candidates.
local function low_removal_key(m, c, k, x, w1, w2)
  local kk = m.add(k, low_rank(m, x, w1, w2, tanh))
  if c.facts.low_key_norm == "all" then return m.h(kk / m.h(kk:norm(-1, true)):maximum(c.eps.key)) end
  kk = c.split(kk)
  return c.join(m.h(kk / m.h(kk:norm(-1, true)):maximum(c.eps.key)))
end

-- (-w)^part, at most 1
local function power(m, w, part) return m.f((m.f((-w):log()) * part):minimum(0):exp()) end

local key_scales = {}
key_scales["usual"] = function(line)
  line("k", { "k0", "a", "@k_a" }, function(m, _, k, a, k_a)
    return m.mul(k, m.add(1, m.mul(m.sub(a, 1), k_a:reshape(-1))))
  end, "k0 (1 + (a - 1) k_a)", "v7.7")
end
function key_scales.decay(line)
  line("k", { "k0", "w" }, function(m, _, k, w) return m.h(k * power(m, w, 0.5)) end, "k0 e^(s/2), w = -e^s", "rc.5")
end
function key_scales.parts(line)
  line("ma", { "xa", "@time_misc_a", "@ma_w1", "@ma_w2" }, sigmoid_low, "sigmoid(time_misc_a + (xa ma_w1) ma_w2)", "rc.5")
  line("mk", { "xk", "@time_misc_k", "@mk_w1", "@mk_w2" }, sigmoid_low, "sigmoid(time_misc_k + (xk mk_w1) mk_w2)", "rc.5")
  line("k", { "k0", "a", "w", "ma", "mk" }, function(m, _, k, a, w, ma, mk)
    return m.h(m.mul(k, m.add(ma, m.mul(a, m.sub(1, ma)))) * power(m, w, mk))
  end, "k0 (ma + a (1 - ma)) e^(s mk), w = -e^s", "rc.5")
end

local function mixes(line, c)
  if c.facts.low_mixes then return shift.low_rank_lines(line, c) end
  local list = {}
  for i, s in ipairs { "r", "w", "k", "v", "a", "g" } do list[i] = { "x" .. s, c.facts.names["x_" .. s] or "x_" .. s } end
  shift.lines(line, c, "state.att_xx", list, "v7.1")
end

local function values(line, c, layer)
  if not c.facts.value_residual then
    line("v", { "v0" }, function(_, _, v) return v end, "v0", "v7.2")
  elseif layer == 0 then
    line("v", { "v0" }, function(_, _, v) return v end, "v0 (layer 0 has no value residual)", "v7.4")
  else
    line("mix", { "xv", "@v0", "@v1", "@v2" }, sigmoid_low, "sigmoid(v0 + (xv v1) v2)", "v7.4")
    line("v", { "v0", "first.v", "mix" }, function(m, _, v, first, mix)
      return m.add(v, m.mul(m.sub(first, v), mix))
    end, "v0 + (v_first - v0) mix", "v7.4")
  end
end

local function time_mix(line, c, layer)
  local facts = c.facts
  mixes(line, c)
  line("r", { "xr", "@receptance.weight" }, linear, "W_r xr", "v7.2")
  line("k0", { "xk", "@key.weight" }, linear, "W_k xk", "v7.2")
  line("v0", { "xv", "@value.weight" }, linear, "W_v xv", "v7.2")
  line("w", { "xw", "@w0", "@w1", "@w2" }, decay, "-e^-0.5 sigmoid(w0 + tanh(xw w1) w2)", "v7.3")
  if facts.double_iclr then
    line("a", { "xa", "@a0", "@a1", "@a2" }, function(m, c_, ...) return m.h(2 * sigmoid_low(m, c_, ...)) end,
      "2 sigmoid(a0 + (xa a1) a2)", "rc.2")
  else
    line("a", { "xa", "@a0", "@a1", "@a2" }, sigmoid_low, "sigmoid(a0 + (xa a1) a2)", "v7.5")
  end
  line("g", { "xg", "@g1", "@g2" }, function(m, _, x, g1, g2)
    return low_rank(m, x, g1, g2, facts.tanh_gate and tanh or sigmoid)
  end, facts.tanh_gate and "tanh(xg g1) g2" or "sigmoid(xg g1) g2", facts.tanh_gate and "rc.3" or "v7.6")
  values(line, c, layer)
  if facts.low_key_norm then
    line("kappa", { "k0", "xk", "@time_kkk_w1", "@time_kkk_w2" }, low_removal_key, facts.low_key_norm == "all"
      and "k0 + tanh(xk w1) w2, divided by its length over all heads" or "k0 + tanh(xk w1) w2, each head divided by its length", "rc.4")
  else
    line("kappa", { "k0", "@k_k" }, removal_key, "k0 k_k, each head divided by max(its length, 1e-12)", "v7.7")
  end
  key_scales[facts.key_scale or "usual"](line)
  line("state.att_kv", { "w", "k", "v", "kappa", "a" }, state, "S e^w - (S kappa)(kappa a)' + v k', S [value, key]", "v7.8")
  line("wkv", { "r", "state.att_kv" }, read, "S r, of the new S", "v7.9")
  line("norm", { "wkv", "@ln_x.weight", "@ln_x.bias" }, group_norm, "group norm of each head, eps 64e-5", "v7.10")
  line("ungated", { "norm", "r", "k", "v", "@r_k" }, with_bonus, "norm + (sum of r k r_k) v, by heads", "v7.10")
  line("y", { "ungated", "g" }, function(m, _, y, g) return m.mul(y, g) end, "ungated g", "v7.11")
  line("out", { "y", "@output.weight" }, linear, "W_o y", "v7.11")
end

return { time_mix = time_mix }
