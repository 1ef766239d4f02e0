-- Text, token after token, each the most probable one: with what the model remembers carried on, or without, from the whole text.
--     local more = generation.carried(model)
--     local ids = more(64)                           -- the next 64 tokens
local rwkv = require "rwkv"

local generation = { first = 1 } -- the token that a text begins with

local function chosen(logits) return logits:argmax()[1] end

function generation.carried(model)
  local state, token = model:state(1), generation.first
  return function(n)
    local ids = {}
    for i = 1, n do
      token = rwkv.no_grad(function() return chosen(model:forward({ token }, state, { last = true })) end)
      ids[i] = token
    end
    return ids
  end
end

function generation.whole(model)
  local text = { generation.first }
  return function(n)
    local ids = {}
    for i = 1, n do
      ids[i] = rwkv.no_grad(function() return chosen(model:forward(text, nil, { last = true })) end)
      text[#text + 1] = ids[i]
    end
    return ids
  end
end

return generation
