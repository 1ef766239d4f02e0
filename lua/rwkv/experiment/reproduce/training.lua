-- A run that was made before is made again, as far as its first test after the start: are the numbers those of then?
--
-- Roundings differ: with other kernels, threads and processors, and with other code that computes the same. How much becomes of
-- them depends on the run. Measured at the first test, relative to the training loss and to that of the test:
--                                        mqar_init       longctx_recall   mqar_state      hybrids (it breaks through)
--   a start that is off by 1e-6          1e-8            1e-8             2e-8            7e-5   2e-3
--   kernels, two threads, float64                                                         4e-5   2e-3
--   half of the weight decay             8e-6   4e-6     2e-5   6e-6      1e-4   2e-4     1e-4   3e-3
--   a tenth more of the learning rate    2e-3   1e-4     5e-3   2e-3      2e-2   1e-2     4e-3   7e-4
-- So no tolerance holds for all runs, and each says its own. Numbers that agree to `same` are the same. If they do not, the run is made
-- some times more, from starts that are off by `nudge`, and `times` the farthest of these counts as rounding: were all of one normal
-- distribution, one such start would be too near once in 16 times, three of them hardly ever. The size of a nudge is of no matter:
-- 1e-7 and 1e-5 lead as far. A run in which roundings decide of more than `most` of the training loss says nothing.
local core = require "rwkv.core"
local distance = require "rwkv.experiment.reproduce.distance"
local progress = require "rwkv.progress"
local trial = require "rwkv.experiment.trial"

local measures = { "loss", "test_loss", "accuracy" }
local same = { loss = 1e-6, test_loss = 1e-6, accuracy = 1e-3 } -- relative, but of accuracy
local unit = { accuracy = 1 }
local exact = { "examples", "diverged", "parameters", "state_floats", "state_bytes" }
local nudge, nudges, times, most = 1e-6, 3, 10, 0.1

-- The test before training and the first one after it.
local function first_tests(run, title, last)
  local bar = progress(title, last, "examples")
  local tests = trial.first(run, bar, 2)
  bar:clear()
  return tests
end

-- Lets the run begin a little beside its start.
local function beside(run, seed)
  local prepare = run.prepare
  function run.prepare(model, c)
    if prepare then prepare(model, c) end
    local rng = core.rng(seed, "nudge")
    for _, p in model:parameters() do p:set(p * (1 + nudge * rng:tensor("normal", table.unpack(p:shape())))) end
  end
  return run
end

-- What stands in the tests and is not as it was, whatever rounds.
local function changed(now, was)
  for i = 1, math.max(#now, 2) do
    for _, name in ipairs(exact) do
      local a, b = (now[i] or {})[name], was[i][name]
      if a ~= b then return ("%s is %s, was %s"):format(name, a or "nothing", b or "nothing") end
    end
  end
end

-- Calls f(test, measure, how far apart) for all numbers of two lists of tests.
local function each_distance(now, was, f)
  for i = 1, 2 do
    for _, name in ipairs(measures) do
      if now[i][name] ~= nil or was[i][name] ~= nil then f(i, name, distance(now[i][name], was[i][name], unit[name])) end
    end
  end
end

-- In what two lists of tests are farther apart than allowed: { test =, name = }, or nil.
local function too_far(now, was, allowed)
  local worst
  each_distance(now, was, function(i, name, far)
    if far > allowed[i][name] and not worst then worst = { test = i, name = name } end
  end)
  return worst
end

local function shown(name, now, was, allowed)
  local one = unit[name] or math.max(math.abs(now or 0), math.abs(was or 0))
  return ("%s %.6g (was %.6g, allowed %.1g)"):format(name, now or 0 / 0, was or 0 / 0, allowed * one)
end

-- again(run_of, title, was) -> "agrees", "differs" or "not checked", and in words why. run_of() makes the run; was: its tests then.
return function(run_of, title, was)
  local last = was[2].examples
  local now, allowed = first_tests(run_of(), title, last), { {}, {} }
  local why = changed(now, was)
  if why then return "differs", ("after %d examples: %s"):format(now[#now].examples, why) end
  for i = 1, 2 do for name, x in pairs(same) do allowed[i][name] = x end end
  local worst = too_far(now, was, allowed)
  for seed = 1, worst and nudges or 0 do
    each_distance(first_tests(beside(run_of(), seed), ("%s, nudge %d"):format(title, seed), last), now, function(i, name, far)
      allowed[i][name] = math.max(allowed[i][name], times * far)
    end)
  end
  if worst then worst = too_far(now, was, allowed) end
  if worst then
    local i, name = worst.test, worst.name
    return "differs", ("after %d examples: %s"):format(now[i].examples, shown(name, now[i][name], was[i][name], allowed[i][name]))
  end
  local parts = {}
  for _, name in ipairs(measures) do
    if now[2][name] then parts[#parts + 1] = shown(name, now[2][name], was[2][name], allowed[2][name]) end
  end
  local text = ("after %d examples: %s"):format(last, table.concat(parts, ", "))
  if allowed[2].loss > most then return "not checked", text .. ": roundings decide too much of it" end
  return "agrees", text
end
