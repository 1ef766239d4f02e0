-- Time mixing of v4: sums of exponentials with the largest exponent taken out.
local core = require "rwkv.core"
local exponential = require "rwkv.golden.formulas.exponential"
local shift = require "rwkv.golden.formulas.shift"
local time = require "rwkv.golden.formulas.over_time"

local at, linear = time.at, exponential.linear

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

local function time_mix(line, c)
  shift.lines(line, c, "state.att_xx", exponential.mixes, "v4.1")
  exponential.projections(line, function(s) return "x" .. s end, { w = "v4.3", k = "v4.2", v = "v4.2", r = "v4.2" })
  local function sum(which)
    return function(m, sizes, w, k, v) return (select(which, absorbed(m, sizes, w, k, v or k))) end
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

return { time_mix = time_mix }
