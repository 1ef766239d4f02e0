-- RWKV-4: the sums of RWKV-3 with their largest exponent p taken out, A = a e^p and B = b e^p; no eps, no clamp.
local block = require "tests.lua.lib.port.block"
local numbers = require "tests.lua.lib.port.numbers"

local map, exp, max = numbers.map, math.exp, math.max
local lowest = -1e30

local function decay(p, layer)
  local num = p.num.wide
  return block.log_decay(p, num.times(-1, num.each(exp, p.weight("att.time_decay", layer))))
end

local function line_of(p, layer, tokens)
  local num, wrong = p.num, p.wrong
  local function W(name) return p.weight("att." .. name, layer) end
  for _, now in ipairs(tokens) do
    local function z(stream) return block.mix(p, "att", now, "x" .. stream, W("time_mix_" .. stream)) end
    local k, v = block.keys_and_values(p, num.linear(W "key.weight", z "k"), num.linear(W "value.weight", z "v"))
    now.k, now.v = block.clamped(p, k), v
    now.r = num.linear(W "receptance.weight", z "r")
    if not wrong "receptance-linear" then now.r = num.each(numbers.sigmoid, now.r) end
    now.r = wrong.rounded("receptance", now.r)
  end
end

-- The sums s = { a =, b =, p = } and a token's v with exponent k, both with the larger exponent taken out.
local function both(f, s, more, k, v)
  local a, b, top = {}, {}, {}
  for c = 1, #k do
    local old = f(s.p[c] + (more and more[c] or 0))
    local q = max(old, k[c])
    local e1, e2 = f(exp(f(old - q))), f(exp(f(k[c] - q)))
    a[c], b[c], top[c] = f(f(e1 * s.a[c]) + f(e2 * v[c])), f(f(e1 * s.b[c]) + e2), q
  end
  return { a = a, b = b, p = top }
end

return function(p, layer, tokens, state)
  local num, wide, wrong, f = p.num, p.num.wide, p.wrong, p.num.wide.round
  line_of(p, layer, tokens)
  local w, u = decay(p, layer), p.weight("att.time_first", layer)
  local used = wide.each(math.log, wrong.rounded("decay", wide.each(exp, w)))
  if not (wrong "rounded-bf16-decay" or wrong "rounded-fp16-decay") then used = w end
  if wrong "bonus-missing" then u = block.zeros(#u) end
  if wrong "bonus-exp" then u = wide.each(exp, u) end
  local function nothing() return { a = block.zeros(#w), b = block.zeros(#w), p = map(#w, function() return lowest end) } end
  local s, as, bs, ps = state.sums or nothing(), {}, {}, {}
  for t, now in ipairs(tokens) do
    if wrong.every("state-lost", t) or wrong.every("all-lost", t) then s = nothing() end
    local k = now.k
    if wrong "key-clamp" then k = wide.each(function(x) return math.min(x, 60) end, k) end
    local seen = both(f, s, wrong "decay-before-read" and w, wide.add(u, k), now.v)
    now.wkv = wrong.rounded("wkv", num.each(function(a, b) return f(a / b) end, seen.a, seen.b))
    now.y = num.mul(now.r, now.wkv)
    now.out = num.linear(p.weight("att.output.weight", layer), now.y)
    if wrong "bonus-in-state" then k = wide.add(k, u) end
    if wrong "decay-own" then k = wide.add(k, w) end
    for _ = 1, wrong.times_absorbed(t, #tokens) do
      s = both(f, s, used, k, now.v)
      for name, x in pairs(s) do s[name] = wrong.rounded("state", x) end
    end
    as[t], bs[t], ps[t] = s.a, s.b, s.p
  end
  state.sums = s
  p.record_once(("blocks.%d.att.w"):format(layer), w)
  p.record(("state.%d.att_aa"):format(layer), as)
  p.record(("state.%d.att_bb"):format(layer), bs)
  p.record(("state.%d.att_pp"):format(layer), ps)
end
