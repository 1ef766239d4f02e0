-- Learning rates by the kind of model, of the settings lr, lr_of_vectors and lr_of_attention of a scale: the versions before v5 keep
-- a vector a layer, attention all tokens, the others a matrix a head, and each kind learns best at rates of its own.
return function(label, s)
  return label:find "^v[1-4]$" and s.lr_of_vectors or label == "attention" and s.lr_of_attention or s.lr
end
