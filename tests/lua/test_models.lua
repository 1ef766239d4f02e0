-- The models of the figures: what a row may be, rows in a file of one's own, hooks by layer; and what the tables are called that a
-- choice of models makes. Time left, and what is said of mistakes and after Ctrl-C.
local rwkv = require "rwkv"
local models = require "experiments.models"
local configs = require "rwkv.experiment.configs"
local estimate = require "rwkv.experiment.estimate"
local check = require "tests.lua.lib.check"
local test, equal, fails, shell = check.test, check.equal, check.fails, check.shell

local home = "runs/tests/models"
shell("rm -rf " .. home)
rwkv.mkdir(home)

local has = check.has

test("what cannot be a row is refused where it is added, with the nearest name", function()
  local function add(...)
    local row = table.pack(...)
    return function() models.add(table.unpack(row, 1, row.n)) end
  end
  fails(add("v7", "v7", { gate = "none" }), "test_models.lua:", "there is a 'v7' already")
  fails(add("my model", "v7"), "'my model'", "other characters")
  fails(add("m", "v77"), "no version 'v77'", "did you mean 'v7'?")
  fails(add("m", "v7", { dcay = "v6" }), "v7 has no slot 'dcay'", "did you mean 'decay'?")
  fails(add("m", "v4", { iclr = "doubled" }), "v4 has no slot 'iclr'")
  fails(add("m", "v7", { time_mix = "atention" }), "no time_mix 'atention'")
  fails(add("m", "v7", { decay = "v5.0" }), "no decay 'v5.0'")
  fails(add("m", "v7", { decay = 5 }), "decay is a number, expected a name or a hook")
  fails(add("m", "v7", 5), "hooks is a number")
  fails(add("m", "v7", { time_mix = { "v7", "atention" } }), "no time_mix 'atention'")
  fails(add("m", "v7", { time_mix = { [0] = "v7" } }), "layer 0: layers are counted from 1")
  fails(add("m", "v7", { time_mix = { "v7", 5 } }), "time_mix of layer 2 is a number")
  for _, name in ipairs(models.names) do assert(name ~= "m") end
end)

