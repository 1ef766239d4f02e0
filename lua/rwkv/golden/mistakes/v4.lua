-- Mistakes in RWKV-4: sums A = a e^m and B = b e^m of exponentials. What an entry is: every.lua.
local parts = require "rwkv.golden.mistakes.parts"

local list = {}
local function hooked(id, title, make) list[#list + 1] = { id = id, title = title, of = "^v4$", hooks = make } end

-- y = (A + e^{k+now} v) / (B + e^{k+now}); A <- e^{w+keep} A + e^{k+add} v: what is added to the exponents in f(now)
local function recurrence(id, title, f)
  hooked(id, title, function()
    return { recurrence = parts.recurrence(function(now, s)
      local e = f(now)
      local m, read = s.m + (e.read or 0), now.k + e.now
      local top = m:maximum(read)
      local past, this = (m - top):exp(), (read - top):exp()
      local y = (past * s.a + this * now.v) / (past * s.b + this)
      m, read = s.m + e.keep, now.k + (e.add or 0)
      top = m:maximum(read)
      past, this = (m - top):exp(), (read - top):exp()
      s.a, s.b, s.m = past * s.a + this * now.v, past * s.b + this, top
      return y
    end, function(d) return { a = { d.H, d.N }, b = { d.H, d.N }, m = { d.H, d.N, start = -1e38 } } end) }
  end)
end
recurrence("decay-before-read", "the sums are decayed before they are read instead of after", function(now)
  return { now = now.u, keep = now.w, read = now.w }
end)
recurrence("decay-own", "a token's own pair is decayed when it is stored: (A + e^k v) e^w instead of A e^w + e^k v", function(now)
  return { now = now.u, keep = now.w, add = now.w }
end)
recurrence("bonus-in-state", "time_first is added to the key that is stored, not only to the one that is read", function(now)
  return { now = now.u, keep = now.w, add = now.u }
end)
recurrence("bonus-missing", "time_first is missing: the token itself counts with e^k", function(now)
  return { now = now.u * 0, keep = now.w }
end)
recurrence("bonus-exp", "exp(time_first) is added to the key instead of time_first", function(now)
  return { now = now.u:exp(), keep = now.w }
end)

hooked("key-clamp", "keys cut off at 60, as in RWKV-2 and RWKV-3", function()
  return { recurrence = parts.recurrence(function(now, s)
    local k = now.k:minimum(60)
    local top = s.m:maximum(k + now.u)
    local past, this = (s.m - top):exp(), (k + now.u - top):exp()
    local y = (past * s.a + this * now.v) / (past * s.b + this)
    top = (s.m + now.w):maximum(k)
    past, this = (s.m + now.w - top):exp(), (k - top):exp()
    s.a, s.b, s.m = past * s.a + this * now.v, past * s.b + this, top
    return y
  end, function(d) return { a = { d.H, d.N }, b = { d.H, d.N }, m = { d.H, d.N, start = -1e38 } } end) }
end)
hooked("receptance-linear", "the receptance without its sigmoid", function(W)
  return { receptance = parts.hook("receptance", function(x, _, d) return x:linear(W(d, "att.receptance.weight")) end) }
end)

return list
