-- public(module) -> what scripts get of a module of the library: copies of its tables, and of the tables in these, so that
-- whatever a script replaces there, the library does not see it. `private` of rwkv.core is for the library alone.
local core = require "rwkv.core"

local copies = {} -- table of the library -> the script's

-- The methods of tensors: a script may add its own, but not replace what is there. `added` holds them.
local added = {}
local function open_methods(methods)
  setmetatable(methods, { __index = added })
  return setmetatable({}, {
    __index = methods,
    __newindex = function(_, name, f)
      if rawget(methods, name) ~= nil then
        error(("rwkv.Tensor.%s is built in; choose another name"):format(tostring(name)), 2)
      end
      added[name] = f
    end,
    __pairs = function()
      local all = {}
      for _, from in ipairs { added, methods } do
        for name, f in next, from do all[name] = f end
      end
      return next, all
    end,
    __metatable = "rwkv.Tensor",
  })
end
copies[core.Tensor] = open_methods(core.Tensor)

-- A module that can be called, and has nothing else of a class.
local function call_of(value)
  local meta = getmetatable(value)
  return type(meta) == "table" and next(meta) == "__call" and next(meta, "__call") == nil and meta.__call
end

local function public(value)
  if type(value) ~= "table" or getmetatable(value) ~= nil and not copies[value] and not call_of(value) then return value end
  if not copies[value] then
    local copy, call = {}, call_of(value)
    copies[value] = call and setmetatable(copy, { __call = call, __metatable = "module" }) or copy
    for name, v in next, value do
      if not (value == core and name == "private") then copy[name] = public(v) end
    end
  end
  return copies[value]
end

core.private.copies, core.private.added_methods = copies, added -- for fingerprints

return public
