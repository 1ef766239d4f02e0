-- The name that a misspelt word was probably meant to be.
--   nearest(word, names) -> the nearest of a list of names, the first one of several; nil if none is near
--   nearest.hint(word, names) -> ", did you mean 'weight_decay'?" for the end of a message, or ""
--   nearest.listed(word, names) -> ", did you mean 'lr'? there are: lr, beta1", or "; there are: lr, beta1"
-- What is near: ref/engine/nearest.h.
local core = require "rwkv.core"

local name_near = core.private.nearest
local nearest = {}

function nearest.hint(word, names)
  local name = type(word) == "string" and name_near(word, names)
  return name and (", did you mean '%s'?"):format(name) or ""
end

function nearest.listed(word, names)
  local hint = nearest.hint(word, names)
  return (hint == "" and ";" or hint) .. " there are: " .. (#names > 0 and table.concat(names, ", ") or "none")
end

return setmetatable(nearest, { __call = function(_, word, names)
  return type(word) == "string" and name_near(word, names) or nil
end })
