-- What the mixers share.
local core = require "rwkv.core"

local parts = {}

-- A linear map of a mixer: N(0, 0.02), as GPT-2 and Zoology have it. The name of the parameter ends in "weight".
function parts.map(out, input) return { out, input, init = "normal", gain = 0.02 } end

-- Causal convolution of each channel over `width` tokens: x [B,T,C], past [B,width-1,C] -> y [B,T,C], past. weight
-- [C,width]; the last column is the token's own.
function parts.short_conv(x, past, weight)
  local width, T, C = weight:shape()[2], x:shape()[2], x:shape()[3]
  local all, y = core.concat({ past, x }, 2), nil
  for i = 1, width do
    local term = all:slice(2, i, i + T - 1) * weight:slice(2, i, i):reshape(C)
    y = y and y + term or term
  end
  return y, all:slice(2, T + 1, T + width - 1)
end

-- Initial values of such a convolution: uniform in +-1/sqrt(width), PyTorch's default.
function parts.conv_weight(channels, width)
  return { channels, width, init = "uniform", gain = 1 / math.sqrt(width) }
end

-- A number for each head, [B,T,H] -> the same for all its channels, [B,T,A].
function parts.per_channel(x, d)
  return (x:reshape(d.B, d.T, d.H, 1) + core.zeros(d.H, d.N)):reshape(d.B, d.T, d.A)
end

-- Rotary positions (Su et al. 2021, arXiv:2104.09864): cosines and sines [B,T,1,N/2] for the d.T tokens after `position`
-- [B,1]; returns them and the position after.
function parts.rotation(position, d)
  local half = d.N // 2
  local steps, frequencies = {}, {}
  for t = 1, d.T do steps[t] = t - 1 end
  for i = 1, half do frequencies[i] = 10000 ^ (-(i - 1) / half) end
  local angles = (position + core.tensor(steps)):reshape(d.B, d.T, 1, 1) * core.tensor(frequencies)
  return angles:cos(), angles:sin(), position + d.T
end

-- x [B,T,A] with the two halves of every head turned against each other.
function parts.rotate(x, cos, sin, d)
  local half = d.N // 2
  if half * 2 ~= d.N then error(("rotary positions need heads of even size, found %d"):format(d.N), 0) end
  x = x:reshape(d.B, d.T, d.H, d.N)
  local a, b = x:slice(4, 1, half), x:slice(4, half + 1)
  return core.concat({ a * cos - b * sin, a * sin + b * cos }, 4):reshape(d.B, d.T, d.A)
end

-- Initial values of a bias under a softplus: such that it gives steps from 0.001 to 0.1, evenly in the logarithm, as
-- Mamba's official code has it.
function parts.inverse_softplus(_, _, rng, shape)
  local log_step = rng:tensor("uniform", shape) * (math.log(0.1) - math.log(0.001)) + math.log(0.001)
  local step = log_step:exp()
  return step + (1 - (-step):exp()):log()
end

return parts
