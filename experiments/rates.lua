-- Learning rates by the kind of model, of the settings lr, lr_of_vectors and lr_of_attention of a scale: the versions before v5 keep
-- a vector a layer, attention all tokens, the others a matrix a head, and each kind learns best at rates of its own.
local rates = {}

-- The list of rates of a model, by its label.
function rates.of(label, s)
  return label:find "^v[1-4]$" and s.lr_of_vectors or label == "attention" and s.lr_of_attention or s.lr
end

-- What models.pick returns, each once with every rate of its kind: a list for rwkv.product.
function rates.each(picked, s)
  local list = {}
  for _, m in ipairs(picked) do
    for _, lr in ipairs(rates.of(m.label, s)) do
      list[#list + 1] = { label = m.label, version = m.version, hooks = m.hooks, lr = lr }
    end
  end
  return list
end

return rates
