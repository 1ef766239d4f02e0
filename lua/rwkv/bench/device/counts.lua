-- What the device counts, and what it can do.
local rwkv = require "rwkv"
local core = require "rwkv.core"
local median = require "rwkv.statistics".median

local counts = {}

-- What a step needs: ops, launches, reads; and the seconds that the device takes for its ops, each waited for.
function counts.of_step(step)
  local before = core.backend_counts()
  step()
  local after, of = core.backend_counts(), {}
  for _, name in ipairs { "ops", "launches", "reads" } do of[name] = after[name] - before[name] end
  core.backend_counts(true)
  before = core.backend_counts(true)
  step()
  of.seconds = core.backend_counts(false).seconds - before.seconds
  return of
end

-- The median of the seconds that f takes, and of what it has put on the device.
function counts.seconds(f, runs)
  local times = {}
  for i = 0, runs do -- the first one warms up
    local start = rwkv.time()
    f()
    if i > 0 then times[i] = rwkv.time() - start end
  end
  return median(times)
end

-- Multiplications and additions a second of a product of two n x n matrices, as --matmul has them.
function counts.product_rate(n)
  return rwkv.no_grad(function()
    local rng, runs = rwkv.rng(1), 10
    local row = rng:tensor("normal", n)
    local a = rwkv.zeros(n, n) + row
    local b = rwkv.zeros(n, n) + row:reshape(n, 1)
    local seconds = counts.seconds(function()
      local y
      for _ = 1, runs do y = a:bmm(b) end
      return y:slice(1, 1, 1):sum():item()
    end, 5)
    return 2 * n ^ 3 * runs / seconds
  end)
end

return counts