test("hooks by layer: in keys, tables and names; a function of the number of layers", function()
  local mine = rwkv.hook { kind = "decay", name = "half", apply = function(x) return x * 0 - 0.5 end }
  local function every_third(layers)
    local list = {}
    for i = 1, layers do list[i] = i % 3 == 0 and "attention" or "v7" end
    return list
  end
  models.add("hybrid", "v7", { time_mix = every_third, decay = { [2] = mine } })
  local row = models.pick "hybrid"[1]
  equal(row.hooks.time_mix, every_third)
  local c = rwkv.product({ { "depth", { { layers = 3 }, { layers = 6 } } }, { "model", { row } } }, { dim = 8 })
  equal(#c, 2)
  local settled = rwkv.experiment.by_layer(c[2].hooks, c[2].layers)
  equal(settled.time_mix, { "v7", "v7", "attention", "v7", "v7", "attention" })
  equal(configs.hooks_text { hooks = settled }, "decay=2:half time_mix=v7,v7,attention,v7,v7,attention")
  equal(configs.hooks_text { hooks = { gate = "none", decay = mine } }, "decay=half gate=none")
  local task = { batch = function() return rwkv.tokens { 1, 2 }, rwkv.tokens { 1, 2 } end }
  local function key(hooks) return configs.identity({ label = "h", seed = 0, batch = 1, hooks = hooks }, task, task, {}, {}).key end
  local other = rwkv.hook { kind = "decay", name = "other", apply = function(x) return x * 0 - 0.25 end }
  assert(key { decay = { [2] = mine } } ~= key { decay = { [1] = mine } })
  assert(key { decay = { [2] = mine } } ~= key { decay = { [2] = other } })
  equal(key { decay = { [2] = mine } }, key { decay = { [2] = "half" } })
  local rows = rwkv.experiment.run { name = "layers", out = home .. "/layers", task = function() return task, task end,
    configs = { { label = "hybrid", version = "v7", hooks = row.hooks, layers = 3, dim = 8, head_size = 8, vocab = 7, lr = 1e-3, batch = 1,
      examples = 1, every = 1, tests = 1 } } }
  equal(rows[1].hooks, "decay=2:half time_mix=v7,v7,attention")
  equal(rwkv.load(rows[1].model):param_count(), rows[1].parameters)
end)

-- ---- the command line ----

local own = home .. "/mine.lua"
local function write_own(rate)
  rwkv.write_file(own, ([[local rwkv = require "rwkv"
local models = require "experiments.models"
models.add("mine", "v7", { decay = rwkv.hook { kind = "decay", name = "mine", apply = function(x) return x * 0 - %s end } })
]]):format(rate))
end
write_own(0.5)

local small = "--scale quick --set 'dims=64 examples=128 every=64 tests=10'"
local function versions(words, options)
  local text, status = shell(("%s %s experiments/mqar_versions.lua %s --out %s/out %s"):format(check.program, options or "--threads 1",
    small, home, words))
  return text, status
end

test("models of one's own stand in a file of one's own, whose hooks belong to the key and whose digest to the table", function()
  local text, status = versions("--models 'v4 mine' --models-file " .. own)
  if status ~= 0 then error(text) end
  local tables = shell(("ls %s/out/*.figure.tsv"):format(home))
  has(tables, "mqar_versions.quick.models=v4+mine.models-file=")
  local head = shell("head -3 " .. tables:gsub("\n", ""))
  has(head, "--models-file")
  if rwkv.commit ~= "unknown" then has(head, "not of the commit: ", own) end -- a checkout of git
  write_own(0.25)
  text = versions("--models 'v4 mine' --models-file " .. own)
  has(text, "1 of 2 runs were finished before")
end)

test("another choice of models goes to another table", function()
  local before = shell(("cd %s/out && sha256sum *quick*"):format(home))
  local text, status = versions "--models v4"
  if status ~= 0 then error(text) end
  for line in before:gmatch "[^\n]+" do
    local name = line:match "%S+$"
    has(shell(("cd %s/out && sha256sum %s"):format(home, name)), line)
  end
  has(shell(("ls %s/out"):format(home)), "mqar_versions.quick.models=v4.set=")
end)

test("names of tables: nothing for the usual, a digest for what a name cannot hold", function()
  local function path(...)
    return rwkv.experiment.path(rwkv.experiment.options({ ... }, { models = "v4 v7", fast = false, list_of = {} }), "t")
  end
  equal(path(), "runs/t/t.tsv")
  equal(path("--scale", "small", "--models", "v4 v7", "--jobs", "2", "--fresh"), "runs/t/t.tsv")
  equal(path("--scale", "quick", "--fast", "--models", "v7"), "runs/t/t.quick.fast.models=v7.tsv")
  equal(path("--out", "x", "--set", "lr=1e-3,2e-3 seeds=2"), "x/t.set=lr=1e-3,2e-3+seeds=2.tsv")
  local odd, other = path("--models", "a/b"), path("--models", "a_b")
  assert(odd ~= other and odd:find("^runs/t/t%.models=a_b%-%x+%.tsv$"), odd)
  assert(#path("--models", ("v"):rep(500)) < 150)
  assert(path("--models", ("v"):rep(500)) ~= path("--models", ("v"):rep(501)))
end)

test("a mistake in the command line is said in a line, with the nearest name", function()
  for words, parts in pairs {
    ["--models 'v7 atention'"] = { "no model 'atention'", "did you mean 'attention'?" },
    ["--set examples=-5"] = { "--set examples=-5: examples is -5, expected a whole number from 1 on" },
    ["--set dims=-5"] = { "dims is -5, expected a finite number above 0" }, ["--set lr=0"] = { "lr is 0, expected a finite number above 0" },
    ["--set exmples=5"] = { "did you mean 'examples'?" }, ["--scale tiny"] = { "--scale tiny: expected paper, quick, small" },
    ["--scale quik"] = { "did you mean 'quick'?" }, ["--models-file no.lua"] = { "--models-file no.lua", "No such file" },
    ["--collect --models v6"] = { "--collect: none of the 1 runs of mqar_versions is finished" }, ["v7"] = { "'v7' is no option" },
    ["--run mqar_versions/x"] = { "there is no such run" },
  } do
    local text, status = versions(words)
    equal(status, 1)
    has(text, table.unpack(parts))
    has(text:match "^[^\n]*", parts[1]) -- the first line says it, without a place in our files or the script
    assert(not text:match "^[^\n]*%.lua:%d", text)
  end
end)

test("--version and --versions are those that there are", function()
  for name, words in pairs { mqar_decay = "--version 'v7 v6'", mqar_gating = "--version v66", mqar_init = "--versions 'v7 v66'",
    mqar_demo = "--versions v66", parity = "--seeds -1" } do
    local text, status = shell(("%s experiments/%s.lua %s --out %s/none"):format(check.program, name, words, home))
    equal(status, 1)
    has(text, name == "parity" and "--seeds -1: expected a whole number" or words:find "66" and "did you mean 'v6'?" or "no version 'v7 v6'")
  end
end)

test("Ctrl-C: the line that goes on", function()
  local command = ("%s --threads 1 experiments/mqar_versions.lua --scale quick --models v4 --fresh --out %s/stopped"):format(check.program, home)
  local text = shell(("timeout --foreground -s INT 3 %s"):format(command))
  has(text, "mqar_versions: stopped; the same command goes on from here:\n  " .. command:gsub(" %-%-fresh", ""))
end)

test("fields that are misspelt", function()
  local function run(changes)
    local q = { name = "t", out = home .. "/t", configs = {}, task = function() end }
    for name, value in pairs(changes) do q[name] = value end
    return function() rwkv.experiment.run(q) end
  end
  fails(run { evalute = print }, "test_models.lua:", "no field 'evalute', did you mean 'evaluate'?")
  local c = { label = "a", version = "v4", dim = 8, vocab = 8, lr = 1, batch = 1, examples = 1, every = 1, tests = 1, warmpu = 5 }
  fails(run { configs = { c } }, "configuration 1 (a): there is no field 'warmpu', did you mean 'warmup'?")
  fails(function() require "experiments.tasks.mqar".new { vocab = 64, seq = 32, pars = 4 } end, "mqar.new", "did you mean 'pairs'?")
  fails(function() require "experiments.tasks.groups".new { group = "A5", lenght = 4 } end, "did you mean 'length'?")
  fails(function() rwkv.best({}, { ovr = "lr" }) end, "no option 'ovr', did you mean 'over'?")
end)

-- ---- time left ----

test("time left: by arithmetic, and by the speed of runs of that kind", function()
  local function run(label, flops)
    return { config = { label = label, version = "v7", layers = 1, dim = 8, examples = 100 }, tokens = 4, flops = flops }
  end
  local fast, slow, slower = run("fast", 1e9), run("slow", 1e9), run("slow", 3e9)
  local before = run("slow", 1e9) -- finished another time: ten times as slow
  before.rows = { { flops = 1e9, seconds = 100 } }
  local done = run("fast", 1e9)
  done.rows = { { flops = 1e9, seconds = 10 } }
  local e = estimate({ fast, slow, slower }, { before, done })
  equal(e:left(), 10 + 100 + 300, 1e-9)
  equal(e:left(2), 300, 1e-9) -- the longest one is not parted
  e:began(slow, 0)
  e:moved(slow, 50)
  equal(e:left(), 10 + 50 + 300, 0.01)
  equal(estimate({ fast }):left(), nil)
end)

shell("rm -rf " .. home)
