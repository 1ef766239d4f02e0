-- stir(model) -> the model, with noise on every parameter: none is at a value where its gradient vanishes.
local rwkv = require "rwkv"

return function(model)
  for name, t in model:parameters() do
    local noise = rwkv.rng(7, name):tensor("normal", t:shape())
    t:set(rwkv.no_grad(function() return t + noise * 0.2 end))
  end
  return model
end
