-- The float64 program's part of `bench device`: how far a device's recurrence is from the reference, from a file of its inputs
-- and outputs. The last line: output_error=... gradient_error=..., relative root mean squares, the worst of each kind.
local rwkv = require "rwkv"
local common = require "rwkv.bench.common"
local inputs = require "rwkv.bench.device.inputs"

return function(arguments)
  local o = common.options(arguments, { file = "", name = "" })
  local x, weights, found = inputs.load(o.file)
  local worst = { output = 0, gradient = 0 }
  for key, want in pairs(inputs.results(o.name, x, weights)) do
    local kind = (key == "y" or key == "S1") and "output" or "gradient"
    local difference = rwkv.no_grad(function() return ((found[key] - want):norm() / want:norm()):item() end)
    worst[kind] = math.max(worst[kind], difference)
  end
  print(common.line { { "output_error", "%.3e", worst.output }, { "gradient_error", "%.3e", worst.gradient } })
end
