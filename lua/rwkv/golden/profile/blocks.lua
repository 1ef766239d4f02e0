-- Time mixing and channel mixing of v2 to v7 with the roundings of the official inference code (the pip package, without its
-- CUDA kernels), v2 and v3 in float32 only. W.name: the layer's weights, in the format unless they stay in float32 there;
-- see(name, tensor): what a trace shows; shared: what layers share, its see_state(name, list) takes the states after each
-- token. x [B,T,C].
local core = require "rwkv.core"

local blocks = {}

local function column(x) return x:reshape(x:size(1), x:size(2), x:size(3), 1) end -- [B,H,N] -> [B,H,N,1]
local function row(x) return x:reshape(x:size(1), x:size(2), 1, x:size(3)) end
local function heads(x, c) return x:reshape(x:size(1), x:size(2), -1, c.head_size) end
local function at(x, t) -- [B,T,..] -> [B,..] at position t
  local shape = x:shape()
  table.remove(shape, 2)
  return x:slice(2, t, t):reshape(shape)
end
function blocks.over_time(list) -- T times [B,..] -> [B,T,n]
  for t, y in ipairs(list) do list[t] = y:reshape(y:size(1), 1, -1) end
  return core.concat(list, 2)
end
local over_time = blocks.over_time

-- ---- v2, v3, v4: sums of exponentials, in float32 ----

local function wkv23(m, c, W, k, v, see_state)
  local f, as, bs = m.f, {}, {}
  local lambda, U = f(f(-f(W.time_decay:exp())):exp()):reshape(-1), f(W.time_first:exp()):reshape(-1)
  local a, b, y = 0, 0, {}
  for t = 1, k:size(2) do
    local e, vt = f(at(k, t):minimum(60):exp()), at(v, t)
    local Ue, ev = f(U * e), f(e * vt)
    y[t] = f(f(a + f(Ue * vt)) / f(f(b + Ue) + (c.version == "v2" and 1e-16 or 1e-8)))
    a, b = f(f(lambda * a) + ev), f(f(lambda * b) + e)
    as[t], bs[t] = a, b
  end
  see_state("att_aa", as) see_state("att_bb", bs)
  return over_time(y)
end

local function wkv4(m, _, W, k, v, see_state)
  local f, as, bs, ps = m.f, {}, {}, {}
  local w, u = f(-f(W.time_decay:exp())), W.time_first
  local B, A = k:size(1), k:size(3)
  local a, b, p, y = core.zeros(B, A), core.zeros(B, A), core.full(-1e30, B, A), {}
  for t = 1, k:size(2) do
    local kt, vt = at(k, t), at(v, t)
    local now = f(u + kt)
    local q = p:maximum(now)
    local e1, e2 = f(f(p - q):exp()), f(f(now - q):exp())
    y[t] = f(f(f(e1 * a) + f(e2 * vt)) / f(f(e1 * b) + e2))
    now = f(p + w)
    q = now:maximum(kt)
    e1, e2 = f(f(now - q):exp()), f(f(kt - q):exp())
    a, b, p = f(f(e1 * a) + f(e2 * vt)), f(f(e1 * b) + e2), q
    as[t], bs[t], ps[t] = a, b, p
  end
  see_state("att_aa", as) see_state("att_bb", bs) see_state("att_pp", ps)
  return over_time(y)
end

local function exponential(wkv, one_mix)
  return function(m, c, W, x, see, shared)
    local prev = m.before(x)
    local function z(s) return m.mix(x, prev, (one_mix and W.time_mix or W["time_mix_" .. s]):reshape(-1)) end
    local zk, zv, zr = z "k", z "v", z "r"
    if not one_mix then see("xk", zk) see("xv", zv) see("xr", zr) end
    local k, v = m.linear(zk, W["key.weight"]), m.linear(zv, W["value.weight"])
    local r = m.sigmoid(m.linear(zr, W["receptance.weight"]))
    local y = m.h(wkv(m, c, W, k, v, shared.see_state))
    see("r", r) see("v", v)
    if c.version == "v4" then see("k", k) see("wkv", y) else see("y", y) end
    y = m.mul(r, y)
    if c.version == "v4" then see("y", y) end
    return m.linear(y, W["output.weight"])
  end
