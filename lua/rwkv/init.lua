-- The module `rwkv`: the C core and what is written on top of it in Lua. See lua/doc/.
local rwkv = require "rwkv.core"

rwkv.progress = require "rwkv.progress"
rwkv.options = require "rwkv.options"
rwkv.plot = require "rwkv.plot"
rwkv.show = require "rwkv.show"
rwkv.help = require "rwkv.help"

rwkv.gradcheck = require "rwkv.gradcheck"

local hooks = require "rwkv.hooks"
rwkv.hook, rwkv.model, rwkv.describe, rwkv.load = hooks.define, hooks.model, hooks.describe, hooks.load
rwkv.trace = require "rwkv.trace"
rwkv.mixers = require "rwkv.mixers"
rwkv.learn = require "rwkv.learn"
rwkv.cat = rwkv.concat

-- stack(list, axis or 1): tensors of one shape along a new axis
function rwkv.stack(list, axis)
  local parts = {}
  axis = axis or 1
  for i, t in ipairs(list) do
    local shape = t:shape()
    if axis < 1 or axis > #shape + 1 then error(("stack: axis %d, expected 1 to %d"):format(axis, #shape + 1), 2) end
    table.insert(shape, axis, 1)
    parts[i] = t:reshape(shape)
  end
  return rwkv.concat(parts, axis)
end

return rwkv
