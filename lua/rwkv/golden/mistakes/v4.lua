-- Mistakes in RWKV-4: sums a e^p and b e^p of exponentials. What an entry is: init.lua.
local list = {}
local function mistake(id, title, edits)
  list[#list + 1] = { id = id, title = title, of = "^v4$", family = "formula", edits = edits }
end

-- The sums with another key: key(m, w, k, u) is what is stored.
local function stored(key)
  local function without_values(f, m, c, w, k, u) return f(m, c, w, key(m, w, k, u:reshape(-1))) end
  local below = { operands = { [3] = "@time_first" }, around = without_values }
  return {
    ["state.att_aa"] = { operands = { [4] = "@time_first" }, around = function(f, m, c, w, k, v, u)
      return f(m, c, w, key(m, w, k, u:reshape(-1)), v)
    end },
    ["state.att_bb"] = below, ["state.att_pp"] = below,
  }
end

mistake("decay-before-read", "the sums are decayed before they are read instead of after",
  { ["att.wkv"] = { operands = { [7] = "w" }, around = function(f, m, c, u, k, v, a, b, p, w)
    return f(m, c, u, k, v, a, b, m.f(p + w))
  end } })
mistake("decay-own", "a token's own pair is decayed when it is stored: (A + e^k v) e^w instead of A e^w + e^k v",
  stored(function(m, w, k) return m.f(k + w) end))
mistake("bonus-in-state", "time_first is added to the key that is stored, not only to the one that is read",
  stored(function(m, _, k, u) return m.f(k + u) end))

local function bonus(id, title, change)
  mistake(id, title, { ["att.wkv"] = { around = function(f, m, c, u, ...) return f(m, c, change(m, u), ...) end } })
end
bonus("bonus-missing", "time_first is missing: the token itself counts with e^k", function(_, u) return u * 0 end)
bonus("bonus-exp", "exp(time_first) is added to the key instead of time_first", function(m, u) return m.f(u:exp()) end)

-- In the key itself, or where it is used.
local clamp = "keys cut off at 60, as in RWKV-2 and RWKV-3"
mistake("key-clamp", clamp, { ["att.k"] = { after = function(k) return k:minimum(60) end } })
local clamped = stored(function(_, _, k) return k:minimum(60) end)
clamped["att.wkv"] = { around = function(f, m, c, u, k, ...) return f(m, c, u, k:minimum(60), ...) end }
mistake("key-clamp", clamp, clamped)
mistake("receptance-linear", "the receptance without its sigmoid",
  { ["att.r"] = { f = function(m, _, x, w) return m.linear(x, w) end } })

return list
