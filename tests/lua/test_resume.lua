-- The same numbers however an experiment ran: at once, by workers, by hand, stopped at any moment by any signal, by two processes
-- at a time. Tables are equal, models have the same bytes, and nothing is left over.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local runs = require "tests.lua.lib.runs"
local test, equal, shell = check.test, check.equal, check.shell

local home = "runs/tests/resume"
shell("rm -rf " .. home)
rwkv.mkdir(home)
local program = check.program .. " --trust --threads 1 tests/lua/lib/"

-- The command of an experiment in a folder, which is made.
local function command(script, out, options)
  rwkv.mkdir(home .. "/" .. out)
  return ("%s%s.lua --out %s/%s %s"):format(program, script, home, out, options or "")
end

local function run(...)
  local text, status = shell(command(...))
  if status ~= 0 then error(text) end
  return text
end

local function same(a, b) runs.same_folder(home .. "/" .. a, home .. "/" .. b) end

local function has(text, part) assert(text:find(part, 1, true), ("expected '%s' in:\n%s"):format(part, text)) end

local noisy = "--examples 600"
local seconds -- of the whole

test("everything that draws: the same numbers by workers, and the script goes on as if nothing had been drawn", function()
  seconds = runs.duration(command("noisy", "whole", noisy))
  run("noisy", "workers", noisy .. " --jobs 3 2>/dev/null")
  same("whole", "workers")
  local again = run("noisy", "whole", noisy .. " 2>/dev/null")
  equal(run("noisy", "workers", noisy .. " 2>/dev/null"), again)
  equal(run("noisy", "other", noisy .. " 2>/dev/null"), again)
end)

-- Stops it at the first checkpoint and at random moments, then lets it end. Returns what all said.
local function stop_and_go(script, out, options, signal)
  local said = ""
  local go = command(script, out, options)
  for i = 1, 20 do
    local text, status
    if i % 2 == 1 then text, status = runs.stopped_at_checkpoint(go, "KILL", home .. "/" .. out)
    else text, status = runs.stopped(go, signal, seconds * (0.2 + 0.5 * math.random())) end
    said = said .. text
    if i >= 4 and (status == 0 or said:find " goes on after " or options:find "jobs") then break end
  end
  return said .. run(script, out, options)
end

test("stopped again and again, and resumed: the same bits", function()
  has(stop_and_go("noisy", "killed", noisy, "KILL"), " goes on after ")
  same("whole", "killed")
  stop_and_go("noisy", "interrupted", noisy .. " --jobs 3", "INT")
  same("whole", "interrupted")
end)

test("the same with a state that is carried from batch to batch", function()
  run("noisy", "carried", noisy .. " --carry")
  has(stop_and_go("noisy", "carried_ended", noisy .. " --carry", "TERM"), " goes on after ")
  same("carried", "carried_ended")
  stop_and_go("noisy", "carried_killed", noisy .. " --carry --jobs 3", "KILL")
  same("carried", "carried_killed")
end)

test("the same with other models and tasks", function()
  run("grid", "grid", "--carry --examples 1024")
  stop_and_go("grid", "grid_killed", "--carry --examples 1024", "KILL")
  same("grid", "grid_killed")
end)

