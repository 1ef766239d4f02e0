-- options("mqar", o, "vocab seq pairs") fails unless o is a table that has no other fields than these.
local nearest = require "rwkv.nearest"

return function(task, o, names)
  if type(o) ~= "table" then error(("%s.new: expected a table of options, found a %s"):format(task, type(o)), 0) end
  local list, known = {}, {}
  for name in names:gmatch "%S+" do list[#list + 1], known[name] = name, true end
  for name in pairs(o) do
    if not known[name] then error(("%s.new: there is no option '%s'%s"):format(task, tostring(name), nearest.listed(name, list)), 0) end
  end
end
