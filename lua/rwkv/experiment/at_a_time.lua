-- How many runs are made at a time where --jobs does not say: small models are trained sooner side by side, each on its share of
-- the threads, than one after the other on all of them; how many is what their arithmetic says. The numbers do not depend on it.
local hooks = require "rwkv.hooks"

local together = 0.85 -- n threads train a small model n^0.85 times as fast as one
local small = 1 << 20 -- batch x tokens x channels x layers, of a model that is small
local least = 2e10 -- operations, of a run for which it pays to begin a process
local early = 1 -- seconds that a script takes, at most, until it comes to its runs: each process takes them again

-- Whether a hook of the run is in Lua: what it prints or keeps is this process's.
local function has_own_hook(c)
  for slot, hook in pairs(c.hooks or {}) do
    if type(hook) ~= "string" or hooks.find(slot, hook) then return true end
  end
  return false
end

local function is_small(run)
  local c = run.config
  return c.batch * run.tokens * c.dim * c.layers <= small and run.flops >= least and #run.uncovered == 0 and not has_own_hook(c)
end

-- The operations of the longest of so many places, each of which takes the next run when it is free.
local function longest(runs, places)
  local loads = {}
  for place = 1, places do loads[place] = 0 end
  for _, run in ipairs(runs) do
    local free = 1
    for place = 2, places do if loads[place] < loads[free] then free = place end end
    loads[free] = loads[free] + run.flops
  end
  return math.max(table.unpack(loads))
end

-- The runs, those that take longest first: so the last ones end at about the same time.
local function in_order(runs)
  local place, list = {}, { table.unpack(runs) }
  for i, run in ipairs(runs) do place[run] = i end
  table.sort(list, function(a, b)
    if a.flops ~= b.flops then return a.flops > b.flops end
    return place[a] < place[b]
  end)
  return list
end

-- How many of the runs are made at a time on so many threads.
local function best(runs, threads)
  local jobs, shortest = 1, longest(runs, 1) / threads ^ together
  for places = 2, math.min(threads, #runs, 64) do
    local time = longest(runs, places) / (threads // places) ^ together
    if time < shortest then jobs, shortest = places, time end
  end
  return jobs
end

-- q: what experiment.run was given; threads: of this program; seconds: that the script took until here. 1 where the runs have to
-- stay in this process, or are too large or too short.
local function choose(q, runs, threads, seconds)
  if not q.options or q.evaluate or q.final or q.stop or q.prepare or seconds > early then return 1 end
  for _, run in ipairs(runs) do if not is_small(run) then return 1 end end
  return best(in_order(runs), threads)
end

return { choose = choose, best = best, in_order = in_order }
