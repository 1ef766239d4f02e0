-- Mistakes around the layers: the norm of the embedding, the copy head. What an entry is: init.lua.
local list = {}
local function mistake(id, title, of, edits) list[#list + 1] = { id = id, title = title, of = of, family = "formula", edits = edits } end
local function of_ln0(edits)
  mistake("ln0-twice", "ln0 applied twice (to an embedding that it was folded into)", "^v[3-7]", edits)
  list[#list].needs = "embed_norm"
end

-- ---- norm of the embedding ----

of_ln0 { ["ln0.x"] = { after = function(x, m, c, _, w, b) return m.layer_norm(x, w, b, c.eps.layer) end } }
of_ln0 { ["emb.x"] = {
  operands = { [3] = "@blocks.0.ln0.weight", [4] = "@blocks.0.ln0.bias" },
  after = function(x, m, c, _, _, w, b) return m.layer_norm(x, w, b, c.eps.layer) end,
} }

-- ---- copy head ----

local function scores(factor) -- times what they are
  return { logits = { around = function(f, m, c, tokens, q, k, logits) return f(m, c, tokens, q * factor(c), k, logits) end } }
end
mistake("no-copy-head", "the copy head (head_q, head_k) is missing", "^v[123]$",
  { logits = { f = function(_, _, _, _, _, logits) return logits end } })
mistake("copy-head-256", "the copy head divides by 256 instead of by its width", "^v[123]$",
  scores(function(c) return c.head_qk / 256 end))
mistake("copy-head-sqrt", "the copy head divides by the root of its width, as attention does, instead of by the width", "^v[123]$",
  scores(function(c) return math.sqrt(c.head_qk) end))

for _, e in ipairs(list) do
  if e.id:find "copy" then e.sees = function(c) return not c.head_qk and "it has no copy head" or nil end end
end

return list
