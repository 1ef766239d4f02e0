-- Time mixing of v2, v3 and v4: sums weighed with e^k.
local core = require "rwkv.core"
local time = require "rwkv.golden.formulas.over_time"
local shift = require "rwkv.golden.formulas.shift"

local at = time.at

local function linear(m, _, x, w) return m.linear(x, w) end
local function log_decay(m, _, w) return m.f(-m.f(w:exp())):reshape(-1) end

-- ---- v2, v3 ----

local function sums(m, c, w, e, v) -- a and b after each token
  local f, lambda, a, b, as, bs = m.f, m.f(w:exp()), 0, 0, {}, {}
  for t = 1, e:size(2) do
    local now = at(e, t)
    if t > 1 then a, b = c.carry(a, t), c.carry(b, t) end
    a, b = f(f(lambda * a) + f(now * at(v, t))), f(f(lambda * b) + now)
    as[t], bs[t] = a, b
  end
  return time.stack(as), time.stack(bs)
end

local function v23(line, c)
  local v2 = c.version == "v2"
  line("e", { "k", }, function(m, _, k) return m.f(k:minimum(60):exp()) end, "e^min(k, 60)", "v2.2")
  line("state.att_aa", { "w", "e", "v" }, function(m, k, w, e, v) return (sums(m, k, w, e, v)) end, "a e^w + e v", "v2.5")
  line("state.att_bb", { "w", "e" }, function(m, k, w, e) return select(2, sums(m, k, w, e, e)) end, "b e^w + e", "v2.5")
  line("y", { "@time_first", "e", "v", "state.att_aa", "state.att_bb" }, function(m, k, u, e, v, a, b)
    local f, U = m.f, m.f(u:exp()):reshape(-1)
    local Ue = f(U * e)
    return m.h(f(f(m.before(a) + f(Ue * v)) / f(f(m.before(b) + Ue) + k.eps.sums)))
  end, v2 and "(a + e^u e v) / (b + e^u e + 1e-16), a and b of the tokens before" or
    "(a + e^u e v) / (b + e^u e + 1e-8), a and b of the tokens before", v2 and "v2.4" or "v3.2")
  line("gated", { "r", "y" }, function(m, _, r, y) return m.mul(r, y) end, "r y", "v2.4")
  line("out", { "gated", "@output.weight" }, linear, "W_o (r y)", "v2.4")
end

-- ---- v4 ----

local lowest = -1e30

-- The sums with their largest exponent taken out: a, b, p after each token.
local function absorbed(m, c, w, k, v)
  local f, B, A = m.f, k:size(1), k:size(3)
  local a, b, p = core.zeros(B, A), core.zeros(B, A), core.full(lowest, B, A)
  local as, bs, ps = {}, {}, {}
  for t = 1, k:size(2) do
    if t > 1 then a, b, p = c.carry(a, t), c.carry(b, t), c.carry(p, t) end
    local kt, now = at(k, t), f(p + w)
    local q = now:maximum(kt)
    local e1, e2 = f(f(now - q):exp()), f(f(kt - q):exp())
    a, b, p = f(f(e1 * a) + f(e2 * at(v, t))), f(f(e1 * b) + e2), q
    as[t], bs[t], ps[t] = a, b, p
  end
  return time.stack(as), time.stack(bs), time.stack(ps)
end

local function v4(line)
  local function sum(which)
    return function(m, c, w, k, v) return (select(which, absorbed(m, c, w, k, v or k))) end
  end
  line("state.att_aa", { "w", "k", "v" }, sum(1), "a e^(p+w-p') + e^(k-p') v", "v4.5")
  line("state.att_bb", { "w", "k" }, sum(2), "b e^(p+w-p') + e^(k-p')", "v4.6")
  line("state.att_pp", { "w", "k" }, sum(3), "p' = max(p + w, k)", "v4.6")
  line("wkv", { "@time_first", "k", "v", "state.att_aa", "state.att_bb", "state.att_pp" }, function(m, _, u, k, v, a, b, p)
    local f = m.f
    local first = k:slice(2, 1, 1) * 0 + lowest
    local before = k:size(2) > 1 and core.concat({ first, p:slice(2, 1, -2) }, 2) or first
    local now = f(u:reshape(-1) + k)
    local q = before:maximum(now)
    local e1, e2 = f(f(before - q):exp()), f(f(now - q):exp())
    return m.h(f(f(f(e1 * m.before(a)) + f(e2 * v)) / f(f(e1 * m.before(b)) + e2)))
  end, "(a e^p + e^(u+k) v) / (b e^p + e^(u+k)), a b p of the tokens before", "v4.4")
  line("y", { "r", "wkv" }, function(m, _, r, y) return m.mul(r, y) end, "r wkv", "v4.7")
  line("out", { "y", "@output.weight" }, linear, "W_o y", "v4.7")
end

return function(line, c)
  local v2, v = c.version == "v2", c.version:match "^v%d"
  if v2 then shift.lines(line, c, "state.att_xx", { { "z", "time_mix" } }, "v2.1")
  else shift.lines(line, c, "state.att_xx", { { "xk", "time_mix_k" }, { "xv", "time_mix_v" }, { "xr", "time_mix_r" } }, v .. ".1") end
  local function z(s) return v2 and "z" or "x" .. s end
  local tag = v == "v4" and "v4.2" or "v2.4"
  line("w", { "@time_decay" }, log_decay, "-e^time_decay", v == "v4" and "v4.3" or "v2.3")
  line("k", { z "k", "@key.weight" }, linear, "W_k " .. z "k", v == "v4" and tag or "v2.2")
  line("v", { z "v", "@value.weight" }, linear, "W_v " .. z "v", tag)
  line("r", { z "r", "@receptance.weight" }, function(m, _, x, w) return m.sigmoid(m.linear(x, w)) end,
    ("sigmoid(W_r %s)"):format(z "r"), tag)
  if v == "v4" then v4(line) else v23(line, c) end
end
