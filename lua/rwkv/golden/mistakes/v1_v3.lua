-- Mistakes in RWKV-1 to RWKV-3. Their time mixing is one hook; what an entry is: every.lua.
local core = require "rwkv.core"
local parts = require "rwkv.golden.mistakes.parts"

local list = {}
local function flat(t) return t:reshape(-1) end

-- v2, v3: change = { eps =, clamp =, first =, sigmoid = }
local function time_mix(id, title, of, change)
  list[#list + 1] = { id = id, title = title, of = of, hooks = function(W)
    local kept = {}
    return { time_mix = parts.hook("time_mix", function(x, _, d)
      local zero = core.zeros(d.B, d.C)
      local s = kept[d.layer] or { x = core.zeros(x:shape()), a = zero, b = zero }
      local streams = setmetatable({ streams = d.version == "v2" and { "x" } or { "k", "v", "r" } }, { __index = d })
      local m = parts.mixes(W, streams, x, s.x)
      local k = (m.k or m.x):linear(W(d, "att.key.weight"))
      local e = (change.clamp or function(y) return y:minimum(60) end)(k):exp()
      local v, r = (m.v or m.x):linear(W(d, "att.value.weight")), (m.r or m.x):linear(W(d, "att.receptance.weight"))
      local u = (change.first or flat)(flat(W(d, "att.time_first")))
      local y, a, b = core.wkv2(-flat(W(d, "att.time_decay")):exp(), u, e, v, s.a, s.b, change.eps or
        (d.version == "v2" and 1e-16 or 1e-8))
      kept[d.layer] = { x = x:keep(), a = a:keep(), b = b:keep() }
      return ((change.receptance or parts.sigmoid)(r) * y):linear(W(d, "att.output.weight"))
    end) }
  end }
end
time_mix("k-eps", "the denominator's eps is 1e-8 (RWKV-3's) instead of 1e-16", "^v2$", { eps = 1e-8 })
time_mix("k-eps", "the denominator's eps is 1e-16 (RWKV-2's) instead of 1e-8", "^v3$", { eps = 1e-16 })
time_mix("no-clamp", "keys are not cut off at 60", "^v[23]$", { clamp = function(k) return k end })
time_mix("bonus-missing", "time_first is missing: the token itself counts with 1", "^v[23]$", { first = function(u) return u * 0 end })
time_mix("receptance-linear", "the receptance without its sigmoid", "^v[23]$", { receptance = function(r) return r end })

-- v1: weights
local function weighed(id, title, of, change) list[#list + 1] = { id = id, title = title, of = of, weights = change } end
weighed("time-w-reversed", "time_w read from the front: distance 0 is its last entry", "^v1$", function(map)
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
weighed("no-gamma", "time_gamma is missing", "^v1$", ones "time_gamma$")
weighed("no-time-out", "time_out is missing", "^v1$", ones "time_out$")
weighed("alpha-beta-swapped", "time_alpha and time_beta are exchanged: alpha is of the earlier token", "^v1$", function(map)
  local swapped = {}
  for name, t in pairs(map) do
    local other = name:find "time_alpha$" and name:gsub("alpha", "beta") or name:find "time_beta$" and name:gsub("beta", "alpha")
    if other then swapped[other] = t:reshape(map[other]:shape()) end
  end
  for name, t in pairs(swapped) do map[name] = t end
end)
weighed("no-copy-head", "the copy head (head_q, head_k) is missing", "^v[123]$", function(map)
  for name, t in pairs(map) do if name:find "^head_q" then map[name] = t * 0 end end
end)
local function scaled(pattern, factor)
  return function(map, c)
    for name, t in pairs(map) do if name:find(pattern) then map[name] = t * factor(c) end end
  end
end
weighed("copy-head-256", "the copy head divides by 256 instead of by its width", "^v[123]$",
  scaled("^head_q", function(c) return c.head_qk / 256 end))
weighed("copy-head-sqrt", "the copy head divides by the root of its width, as attention does, instead of by the width", "^v[123]$",
  scaled("^head_q", function(c) return math.sqrt(c.head_qk) end))

return list
