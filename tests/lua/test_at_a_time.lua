-- How many runs an experiment makes at a time by itself, and that the numbers do not depend on it.
local rwkv = require "rwkv"
local at_a_time = require "rwkv.experiment.at_a_time"
local tsv = require "rwkv.tsv"
local check = require "tests.lua.lib.check"
local test, equal, has = check.test, check.equal, check.has

local function runs(...)
  local list = {}
  for i, flops in ipairs { ... } do list[i] = { flops = flops } end
  return list
end

test("as many places as end soonest", function()
  for _, case in ipairs { { 1, 1, { 5 } }, { 1, 2, { 5 } }, { 2, 2, { 5, 5 } }, { 1, 2, { 5, 5, 5 } }, { 2, 2, { 5, 5, 5, 5 } },
    { 1, 1, { 5, 5, 5, 5 } }, { 1, 2, { 9, 1, 1 } }, { 2, 2, { 4, 2, 1, 1 } }, { 4, 4, { 5, 5, 5, 5 } }, { 2, 4, { 5, 5 } },
    { 5, 16, { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 } } } do
    equal(at_a_time.best(at_a_time.in_order(runs(table.unpack(case[3]))), case[2]), case[1])
  end
end)

test("the longest come first, equal ones as they stand in the list", function()
  local list = runs(1, 3, 2, 3)
  local order = at_a_time.in_order(list)
  assert(order[1] == list[2] and order[2] == list[4] and order[3] == list[3] and order[4] == list[1])
  equal(#list, 4)
end)

test("one after the other where the script's own functions are at work, or where it would not pay", function()
  local function chosen(question, changes, threads, seconds)
    local run = { flops = 1e11, tokens = 64, uncovered = {}, config = { batch = 64, dim = 64, layers = 2 } }
    for name, value in pairs(changes or {}) do
      if name == "flops" or name == "uncovered" then run[name] = value else run.config[name] = value end
    end
    return at_a_time.choose(question, { run, run }, threads or 2, seconds or 0.1)
  end
  local function nothing() end
  local hook = rwkv.hook { kind = "decay", name = "of-a-test", apply = function(x) return -(x * x) end }
  equal(chosen { options = {} }, 2)
  equal(chosen({ options = {} }, { hooks = { bonus = "none" } }), 2)
  equal(chosen {}, 1)
  for _, name in ipairs { "evaluate", "final", "stop", "prepare" } do equal(chosen { options = {}, [name] = nothing }, 1) end
  for _, changes in ipairs { { flops = 1e10 }, { uncovered = { "os.time" } }, { dim = 256 }, { batch = 256 }, { layers = 6 },
    { hooks = { decay = hook } }, { hooks = { decay = "of-a-test" } }, { hooks = { decay = { hook } } } } do
    equal(chosen({ options = {} }, changes), 1)
  end
  equal(chosen({ options = {} }, nil, 1), 1)
  equal(chosen({ options = {} }, nil, 2, 1.5), 1)
end)

local home = "runs/tests/at_a_time"
check.shell("rm -rf " .. home .. "; mkdir -p " .. home)
rwkv.write_file(home .. "/t.lua", [[
  local rwkv = require "rwkv"
  local o = rwkv.experiment.options(arg, {})
  rwkv.experiment.run { name = "t", options = o, task = require "experiments.tasks.mqar".of,
    configs = rwkv.product({ { "model", { { label = "a", version = "v4" }, { label = "b", version = "v5.2" } } } },
      { layers = 1, dim = 64, head_size = 64, vocab = 64, seq = 64, pairs = 8, lr = 1e-3, batch = 64, examples = 1024, every = 1024,
        tests = 20, filler = "zero" }) }]])
local function run(options, program_options)
  local out, status = check.shell(("%s --threads 2 %s %s/t.lua --out %s %s"):format(check.program, program_options or "", home, home, options))
  equal(status, 0)
  return out, tsv.read(home .. "/t.tsv")
end

test("two small models side by side, with the same numbers", function()
  local said, rows = run ""
  has(said, "t: the models are small: 2 runs at a time", "--jobs 1", "2 runs")
  local alone, again = run("--fresh", "--max-memory 2G")
  assert(not alone:find "at a time", alone)
  has(alone, "1/2 a", "2/2 b")
  equal(#rows, 4)
  for i, row in ipairs(rows) do
    for _, name in ipairs { "label", "examples", "accuracy", "loss", "test_loss" } do equal(again[i][name], row[name]) end
  end
end)
