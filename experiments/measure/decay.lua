-- Decays e^w of a model, by channel: at the start, and over the tokens of a text.
local rwkv = require "rwkv"
local quantile = require "experiments.measure.quantile"

local decay = {}

-- v4's and v5.2's `time_decay`, v6's too: e^w = exp(-exp(.)) before tokens move it; v7's `w0`: exp(-e^{-1/2} sigmoid(.))
local function initial(name)
  if name:match "%.time_decay$" then return function(x) return math.exp(-math.exp(x)) end end
  if name:match "att%.w0$" then return function(x) return math.exp(-math.exp(-0.5) / (1 + math.exp(-x))) end end
end

-- The decays of a model { version =, hooks = } with its official initial values: by layer, from 0, the sorted list of its
-- channels; none where a hook has taken their place. Only the vectors matter, and they depend on nothing but the number of
-- layers, the width and (v7) the head size.
function decay.initial(m, layers, dim, head_size)
  local hooks = m.hooks and rwkv.experiment.by_layer(m.hooks, layers)
  local model = rwkv.model { version = m.version, hooks = hooks, layers = layers, dim = dim, head_size = head_size, dim_ffn = 32, vocab = 2,
    init = "uniform" }
  local found = {}
  for name, p in model:parameters() do
    local f = initial(name)
    if f then
      local list = p:reshape(-1):tolist()
      for i, x in ipairs(list) do list[i] = f(x) end
      table.sort(list)
      found[math.tointeger(name:match "^blocks%.(%d+)%.")] = list
    end
  end
  return found
end

-- The decays of a model on a text: by layer, from 0, a list of { mean =, low =, high = } of its channels in the order of their
-- means; low and high: the 10 % and the 90 % quantile over tokens. Nothing of layers without a decay.
function decay.on_text(model, tokens)
  local seen, found = rwkv.no_grad(function() return (model:trace(tokens)) end), {}
  for l = 0, model:config().layers - 1 do
    local w = seen[("blocks.%d.att.w"):format(l)]
    if not w then break end
    local decays = rwkv.no_grad(function() return w:exp():reshape(#tokens, -1):transpose() end):tolist()
    local channels = {}
    for c, list in ipairs(decays) do
      local sum = 0
      for _, x in ipairs(list) do sum = sum + x end
      table.sort(list)
      channels[c] = { mean = sum / #list, low = quantile(list, 0.1), high = quantile(list, 0.9) }
    end
    table.sort(channels, function(a, b) return a.mean < b.mean end)
    found[l] = channels
  end
  return found
end

-- Of a list of decays: the part below 0.1, the part above 0.9, the median.
function decay.summary(sorted)
  local below, above = 0, 0
  for _, x in ipairs(sorted) do
    below, above = below + (x < 0.1 and 1 or 0), above + (x > 0.9 and 1 or 0)
  end
  return { below = below / #sorted, above = above / #sorted, median = quantile(sorted, 0.5) }
end

return decay
