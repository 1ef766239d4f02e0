-- rwkv.learn: what it asks for, what it keeps, when it runs again; curves; check_cuts.
local rwkv = require "rwkv"
local mqar = require "experiments.tasks.mqar"
local check = require "tests.lua.lib.check"
local test, equal, fails = check.test, check.equal, check.fails

local out = "runs/tests/learn"
check.shell("rm -rf " .. out)

local function task(seed) return mqar.new { vocab = 32, seq = 16, pairs = 2, random_filler = false, seed = seed } end
local function question(changes)
  local q = { name = "t", out = out, train = task(1), test = task(2), runs = { { label = "a", version = "v4" } },
    settings = { examples = 64, every = 32, tests = 20, dim = 8, head_size = 8, vocab = 32, seq = 16, batch = 16 } }
  for name, value in pairs(changes or {}) do q[name] = value end
  return q
end
local function with(name, value)
  local q = question()
  q.settings[name] = value
  return q
end

test("rows, table and models", function()
  local rows, path = rwkv.learn(question { columns = { pairs = 2 }, note = "a note" })
  equal(#rows, 3)
  equal({ rows[1].examples, rows[2].examples, rows[3].examples }, { 0, 32, 64 })
  equal({ rows[3].budget, rows[3].pairs, rows[3].state_floats }, { 64, 2, 80 })
  local model = rwkv.load(rows[3].model)
  equal(model:param_count(), rows[3].parameters)
  local text = io.open(path):read "a"
  assert(text:find("# a note", 1, true) and text:find("\nlabel\texamples\taccuracy", 1, true))
end)

test("seeds, and their mean", function()
  local rows = rwkv.learn(question { seeds = { 0, 1 }, train = task })
  equal(#rows, 6)
  local curves = rwkv.curves(rows)
  equal(#curves, 1)
  equal(curves[1].x, { 0, 32, 64 })
  equal(curves[1].y[3], (rows[3].accuracy + rows[6].accuracy) / 2, 1e-9)
  equal(rwkv.curves({ { label = "a", steps = 1, loss = 2 } }, "steps", "loss")[1].y, { 2 })
end)

test("what is missing, unknown or of the wrong kind is named, with the script's line", function()
  for _, case in ipairs { { question { nmae = 1 }, "no option 'nmae'" }, { question { settings = 3 }, "settings is a number" },
    { with("learning_rate", 1), "no setting 'learning_rate'", "lr" }, { with("dim", "x"), "setting dim is a string" },
    { with("examples"), "setting examples is missing" }, { question { train = 3 }, "train is a number" },
    { question { runs = { { label = "a", version = "v4", hook = {} } } }, "run 1: there is no 'hook'" },
    { question { runs = { { label = "a" } } }, "run 1: label and version" },
    { question { seeds = { 1 } }, "train is a function" }, { 3, "expected a table" } } do
    fails(function() rwkv.learn(case[1]) end, "test_learn.lua:", "learn: ", table.unpack(case, 2))
  end
end)

test("pieces of a sequence give what the whole gives, and nothing looks ahead", function()
  local sizes = { version = "v7", layers = 2, dim = 16, head_size = 8, vocab = 20 }
  assert(rwkv.model(sizes):check_cuts() < 1e-5)
  assert(rwkv.model(sizes):check_cuts({ 1, 2, 3 }, 1e-4) < 1e-5)
  for name, f in pairs {
    ahead = function(x) return x + x:mean(2, true) end,
    forgets = function(x) return x:cumsum(2) end,
  } do
    sizes.hooks = { time_mix = rwkv.hook { kind = "time_mix", name = name, apply = f } }
    fails(function() rwkv.model(sizes):check_cuts() end, "check_cuts:", "off by", "test_learn.lua")
  end
end)
check.shell("rm -rf " .. out)
