-- Several programs at the runs of one experiment: who makes what, what becomes of the dead, and what --status says of it.
local rwkv = require "rwkv"
local lock = require "rwkv.experiment.lock"
local check = require "tests.lua.lib.check"
local runs = require "tests.lua.lib.runs"
local test, equal, has, shell = check.test, check.equal, check.has, check.shell

local home = "runs/tests/lock"
shell("rm -rf " .. home)
rwkv.mkdir(home)
local path = home .. "/run"

local function lock_text(fields)
  local lines = {}
  for _, name in ipairs { "host", "boot", "process", "start", "begun", "beat", "examples" } do
    lines[#lines + 1] = ("%s %s\n"):format(name, fields[name] or 0)
  end
  return table.concat(lines)
end

local function read(name) return (io.open(name):read "l") end
local host, boot = read "/proc/sys/kernel/hostname", read "/proc/sys/kernel/random/boot_id"

test("a run is one process's until it is released", function()
  equal(lock.take(path), true)
  equal(lock.take(path), true) -- its own
  local other, status = shell(("%s --trust -e 'local l = require [[rwkv.experiment.lock]] local m, h = l.take([[%s]]) print(m, h.host, h.examples)'"):format(
    check.program, path))
  equal(status, 0)
  equal(other, ("false\t%s\t0\n"):format(host))
  equal(lock.holder(path).stale, false)
  lock.beat(path, 70)
  equal(lock.holder(path).examples, 70)
  lock.beat(path, 80) -- too soon after the other
  equal(lock.holder(path).examples, 70)
  lock.release(path)
  equal(lock.holder(path), nil)
end)

test("locks of the dead are taken over: no such process, another process of that number, before the boot, a host that fell silent", function()
  local now = os.time()
  for _, dead in ipairs {
    { host = host, boot = boot, process = 4194304, start = 5, begun = now, beat = now },
    { host = host, boot = boot, process = 1, start = 999999999999, begun = now, beat = now },
    { host = host, boot = "another", process = 1, start = 1, begun = now - 700, beat = now - 700 },
    { host = "elsewhere", boot = "another", process = 1, start = 1, begun = now - 700, beat = now - 700 },
    { host = "elsewhere", boot = "another", process = 1, start = 1, begun = now, beat = now + 86400 }, -- by a clock that was wrong
  } do
    rwkv.write_file(path .. ".lock", lock_text(dead))
    equal(lock.holder(path).stale, true)
    equal(lock.take(path), true)
    equal(lock.holder(path).host, host)
    lock.release(path)
  end
  for _, text in ipairs { "", "garbage\n", "host x\n" } do
    rwkv.write_file(path .. ".lock", text)
    equal(lock.take(path), true)
    lock.release(path)
  end
  equal(runs.names(home), "")
end)

test("another host's is its own while it beats; who is no longer the holder neither beats nor releases", function()
  local text = lock_text { host = "elsewhere", boot = "x", process = 77, start = 1, begun = os.time() - 5000, beat = os.time() - 60, examples = 12 }
  rwkv.write_file(path .. ".lock", text)
  local mine, holder = lock.take(path)
  equal(mine, false)
  equal(holder.host, "elsewhere")
  lock.beat(path, 99)
  lock.release(path)
  equal(rwkv.read_file(path .. ".lock"), text)
  os.remove(path .. ".lock")
end)

-- ---- experiments ----

local function command(out, options)
  rwkv.mkdir(home .. "/" .. out)
  return ("%s --trust --threads 1 tests/lua/lib/grid.lua --out %s/%s --examples 1024 %s"):format(check.program, home, out, options or "")
end

local function lines_with(text, pattern)
  local n = 0
  for line in text:gmatch "[^\n]+" do if line:find(pattern) then n = n + 1 end end
  return n
end

local whole, count
test("alone", function()
  local text, status = shell(command "whole")
  if status ~= 0 then error(text) end
  whole, count = home .. "/whole", lines_with(text, "parameters, state")
  assert(count > 2, text)
end)

test("two at once, and one that is killed in between: every run is made once, the right table", function()
  local out = home .. "/three"
  local text, status = shell(("%s >%s.1 2>&1 & one=$!; %s >%s.2 2>&1 & two=$!; %s >%s.3 2>&1 & sleep 0.4; kill -9 $!; " ..
    "wait $one && wait $two"):format(command "three", out, command "three", out, command "three", out))
  if status ~= 0 then error(text .. rwkv.read_file(out .. ".1") .. rwkv.read_file(out .. ".2")) end
  local made = 0
  for i = 1, 3 do
    made = made + lines_with(rwkv.read_file(("%s.%d"):format(out, i)), "parameters, state")
    os.remove(("%s.%d"):format(out, i))
  end
  equal(made, count)
  shell(command "three")
  runs.same_folder(whole, out)
end)

test("a run that another process makes is waited for", function()
  local out = home .. "/waits"
  local list = shell(command("waits", "--list 2>/dev/null"))
  local key = list:match "%-%-run %S+/(%S+)"
  rwkv.mkdir(out)
  rwkv.write_file(("%s/%s.lock"):format(out, key), lock_text { host = "elsewhere", boot = "x", process = 77, start = 1, begun = os.time(),
    beat = os.time() })
  local text, status = shell(("(%s; echo status $?) >%s.log 2>&1 & until grep -q waiting %s.log; do sleep 0.1; done; " ..
    "rm %s/%s.lock; wait; cat %s.log; rm %s.log"):format(command "waits", out, out, out, key, out, out))
  equal(status, 0)
  has(text, "1 run is made by others, the last one by process 77 on elsewhere; waiting", "status 0\n")
  runs.same_folder(whole, out)
end)

test("--status: finished, running, failed, lost and waiting runs", function()
  local out = home .. "/status"
  local function status_of() return (shell(command("status", "--status 2>&1"))) end
  equal(status_of():match "^[^,]*, (%d+) waiting", tostring(count))
  equal(runs.names(out), "")
  local keys = {}
  for key in shell(command("status", "--list 2>/dev/null")):gmatch "%-%-run %S+/(%S+)" do keys[#keys + 1] = key end
  shell(command("status", "--run grid/" .. keys[1]))
  rwkv.write_file(("%s/%s.lock"):format(out, keys[2]), lock_text { host = "elsewhere", boot = "x", process = 77, start = 1,
    begun = os.time() - 300, beat = os.time(), examples = 512 })
  rwkv.write_file(("%s/%s.failed"):format(out, keys[3]), "out of luck")
  rwkv.write_file(("%s/%s.lock"):format(out, keys[4]), lock_text { host = host, boot = boot, process = 4194304, start = 1 })
  local text = status_of()
  has(text, ("%d runs, 1 finished, 1 running, 1 failed, 1 lost"):format(count), " left with 1 at a time\n",
    "512 of 1024 examples, process 77 on elsewhere, since 5 min", "out of luck", "process 4194304 on " .. host .. " is gone; there is no checkpoint")
  os.remove(("%s/%s.lock"):format(out, keys[2]))
  local said, status = shell(command("status", "--jobs 2"))
  if status ~= 0 then error(said) end
  runs.same_folder(whole, out)
  equal(shell(command("status", "--status 2>/dev/null")), ("grid: %d runs, %d finished\n"):format(count, count))
end)

test("a directory in the place of a lock is named; runs are collected where only the table can be written", function()
  local out = home .. "/in_the_way"
  local key = shell(command("in_the_way", "--list 2>/dev/null")):match "%-%-run %S+/(%S+)"
  rwkv.mkdir(("%s/%s.lock"):format(out, key))
  local text, status = shell(command("in_the_way", "--run grid/" .. key .. " 2>&1"))
  equal(status, 1)
  has(text, key .. ".lock: expected a file that says who makes the run", "remove it")
  shell(("rmdir %s/%s.lock"):format(out, key))
  for _, made in ipairs { "ln -s /nowhere/x", "mkfifo" } do -- neither is waited for
    shell(("%s %s/%s.lock"):format(made, out, key))
    text, status = shell("timeout 20 " .. command("in_the_way", "--run grid/" .. key .. " 2>&1"))
    equal(status, 1)
    has(text, key .. ".lock: expected a file that says who makes the run", "remove it")
    shell(("rm %s/%s.lock"):format(out, key))
  end
  shell(command("in_the_way", "--run grid/" .. key))
  rwkv.write_file(("%s/%s.checkpoint"):format(out, key), "left over")
  has(shell(command("in_the_way", "--collect 2>&1")), "grid: 1 of ")
  equal(rwkv.read_file(("%s/%s.checkpoint"):format(out, key)), "left over")
end)

test("pipes and directories in the place of other files: --status says what it can, runs set them aside", function()
  local out = home .. "/pipes"
  local key = shell(command("pipes", "--list 2>/dev/null")):match "%-%-run %S+/(%S+)"
  rwkv.mkdir(("%s/%s.failed"):format(out, key))
  has(shell("timeout 20 " .. command("pipes", "--status 2>&1")), "1 failed", key .. ".failed: Is a directory")
  shell(("rmdir %s/%s.failed"):format(out, key))
  for _, ending in ipairs { "checkpoint", "tsv", "failed" } do shell(("mkfifo %s/%s.%s"):format(out, key, ending)) end
  local _, status = shell("timeout 20 " .. command("pipes", "--status 2>&1"))
  equal(status, 0)
  local text
  text, status = shell("timeout 60 " .. command("pipes", "--run grid/" .. key .. " 2>&1"))
  equal(status, 0)
  has(text, key .. ".tsv: Is a pipe or a device; it is now ", key .. ".checkpoint: ")
end)

test("--sbatch without --slurm", function()
  local text, status = shell(command("in_the_way", "--sbatch --time=3 2>&1"))
  equal(status, 1)
  has(text, "--sbatch goes with --slurm")
end)

test("Ctrl-C ends workers after a step: nothing is lost, a log of none is left", function()
  local out = home .. "/ctrl_c"
  runs.stopped_at_checkpoint(command("ctrl_c", "--jobs 2"), "INT", out)
  for name in shell(("ls %s"):format(out)):gmatch "%S+" do
    assert(name:find "%.checkpoint$" or name:find "%.tsv$", name)
  end
  assert(not shell(command("ctrl_c", "--status 2>/dev/null")):find " lost")
  shell(command("ctrl_c", "--jobs 2"))
  runs.same_folder(whole, out)
end)

test("an error stays to be read, until the run is made", function()
  local script = home .. "/fails.lua"
  rwkv.write_file(script, [[
local rwkv = require "rwkv"
local mqar = require "experiments.tasks.mqar"
local o = rwkv.experiment.options(arg, { well = false })
rwkv.experiment.run { name = "fails", options = o, task = mqar.of,
  final = function() return o.well and {} or error "no luck today" end,
  configs = { { label = "v7", version = "v7", dim = 16, head_size = 8, vocab = 32, seq = 16, pairs = 2, filler = "zero", lr = 3e-3, batch = 8,
    examples = 16, every = 8, tests = 10 } } }]])
  local go = ("%s --trust --threads 1 %s --out %s/fails "):format(check.program, script, home)
  equal(select(2, shell(go)), 1)
  has(shell(go .. "--status"), "fails: 1 runs, 1 failed", "no luck today")
end)

shell("rm -rf " .. home)
