-- method(class, name, f): a method that is written in Lua. It is given an object of the class, and its errors name the line
-- that called it.
local at_caller = require "rwkv.at_caller"
local class_of = require "rwkv.class_of"
local core = require "rwkv.core"

return function(class, name, f)
  core.private.add_method(class, name, at_caller(function(object, ...)
    local kind = class_of(object)
    if kind ~= "rwkv." .. class then
      error(("%s is called as %s:%s(..), found a %s before it"):format(name, class, name, (kind:gsub("^rwkv%.", ""))), 0)
    end
    return f(object, ...)
  end))
end
