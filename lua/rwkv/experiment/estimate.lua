-- How long a list of runs will still take: by their arithmetic, and by how fast runs like them have been.
--   local e = estimate(todo, finished);  e:began(run, seen);  e:moved(run, seen);  e:ended(run);  e:left(jobs) -> seconds
-- A run has flops (of all of it), config and tokens (of an example); finished ones have rows.
local core = require "rwkv.core"

local Estimate = {}
Estimate.__index = Estimate

local least = 0.5 -- seconds: what was measured for less says nothing

-- What makes runs alike, from much to nothing.
local function kinds_of(run)
  local c = run.config
  local model = ("%s %s %s"):format(c.label, c.version, c.head_size or "")
  return { ("%s %d %d %d"):format(model, c.layers, c.dim, run.tokens), model, "all" }
end

local function count(kinds, run, flops, seconds)
  for _, kind in ipairs(kinds_of(run)) do
    local k = kinds[kind] or { flops = 0, seconds = 0 }
    kinds[kind] = { flops = k.flops + flops, seconds = k.seconds + seconds }
  end
end

local function flops_of(run, examples) return run.flops * examples / run.config.examples end

-- Adds what is known of a run at work.
local function count_at_work(kinds, run, at)
  if at.seconds and at.seconds >= least and at.seen > at.from then
    count(kinds, run, flops_of(run, at.seen - at.from), at.seconds)
  end
end

function Estimate:began(run, seen) self.at[run] = { start = core.time(), from = seen, seen = seen } end

-- seen: examples so far
function Estimate:moved(run, seen)
  if not self.at[run] then self:began(run, seen) end
  local at = self.at[run]
  at.seen, at.seconds = seen, core.time() - at.start
end

function Estimate:ended(run)
  local at = self.at[run]
  if at then count_at_work(self.kinds, run, at) end
  self.at[run], self.todo[run] = nil, nil
end

-- Operations a second of the runs most like it; nil if nothing is known.
local function speed(kinds, run)
  for _, kind in ipairs(kinds_of(run)) do
    local k = kinds[kind]
    if k then return k.flops / k.seconds end
  end
end

-- Seconds until all are done, so many at a time; nil as long as nothing is known.
function Estimate:left(jobs)
  local kinds, sum, longest = setmetatable({}, { __index = self.kinds }), 0, 0
  for run, at in pairs(self.at) do count_at_work(kinds, run, at) end
  for run in pairs(self.todo) do
    local rate, at = speed(kinds, run), self.at[run]
    if not rate then return nil end
    local needs = flops_of(run, math.max(0, run.config.examples - (at and at.seen or 0))) / rate
    sum, longest = sum + needs, math.max(longest, needs)
  end
  return math.max(sum / (jobs or 1), longest)
end

-- todo: a list of runs; finished: others, of which the rows are there
return function(todo, finished)
  local self = setmetatable({ at = setmetatable({}, { __mode = "k" }), kinds = {}, todo = {} }, Estimate)
  for _, run in ipairs(todo) do self.todo[run] = true end
  for _, run in ipairs(finished or {}) do
    local last = run.rows[#run.rows]
    if type(last.flops) == "number" and type(last.seconds) == "number" and last.seconds > 0 then
      count(self.kinds, run, last.flops, last.seconds)
    end
  end
  return self
end
