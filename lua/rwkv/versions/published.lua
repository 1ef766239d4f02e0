-- Released sizes as they were published, in the files beside this: what `aviary info VERSION` prints beside what is counted here.
--
--   published = { sizes = { { "169M", model = as rwkv.model takes it, COUNT = text as it was published }, .. }, formulas =
--   { { COUNT, text, function(m) of such a model, provenance }, .. }, source = }
-- A COUNT is one of sizes.count (../sizes.lua). source: the provenance of the sizes: text, code, summary or recalled, as in
-- plots/published/.
local published = { eagle = "recalled: arXiv:2404.05892" }

function published.state_of_heads(m) return m.layers * (2 * m.dim + 64 * m.dim) end

-- 2VD + 13D²L + vectors DL + 4D
function published.parameters(vectors)
  return function(m) return 2 * m.vocab * m.dim + 13 * m.dim ^ 2 * m.layers + vectors * m.dim * m.layers + 4 * m.dim end
end

function published.sizes(vocab, list)
  local all = {}
  for i, s in ipairs(list) do
    all[i] = { s[1], model = { layers = s[2], dim = s[3], vocab = vocab }, parameters = s[4], products = s[5] }
  end
  return all
end

return published
