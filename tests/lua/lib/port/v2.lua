-- RWKV-2 and RWKV-3: two running sums of exponentials of keys, a = sum of e v, b = sum of e, decayed by e^w each token.
local block = require "tests.lua.lib.port.block"
local numbers = require "tests.lua.lib.port.numbers"

local map, exp = numbers.map, math.exp

local function decay(p, layer)
  local num = p.num.wide
  return block.log_decay(p, num.times(-1, num.each(exp, p.weight("att.time_decay", layer))))
end

local function line_of(p, layer, tokens)
  local num, wrong = p.num, p.wrong
  local function W(name) return p.weight("att." .. name, layer) end
  for _, now in ipairs(tokens) do
    local function z(stream)
      if p.version == "v2" then return now.z or block.mix(p, "att", now, "z", W "time_mix") end
      return block.mix(p, "att", now, "x" .. stream, W("time_mix_" .. stream))
    end
    local k, v = block.keys_and_values(p, num.linear(W "key.weight", z "k"), num.linear(W "value.weight", z "v"))
    k = block.clamped(p, k)
    now.e = block.clamped(p, num.each(function(x) return exp(wrong "no-clamp" and x or math.min(x, 60)) end, k))
    now.v = v
    now.r = num.linear(W "receptance.weight", z "r")
    if not wrong "receptance-linear" then now.r = num.each(numbers.sigmoid, now.r) end
    now.r = wrong.rounded("receptance", now.r)
  end
end

return function(p, layer, tokens, state)
  local num, wrong, f = p.num, p.wrong, p.num.round
  line_of(p, layer, tokens)
  local w = decay(p, layer)
  local lambda = wrong.rounded("decay", num.each(exp, w))
  local U = num.each(exp, p.weight("att.time_first", layer))
  if wrong "bonus-missing" then U = map(#U, function() return 1 end) end
  local eps = (p.version == "v2") ~= (wrong "k-eps" or false) and 1e-16 or 1e-8
  local a, b, as, bs = state.a or block.zeros(#w), state.b or block.zeros(#w), {}, {}
  for t, now in ipairs(tokens) do
    if wrong.every("state-lost", t) or wrong.every("all-lost", t) then a, b = block.zeros(#w), block.zeros(#w) end
    now.y = map(#w, function(c)
      local own = f(U[c] * now.e[c])
      return f(f(a[c] + f(own * now.v[c])) / f(f(b[c] + own) + eps))
    end)
    now.y = wrong.rounded("wkv", now.y)
    for _ = 1, wrong.times_absorbed(t, #tokens) do
      a = map(#w, function(c) return f(f(lambda[c] * a[c]) + f(now.e[c] * now.v[c])) end)
      b = map(#w, function(c) return f(f(lambda[c] * b[c]) + now.e[c]) end)
      a, b = wrong.rounded("state", a), wrong.rounded("state", b)
    end
    as[t], bs[t] = a, b
    now.out = num.linear(p.weight("att.output.weight", layer), num.mul(now.r, now.y))
  end
  state.a, state.b = a, b
  p.record_once(("blocks.%d.att.w"):format(layer), w)
  p.record(("state.%d.att_aa"):format(layer), as)
  p.record(("state.%d.att_bb"):format(layer), bs)
end
