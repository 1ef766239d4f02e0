-- Time mixing of v2 and v3: sums weighed with e^k, and cut off.
local exponential = require "rwkv.golden.formulas.exponential"
local shift = require "rwkv.golden.formulas.shift"
local time = require "rwkv.golden.formulas.over_time"

local at, linear = time.at, exponential.linear

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

local function time_mix(line, c)
  local one = c.facts.one_mix
  if one then shift.lines(line, c, "state.att_xx", { { "z", one } }, "v2.1")
  else shift.lines(line, c, "state.att_xx", exponential.mixes, "v3.1") end
  exponential.projections(line, function(s) return one and "z" or "x" .. s end, { w = "v2.3", k = "v2.2", v = "v2.4", r = "v2.4" })
  line("e", { "k", }, function(m, _, k) return m.f(k:minimum(60):exp()) end, "e^min(k, 60)", "v2.2")
  line("state.att_aa", { "w", "e", "v" }, function(m, k, w, e, v) return (sums(m, k, w, e, v)) end, "a e^w + e v", "v2.5")
  line("state.att_bb", { "w", "e" }, function(m, k, w, e) return select(2, sums(m, k, w, e, e)) end, "b e^w + e", "v2.5")
  line("y", { "@time_first", "e", "v", "state.att_aa", "state.att_bb" }, function(m, k, u, e, v, a, b)
    local f, U = m.f, m.f(u:exp()):reshape(-1)
    local Ue = f(U * e)
    return m.h(f(f(m.before(a) + f(Ue * v)) / f(f(m.before(b) + Ue) + k.eps.sums)))
  end, ("(a + e^u e v) / (b + e^u e + %.0e), a and b of the tokens before"):format(c.eps.sums):gsub("e%-0", "e-"), one and "v2.4" or "v3.2")
  line("gated", { "r", "y" }, function(m, _, r, y) return m.mul(r, y) end, "r y", "v2.4")
  line("out", { "gated", "@output.weight" }, linear, "W_o (r y)", "v2.4")
end

return { time_mix = time_mix }