end

-- ---- v5, v6: S [key, value] in float32 ----

-- r k v [B,T,H,N], e^w the same or [H,N]
local function wkv56(m, r, k, v, decay, u, see_state)
  local f, S, y, states = m.f, nil, {}, {}
  for t = 1, r:size(2) do
    local a, rt = f(column(at(k, t)) * row(at(v, t))), column(at(r, t))
    local bonus = f(u:reshape(1, u:size(1), u:size(2), 1) * a)
    y[t] = f((rt * (S and f(bonus + S) or bonus)):sum(-2))
    local w = decay:dim() == 2 and decay:reshape(1, decay:size(1), decay:size(2), 1) or column(at(decay, t))
    S = S and f(a + f(w * S)) or a
    states[t] = S
  end
  see_state("att_kv", states)
  return over_time(y)
end

local function per_channel(x, c)
  return core.zeros(x:size() // (x:dim() > 1 and x:size(2) or 1), c.head_size) + (x:dim() > 1 and x or x:reshape(-1, 1))
end

local function matrix_state(m, c, W, z, see, decay, u, see_state)
  local function linear(name, of) return m.linear(z[of], W[name .. ".weight"]) end
  local r, k, v = linear("receptance", "r"), linear("key", "k"), linear("value", "v")
  see("r", r) see("k", k) see("v", v)
  local y = wkv56(m, heads(r, c), heads(k, c), heads(v, c), decay, u, see_state)
  see("wkv", y)
  if c.version == "v6b" then y = m.h(y:layer_norm(W["ln_x.weight"], W["ln_x.bias"], 1e-5))
  else y = m.h(m.f(y:group_norm(c.heads, W["ln_x.weight"], W["ln_x.bias"], 64e-5))) end
  local g
  if W["gate.weight"] then
    g = m.h(m.linear(z.g, W["gate.weight"]):silu())
  elseif W.gate_w1 then
    g = m.matmul(m.h(m.matmul(z.g, W.gate_w1):tanh()), W.gate_w2)
  end
  if g then
    see("g", g)
    y = m.mul(y, g)
  end
  see("y", y)
  return m.linear(y, W["output.weight"])
end

local function v5(m, c, W, x, see, shared)
  local prev, z = m.before(x), {}
  for _, s in ipairs { "k", "v", "r", "g" } do
    local mu = W["time_mix_" .. s]
    if mu then z[s] = m.mix(x, prev, mu:reshape(-1)) see("x" .. s, z[s]) end
  end
  local decay = per_channel(m.f(m.f(-m.f(W.time_decay:exp())):exp()), c)
  local u = W.time_first and m.f(W.time_first:exp()) or W.time_faaaa
  return matrix_state(m, c, W, z, see, decay, per_channel(u, c), shared.see_state)
end

local function v6(m, c, W, x, see, shared)
  local dx, z = m.sub(m.before(x), x), {}
  local order = c.version == "v6b" and { "r", "k", "v", "w" } or { "w", "k", "v", "r", "g" }
  local w1, w2 = W.time_maa_w1 or W.time_maa_rkvw_w1, W.time_maa_w2 or W.time_maa_rkvw_w2
  local low = m.h(m.matmul(m.lerp(x, dx, W.time_maa_x:reshape(-1)), w1):tanh())
  see("low", low)
  local rank = w2:size(2)
  for i, s in ipairs(order) do
    local up = m.matmul(low:slice(3, (i - 1) * rank + 1, i * rank), w2:slice(1, i, i):reshape(rank, -1))
    z[s] = m.lerp(x, dx, m.add(W["time_maa_" .. s]:reshape(-1), up))
    see("x" .. s, z[s])
  end
  z.g = z.g or z.r
  local w = m.matmul(m.h(m.matmul(z.w, W.time_decay_w1):tanh()), W.time_decay_w2)
  w = m.f(-m.f(m.f(W.time_decay:reshape(-1) + w):exp()))
  see("w", w)
  return matrix_state(m, c, W, z, see, heads(m.f(w:exp()), c), W.time_faaaa, shared.see_state)
end

-- ---- v7: S [value, key] in float32, read in the format ----

local function wkv7(m, r, w, k, v, kappa, b, see_state)
  local f, h, S, y, states = m.f, m.h, nil, {}, {}
  for t = 1, r:size(2) do
    local vk = h(column(at(v, t)) * row(at(k, t)))
    local ab = h(column(h(-at(kappa, t))) * row(at(b, t)))
    S = S and f(f(f(S * row(at(w, t))) + f(S:bmm(ab))) + vk) or vk
    y[t] = h((h(S) * row(at(r, t))):sum(-1))
    states[t] = S
  end
  see_state("att_kv", states)
  return over_time(y)
end

local function v7(m, c, W, x, see, shared)
  local h, dx, z = m.h, m.sub(m.before(x), x), {}
  for _, s in ipairs { "r", "w", "k", "v", "a", "g" } do
    z[s] = m.lerp(x, dx, W["x_" .. s]:reshape(-1))
    see("x" .. s, z[s])
  end
  local function low(s, f)
    local hidden = m.matmul(z[s], W[s .. "1"])
    return m.matmul(f and h(f(hidden)) or hidden, W[s .. "2"])
  end
  local r, k, v = m.linear(z.r, W["receptance.weight"]), m.linear(z.k, W["key.weight"]), m.linear(z.v, W["value.weight"])
  see("r", r) see("k0", k) see("v0", v)
  local w = low("w", function(y) return y:tanh() end)
  w = m.f(-0.606531 * m.f(m.add(W.w0:reshape(-1), w):sigmoid()))
  local a = m.sigmoid(m.add(W.a0:reshape(-1), low "a"))
  local g = low("g", function(y) return y:sigmoid() end)
  see("w", w) see("a", a) see("g", g)
  local kk = heads(m.mul(k, W.k_k:reshape(-1)), c)
  kk = h(kk / h(kk:norm(-1, true)):maximum(1e-12))
  k = m.mul(k, m.add(1, m.mul(m.sub(a, 1), W.k_a:reshape(-1))))
  if shared.v_first then
    local mix = m.sigmoid(m.add(W.v0:reshape(-1), low "v"))
    v = m.add(v, m.mul(m.sub(shared.v_first, v), mix))
  end
  shared.v_first = shared.v_first or v:keep() -- for the blocks after this one
  see("v", v) see("kappa", kk:reshape(x:shape())) see("k", k)
  local R, K, V = heads(r, c), heads(k, c), heads(v, c)
  local y = wkv7(m, R, heads(m.f(w:exp()), c), K, V, kk, h(kk * heads(a, c)), shared.see_state)
  see("wkv", y)
  y = h(y:group_norm(c.heads, W["ln_x.weight"], W["ln_x.bias"], 64e-5))
  local weight = h(h(h(R * K) * W.r_k):sum(-1, true))
  y = m.mul(m.add(y, h(weight * V):reshape(x:shape())), g)
  see("y", y)
  return m.linear(y, W["output.weight"])
end

-- ---- channel mixing ----

function blocks.channel_mix(m, c, W, x, see)
  local prev = m.before(x)
  local zk, zr
  if c.version == "v7" or c.version:find "^v6" then
    local dx = m.sub(prev, x)
    zk = m.lerp(x, dx, (W.x_k or W.time_maa_k):reshape(-1))
    zr = W.time_maa_r and m.lerp(x, dx, W.time_maa_r:reshape(-1))
  else
    zk, zr = m.mix(x, prev, (W.time_mix_k or W.time_mix):reshape(-1)), m.mix(x, prev, (W.time_mix_r or W.time_mix):reshape(-1))
  end
  local k = m.relu2(m.linear(zk, W["key.weight"]))
  see("xk", zk) see("k", k)
  local y = m.linear(k, W["value.weight"])
  if not zr then return y end
  local r = m.sigmoid(m.linear(zr, W["receptance.weight"]))
  see("xr", zr) see("r", r)
  return m.mul(r, y)
end

blocks.time_mix = { v2 = exponential(wkv23, true), v3 = exponential(wkv23), v4 = exponential(wkv4), ["v5.0"] = v5, ["v5.1"] = v5,
  ["v5.2"] = v5, v6 = v6, v6a = v6, v6b = v6, v7 = v7 }

return blocks
