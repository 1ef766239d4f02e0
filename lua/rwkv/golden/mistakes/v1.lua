-- Mistakes in RWKV-1. What an entry is: every.lua.
local core = require "rwkv.core"
local parts = require "rwkv.golden.mistakes.parts"

local list = {}
local function hooked(id, title, make) list[#list + 1] = { id = id, title = title, of = "^v1$", hooks = make } end
local function weighed(id, title, change) list[#list + 1] = { id = id, title = title, of = "^v1$", weights = change } end

-- ---- learned weights of positions ----

weighed("time-w-reversed", "time_w read from the front: distance 0 is its last entry", function(map)
  for name, t in pairs(map) do
    if name:find "time_w$" then
      local columns, n = {}, t:size(2)
      for i = 1, n do columns[i] = t:slice(2, n + 1 - i, n + 1 - i) end
      map[name] = core.concat(columns, 2)
    end
  end
end)
local function ones(what)
  return function(map) for name, t in pairs(map) do if name:find(what) then map[name] = t * 0 + 1 end end end
end
weighed("no-gamma", "time_gamma is missing", ones "time_gamma$")
weighed("no-time-out", "time_out is missing", ones "time_out$")
weighed("alpha-beta-swapped", "time_alpha and time_beta are exchanged: alpha is of the earlier token", function(map)
  local swapped = {}
  for name, t in pairs(map) do
    local other = name:find "time_alpha$" and name:gsub("alpha", "beta") or name:find "time_beta$" and name:gsub("beta", "alpha")
    if other then swapped[other] = t:reshape(map[other]:shape()) end
  end
  for name, t in pairs(swapped) do map[name] = t end
end)

-- ---- token shift ----

hooked("shift-halves", "the halves of the token shift are exchanged: the first half of the channels is the token's own", function()
  local function exchanged() return parts.hook("shift", function(x, prev, _, d) return { x = parts.halves(d, x, prev) } end) end
  return { shift = exchanged(), ffn_shift = exchanged() }
end)

-- ---- time mixing: a sum over the keys and values so far ----

local function linear(W, d, what, x)
  return x:linear(W(d, ("attn.%s.weight"):format(what)), W(d, ("attn.%s.bias"):format(what)))
end

-- What the t-th token gives to all tokens so far, w alpha beta [H,t].
local function weights_of(W, d, t)
  local w = W(d, "attn.time_w")
  local ctx = w:size(2)
  return w:slice(2, ctx - t + 1, ctx) * W(d, "attn.time_alpha"):reshape(d.H, ctx):slice(2, 1, t)
    * W(d, "attn.time_beta"):reshape(d.H, ctx):slice(2, t, t)
end

-- change = { clamp =, below =, receptance =, gamma_first = }; below(e, w): what the denominator sums
local function time_mix(id, title, change)
  hooked(id, title, function(W)
    local kept = {}
    return { time_mix = parts.hook("time_mix", function(x, _, d)
      local s = kept[d.layer] or { x = core.zeros(x:shape()), t = 0 }
      local z = parts.halves(d, s.x, x)
      local k = linear(W, d, "key", z)
      local e = (change.clamp and change.clamp(k) or k:clamp(-60, 30)):exp():reshape(d.B, 1, d.H, d.N)
      local ev = e * linear(W, d, "value", z):reshape(d.B, 1, d.H, d.N)
      local t = s.t + 1
      local es, evs = s.e and core.concat({ s.e, e }, 2) or e, s.ev and core.concat({ s.ev, ev }, 2) or ev
      local w = weights_of(W, d, t):transpose(1, 2):reshape(1, t, d.H, 1)
      local y = ((evs * w):sum(2) / (change.below and change.below(es, w) or es):sum(2)):reshape(d.B, 1, d.A)
      kept[d.layer] = { x = x:keep(), t = t, e = es:keep(), ev = evs:keep() }
      local r = (change.receptance or parts.sigmoid)(linear(W, d, "receptance", z))
      local gamma = W(d, "attn.time_gamma"):slice(1, t, t):reshape(1)
      if change.gamma_first then return linear(W, d, "output", r * y * gamma) end
      return linear(W, d, "output", r * y) * gamma
    end) }
  end)
end
time_mix("denominator-weighted", "the denominator is weighted with time_w, alpha and beta too; it is the sum of the keys alone",
  { below = function(e, w) return e * w end })
time_mix("no-clamp", "keys are not cut off at -60 and 30", { clamp = function(k) return k end })
time_mix("receptance-linear", "the receptance without its sigmoid", { receptance = function(r) return r end })
time_mix("gamma-before-bias", "time_gamma multiplies before the output's bias is added instead of after", { gamma_first = true })

return list
