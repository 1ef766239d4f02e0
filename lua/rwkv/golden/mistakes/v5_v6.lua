-- Mistakes in RWKV-5 and RWKV-6, whose state is a matrix S [key, value]. What an entry is: every.lua.
local parts = require "rwkv.golden.mistakes.parts"

local list = {}
local function hooked(id, title, of, make) list[#list + 1] = { id = id, title = title, of = of, hooks = make } end
local function weighed(id, title, of, change) list[#list + 1] = { id = id, title = title, of = of, weights = change } end
local hook, row, column = parts.hook, parts.row, parts.column
local both, by_channel = "^v[56]", "^v[56][^.]*%.?[^01]*$" -- where decay and bonus are numbers of a channel

-- ---- the recurrence: y = r (S + u k v), S <- S e^w + k v ----

local function recurrence(id, title, step, of)
  hooked(id, title, of or both, function() return { recurrence = parts.recurrence(step) } end)
end
local function pair(now) return column(now.k) * row(now.v) end
local function read(now, S) return (column(now.r) * (S + column(now.u) * pair(now))):sum(-2) end

recurrence("decay-own", "a token's own k v is decayed when it is stored: (S + k v) e^w instead of S e^w + k v", function(now, s)
  local y = read(now, s.S)
  s.S = (s.S + pair(now)) * column(now.w:exp())
  return y
end)
recurrence("decay-before-read", "the state is decayed before it is read instead of after", function(now, s)
  local S = s.S * column(now.w:exp())
  s.S = S + pair(now)
  return read(now, S)
end)
recurrence("read-after-update", "the state is read after the token is stored (1 + u) instead of before (u)", function(now, s)
  local kv = pair(now)
  s.S = s.S * column(now.w:exp()) + kv
  return (column(now.r) * (s.S + column(now.u) * kv)):sum(-2)
end)
recurrence("bonus-in-state", "the bonus u is stored too: S e^w + u k v", function(now, s)
  local y = read(now, s.S)
  s.S = s.S * column(now.w:exp()) + column(now.u) * pair(now)
  return y
end)
recurrence("read-transposed", "transposed state: read along the value axis", function(now, s)
  local kv = pair(now)
  local y = (row(now.r) * (s.S + column(now.u) * kv)):sum(-1)
  s.S = s.S * column(now.w:exp()) + kv
  return y
end)
recurrence("decay-wrong-axis", "the decay multiplies the value axis of the state instead of the key axis", function(now, s)
  local y = read(now, s.S)
  s.S = s.S * row(now.w:exp()) + pair(now)
  return y
end, by_channel)
recurrence("bonus-wrong-axis", "the bonus u multiplies the value axis instead of the key axis", function(now, s)
  local kv = pair(now)
  local y = (column(now.r) * (s.S + row(now.u) * kv)):sum(-2)
  s.S = s.S * column(now.w:exp()) + kv
  return y
end, by_channel)

-- ---- bonus ----

local function bonus(id, title, of, f) -- f(u as the file has it)
  hooked(id, title, of, function(W)
    return { bonus = hook("bonus", function(r, k, v, _, d) return parts.bonus(r, k, v, f(parts.bonus_weight(W, d)), d) end) }
  end)
end
bonus("bonus-exp", "the bonus is exp(time_faaaa) instead of time_faaaa", "^v5.[12]$", function(u) return u:exp() end)
bonus("bonus-exp", "the bonus is exp(time_faaaa) instead of time_faaaa", "^v6", function(u) return u:exp() end)
bonus("bonus-no-exp", "the bonus is time_first instead of exp(time_first)", "^v5.0$", function(u) return u end)
hooked("bonus-missing", "the bonus u is missing", both, function()
  return { bonus = hook("bonus", function() return nil end) }
end)

-- ---- receptance, gate ----

hooked("receptance-sigmoid", "a sigmoid on the receptance, as in RWKV-4", both, function(W)
  return { receptance = hook("receptance", function(x, _, d) return x:linear(W(d, "att.receptance.weight")):sigmoid() end) }
end)
for _, of in ipairs { "^v5.[12]$", "^v6$" } do
  local function gate(id, title, f)
    hooked(id, title, of, function(W)
      return { gate = hook("gate", function(x, _, d) return f(x:linear(W(d, "att.gate.weight"))) end) }
    end)
  end
  gate("gate-sigmoid", "the gate with sigmoid instead of silu", function(g) return g:sigmoid() end)
  gate("gate-linear", "the gate without silu", function(g) return g end)
  hooked("gate-missing", "the gate is missing", of, function() return { gate = hook("gate", function() return nil end) } end)
end

-- ---- RWKV-6a and 6b ----

local function low_gate(id, title, f) -- f(z w1, w2)
  hooked(id, title, "^v6a$", function(W)
    return { gate = hook("gate", function(x, _, d) return f(x:matmul(W(d, "att.gate_w1")), W(d, "att.gate_w2")) end) }
  end)
end
low_gate("gate-silu", "a silu on the gate, as in RWKV-6", function(h, w2) return h:tanh():matmul(w2):silu() end)
low_gate("gate-no-tanh", "the gate's low-rank map without its tanh", function(h, w2) return h:matmul(w2) end)
hooked("norm-by-head", "a norm for each head with eps 64e-5, as in RWKV-6, instead of one over all channels with 1e-5", "^v6b$",
  function(W) return { norm = hook("norm", function(y, _, d) return parts.group_norm(W, d, y, 64e-5) end) } end)

-- ---- RWKV-6's low-rank maps ----

hooked("decay-no-tanh", "the decay's low-rank map without its tanh", "^v6", function(W)
  return { decay = hook("decay", function(x, _, d)
    return -parts.low_rank(x, W(d, "att.time_decay"), W(d, "att.time_decay_w1"), W(d, "att.time_decay_w2")):exp()
  end) }
end)
hooked("decay-constant", "the decay does not depend on the token, as in RWKV-5", "^v6", function(W)
  return { decay = hook("decay", function(_, _, d) return -W(d, "att.time_decay"):reshape(-1):exp() end) }
end)
weighed("mix-constant", "the mixes do not depend on the token, as in RWKV-5", "^v6", function(map)
  for name, t in pairs(map) do if name:find "time_maa_[rkvw_]*w2$" then map[name] = t * 0 end end
end)

-- The five mixes in another order: stream i of the low-rank map goes to another mix.
local function order(id, title, from)
  weighed(id, title, "^v6a?$", function(map)
    local right = "wkvrg"
    for name, t in pairs(map) do
      if name:find "time_maa_w[12]$" then
        local n = name:find "1$" and t:size(2) // 5 or 1
        local function part(i)
          return name:find "1$" and t:slice(2, (i - 1) * n + 1, i * n) or t:slice(1, i, i)
        end
        local moved = {}
        for i = 1, 5 do moved[i] = part(from:find(right:sub(i, i), 1, true)) end
        map[name] = require "rwkv.core".concat(moved, name:find "1$" and 2 or 1)
      end
    end
  end)
end
order("mix-order-rkvwg", "low-rank order: the five mixes read as r, k, v, w, g instead of w, k, v, r, g", "rkvwg")
order("mix-order-rwkvg", "low-rank order: the five mixes read as r, w, k, v, g instead of w, k, v, r, g", "rwkvg")
order("mix-order-kvrwg", "low-rank order: the five mixes read as k, v, r, w, g instead of w, k, v, r, g", "kvrwg")
weighed("lora-layout", "low-rank matrices read as [out, in]: they are stored [in, out]", "^v6", function(map)
  for name, t in pairs(map) do
    if name:find "decay_w[12]$" or name:find "gate_w[12]$" then
      map[name] = t:reshape(t:size(2), t:size(1)):transpose(1, 2)
    end
  end
end)

return list
