-- model:assign{ name = tensor, .. } gives every parameter the numbers under its name, in whatever shape they have. A parameter
-- without numbers, numbers without a parameter and another count are errors, before anything is changed.
local core = require "rwkv.core"
local sorted = require "rwkv.sorted"

local function some(names)
  return table.concat(names, " ", 1, math.min(#names, 8)) .. (#names > 8 and (" .. (%d in all)"):format(#names) or "")
end

return function(model, weights)
  if type(weights) ~= "table" then error(("assign: expected tensors by name, found a %s"):format(type(weights)), 0) end
  local missing, known = {}, {}
  for name, p in model:parameters() do
    local t = weights[name]
    known[name] = true
    if t == nil then
      missing[#missing + 1] = name
    elseif type(t) ~= "userdata" then
      error(("assign: %s is a %s, expected a tensor"):format(name, type(t)), 0)
    elseif t:size() ~= p:size() then
      error(("assign: %s is [%s], expected [%s]"):format(name, table.concat(t:shape(), ","), table.concat(p:shape(), ",")), 0)
    end
  end
  if #missing > 0 then error(("assign: nothing is given for %s"):format(some(missing)), 0) end
  local strange = {}
  for _, name in ipairs(sorted(weights)) do if not known[name] then strange[#strange + 1] = tostring(name) end end
  if #strange > 0 then error(("assign: the model has no parameter %s"):format(some(strange)), 0) end
  for name, p in model:parameters() do
    p:set(core.no_grad(function() return weights[name]:reshape(p:shape()) end))
  end
  return model
end
