-- Time mixing of v5 and v6: a matrix for each head.
local core = require "rwkv.core"
local time = require "rwkv.golden.formulas.over_time"
local shift = require "rwkv.golden.formulas.shift"

local at, row, column = time.at, time.row, time.column

local function linear(m, _, x, w) return m.linear(x, w) end

-- A parameter of a head or of a channel [H] [H,1] [H,N] -> [H,N]
local function by_channel(x, c)
  if x:size() == c.dim_att then return x:reshape(c.heads, -1) end
  return core.zeros(c.heads, c.dim_att // c.heads) + x:reshape(-1, 1)
end

-- S [B,H,key,value] after each token, flat behind [B,T]; w [H,N] or [B,T,A]
local function state(m, c, w, k, v)
  local f, S, states, K, V = m.f, nil, {}, c.split(k), c.split(v)
  local fixed = w:dim() < 3 and f(w:exp()):reshape(1, c.heads, -1, 1)
  local W = not fixed and c.split(f(w:exp()))
  for t = 1, k:size(2) do
    local a = f(column(at(K, t)) * row(at(V, t)))
    S = S and f(a + f((fixed or column(at(W, t))) * c.carry(S, t))) or a
    states[t] = S
  end
  return time.stack(states)
end

local function read(m, c, r, k, v, u, S)
  local f, R, K, V, y, N = m.f, c.split(r), c.split(k), c.split(v), {}, r:size(3) // c.heads
  u = by_channel(c.facts.bonus_exponent and m.f(u:exp()) or u, c):reshape(1, c.heads, N, 1)
  for t = 1, r:size(2) do
    local bonus = f(u * f(column(at(K, t)) * row(at(V, t))))
    local now = t > 1 and f(bonus + c.carry(at(S, t - 1):reshape(r:size(1), c.heads, N, N), t)) or bonus
    y[t] = f((column(at(R, t)) * now):sum(-2))
  end
  return c.join(time.stack(y))
end

local function v6_decay(m, _, x, w0, w1, w2)
  local w = m.matmul(m.h(m.matmul(x, w1):tanh()), w2)
  return m.f(-m.f(m.f(w0:reshape(-1) + w):exp()))
end

local function gate(line, c)
  local kind = c.facts.gate
  if kind == "low rank" then
    line("g", { "xg", "@gate_w1", "@gate_w2" }, function(m, _, x, w1, w2)
      return m.matmul(m.h(m.matmul(x, w1):tanh()), w2)
    end, "tanh(xg w1) w2", "v6.4")
  elseif kind == "silu" then
    line("g", { "xg", "@gate.weight" }, function(m, _, x, w) return m.h(m.linear(x, w):silu()) end, "silu(W_g xg)",
      c.facts.low_mixes and "v6.4" or "v5.7")
  else return false end
  return true
end

local function norm(m, c, y, w, b)
  if c.facts.one_norm then return m.h(y:layer_norm(w, b, c.eps.group)) end
  return m.h(m.group_norm(y, c.heads, w, b, c.eps.group))
end

local function time_mix(line, c)
  local v6, u = c.facts.low_mixes, "@" .. c.facts.bonus
  if v6 then
    shift.low_rank_lines(line, c)
    line("w", { "xw", "@time_decay", "@time_decay_w1", "@time_decay_w2" }, v6_decay, "-e^(time_decay + tanh(xw w1) w2)", "v6.3")
  else
    local mixes = { { "xk", "time_mix_k" }, { "xv", "time_mix_v" }, { "xr", "time_mix_r" } }
    if c.facts.gate then mixes[4] = { "xg", "time_mix_g" } end
    shift.lines(line, c, "state.att_xx", mixes, "v5.1")
    line("w", { "@time_decay" }, function(m, k, w) return by_channel(m.f(-m.f(w:exp())), k) end, "-e^time_decay", "v5.2")
  end
  local tag = v6 and "v5.4" or "v5.1"
  line("r", { "xr", "@receptance.weight" }, linear, "W_r xr", tag)
  line("k", { "xk", "@key.weight" }, linear, "W_k xk", tag)
  line("v", { "xv", "@value.weight" }, linear, "W_v xv", tag)
  local gated = gate(line, c)
  line("state.att_kv", { "w", "k", "v" }, state, "e^w S + k v', S [key, value]", "v5.5")
  line("wkv", { "r", "k", "v", u, "state.att_kv" }, read, "r' (S + u k v'), of the S before", "v5.4")
  line("norm", { "wkv", "@ln_x.weight", "@ln_x.bias" }, norm,
    c.facts.one_norm and "layer norm over all channels, eps 1e-5" or "group norm of each head, eps 64e-5", "v5.6")
  line("y", gated and { "norm", "g" } or { "norm" }, function(m, _, y, g) return g and m.mul(y, g) or y end,
    gated and "norm g" or "norm", "v5.7")
  line("out", { "y", "@output.weight" }, linear, "W_o y", "v5.7")
end

return { time_mix = time_mix }
