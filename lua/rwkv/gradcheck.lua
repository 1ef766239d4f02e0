-- gradcheck(f, inputs..., options): compares the gradient of your own function with finite differences along
-- random directions, in float64 (the script goes on in the float64 program if it was not there already).
--   local error = rwkv.gradcheck(function(a, b) return (a * b):tanh() end, rwkv.rng(1):tensor("normal", 3), b)
-- f takes tensors and returns one; a result of several numbers is first weighted with random numbers and
-- summed. Inputs are tensors. The last argument may be { directions = 5, step = 1e-5, tolerance = 1e-6 }.
-- Returns the worst relative error; fails above the tolerance.
local core = require "rwkv.core"
local nearest = require "rwkv.nearest"
local sorted = require "rwkv.sorted"

-- The inputs, which are tensors, and the options.
local function arguments(f, ...)
  if type(f) ~= "function" then error(("gradcheck: expected a function, found a %s"):format(type(f)), 3) end
  local inputs, o = { ... }, { directions = 5, step = 1e-5, tolerance = 1e-6 }
  for name, value in pairs(type(inputs[#inputs]) == "table" and table.remove(inputs) or {}) do
    if o[name] == nil then
      error(("gradcheck does not know the option '%s'%s"):format(tostring(name), nearest.listed(name, sorted(o))), 3)
    end
    if type(value) ~= "number" or not (value > 0) or name == "directions" and not math.tointeger(value) then
      error(("gradcheck: %s is %s, expected a %snumber above 0"):format(name, tostring(value),
        name == "directions" and "whole " or ""), 3)
    end
    o[name] = value
  end
  for i, t in ipairs(inputs) do
    if getmetatable(t) ~= "rwkv.tensor" then error(("gradcheck: input %d is a %s, expected a tensor"):format(i, type(t)), 3) end
  end
  return inputs, o
end

return function(f, ...)
  core.need_double()
  local inputs, o = arguments(f, ...)
  local rng = core.rng(12345, "gradcheck")
  for i, t in ipairs(inputs) do inputs[i] = t:keep():requires_grad() end

  local weights
  local function number(...)
    local y = f(...)
    weights = weights or rng:tensor("normal", y:shape())
    return (y * weights):sum()
  end
  core.end_step()
  number(table.unpack(inputs)):backward()
  local grads = {}
  for i, t in ipairs(inputs) do grads[i] = t:grad() end
  core.end_step()

  local worst = 0
  for _ = 1, o.directions do
    local along, up, down, slope = {}, {}, {}, 0
    for i, t in ipairs(inputs) do
      along[i] = rng:tensor("normal", t:shape())
      up[i], down[i], slope = core.no_grad(function()
        return t + along[i] * o.step, t - along[i] * o.step, slope + (grads[i] * along[i]):sum():item()
      end)
    end
    local high = core.no_grad(number, table.unpack(up)):item()
    local low = core.no_grad(number, table.unpack(down)):item()
    local difference = (high - low) / (2 * o.step)
    local err = math.abs(difference - slope) / math.max(math.abs(difference), math.abs(slope), 1e-3)
    if not (err <= worst) then worst = err end -- a NaN stays
  end
  if not (worst <= o.tolerance) then
    error(("gradcheck: the gradient is off by %.3g (relative), more than %g"):format(worst, o.tolerance), 2)
  end
  return worst
end
