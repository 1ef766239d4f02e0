-- Arithmetic on lists of numbers that rounds after each operation, as PyTorch does: in half precision an operation computes in
-- float32, sums included, and its result is rounded.
--   numbers(format) -> arithmetic in "f64", "f32", "bf16" or "fp16"; .wide is float32 (in float64 float64), in which official
--   code keeps decays, recurrences and norms
--   numbers.rounding[format]: one number as the format has it
local exp, sqrt, huge = math.exp, math.sqrt, math.huge

-- To the nearest with so many bits (the products cut off what is beyond them); below 2^lowest the steps are all of one size.
local function rounding(bits, lowest, largest)
  local cut, subnormal, step = 2.0 ^ (53 - bits) + 1, 2.0 ^ lowest, 1.5 * 2.0 ^ (53 + lowest - bits)
  return function(x)
    local size = x < 0 and -x or x
    if not (size < huge) then return x end -- NaN too
    if size < subnormal then return x + step - step end
    local y = cut * x
    y = y - (y - x)
    return y > largest and huge or y < -largest and -huge or y
  end
end

local f32 = rounding(24, -126, 0x1.fffffep127)
local bf16, fp16 = rounding(8, -126, 0x1.fep127), rounding(11, -14, 65504)
local function exact(x) return x end

local numbers = {
  rounding = {
    f64 = exact, f32 = f32,
    bf16 = function(x) return bf16(f32(x)) end,
    fp16 = function(x) return fp16(f32(x)) end,
  },
  nearest = { bf16 = bf16, fp16 = fp16 }, -- of an exact number
}

function numbers.sigmoid(x) return 1 / (1 + exp(-x)) end
function numbers.tanh(x) return 2 / (1 + exp(-2 * x)) - 1 end
function numbers.silu(x) return x / (1 + exp(-x)) end

local function map(n, f)
  local y = {}
  for i = 1, n do y[i] = f(i) end
  return y
end
numbers.map = map

-- ---- one format ----

local function elementwise(n, h)
  -- f of each number of up to three lists: one operation
  function n.each(f, x, y, z)
    local out = {}
    if z then for i = 1, #x do out[i] = h(f(x[i], y[i], z[i])) end
    elseif y then for i = 1, #x do out[i] = h(f(x[i], y[i])) end
    else for i = 1, #x do out[i] = h(f(x[i])) end end
    return out
  end
  function n.add(x, y) return n.each(function(a, b) return a + b end, x, y) end
  function n.sub(x, y) return n.each(function(a, b) return a - b end, x, y) end
  function n.mul(x, y) return n.each(function(a, b) return a * b end, x, y) end
  function n.times(factor, x) return n.each(function(a) return factor * a end, x) end
  function n.plus(term, x) return n.each(function(a) return term + a end, x) end
end

local function products(n, h, f)
  -- sum of W[first + j step] x[j]
  local function dot(W, x, first, step)
    local sum = 0
    if f == exact then
      for j = 1, #x do sum = sum + W[first + j * step] * x[j] end
      return sum
    end
    for j = 1, #x do sum = f(sum + W[first + j * step] * x[j]) end
    return h(sum)
  end
  -- W [out,in], as Linear has it; b: a bias
  function n.linear(W, x, b)
    return map(#W // #x, function(i)
      local y = dot(W, x, (i - 1) * #x, 1)
      return b and h(y + b[i]) or y
    end)
  end
  -- W [in,out] from row `from` (0) on, for #x rows
  function n.matmul(x, W, from)
    local out = W.shape[#W.shape]
    return map(out, function(i) return dot(W, x, ((from or 0) - 1) * out + i, out) end)
  end
end

-- Sums of numbers at(1) .. at(count), each addition rounded.
local function sum(f, count, at)
  local s = 0
  for i = 1, count do s = f(s + at(i)) end
  return s
end

return setmetatable(numbers, { __call = function(_, format)
  local h = numbers.rounding[format] or error("no format " .. format)
  local f = format == "f64" and exact or f32
  local n = { format = format, round = h }
  n.wide = (format == "f64" or format == "f32") and n or numbers "f32"
  elementwise(n, h)
  products(n, h, f)
  function n.sum(count, at) return h(sum(f, count, at)) end

  -- x of groups of channels, normed; channel(g, i): where the i-th of group g stands. like: what is done another way
  -- (centred = false: the mean stays; unbiased = true: the variance is divided by count - 1)
  function n.norm(x, w, b, eps, groups, channel, like)
    local count, y = #x // groups, {}
    for g = 0, groups - 1 do
      local function at(i) return x[channel(g, i)] end
      local mean = like.centred == false and 0 or f(sum(f, count, at) / count)
      local variance = f(sum(f, count, function(i) return f((at(i) - mean) ^ 2) end) / (like.unbiased and count - 1 or count))
      local scale = f(1 / f(sqrt(f(variance + eps))))
      for i = 1, count do
        local c = channel(g, i)
        y[c] = h(f(f(f(at(i) - mean) * scale) * w[c]) + b[c])
      end
    end
    return y
  end
  return n
end })
