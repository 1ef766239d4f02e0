-- Slurm: the runs of an experiment as a job array. A row of a list is a run, a task some rows; the list, the job's script and its id stay in
-- runs/slurm. See lua/pages/cluster.md.
local contents = require "rwkv.contents"
local core = require "rwkv.core"
local experiment_command = require "rwkv.experiment.command"
local quoted = require "rwkv.quoted"
local visible = require "rwkv.visible"

local slurm = {}

local folder, most_tasks = "runs/slurm", 1000 -- MaxArraySize is 1001 where nobody has set it

-- ---- the command line ----

local own = { ["--slurm"] = 0, ["--sbatch"] = 1, ["--runs-a-task"] = 1 } -- how many words follow

-- The words after `aviary`: the script, the words that are for this command, and all others, which are the script's.
function slurm.take_apart(words)
  local script, mine, theirs, i = nil, {}, {}, 1
  while words[i] do
    local follow = own[words[i]]
    if not follow then
      if not script then script = words[i] else theirs[#theirs + 1] = words[i] end
    elseif words[i] ~= "--slurm" then
      table.move(words, i, i + follow, #mine + 1, mine)
    end
    i = i + 1 + (follow or 0)
  end
  return script, mine, theirs
end

-- This program with its options, as words for the shell.
local function program()
  local words, first, last = {}, 0, arg[0] == "slurm" and -1 or 0
  while arg[first - 1] do first = first - 1 end
  for i = first, last do words[#words + 1] = quoted(arg[i]) end
  return table.concat(words, " ")
end

-- ---- other programs ----

-- What a command prints, its status and what it says of errors.
local function output_of(line)
  local errors = os.tmpname()
  local pipe = io.popen(("%s 2>%s"):format(line, quoted(errors)))
  local text = pipe:read "a"
  local _, _, status = pipe:close()
  local said = contents(errors) or ""
  os.remove(errors)
  return text, status, said
end

local function is_there(name) return select(2, output_of("command -v " .. name)) == 0 end

-- ---- what is to be done ----

local function lines_of(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do list[#list + 1] = line end
  return list
end

local function line_of(script, words)
  local line = { program(), quoted(script) }
  for _, word in ipairs(words) do line[#line + 1] = quoted(word) end
  return table.concat(line, " ")
end

-- The commands of the runs that are not finished. A script prints what it likes: only what runs one of its runs, as it was called, is taken.
local function unfinished(script, words)
  local text, status, said = output_of(line_of(script, words) .. " --list --unfinished")
  io.stderr:write(visible.text(said))
  if status ~= 0 then os.exit(status, true) end
  local begin = line_of(script, experiment_command.words(words)) .. " --run "
  local list = lines_of(text)
  for _, line in ipairs(list) do
    local run = line:sub(1, #begin) == begin and line:sub(#begin + 1) or ""
    if not run:find "^[%w._/=:,+-]+$" and not run:find "^'[^']+'$" then
      error(("%s --list: expected lines '%s..', found '%s'"):format(script, begin, visible.line(line:sub(1, 200))), 0)
    end
  end
  return list
end

local others = { list = true, status = true, collect = true, run = true, check = true, fresh = true, unfinished = true }

-- What cannot be asked for together.
local function check_options(words, o)
  for _, word in ipairs(words) do
    if others[word:match "^%-%-(%l+)$" or ""] then
      error(("--slurm and %s: expected one of them"):format(word), 0)
    end
  end
  for word in o.sbatch:gmatch "%S+" do
    if word:find "^%-%-array" or word:find "^%-a" or word:find "^%-%-parsable" then
      error(("--sbatch: %s is decided here; use --runs-a-task for the size of the array"):format(word), 0)
    end
  end
end

-- Which run a command makes, and into which folder: however many threads it has, and whatever else does not change the run.
local function run_of(line)
  return ("%s %s"):format(line:match " %-%-out ('[^']*')" or line:match " %-%-out (%S+)" or "", line:match " %-%-run (.*)$")
end

-- Which runs wait, or are made, as tasks of jobs that were submitted before: [run_of a command] = job.
local function queued(name)
  local found = {}
  if not is_there "squeue" then return found end
  local files = output_of(("ls %s/%s-*.job 2>/dev/null"):format(folder, quoted(name)))
  for _, path in ipairs(lines_of(files)) do
    local job, each = (contents(path) or ""):match "^(%d+) (%d+)\n"
    local list = lines_of(contents((path:gsub("job$", "list"))) or "")
    for _, task in ipairs(job and lines_of((output_of(("squeue --noheader --array --format=%%K --jobs=%s"):format(job)))) or {}) do
      local last = tonumber(task) and tonumber(task) * each or 0
      for i = last - each + 1, last do
        if list[i] then found[run_of(list[i])] = job end
      end
    end
  end
  return found
end

-- ---- the job ----

-- Of each task: the signal comes two minutes ahead of the limit; a run that heard it ends with 75, and the task is queued again. A run that
-- was killed otherwise is begun once more, from its checkpoint.
local script_text = [[#!/bin/bash
#SBATCH --job-name=aviary-%s
#SBATCH --array=1-%d
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output="%s"
cd %s || exit 1
list=%s each=%d
export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}
pid= told= failed=0
tell() { told=1; [ -z "$pid" ] || kill -USR1 "$pid" 2>/dev/null; }
trap tell USR1 TERM

# Runs a command, and returns its status; signals come through.
run() {
  bash -c "exec $1" & pid=$!
  wait "$pid"; status=$?
  while kill -0 "$pid" 2>/dev/null; do wait "$pid"; status=$?; done
  pid=
  return "$status"
}

# Puts this task into the queue again; it ends here.
again() {
  echo "task $SLURM_ARRAY_TASK_ID: queued again, run $1"
  scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" || exit 75
  sleep 60
  exit 75
}

first=$(((SLURM_ARRAY_TASK_ID - 1) * each + 1))
for ((i = first; i < first + each; i++)); do
  line=$(sed -n "${i}p" "$list")
  [ -n "$line" ] || break
  [ -z "$told" ] || again "$i"
  for try in 1 2; do
    run "$line"; status=$?
    case $status in 75 | 138 | 140 | 143) again "$i" ;; esac
    [ "$status" -gt 128 ] || break
  done
  [ "$status" = 0 ] || { failed=1; echo "run $i: exit status $status: $line"; }
done
exit "$failed"
]]

local function here()
  local path = output_of "pwd"
  return path:gsub("\n$", "")
end

-- Submits what is missing, and says what it did. Returns the exit status.
function slurm.submit(script, words, o)
  check_options(words, o)
  local name = script:match "([^/]*)$":gsub("%.lua$", ""):gsub("[^%w_.-]", "_")
  local busy, list, waiting = queued(name), {}, 0
  for _, line in ipairs(unfinished(script, words)) do
    if busy[run_of(line)] then waiting = waiting + 1 else list[#list + 1] = line end
  end
  local in_queue = waiting > 0 and (", %d %s in the queue"):format(waiting, waiting == 1 and "run is" or "runs are") or ""
  if #list == 0 then
    print(("%s: nothing to submit%s"):format(name, in_queue))
    return 0
  end
  local each = o.runs_a_task > 0 and math.tointeger(o.runs_a_task) or (#list + most_tasks - 1) // most_tasks
  local tasks, path = (#list + each - 1) // each, ("%s/%s-%s"):format(folder, name, os.date "%Y%m%d-%H%M%S")
  local number = 0
  while contents(path .. ".list") do
    number = number + 1
    path = ("%s/%s-%s.%d"):format(folder, name, os.date "%Y%m%d-%H%M%S", number)
  end
  core.mkdir(folder)
  core.write_file(path .. ".list", table.concat(list, "\n") .. "\n")
  local place = here()
  core.write_file(path .. ".sh", script_text:format(name, tasks, (place .. "/" .. path):gsub("%%", "%%%%") .. ".%a.log", quoted(place),
    quoted(path .. ".list"), each))
  if not is_there "sbatch" then
    error(("sbatch is not there: this is no machine from which Slurm takes jobs. The job's script is %s.sh"):format(path), 0)
  end
  local text, status, said = output_of(("sbatch %s %s"):format(o.sbatch, quoted(path .. ".sh")))
  local job = text:match "Submitted batch job (%d+)"
  if status ~= 0 or not job then
    for _, ending in ipairs { ".list", ".sh" } do os.remove(path .. ending) end
    local why = (said .. text):gsub("%s+$", "")
    error(("sbatch: %s"):format(why ~= "" and why or ("exit status %d"):format(status)), 0)
  end
  core.write_file(path .. ".job", ("%s %d\n"):format(job, each))
  print(("%s: job %s, %d runs in %d tasks%s\n  script %s.sh, logs %s.TASK.log"):format(name, job, #list, tasks, in_queue, path, path))
  return 0
end

return slurm
