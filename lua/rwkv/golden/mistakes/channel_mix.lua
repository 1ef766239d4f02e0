-- Mistakes in the channel mixing of v2 to v7. What an entry is: init.lua.
local list = {}
local function mistake(id, title, of, key, f)
  list[#list + 1] = { id = id, title = title, of = of, family = "formula", edits = { [key] = { f = f } } }
end

mistake("ffn-relu", "channel mixing with relu instead of its square", "^v[2-7]", "ffn.k", function(m, _, x, w)
  return m.h(m.linear(x, w):relu())
end)
mistake("ffn-no-gate", "channel mixing without its receptance gate", "^v[2-6]", "ffn.out", function(m, _, _, k, w)
  return m.linear(k, w)
end)
mistake("ffn-gate-linear", "channel mixing gated without the sigmoid", "^v[2-6]", "ffn.r", function(m, _, x, w)
  return m.linear(x, w)
end)

return list
