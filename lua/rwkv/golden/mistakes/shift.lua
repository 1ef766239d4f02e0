-- Mistakes of the token shift and of its mixes. What an entry is: init.lua.
local core = require "rwkv.core"

local list = {}
local function mistake(e)
  e.family = "formula"
  list[#list + 1] = e
end

-- ---- the token before ----

local function shift(id, title, after) -- after(prev, x)
  local edit = { after = function(prev, _, _, x) return after(prev, x) end }
  mistake { id = id, title = title, of = "^v", edits = { ["att.prev"] = edit, ["ffn.prev"] = edit } }
end
shift("shift-first", "the first token is shifted onto itself instead of zeros", function(prev, x)
  local first = x:slice(2, 1, 1)
  return x:size(2) > 1 and core.concat({ first, prev:slice(2, 2, -1) }, 2) or first
end)
shift("shift-missing", "no token shift: every mix is of the token itself", function(_, x) return x end)

-- ---- mixes ----

-- mu -> 1 - mu, in v6 also what the low-rank maps add to it
local function turn(part)
  return function(name, of)
    if not name:find(part) then return nil end
    if name:find "time_mix" or name:find "time_maa_%l$" or name:find "%.x_%l$" then return 1 - of(name) end
    return name:find "time_maa_[rkvw_]*w2$" and -of(name) or nil
  end
end
mistake { id = "mix-direction", title = "mix direction: mu weighs the other token of the two", of = "^v[2-7]", weight = turn "" }
mistake { id = "mix-direction-att", title = "mix direction in time mixing: mu weighs the other token", of = "^v[2-7]",
  weight = turn "%.att%." }
mistake { id = "mix-direction-ffn", title = "mix direction in channel mixing: mu weighs the other token", of = "^v[2-7]",
  weight = turn "%.ffn%." }

return list
