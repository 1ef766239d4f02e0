-- RWKV-6, 6a and 6b: mixes and decays depend on the token, by low-rank maps; the state is RWKV-5's.
local block = require "tests.lua.lib.port.block"
local heads = require "tests.lua.lib.port.heads"
local numbers = require "tests.lua.lib.port.numbers"
local v5 = require "tests.lua.lib.port.v5"

local exp = math.exp

-- In which order the streams of the mixes stand in the shared low-rank map.
local function order_of(p)
  for _, order in ipairs { "rkvwg", "rwkvg", "kvrwg" } do
    if p.wrong("mix-order-" .. order) then return order end
  end
  return p.version == "v6b" and "rkvw" or "wkvrg"
end

local function mixes(p, layer, now)
  local num, wrong = p.num, p.wrong
  local maps = p.version == "v6b" and "att.time_maa_rkvw_w" or "att.time_maa_w"
  local w1, w2, order = p.weight(maps .. 1, layer), p.weight(maps .. 2, layer), order_of(p)
  local input = block.mix(p, "att", { x = now.x, prev = now.prev }, "low", p.weight("att.time_maa_x", layer))
  now.low = num.each(numbers.tanh, num.matmul(input, w1))
  local rank = w2.shape[2]
  return function(stream)
    local n, mu = order:find(stream, 1, true) - 1, p.weight("att.time_maa_" .. stream, layer)
    local low = num.matmul(table.move(now.low, n * rank + 1, (n + 1) * rank, 1, {}), w2, n * rank)
    return block.mix(p, "att", now, "x" .. stream, wrong "mix-constant" and mu or num.add(mu, low))
  end
end

-- W [in,out]; its numbers read as [out,in] where that mistake is made
local function low_rank(p, x, W)
  return p.wrong "lora-layout" and p.num.linear(W, x) or p.num.matmul(x, W)
end

local function decay(p, layer, x)
  local num, wide, wrong = p.num, p.num.wide, p.wrong
  local low = low_rank(p, x, p.weight("att.time_decay_w1", layer))
  if not wrong "decay-no-tanh" then low = num.each(numbers.tanh, low) end
  low = low_rank(p, low, p.weight("att.time_decay_w2", layer))
  if wrong "decay-constant" then low = num.times(0, low) end
  local w = wide.add(p.weight("att.time_decay", layer), low)
  return block.log_decay(p, wide.times(-1, wide.each(exp, w)))
end

-- The gate of v6a.
local function low_rank_gate(p, layer, z)
  local wrong, num = p.wrong, p.num
  local g = low_rank(p, z "g", p.weight("att.gate_w1", layer))
  if not wrong "gate-no-tanh" then g = num.each(numbers.tanh, g) end
  g = low_rank(p, g, p.weight("att.gate_w2", layer))
  return wrong "gate-silu" and num.each(numbers.silu, g) or g
end

return function(p, layer, tokens, state)
  for _, now in ipairs(tokens) do
    local z = mixes(p, layer, now)
    now.w = decay(p, layer, z "w")
    v5.project(p, layer, now, z)
    if p.version == "v6" then now.g = v5.gate(p, layer, z) end
    if p.version == "v6a" then now.g = low_rank_gate(p, layer, z) end
  end
  v5.states(p, layer, tokens, state, function(t)
    local d = p.wrong.rounded("decay", p.num.wide.each(exp, heads.decay_of(p, tokens, t)))
    return function(h, n) return d[p.channel(h, n)] end
  end)
end
