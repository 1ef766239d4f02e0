-- Mistakes in the time mixing of RWKV-2 and RWKV-3. What an entry is: init.lua.
local list = {}
local function mistake(id, title, of, e)
  e.id, e.title, e.of, e.family = id, title, of, "formula"
  list[#list + 1] = e
end
local function eps(value) return { change = function(c) c.eps.sums = value end } end

mistake("k-eps", "the denominator's eps is 1e-8 (RWKV-3's) instead of 1e-16", "^v2$", eps(1e-8))
mistake("k-eps", "the denominator's eps is 1e-16 (RWKV-2's) instead of 1e-8", "^v3$", eps(1e-16))
mistake("no-clamp", "keys are not cut off at 60", "^v[23]$",
  { edits = { ["att.e"] = { f = function(m, _, k) return m.f(k:exp()) end } } })
mistake("bonus-missing", "time_first is missing: the token itself counts with 1", "^v[23]$",
  { edits = { ["att.y"] = { around = function(f, m, c, u, ...) return f(m, c, u * 0, ...) end } } })
mistake("receptance-linear", "the receptance without its sigmoid", "^v[23]$",
  { edits = { ["att.r"] = { f = function(m, _, x, w) return m.linear(x, w) end } } })

return list
