-- rwkv.experiment: lists of configurations, what is kept, run by workers and by hand. How runs go on: test_resume.lua.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local runs = require "tests.lua.lib.runs"
local test, equal, fails, shell = check.test, check.equal, check.fails, check.shell

local home = "runs/tests/experiment"
shell("rm -rf " .. home)
rwkv.mkdir(home)
local grid = check.program .. " --trust --threads 1 tests/lua/lib/grid.lua "

local function run(out, options)
  local text, status = shell(("%s --out %s/%s %s"):format(grid, home, out, options or ""))
  return text, status
end

local function numbers(out, chosen) return runs.numbers(("%s/%s/grid%s.tsv"):format(home, out, chosen or "")) end
local same = runs.same

local has = check.has

test("every model of the figures can be made, with and without channel mixing", function()
  local models = require "experiments.models"
  for _, more in ipairs { {}, { channel_mix = "none" } } do
    for _, m in ipairs(models.pick(table.concat(models.names, " "), more)) do
      local hooks = m.hooks and rwkv.experiment.by_layer(m.hooks, 2)
      local model = rwkv.model { version = m.version, hooks = hooks, layers = 2, dim = 16, head_size = 8, vocab = 12, ctx = 6 }
      local loss = rwkv.no_grad(function() return (model:loss({ { 1, 2, 3, 4, 5 } }, { { 2, 3, 4, 5, 6 } })) end):item()
      assert(loss > 1 and loss < 5, m.label)
    end
  end
  fails(function() models.pick "v7 v8" end, "no model 'v8'", "mamba")
end)

