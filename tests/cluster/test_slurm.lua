-- A sweep under Slurm, whose tasks are told by the time limit, by scancel, killed, and left by slurmd: its table is that of a local run.
--   sh tests/cluster/with_slurm.sh DIR ./aviary --trust tests/cluster/test_slurm.lua
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local runs = require "tests.lua.lib.runs"
local test, equal, has, shell = check.test, check.equal, check.has, check.shell

assert(os.getenv "SLURM_CONF", "expected tests/cluster/with_slurm.sh around this")
local home = "runs/tests/slurm"
shell("rm -rf runs/slurm/sweep-* " .. home)
rwkv.mkdir(home)

local function command(out, options)
  return ("%s --threads 1 tests/cluster/sweep.lua --out %s/%s %s 2>&1"):format(check.program, home, out, options or "")
end

local function run(...)
  local text, status = shell(command(...))
  if status ~= 0 then error(text) end
  return text
end

-- The tasks of a job in the queue: { [index] = state }.
local function tasks(job)
  local list = {}
  for index, state in shell(("squeue --noheader --array --format='%%K %%T' --jobs=%s 2>/dev/null"):format(job)):gmatch "(%d+) (%u+)" do
    list[tonumber(index)] = state
  end
  return list
end

local function wait_for(what, holds)
  local start = rwkv.time()
  while not holds() do
    if rwkv.time() - start > 120 then error("in vain, for two minutes: " .. what) end
    shell "sleep 0.2"
  end
end

local function log_of(task) return (shell(("cat runs/slurm/sweep-*.%d.log 2>/dev/null"):format(task))) end

-- A task that was queued again may begin only two minutes later: here at once.
local function let_begin(job)
  for index, state in pairs(tasks(job)) do
    if state == "PENDING" then shell(("scontrol update jobid=%s_%d starttime=now 2>/dev/null"):format(job, index)) end
  end
end

local job
test("one array, submitted once", function()
  local text = run("slurm", '--slurm --sbatch "--time=1 --signal=B:USR1@53"')
  job = text:match "sweep: job (%d+), 4 runs in 4 tasks\n"
  assert(job, text)
  has(run("slurm", "--slurm"), "sweep: nothing to submit, 4 runs are in the queue")
  has(run("slurm", "--slurm --runs-a-task 3"), "sweep: nothing to submit, 4 runs are in the queue")
  has(run("slurm", "--slurm --scale small --jobs 1"), "sweep: nothing to submit, 4 runs are in the queue")
end)

test("told by scancel: it ends, is queued again, and goes on", function()
  wait_for("a run at work", function() return run("slurm", "--status"):find "running" end)
  shell "sleep 3"
  shell(("timeout 5 scancel --signal=USR1 --batch %s_1"):format(job)) -- it goes on to ask what became of the task
  wait_for("task 1 in the queue again", function() return log_of(1):find "queued again" end)
  has(log_of(1), "sweep: stopped by SIGUSR1; the same command goes on from here")
  has(run("slurm", "--status"), "1 stopped")
end)

test("killed: it is begun once more", function()
  shell "sleep 2"
  local pid = shell("pgrep -f 'tests/cluster/sweep.lua --out [^ ]*slurm --run' | tail -n 1"):match "%d+"
  assert(pid, "no process of a task")
  shell("kill -9 " .. pid)
end)

test("slurmd is stopped and started: what runs goes on", function()
  shell("kill $(cat $SLURM_DIR/d.pid); sleep 2; " .. os.getenv "SLURMD_START")
  wait_for("the node", function() return not shell("sinfo --noheader --format=%T"):find "down" end)
end)

test("told by the time limit, again and again, until all is finished", function()
  local start, seen = rwkv.time(), rwkv.time()
  repeat -- squeue may have no answer while slurmctld is busy
    if next(tasks(job)) then seen = rwkv.time() end
    if rwkv.time() - start > 300 then error("the queue is not empty: " .. shell "squeue") end
    let_begin(job)
    shell "sleep 1"
  until rwkv.time() - seen > 10
  has(run("slurm", "--status"), "sweep: 4 runs, 4 finished\n")
  has(run("slurm", "--slurm"), "sweep: nothing to submit\n")
  local told = 0
  for task = 1, 4 do
    for _ in log_of(task):gmatch "queued again" do told = told + 1 end
  end
  assert(told >= 2, "nothing was told by the time limit")
end)

test("the table is that of a local run that nobody stopped", function()
  run("local", "--jobs 2")
  run("slurm", "--collect")
  runs.same_folder(home .. "/local", home .. "/slurm")
end)

test("what sbatch refuses is said; without sbatch too", function()
  local text, status = shell(command("refused", "--slurm --sbatch --partition=none"))
  equal(status, 1)
  has(text, "slurm: sbatch: ", "invalid partition")
  text, status = shell("PATH=/nowhere; " .. command("none", "--slurm"))
  equal(status, 1)
  has(text, "slurm: sbatch is not there")
end)

shell("rm -rf runs/slurm/sweep-* " .. home)
