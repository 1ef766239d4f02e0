-- Mistakes in RWKV-2 and RWKV-3. Their time mixing is one hook; what an entry is: every.lua.
local core = require "rwkv.core"
local parts = require "rwkv.golden.mistakes.parts"

local list = {}
local function flat(t) return t:reshape(-1) end

-- change = { eps =, clamp =, first =, sigmoid = }
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

return list
