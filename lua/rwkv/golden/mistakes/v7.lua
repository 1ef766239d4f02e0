-- Mistakes in RWKV-7. What an entry is: every.lua.
local parts = require "rwkv.golden.mistakes.parts"

local list = {}
local function hooked(id, title, make)
  list[#list + 1] = { id = id, title = title, of = "^v7$", hooks = make }
end
local function weighed(id, title, change)
  list[#list + 1] = { id = id, title = title, of = "^v7$", weights = change }
end
local function flat(w) return w:reshape(-1) end
local hook, low_rank, tanh = parts.hook, parts.low_rank, parts.tanh

-- ---- decay, learning rate, gate ----

local function decay(id, title, f) -- f(W, d, x) -> log-decay
  hooked(id, title, function(W) return { decay = hook("decay", function(x, _, d) return f(W, d, x) end) } end)
end
local function decay_input(W, d, x, f) return low_rank(x, W(d, "att.w0"), W(d, "att.w1"), W(d, "att.w2"), f) end
decay("decay-constant", "the decay's constant is 0.606531 instead of exp(-0.5) (as in official inference code)", function(W, d, x)
  return -0.606531 * decay_input(W, d, x, tanh):sigmoid()
end)
decay("decay-no-half", "the decay without its -0.5: exp(-sigmoid(..)) instead of exp(-exp(-0.5) sigmoid(..))", function(W, d, x)
  return -decay_input(W, d, x, tanh):sigmoid()
end)
decay("decay-v6", "RWKV-6's decay, exp(-exp(w0 + tanh(x w1) w2))", function(W, d, x)
  return -decay_input(W, d, x, tanh):exp()
end)
decay("decay-no-tanh", "the decay's low-rank map without its tanh", function(W, d, x)
  return -math.exp(-0.5) * decay_input(W, d, x):sigmoid()
end)
decay("decay-tanh-late", "low-rank order: the decay's tanh stands after both matrices instead of between them", function(W, d, x)
  return -math.exp(-0.5) * (x:matmul(W(d, "att.w1")):matmul(W(d, "att.w2")):tanh() + flat(W(d, "att.w0"))):sigmoid()
end)
hooked("iclr-tanh", "a tanh inside the low-rank map of the learning rate a", function(W)
  return { iclr = hook("iclr", function(x, _, _, d)
    return low_rank(x, W(d, "att.a0"), W(d, "att.a1"), W(d, "att.a2"), tanh):sigmoid()
  end) }
end)
hooked("iclr-doubled", "the learning rate a is 2 sigmoid(..) instead of sigmoid(..)", function(W)
  return { iclr = hook("iclr", function(x, _, _, d)
    return 2 * low_rank(x, W(d, "att.a0"), W(d, "att.a1"), W(d, "att.a2")):sigmoid()
  end) }
end)
hooked("gate-no-sigmoid", "the gate without the sigmoid between its matrices", function(W)
  return { gate = hook("gate", function(x, _, d) return x:matmul(W(d, "att.g1")):matmul(W(d, "att.g2")) end) }
end)
hooked("gate-sigmoid-late", "low-rank order: the gate's sigmoid stands after both matrices instead of between them", function(W)
  return { gate = hook("gate", function(x, _, d) return x:matmul(W(d, "att.g1")):matmul(W(d, "att.g2")):sigmoid() end) }
end)
hooked("gate-tanh", "the gate with tanh instead of sigmoid", function(W)
  return { gate = hook("gate", function(x, _, d) return x:matmul(W(d, "att.g1")):tanh():matmul(W(d, "att.g2")) end) }
end)
weighed("lora-layout", "low-rank matrices read as [out, in]: they are stored [in, out]", function(map)
  for name, t in pairs(map) do -- the same numbers in a row, under the other shape
    if name:find "att%.[wavg][12]$" then
      local rows, columns = t:size(1), t:size(2)
      map[name] = t:reshape(columns, rows):transpose(1, 2)
    end
  end
end)

-- ---- values ----

local function residual(id, title, f) -- f(v, v_first, mix, d)
  hooked(id, title, function(W)
    local kept = {}
    return { value_residual = hook("value_residual", function(v, v_first, x, _, d)
      local mix = low_rank(x, W(d, "att.v0"), W(d, "att.v1"), W(d, "att.v2"))
      local result = f(v, v_first, mix, d, kept)
      kept[d.layer] = result:keep()
      return result
    end) }
  end)
end
residual("value-residual-missing", "missing value residual: v of every layer is its own", function(v) return v end)
residual("value-residual-direction", "the value residual mixes the other way: v_first + (v - v_first) sigmoid(..)",
  function(v, v_first, mix) return v_first + (v - v_first) * mix:sigmoid() end)
residual("value-residual-tanh", "the value residual's mix without its sigmoid", function(v, v_first, mix)
  return v + (v_first - v) * mix
end)
residual("value-residual-previous", "the value residual takes the v of the layer before instead of layer 0's",
  function(v, v_first, mix, d, kept) return v + ((kept[d.layer - 1] or v_first) - v) * mix:sigmoid() end)

-- ---- keys ----

local function key(id, title, f) -- f(W, d, k) -> removal key
  hooked(id, title, function(W) return { key_norm = hook("key_norm", function(k, _, d) return f(W, d, k) end) } end)
end
key("key-not-normalised", "the removal key k k_k is not divided by its length", function(W, d, k) return k * flat(W(d, "att.k_k")) end)
key("key-norm-over-all", "the removal key is normalised over all channels instead of in each head", function(W, d, k)
  return (k * flat(W(d, "att.k_k"))):l2norm(1)
end)
key("key-without-k_k", "the removal key is k itself, normalised, without k_k", function(_, d, k) return k:l2norm(d.H) end)
hooked("key-after-rescale", "k used after its rescale: the removal key is made of k (1 + (a - 1) k_a) instead of k", function(W)
  local a
  return {
    iclr = hook("iclr", function(x, _, _, d)
      a = low_rank(x, W(d, "att.a0"), W(d, "att.a1"), W(d, "att.a2")):sigmoid()
      return a
    end),
    key_norm = hook("key_norm", function(k, _, d)
      k = k * (1 + (a - 1) * flat(W(d, "att.k_a")))
      return (k * flat(W(d, "att.k_k"))):l2norm(d.H)
    end),
  }
end)
weighed("key-no-rescale", "k is not rescaled by the learning rate (k_a = 0)", function(map)
  for name, t in pairs(map) do if name:find "k_a$" then map[name] = t * 0 end end
end)
weighed("key-rescale-full", "k times a, without k_a (k_a = 1)", function(map)
  for name, t in pairs(map) do if name:find "k_a$" then map[name] = t * 0 + 1 end end
end)

-- ---- the recurrence; S [value, key] ----

local row, column = parts.row, parts.column
local function recurrence(id, title, step) -- step(now, s), now.a = -kappa, now.b = kappa a
  hooked(id, title, function() return { recurrence = parts.recurrence(step) } end)
end
local function updated(now, S)
  local removed = (S * row(now.a)):sum(-1, true)
  return S * row(now.w:exp()) + removed * row(now.b) + column(now.v) * row(now.k)
end
recurrence("read-before-update", "the state is read before the token is written instead of after", function(now, s)
  local y = (s.S * row(now.r)):sum(-1)
  s.S = updated(now, s.S)
  return y
end)
recurrence("read-transposed", "transposed state: read along the value axis", function(now, s)
  s.S = updated(now, s.S)
  return (s.S * column(now.r)):sum(-2)
end)
recurrence("decay-wrong-axis", "the decay multiplies the value axis of the state instead of the key axis", function(now, s)
  local removed = (s.S * row(now.a)):sum(-1, true)
  s.S = s.S * column(now.w:exp()) + removed * row(now.b) + column(now.v) * row(now.k)
  return (s.S * row(now.r)):sum(-1)
end)
recurrence("remove-after-decay", "what is removed is looked up in the decayed state instead of the old one", function(now, s)
  local S = s.S * row(now.w:exp())
  s.S = S + (S * row(now.a)):sum(-1, true) * row(now.b) + column(now.v) * row(now.k)
  return (s.S * row(now.r)):sum(-1)
end)
recurrence("remove-adds", "the removed part is added: the removal key's sign is lost", function(now, s)
  local removed = (s.S * row(now.a)):sum(-1, true)
  s.S = s.S * row(now.w:exp()) - removed * row(now.b) + column(now.v) * row(now.k)
  return (s.S * row(now.r)):sum(-1)
end)
recurrence("remove-missing", "nothing is removed: S w + v k, as in RWKV-6", function(now, s)
  s.S = s.S * row(now.w:exp()) + column(now.v) * row(now.k)
  return (s.S * row(now.r)):sum(-1)
end)

-- ---- bonus ----

hooked("bonus-missing", "the bonus (r k r_k) v is missing", function()
  return { bonus = hook("bonus", function() return nil end) }
end)
hooked("bonus-before-norm", "the bonus (r k r_k) v is added before the norm instead of after", function(W)
  local now
  return {
    recurrence = parts.looking(function(inputs) now = inputs end),
    norm = hook("norm", function(y, _, d)
      return parts.group_norm(W, d, y + parts.bonus(now.r, now.k, now.v, W(d, "att.r_k"), d), 64e-5)
    end),
    bonus = hook("bonus", function() return nil end),
  }
end)
hooked("bonus-plain-key", "the bonus uses k from before its rescale", function(W)
  local plain
  return {
    key_norm = hook("key_norm", function(k, _, d)
      plain = k
      return (k * flat(W(d, "att.k_k"))):l2norm(d.H)
    end),
    bonus = hook("bonus", function(r, _, v, _, d) return parts.bonus(r, plain, v, W(d, "att.r_k"), d) end),
  }
end)

return list
