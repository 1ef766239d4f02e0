-- Random draws of hooks, tasks and measuring functions as a function of the run and of how far it is, however it came there:
-- before every step, test and measurement all that draws is put to a place of its own. That is rwkv.rand and randn,
-- math.random, and the generators that the script's functions hold.
local core = require "rwkv.core"

local draws = {}

local lanes = { step = 1, test = 2, stop = 3 } -- all else: 0

-- place(seed, what, number, generators, starts): what: "step", "test", ..; starts: where the generators began.
function draws.place(seed, what, number, generators, starts)
  local rng = core.rng(seed, ("%s %d"):format(what, number))
  core.private.drawing_from(rng)
  local for_math = core.rng(seed, ("math.random, %s %d"):format(what, number))
  math.randomseed(for_math:integer(math.mininteger, math.maxinteger), for_math:integer(math.mininteger, math.maxinteger))
  for i, g in ipairs(generators or {}) do
    g:count(starts[i] + ((number * 4 + (lanes[what] or 0)) << 32)) -- 2^32 draws from one place to the next
  end
end

local function counts_of(generators)
  local counts = {}
  for i, g in ipairs(generators) do counts[i] = g:count() end
  return counts
end

local function restore(before, generators, counts, ok, ...)
  core.private.drawing_from(before)
  math.randomseed(0) -- its place cannot be asked for: it is the same whether something was drawn or not
  for i, g in ipairs(generators) do g:count(counts[i]) end
  if not ok then error((...), 0) end
  return ...
end

-- Calls f(counts of the generators); then everything draws as if it had not been called.
function draws.keep(generators, f)
  local counts = counts_of(generators)
  return restore(core.private.drawing_from(), generators, counts, pcall(f, counts))
end

return draws
