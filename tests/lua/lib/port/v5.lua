-- RWKV-5 (5.0, 5.1, 5.2): a matrix S [key, value] for each head. What follows the mixes is RWKV-6's too: v5.states.
local block = require "tests.lua.lib.port.block"
local heads = require "tests.lua.lib.port.heads"
local numbers = require "tests.lua.lib.port.numbers"

local map, exp = numbers.map, math.exp
local v5 = {}

-- A parameter of a head or of a channel -> number(h, n)
local function of_channel(p, W)
  if #W == p.H * p.N then return function(h, n) return W[h * p.N + n] end end
  if p.wrong "per-head-by-place" then return function(_, n) return W[(n - 1) % p.H + 1] end end
  return function(h) return W[h + 1] end
end

local function bonus(p, layer)
  local num, wrong = p.num.wide, p.wrong
  local u = p.weight(p.version == "v5.0" and "att.time_first" or "att.time_faaaa", layer)
  local exponential = p.version == "v5.0" and not wrong "bonus-no-exp" or wrong "bonus-exp"
  if exponential then u = num.each(exp, u) end
  if wrong "bonus-missing" then u = num.times(0, u) end
  return of_channel(p, u)
end

-- One token: what is read of S, and S after it. w, u: number(h, n) of keys.
local function step(p, S, now, w, u)
  local wrong, f, N = p.wrong, p.num.wide.round, p.N
  local y, new = block.zeros(p.H * N), {}
  for h = 0, p.H - 1 do
    for i = 1, N do
      local key = p.channel(h, i)
      for j = 1, N do
        local value, at = p.channel(h, j), (h * N + i - 1) * N + j
        local kv = f(now.k[key] * now.v[value])
        local d = w(h, wrong "decay-wrong-axis" and j or i)
        local own = f(u(h, wrong "bonus-wrong-axis" and j or i) * kv)
        if wrong "bonus-in-state" then new[at] = f(f(S[at] * d) + own)
        elseif wrong "decay-own" then new[at] = f(f(S[at] + kv) * d)
        else new[at] = f(f(S[at] * d) + kv) end
        local past = wrong "read-after-update" and new[at] or wrong "decay-before-read" and f(S[at] * d) or S[at]
        local from, to = key, value
        if wrong "read-transposed" then from, to = value, key end
        y[to] = f(y[to] + f(now.r[from] * f(past + own)))
      end
    end
  end
  return y, new
end

local function gated(p, now)
  local wrong, num = p.wrong, p.num
  if not now.g or wrong "gate-missing" then return now.norm end
  return num.mul(now.norm, now.g)
end

-- decay(t) -> number(h, n), e^w of token t; what tokens have before: r, k, v, g
function v5.states(p, layer, tokens, state, decay)
  local num, wrong, u, states, S = p.num, p.wrong, bonus(p, layer), {}, state.S
  for t, now in ipairs(tokens) do
    local y
    S = heads.found(p, S, t)
    local found, d = S, decay(t)
    y, S = step(p, S, now, d, u)
    S = wrong.rounded("state", S)
    local times = wrong.times_absorbed(t, #tokens)
    if times == 0 then S = found end
    if times == 2 then S = wrong.rounded("state", select(2, step(p, S, now, d, u))) end
    states[t] = wrong "state-transposed" and heads.transposed(S, p.H, p.N) or S
    now.wkv = wrong.rounded("wkv", y) -- float32 up to the norm
    now.norm = wrong.rounded("norm", heads.norm(p, now.wkv, layer))
    now.y = gated(p, now)
    now.out = num.linear(p.weight("att.output.weight", layer), now.y)
  end
  state.S = S
  p.record(("state.%d.att_kv"):format(layer), states, p.H, p.N, p.N)
end

-- r, k, v of the mixes z(stream)
function v5.project(p, layer, now, z)
  local num, wrong = p.num, p.wrong
  local function linear(name, stream) return num.linear(p.weight(("att.%s.weight"):format(name), layer), z(stream)) end
  local k, v = block.keys_and_values(p, linear("key", "k"), linear("value", "v"))
  now.k, now.v = block.clamped(p, k), v
  now.r = linear("receptance", "r")
  if wrong "receptance-sigmoid" then now.r = num.each(numbers.sigmoid, now.r) end
  now.r = wrong.rounded("receptance", now.r)
end

-- The gate of v5.1, v5.2 and v6.
function v5.gate(p, layer, z)
  local g = p.num.linear(p.weight("att.gate.weight", layer), z "g")
  if p.wrong "gate-linear" then return g end
  return p.num.each(p.wrong "gate-sigmoid" and numbers.sigmoid or numbers.silu, g)
end

function v5.time_mix(p, layer, tokens, state)
  local wide, wrong = p.num.wide, p.wrong
  for _, now in ipairs(tokens) do
    local function z(stream) return block.mix(p, "att", now, "x" .. stream, p.weight("att.time_mix_" .. stream, layer)) end
    v5.project(p, layer, now, z)
    if p.version ~= "v5.0" then now.g = v5.gate(p, layer, z) end
  end
  local w = block.log_decay(p, wide.times(-1, wide.each(exp, p.weight("att.time_decay", layer))))
  local d, w_of = of_channel(p, wrong.rounded("decay", wide.each(exp, w))), of_channel(p, w)
  local all = map(p.H * p.N, function(c) return w_of((c - 1) // p.N, (c - 1) % p.N + 1) end)
  p.record_once(("blocks.%d.att.w"):format(layer), all, p.H, p.N)
  v5.states(p, layer, tokens, state, function() return d end)
end

return v5
