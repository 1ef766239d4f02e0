-- aviary slurm experiments/NAME.lua [OPTIONS]        its runs as one job array of Slurm; the same is
-- aviary experiments/NAME.lua [OPTIONS] --slurm
--   --sbatch "--time=60 --partition=main"            options handed to sbatch
--   --runs-a-task 10                                 runs one after the other in a task; without it one, or what makes 1000 tasks
-- Submits the runs that are neither finished nor in the queue: called again, what is missing. Explained in: aviary help cluster.md
local rwkv = require "rwkv"
local command = require "rwkv.command"
local slurm = require "rwkv.experiment.slurm"

command.run("slurm", function(arguments)
  local script, mine, theirs = slurm.take_apart(arguments)
  local o = rwkv.options(mine, { sbatch = "", runs_a_task = 0 })
  if not script then error("expected a script: aviary experiments/NAME.lua --slurm", 0) end
  if not (math.tointeger(o.runs_a_task) and o.runs_a_task >= 0) then
    error(("--runs-a-task %s: expected a whole number, or 0 for as few tasks as there may be"):format(o.runs_a_task), 0)
  end
  return slurm.submit(script, theirs, o)
end)
