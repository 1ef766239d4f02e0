-- Models of equally many parameters: what is left free is the width of channel mixing, all else is the same.
local rwkv = require "rwkv"

local equal_parameters = {}

-- The sizes of a model { label =, version =, hooks = } in whole, with this width of channel mixing; without one with its usual one.
function equal_parameters.describe(m, sizes, dim_ffn)
  local all = { version = m.version, dim_ffn = dim_ffn, hooks = m.hooks and rwkv.experiment.by_layer(m.hooks, sizes.layers) }
  for name, value in pairs(sizes) do all[name] = value end
  return rwkv.describe(all)
end

-- The width of channel mixing with which a model has as many parameters as `target`, within a part `tolerance` of them; sizes: layers,
-- dim, head_size, vocab, ctx.
function equal_parameters.dim_ffn(m, sizes, target, tolerance)
  local low, high = 64, 128
  local at_low, at_high = equal_parameters.describe(m, sizes, low).parameters, equal_parameters.describe(m, sizes, high).parameters
  local each = (at_high - at_low) / (high - low) -- parameters grow evenly with the width
  local width = math.max(1, each > 0 and math.floor(low + (target - at_low) / each + 0.5) or 0)
  local found = equal_parameters.describe(m, sizes, width).parameters
  if math.abs(found - target) > tolerance * target then
    error(("%s: %d parameters with channel mixing %d wide, expected %d within %g %%"):format(m.label, found, width, target,
      100 * tolerance), 0)
  end
  return width
end

return equal_parameters