-- Tells it again and again that it will be taken down, until it has ended.
local function tell_until_ended(out, options, signals)
  local go = command("noisy", out, options)
  for i = 1, 200 do
    local signal = signals[i % #signals + 1]
    local text, status = runs.told(go, signal, seconds * (0.1 + 0.4 * math.random()))
    if status == 0 then return end
    if status < 128 then -- the others: nothing was trained yet, or no longer
      equal(status, 75)
      has(text, ("stopped by SIG%s; the same command goes on from here:"):format(signal))
    else
      equal(status, 128 + ({ USR1 = 10, USR2 = 12, TERM = 15 })[signal])
    end
  end
  error "it never ended"
end

test("told again and again that it will be taken down: it ends with the status 75, and goes on to the same bits", function()
  for i, options in ipairs { noisy, noisy .. " --jobs 2" } do
    tell_until_ended("told" .. i, options, { "TERM", "USR1", "USR2" })
    same("whole", "told" .. i)
  end
end)

test("a worker that is told alone is started again; told while nothing is trained a program just ends", function()
  local go = command("noisy", "alone", noisy .. " --jobs 2")
  local text, status = shell(("%s & pid=$!; for i in 1 2 3 4 5; do sleep %.3f; pkill -TERM -P $pid; done; wait $pid"):format(go,
    seconds * 0.1))
  if status ~= 0 then error(text) end
  same("whole", "alone")
  equal(select(2, runs.told(check.program .. " -e 'while true do end'", "TERM", 0.3)), 128 + 15)
end)

test("told between two tests, in a test, in the last measurement: no step is lost, the same bits", function()
  local script = home .. "/slow.lua"
  rwkv.write_file(script, [[
local rwkv = require "rwkv"
local mqar = require "experiments.tasks.mqar"
local function pause(where)
  io.stderr:write("in ", where, "\n")
  local x = 0
  for i = 1, 2e7 do x = x + i end
end
local function measured(model, task, where)
  pause(where)
  return { accuracy = model:loss(task:batch(1, 10)):item() }
end
local o = rwkv.experiment.options(arg)
rwkv.experiment.run { name = "slow", options = o,
  task = function(c)
    local train, test = mqar.of(c)
    local batch = train.batch
    function train.batch(...)
      pause "steps"
      return batch(...)
    end
    return train, test
  end,
  evaluate = function(model, test) return measured(model, test, "test") end,
  final = function(model, test) return { measured(model, test, "final") } end,
  configs = { { label = "v7", version = "v7", dim = 16, head_size = 8, vocab = 32, seq = 16, pairs = 2, filler = "zero", lr = 3e-3, batch = 8,
    examples = 80, every = 80, tests = 10 } } }]])
  local function go(out) return ("%s --trust --threads 1 %s --out %s/%s"):format(check.program, script, home, out) end
  local all, status = shell(go "all")
  if status ~= 0 then error(all) end
  for where, after in pairs { steps = "[1-9]%d?", test = false, final = "80" } do
    local text
    text, status = runs.told_at(go(where), "USR1", where, where == "steps" and 4 or 1) -- of steps some are looked at before
    equal(status, 75)
    has(text, "stopped by SIGUSR1")
    text, status = shell(go(where))
    if status ~= 0 then error(text) end
    assert(not after or text:find(("goes on after %s of 80"):format(after)), text)
    same("all", where)
  end
end)

test("told in a measurement that catches all errors: it is made again, and all workers hear", function()
  local script = home .. "/catches.lua"
  rwkv.write_file(script, [[
local rwkv = require "rwkv"
local mqar = require "experiments.tasks.mqar"
local o = rwkv.experiment.options(arg)
rwkv.experiment.run { name = "catches", options = o, task = mqar.of,
  final = function()
    io.stderr:write "in final\n"
    local n = 0
    for _ = 1, 100 do pcall(function() for i = 1, 1e6 do n = n + i % 3 end end) end
    return { { n = n } }
  end,
  configs = rwkv.product({ { "seed", { 0, 1 } } }, { label = "v7", version = "v7", dim = 16, head_size = 8, vocab = 32, seq = 16, pairs = 2,
    filler = "zero", lr = 3e-3, batch = 8, examples = 16, every = 8, tests = 10 }) }]])
  local function go(out, options) return ("%s --trust --threads 1 %s --out %s/%s %s"):format(check.program, script, home, out, options or "") end
  local text, status = shell(go "catches_all")
  if status ~= 0 then error(text) end
  status = select(2, runs.told_at(go "catches", "TERM", "final", 1))
  equal(status, 75)
  status = select(2, shell(("%s & pid=$!; until [ $(cat %s/catches_jobs/*.log 2>/dev/null | grep -c 'in final') = 2 ]; do sleep 0.02; done; " ..
    "kill -USR1 $pid; wait $pid"):format(go("catches_jobs", "--jobs 2"), home)))
  equal(status, 75)
  for _, out in ipairs { "catches", "catches_jobs" } do
    text, status = shell(go(out))
    if status ~= 0 then error(text) end
    same("catches_all", out)
  end
end)

test("two experiments by hand: the second is listed when the first is finished", function()
  local function list(options)
    local text = run("noisy", "listed", noisy .. " --list " .. (options or "") .. " 2>/dev/null")
    local lines = {}
    for line in text:gmatch "([^\n]*%-%-run [^\n]*)\n" do lines[#lines + 1] = line end
    return lines, text
  end
  local first = list()
  equal(#first, 4)
  equal(list "--jobs 2", first)
  has(run("noisy", "listed", noisy .. " --list"), "first is not finished; if other runs depend on its rows, they are listed when it is")
  for i = #first, 1, -1 do equal(select(2, shell(first[i])), 0) end
  local all = list()
  equal(#all, 7)
  equal({ table.unpack(all, 1, 4) }, first)
  local text, status = shell(all[7]:gsub("%-%-out %S+", "--out " .. home .. "/elsewhere"))
  has(text, "first, of which it needs the rows, is not finished")
  equal(status, 1)
  for i = 5, 7 do equal(select(2, shell(all[i])), 0) end
  run("noisy", "listed", noisy .. " --collect")
  same("whole", "listed")
end)

-- Two processes in one folder, both stopped at random moments; then two that end.
local function two_at_once(out, prefix)
  local one, two = prefix .. command("noisy", out, noisy), prefix .. command("noisy", out, noisy .. " --jobs 2")
  for i = 1, 5 do
    local stop = i < 5 and ("timeout --foreground -s KILL %.3f "):format(seconds * (0.2 + 0.6 * math.random())) or ""
    local text, status = shell(("%s%s & first=$!; %s%s; second=$?; wait $first && [ $second = 0 ]"):format(stop, one, stop, two))
    if i == 5 and status ~= 0 then error(text) end
  end
  run("noisy", out, noisy)
  same("whole", out)
end

test("two processes at once, both killed", function() two_at_once("two", "") end)

local apart = "unshare -p -f --kill-child --mount-proc "
if select(2, shell(apart .. "true")) == 0 then
  test("the same in two containers, which have the same process ids", function() two_at_once("containers", apart) end)
else
  print "SKIPPED: two containers at once (unshare -p is not permitted)"
end

test("--collect while runs are under way, and --fresh", function()
  local options = "--carry --examples 1024"
  local text, status = shell(("%s >%s.log 2>&1 & pid=$!; for i in 1 2 3 4 5 6; do %s || [ $? = 1 ] || exit 9; sleep 0.05; done; wait $pid"):format(
    command("grid", "watched", options .. " --jobs 2"), home, command("grid", "watched", options .. " --collect")))
  if status ~= 0 then error(text) end
  assert(text:find("runs are not finished", 1, true) or text:find("none of the 4 runs", 1, true), text)
  same("grid", "watched")
  assert(not run("grid", "watched", options .. " --fresh"):find("were finished before", 1, true))
  same("grid", "watched")
end)

shell("rm -rf " .. home)
