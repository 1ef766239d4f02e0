-- Time and memory of what reads a sequence, alone, against its length: RWKV's recurrences, softmax attention, Mamba's selective scan
-- (with twice the channels, as in its blocks). After Figures 6 and 7 of arXiv:2404.05892; the orders in T are those of Table 1 of
-- arXiv:2305.13048. No model is trained.
--   aviary experiments/speed_memory.lua [--scale quick|small|paper] [--out DIR]
-- Writes OUT/speed_memory.figure.tsv; plots/speed_memory.gp draws it.
--
-- Predicted: the recurrences' time grows as T, attention's as T^2; all memory as T, since no kernel here keeps the weights of
-- attention. Published: Finch uses "40 % and 17 % less memory" than attention and Mamba.
--
-- One thread, whose time of the processor is counted (os.clock), as others' programs have little part in it; on a device the clock on
-- the wall. At each length all take turns, so that a disturbance meets all. An op is left out from the length on at which one pass
-- would take more than `limit` seconds, or all that is held more than `memory` GB.
local rwkv = require "rwkv"
local others = require "rwkv.bench.others"
local median = require "rwkv.statistics".median
local costs = require "experiments.measure.costs"
local ops = require "experiments.measure.sequence_ops"

local o = rwkv.experiment.options(arg, {}, true)
local s = rwkv.experiment.scale(o, {
  smoke = { batch = 1, dim = 32, head_size = 16, from = 16, to = 128, tries = 2, limit = 1., memory = 1. },
  quick = { batch = 1, dim = 256, head_size = 64, from = 64, to = 8192, tries = 3, limit = 0.5, memory = 4. },
  small = { batch = 1, dim = 512, head_size = 64, from = 64, to = 65536, tries = 5, limit = 5., memory = 12. },
  paper = { batch = 8, dim = 4096, head_size = 64, from = 512, to = 16384, tries = 5, limit = 60., memory = 100. },
})
if s.dim % s.head_size ~= 0 then error(("dim %d: expected a multiple of head_size %d"):format(s.dim, s.head_size), 0) end
if s.to < s.from then error(("to %d: expected at least from, which is %d"):format(s.to, s.from), 0) end
rwkv.threads(1)

local rows, bytes = {}, tonumber(rwkv.precision:match "%d+") // 8
local function each(f)
  for _, label in ipairs(ops.names) do
    for _, pass in ipairs(ops.passes) do f(label, pass, label .. " " .. pass) end
  end
end

-- ---- memory: first, as long as the step's is small ----

local width, held = math.min(s.dim, 1024), 0
each(function(label, pass)
  local tensors = ops.numbers(label, pass, width, math.min(s.head_size, width), 16)
  rows[#rows + 1] = { label = label, part = "memory", pass = pass, tensors = tensors }
  held = held + tensors
end)

-- ---- time ----

local lengths, T = {}, s.from
while T <= s.to and held * s.batch * T * s.dim * bytes <= s.memory * 2 ^ 30 do
  lengths[#lengths + 1], T = T, 2 * T
end
if #lengths == 0 then error(("memory %g: expected more GB, for %d tokens"):format(s.memory, s.from), 0) end

local points, ended, most = {}, {}, 0 -- { { T, seconds }, .. } of each op and pass; which took too long; the most that others took
local bar, turns = rwkv.progress("speed_memory", #lengths * (s.tries + 1), "turns"), 0
for _, length in ipairs(lengths) do
  local x, seconds, before = ops.inputs(s.batch, length, s.dim, s.head_size), {}, others.counters()
  for turn = 0, s.tries do
    each(function(label, pass, key)
      if ended[key] then return end
      seconds[key] = seconds[key] or {}
      seconds[key][turn] = ops.seconds(label, pass, x) -- the first one, 0, gets the memory from the system: it is not counted
    end)
    turns = turns + 1
    bar:update(turns, ("%d tokens"):format(length))
  end
  local share = others.share(before, others.counters())
  most = math.max(most, share or 0)
  each(function(label, pass, key)
    local list = seconds[key]
    if not list then return end
    local middle, last = median(list), points[key] and points[key][#points[key]]
    points[key] = points[key] or {}
    table.insert(points[key], { length, middle })
    rows[#rows + 1] = { label = label, part = "time", pass = pass, T = length, seconds = middle, tries = #list, others = share }
    for i, value in ipairs(list) do
      rows[#rows + 1] = { label = label, part = "try", pass = pass, T = length, seconds = value, tries = i, others = share }
    end
    ended[key] = middle * math.min(4, last and middle / last[2] or 2) > s.limit
  end)
end
bar:finish(("%d lengths, to %d tokens"):format(#lengths, lengths[#lengths]))

-- ---- exponents, and where attention becomes slower ----

each(function(label, pass, key)
  local row, said = { label = label, part = "growth", pass = pass, exponent = costs.growth(points[key]) }, ""
  if label ~= "attention" then
    local x, y = costs.crossing(points["attention " .. pass], points[key])
    if x then
      row.crossing, row.seconds, said = x, y, ("; attention is slower from %.0f tokens on"):format(x)
    else
      said = ("; attention becomes slower %s %s"):format(y, y == "before" and lengths[1] or "its last length")
      row.crossing = y == "before" and 0 or nil
    end
  end
  rows[#rows + 1] = row
  print(("%-10s %-8s time T^%.2f%s"):format(label, pass, row.exponent or 0 / 0, said))
end)

local path = rwkv.experiment.path(o, "speed_memory")
rwkv.experiment.figure(path, { "label", "part", "pass", "T", "seconds", "tries", "others", "exponent", "crossing", "tensors" }, rows,
  ("one op alone, batch %d, width %d, heads of %d (Mamba: %d channels of 16 numbers), one thread; seconds %s, median of %d tries; "
    .. "others took up to %.0f %% of the machine"):format(s.batch, s.dim, s.head_size, 2 * s.dim, costs.clock, s.tries, 100 * most))
print((path:gsub("tsv$", "figure.tsv")))
