-- What a computation costs: seconds, bytes, and how they grow.
local rwkv = require "rwkv"

local costs = {}

-- ---- time ----

-- Seconds, for differences. On the CPU of the processor, of all threads (os.clock): what else runs has little part in them. On a
-- device those that pass.
local function now() return rwkv.device() and rwkv.time() or os.clock() end

costs.clock = "of the processor" -- what now() counts
if rwkv.device() then costs.clock = "on the wall" end

-- Seconds of f(), a step: what it computes is done when it ends. f returns a tensor, or nothing if it has read its results itself.
function costs.seconds(f)
  local start = now()
  local y = f()
  if y and rwkv.device() then y:reshape(-1):slice(1, 1, 1):item() end -- a device goes on by itself until somebody reads
  rwkv.end_step()
  return now() - start
end

-- ---- memory ----

local piece = rwkv.zeros(256)

-- Fills the step's last block of memory: pieces of 256 numbers, until another block is taken. How many they were.
local function fill()
  local held, pieces = rwkv.tape_bytes(), 0
  repeat
    local _ = piece + 0
    pieces = pieces + 1
  until rwkv.tape_bytes() - held > 4 * 2 ^ 20 -- blocks of numbers have 8 MB, those of all else 1 MB
  return pieces
end

-- Numbers of the program's precision that f() takes of the step's memory and keeps until its end, in whole pieces: tensors, their
-- gradients, and what is kept for the way back. Not counted: leaves, and the room in which a kernel works. f takes less than 8 MB.
function costs.numbers(f)
  rwkv.end_step()
  fill()
  local block, held = fill(), rwkv.tape_bytes()
  f()
  if rwkv.tape_bytes() - held > 4 * 2 ^ 20 then error("costs.numbers: f takes more than a block of memory; measure a smaller size", 2) end
  local left = fill()
  rwkv.end_step()
  return (block - left) * piece:size()
end

-- ---- growth ----

-- The exponent e and the factor c of y = c x^e through points { { x, y }, .. }, least squares of the logarithms; nil of fewer than two x.
function costs.power(points)
  local n, sx, sy, sxx, sxy = #points, 0, 0, 0, 0
  for _, p in ipairs(points) do
    local x, y = math.log(p[1]), math.log(p[2])
    sx, sy, sxx, sxy = sx + x, sy + y, sxx + x * x, sxy + x * y
  end
  local spread = n * sxx - sx * sx
  if n < 2 or spread <= 1e-9 * n * sxx then return nil end
  local exponent = (n * sxy - sx * sy) / spread
  return exponent, math.exp((sy - exponent * sx) / n)
end

-- The same of the upper half of the points, which are in rising order of x; of four at least.
function costs.growth(points)
  local from = math.max(1, math.min(#points // 2 + 1, #points - 3))
  return costs.power(table.move(points, from, #points, 1, {}))
end

-- Where the points of `steep` rise above those of `flat`, at the same x from the first on: x and y, between two of them along straight
-- lines of the logarithms. If it is above from the start or stays below: nil, and "before" or "after" what they have in common.
function costs.crossing(steep, flat)
  local last
  for i = 1, math.min(#steep, #flat) do
    local ratio = math.log(steep[i][2] / flat[i][2])
    if ratio > 0 then
      if not last then return nil, "before" end
      local part = -last / (ratio - last)
      local function between(list, k) return list[i - 1][k] ^ (1 - part) * list[i][k] ^ part end
      return between(flat, 1), between(flat, 2)
    end
    last = ratio
  end
  return nil, "after"
end

return costs
