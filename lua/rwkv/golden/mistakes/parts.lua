-- What mistakes are made of: the official formulas as hooks see them, with the pack's weights, so that one step of them can
-- be done wrong. W(d, name): the official tensor of the layer that is at work.
local core = require "rwkv.core"
local hooks = require "rwkv.hooks"

local parts = {}

function parts.hook(kind, apply) return hooks.define { kind = kind, name = "mistake", apply = apply } end
function parts.recurrence(step, state)
  return hooks.define { kind = "recurrence", name = "mistake", step = step, state = state }
end

-- RWKV-7's recurrence, unchanged, whose inputs somebody sees.
function parts.looking(see)
  return hooks.define { kind = "recurrence", name = "mistake", apply = function(now, s)
    see(now)
    local y
    y, s.S = core.wkv7(now.r, now.w, now.k, now.v, now.a, now.b, s.S)
    return y
  end }
end

-- [B,H,N] as a column [B,H,N,1] and as a row [B,H,1,N]
function parts.column(x) local n = x:shape(); n[#n + 1] = 1; return x:reshape(n) end
function parts.row(x) local n = x:shape(); table.insert(n, #n, 1); return x:reshape(n) end

local function flat(w) return w:reshape(-1) end

-- One number a head, or one a channel -> [A]
local function per_channel(w, d)
  if w:size() == d.A then return flat(w) end
  return core.no_grad(function() return (w:reshape(d.H, 1) + core.zeros(d.H, d.N)):reshape(-1):keep() end)
end
parts.per_channel = per_channel

-- w0 + f(x w1) w2
function parts.low_rank(x, w0, w1, w2, f)
  local h = x:matmul(w1)
  return (f and f(h) or h):matmul(w2) + flat(w0)
end
local function tanh(x) return x:tanh() end
local function sigmoid(x) return x:sigmoid() end
parts.tanh, parts.sigmoid = tanh, sigmoid

-- The log-decay as the version has it.
function parts.decay(W, d, x)
  if d.version == "v7" then
    return -math.exp(-0.5) * parts.low_rank(x, W(d, "att.w0"), W(d, "att.w1"), W(d, "att.w2"), tanh):sigmoid()
  elseif d.version:find "^v6" then
    return -parts.low_rank(x, W(d, "att.time_decay"), W(d, "att.time_decay_w1"), W(d, "att.time_decay_w2"), tanh):exp()
  end
  return per_channel(-W(d, "att.time_decay"):exp(), d)
end

-- u of v5 and v6 as it stands in the file
function parts.bonus_weight(W, d)
  return per_channel(W(d, d.version == "v5.0" and "att.time_first" or "att.time_faaaa"), d)
end

-- For each head (sum over r k u) v
function parts.bonus(r, k, v, u, d)
  local heads = { d.B, d.T, d.H, d.N }
  local weight = (r * k * flat(u)):reshape(heads):sum(-1, true)
  return (weight * v:reshape(heads)):reshape(d.B, d.T, d.A)
end

function parts.group_norm(W, d, y, eps) return y:group_norm(d.H, W(d, "att.ln_x.weight"), W(d, "att.ln_x.bias"), eps) end

-- ---- token shift ----

local names = { v7 = "att.x_%s", v6 = "att.time_maa_%s", other = "att.time_mix_%s" }

local function ddlerp(W, d, x, prev) -- v6, v6a: streams w k v r g; v6b: r k v w
  local b = d.version == "v6b"
  local w1, w2 = W(d, b and "att.time_maa_rkvw_w1" or "att.time_maa_w1"), W(d, b and "att.time_maa_rkvw_w2" or "att.time_maa_w2")
  local low, mixed = x:lerp(prev, flat(W(d, "att.time_maa_x"))):matmul(w1):tanh(), {}
  local rank = w2:size(2)
  for i, stream in ipairs(d.streams) do
    local m = low:slice(3, (i - 1) * rank + 1, i * rank):matmul(w2:slice(1, i, i):reshape(rank, d.C))
    mixed[stream] = x + (prev - x) * (m + flat(W(d, "att.time_maa_" .. stream)))
  end
  return mixed
end

-- v1: the first half of the channels from `first`, the other from `second`
function parts.halves(d, first, second)
  local half = d.C // 2
  return core.concat({ first:slice(3, 1, half), second:slice(3, half + 1, d.C) }, 3)
end

-- The mixes of time mixing, as a shift hook returns them.
function parts.mixes(W, d, x, prev)
  if d.version == "v1" then return { x = parts.halves(d, prev, x) } end
  if d.version:find "^v6" then return ddlerp(W, d, x, prev) end
  local mixed = {}
  for _, stream in ipairs(d.streams) do
    if d.version == "v7" then
      mixed[stream] = x:lerp(prev, flat(W(d, names.v7:format(stream))))
    else -- the mix weighs the token itself
      local name = d.version == "v2" and "att.time_mix" or names.other:format(stream)
      mixed[stream] = prev:lerp(x, flat(W(d, name)))
    end
  end
  return mixed
end

-- The same of channel mixing.
function parts.ffn_mixes(W, d, x, prev)
  if d.version == "v1" then return { x = parts.halves(d, prev, x) } end
  local mixed = {}
  for _, stream in ipairs(d.streams) do
    if d.version == "v7" then
      mixed[stream] = x:lerp(prev, flat(W(d, "ffn.x_k")))
    elseif d.version:find "^v6" then
      mixed[stream] = x:lerp(prev, flat(W(d, "ffn.time_maa_" .. stream)))
    else
      mixed[stream] = prev:lerp(x, flat(W(d, d.version == "v2" and "ffn.time_mix" or "ffn.time_mix_" .. stream)))
    end
  end
  return mixed
end

-- A token shift in which the token before is what f(x, prev, first) says; first: whether it is the first token.
function parts.shifts(W, f)
  local function hook(mixes)
    local seen = {}
    return parts.hook("shift", function(x, prev, _, d)
      local first = not seen[d.layer]
      seen[d.layer] = true
      return mixes(W, d, x, f(x, prev, first))
    end)
  end
  return { shift = hook(parts.mixes), ffn_shift = hook(parts.ffn_mixes) }
end

-- ---- channel mixing ----

-- change: { act =, gate =, inner = } in place of relu squared, sigmoid, nothing
function parts.channel_mix(W, change)
  local before = {}
  return parts.hook("channel_mix", function(x, _, d)
    local stored = before[d.layer]
    local prev = stored or core.zeros(x:shape())
    before[d.layer] = x:keep()
    local streams = setmetatable({ streams = d.version == "v7" and { "k" } or d.version == "v2" and { "x" } or { "k", "r" } },
      { __index = d })
    local m = parts.ffn_mixes(W, streams, x, prev)
    local k = (m.k or m.x):linear(W(d, "ffn.key.weight"))
    k = change.act and change.act(k) or k:relu2()
    local y = k:linear(W(d, "ffn.value.weight"))
    if d.version == "v7" then return y end
    local r = (m.r or m.x):linear(W(d, "ffn.receptance.weight"))
    return (change.gate and change.gate(r) or r:sigmoid()) * y
  end)
end

return parts