test("products, seeds, the best of a sweep", function()
  local list = rwkv.product({ { "model", { { label = "a" }, { label = "b" } } }, { "lr", { 1, 2 } } },
    { dim = 8, lr = { 5 }, seeds = 3 })
  equal(#list, 4)
  equal({ list[2].label, list[2].lr, list[2].dim, list[3].label }, { "a", 2, 8, "b" })
  equal(list[1].seeds, nil)
  equal(rwkv.seeds(3), { 0, 1, 2 })
  local rows = {}
  for i, y in ipairs { .2, .9, .6, .7, .1, .1 } do -- two seeds for each of three rates
    rows[#rows + 1] = { part = "curve", label = "a", lr = (i + 1) // 2, run = i, accuracy = 1 - y, examples = 0 }
    rows[#rows + 1] = { part = "curve", label = "a", lr = (i + 1) // 2, run = i, accuracy = y, examples = 1 }
    rows[#rows + 1] = { part = "final", label = "a", lr = (i + 1) // 2, run = i, bits = 2 * i }
  end
  local best = rwkv.best(rows, { over = "lr", by = { "label" } })
  equal({ #best, best[1].lr }, { 6, 2 })
  equal(rwkv.best(rows, { over = "lr", by = { "label" }, lowest = true })[1].lr, 3)
  local s = rwkv.summary(best, { by = { "label" }, keep = { "lr" } })
  equal({ #s, s[1].mean, s[1].low, s[1].high, s[1].runs, s[1].lr }, { 1, .65, .6, .7, 2, 2 }, 1e-12)
  s = rwkv.summary(rows, { by = { "label", "lr" }, part = "final", value = "bits", also = { "bits", "none" } })
  equal({ #s, s[3].mean, s[3].low, s[3].high, s[3].bits, s[3].none == nil }, { 3, 11, 10, 12, 11, true })
  for i, y in ipairs { .5, .1, .9 } do rows[i] = { part = "curve", label = "b", run = i, seed = 10 - i, accuracy = y } end
  s = rwkv.summary({ rows[1], rows[2], rows[3] }, { by = { "label" }, each = true })
  equal({ #s, s[1].median, s[1].seed == nil, s[2].seed, s[2].value, s[4].label, s[4].value, s[4].mean == nil },
    { 4, .5, true, 7, .9, "b", .5, true })
end)

test("a table is read as it was written: empty cells, numbers, commits that look like numbers", function()
  local path = home .. "/cells.tsv"
  require "rwkv.tsv".write(path, { "a", "b", "commit" }, { { a = 0.1, commit = "12345e6789" }, { b = 3, commit = "0123456789" } })
  local rows = require "rwkv.tsv".read(path)
  equal({ rows[1].a, rows[1].b == nil, rows[1].commit }, { 0.1, true, "12345e6789" })
  equal({ rows[2].a == nil, rows[2].b, rows[2].commit }, { true, 3, "0123456789" })
end)

local whole -- the numbers of an uninterrupted run

test("rows of curves and of what is measured at the end; nothing is run twice", function()
  local text = run "whole"
  has(text, "v7 seed 0", "accuracy")
  whole = numbers "whole"
  equal(#whole, 4 * (5 + 2))
  local last = whole[#whole]
  equal({ last.part, last.position, last.label, last.seed, last.state_bytes }, { "final", 2, "v4", 1, 4 * last.state_floats })
  assert(last.flops > 0 and last.budget == 512 and whole[5].examples == 512)
  text = run "whole"
  has(text, "4 of 4 runs were finished before")
  same(numbers "whole", whole)
  equal(rwkv.load(("%s/whole/%s.safetensors"):format(home, last.run)):param("emb.weight"):sum():item(), whole[#whole - 1].first, 1e-5)
end)

test("workers give the same numbers", function()
  local text = run("workers", "--jobs 3")
  has(text, "v7 seed 1: accuracy", "4 of 4 runs")
  same(numbers "workers", whole)
  local left = shell(("ls %s/workers"):format(home))
  assert(not left:find "progress" and not left:find "%.log", left)
end)

test("a list of commands for other machines, and what they made collected", function()
  local list, n = run("listed", "--list 2>/dev/null"), 0
  for line in list:gmatch "[^\n]+" do
    n = n + 1
    if n == 2 then
      local text, status = run("listed", "--collect")
      has(text, "3 of 4 runs are not finished")
      equal(status, 0)
    end
    local _, status = shell(line)
    equal(status, 0)
  end
  equal(n, 4)
  has(run("listed", "--collect"), "4 of 4 runs were finished before")
  same(numbers "listed", whole)
  local text, status = run("listed", "--run grid/v4-000000000000")
  has(text, "there is no such run")
  equal(status, 1)
end)

test("a run that fails is named; the others are kept", function()
  local text, status = run("failing", "--jobs 2 --fails")
  equal(status, 1)
  has(text, "v4 seed 0 FAILED", "this run fails", "2 of 4 runs failed", "grid.lua:")
  has(run("failing", "--collect --fails"), "2 of 4 runs are not finished")
end)

test("a learning rate that leads to infinity is a result, not an error", function()
  local _, status = run("diverging", "--diverge --seeds 1")
  equal(status, 0)
  local diverged = 0
  for _, row in ipairs(numbers("diverging", ".diverge.seeds=1")) do diverged = diverged + (row.diverged == 1 and 1 or 0) end
  equal(diverged, 2)
end)

test("what is wrong is named", function()
  local function ask(changes)
    local q = { name = "t", out = home .. "/t", configs = {}, task = function() end }
    for name, value in pairs(changes) do q[name] = value end
    return function() rwkv.experiment.run(q) end
  end
  fails(ask { nmae = 1 }, "test_experiment.lua:", "no field 'nmae'", "configs")
  fails(ask { configs = 3 }, "configs is a number")
  fails(ask { configs = { { label = "a" } } }, "configuration 1 (a) has no version")
  local c = { label = "a", version = "v4", dim = 8, vocab = 8, lr = 1, batch = 1, examples = 1, every = 1, tests = 1 }
  fails(ask { configs = { c } }, "training task is a nil")
  c.lr = { 1 }
  fails(ask { configs = { c } }, "lr is a table")
  fails(function() rwkv.experiment.options({ "--jobs", "65" }) end, "--jobs 65", "1 to 64")
  local options = rwkv.experiment.options
  fails(function() rwkv.experiment.scale(options { "--scale", "tiny" }, { small = {} }) end, "tiny", "small")
  local function set(text) return rwkv.experiment.scale(options { "--set", text }, { small = { n = 1, lr = { 1, 2 }, to = { {} } } }) end
  fails(function() set "m=1" end, "m=1", "has lr, n, to")
  fails(function() set "n=1,2" end, "n=1,2", "one number")
  fails(function() set "lr=1,x" end, "'x' is not a number")
  fails(function() set "to=1" end, "a setting made of numbers")
  fails(function() set "n" end, "NAME=VALUE", "'n'")
end)

test("other values in place of a scale's", function()
  local s = rwkv.experiment.scale(rwkv.experiment.options { "--set", "n=3 lr=1e-3,2 models=v4" },
    { small = { n = 1, lr = { 1 }, models = "v7", kept = 5 } })
  equal({ s.n, s.lr[1], s.lr[2], #s.lr, s.models, s.kept }, { 3, 1e-3, 2, 2, "v4", 5 })
end)

test("workers may do no more than the script, which cannot start any itself", function()
  local core = require "rwkv.core"
  equal({ core.private == nil, core.spawn == nil, core.wait_worker == nil }, { true, true, true })
  local script = home .. "/writes.lua"
  rwkv.write_file(script, [[local rwkv = require "rwkv"
    local task = { batch = function() return rwkv.tokens { 1, 2 }, rwkv.tokens { 1, 2 } end }
    local c = { label = "a", version = "v4", layers = 1, dim = 8, vocab = 7, lr = 1, batch = 1, examples = 1, every = 1, tests = 1 }
    rwkv.experiment.run { name = "writes", out = "runs/tests/experiment/writes", configs = { c },
      options = rwkv.experiment.options(arg), task = function() return task, task end,
      prepare = function() io.open("/tmp/written-by-a-worker", "w") end }]])
  local text, status = shell(check.program .. " " .. script .. " --jobs 2")
  has(text, "a FAILED", "/tmp/written-by-a-worker: a script may write only below")
  equal(status, 1)
end)

shell("rm -rf " .. home)
