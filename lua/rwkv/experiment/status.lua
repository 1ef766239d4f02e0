-- How far the runs of an experiment are, wherever they are made: what their files say.
--   finished   its result is there
--   running    a process holds its lock
--   failed     the last process that made it ended with an error, which is said
--   stopped    it has a checkpoint, and nobody makes it: the next one who does goes on from there
--   lost       the process that made it is gone, and could not say why
--   waiting    nobody has begun it
local estimate = require "rwkv.experiment.estimate"
local files = require "rwkv.experiment.files"
local lock = require "rwkv.experiment.lock"
local visible = require "rwkv.visible"

local kinds = { "finished", "running", "failed", "lost", "stopped", "waiting" }

-- "95 s", "12 min", "3.4 h"
local function time_text(seconds)
  if seconds < 100 then return ("%.0f s"):format(seconds) end
  return seconds < 6000 and ("%.0f min"):format(seconds / 60) or ("%.1f h"):format(seconds / 3600)
end

-- The kind of a run, and what is said of it.
local function state_of(run)
  run.rows = files.read(run, true)
  if run.rows then return "finished" end
  local holder = lock.holder(run.path)
  if holder and not holder.stale then
    return "running", ("%d of %d examples, process %s on %s, since %s"):format(holder.examples, run.config.examples, holder.process,
      holder.host, time_text(os.time() - holder.begun)), holder.examples
  end
  local failure = files.failure(run)
  if failure then return "failed", failure end
  local begun = files.has_checkpoint(run)
  if not holder then return begun and "stopped" or "waiting" end
  return "lost", ("process %s on %s is gone; there is %s checkpoint"):format(holder.process, holder.host, begun and "a" or "no")
end

-- The text of all: a line of numbers, and a line for each run that is running, failed or lost.
return function(name, runs)
  local count, lines, todo, finished, at_work = {}, {}, {}, {}, {}
  for _, kind in ipairs(kinds) do count[kind] = 0 end
  for _, run in ipairs(runs) do
    local kind, text, seen = state_of(run)
    count[kind] = count[kind] + 1
    table.insert(kind == "finished" and finished or todo, run)
    if seen then at_work[run] = seen end
    if text then lines[#lines + 1] = ("%-8s %s: %s\n"):format(kind, visible.line(run.title), visible.line(text)) end
  end
  local expected, parts = estimate(todo, finished), { ("%s: %d runs"):format(name, #runs) }
  for run, seen in pairs(at_work) do expected:began(run, seen) end
  for _, kind in ipairs(kinds) do
    if count[kind] > 0 then parts[#parts + 1] = ("%d %s"):format(count[kind], kind) end
  end
  local left = #todo > 0 and expected:left(math.max(count.running, 1))
  if left then
    parts[#parts + 1] = ("about %s left with %d at a time"):format(time_text(left), math.max(count.running, 1))
  end
  return table.concat(parts, ", ") .. "\n" .. table.concat(lines)
end
