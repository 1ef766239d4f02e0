-- What experiments are given and what is wrong with it: every value of the wrong kind is refused before training, by name, and
-- nothing is done in silence.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local test, equal, fails, shell = check.test, check.equal, check.fails, check.shell

local home = "runs/tests/experiment_wrong"
shell("rm -rf " .. home)
rwkv.mkdir(home)

-- Random tokens; the target is the token before.
local function task(unscored)
  local t = {}
  function t.batch(_, first, count)
    local x, y = {}, {}
    for b = 1, count do
      local rng = rwkv.rng(7, first + b)
      x[b], y[b] = {}, {}
      for i = 1, 6 do x[b][i], y[b][i] = rng:integer(0, 6), unscored and -100 or x[b][i - 1] or 0 end
    end
    return rwkv.tokens(x), rwkv.tokens(y)
  end
  return t
end

local function config(changes)
  local c = { label = "v4", version = "v4", layers = 1, dim = 8, vocab = 7, lr = 1e-2, batch = 4, examples = 8, every = 4, tests = 4 }
  for name, value in pairs(changes or {}) do c[name] = value end
  return c
end

local trained = 0
local function question(changes)
  local q = { name = "t", out = home .. "/t", configs = { config() }, task = function()
    trained = trained + 1
    return task(), task()
  end }
  for name, value in pairs(changes) do q[name] = value end
  return q
end

local function run(changes) return rwkv.experiment.run(question(changes)) end
local function run_config(changes) return run { configs = { config(), config(changes) } } end

local weird = { 0, -1, 1.5, 0 / 0, 1 / 0, -1 / 0, 2 ^ 40, 2 ^ 63, "", "x", "a\0b", "a/b", "..", true, false, {}, { {} }, { 1, 2 }, { x = 1 },
  function() end, coroutine.create(function() end), io.stdout, rwkv.ones(2), rwkv.tokens { 1 } }

-- Fails, if it fails, in words of ours.
local function no_internals(what, f, ...)
  local ok, message = pcall(f, ...)
  for _, words in ipairs { "attempt to", "bad argument", "no integer representation", "number expected", "stack overflow",
    "invalid value", "invalid order", "table index", "check%.lua", "configs%.lua", "results%.lua" } do
    if not ok and tostring(message):find(words) then error(("%s: %s"):format(what, message)) end
  end
  return ok, message
end

test("a configuration's fields have a kind and a range", function()
  for name, bad in pairs {
    label = { 5, "", ("x"):rep(201), true, {} }, version = { "v9", 4, "" }, seed = { -1, 0.5, 2 ^ 54, "0" },
    layers = { 0, 1.5, "2", 2 ^ 31 }, dim = { 0, -8 }, vocab = { 0, "x" }, batch = { 0, 2.5, 1 / 0, 2 ^ 40 }, examples = { 0, 1 / 0 },
    every = { 0, -1 }, tests = { 0, 0 / 0 }, test_batch = { 0, false }, seq = { 0 }, head_size = { -1, "8", 3.5 }, dim_att = { -1 },
    dim_ffn = { {} }, ctx = { 1.5 }, decay_rank = { true }, iclr_rank = { -1 }, value_rank = { -1 }, gate_rank = { "" }, mix_rank = { -1 },
    head_qk = { -1 }, pre_ffn = { -1 }, tiny_att = { "x" }, tied = { 2, "true" }, lr = { 0, -1, 0 / 0, 1 / 0, "1" }, beta1 = { 1, -0.1 },
    beta2 = { 1, 0 / 0 }, eps = { 0, -1 }, weight_decay = { -1, 1 / 0 }, decay_all = { 0, 1, "false" }, clip = { -1, 0 / 0 },
    warmup = { -1, 1.5 }, schedule = { "linear", true }, final_lr = { -1, 0 / 0 }, hooks = { 5, "gate", true }, mine = { 0 / 0, {}, print } } do
    for _, value in ipairs(bad) do
      fails(function() run_config { [name] = value } end, "test_experiment_wrong.lua:", "configuration 2 (", "): " .. name .. " is ", "expected")
    end
  end
  fails(function() run_config { version = "v7", head_size = 3 } end, "configuration 2 (v4)", "8 channels", "3")
  fails(function() run_config { hooks = { dcay = "v6" } } end, "configuration 2 (v4)", "no slot 'dcay'")
  fails(function() run_config { hooks = { decay = "mine" } } end, "configuration 2 (v4)", "no decay 'mine'")
  fails(function() run_config { version = "v1", dim = 2 ^ 30 } end, "configuration 2 (v4)")
  fails(function() run_config { [5] = 1 } end, "a field is called 5")
  fails(function() run_config { ["a\27b"] = {} } end, "a\\x1bb is a table")
  for _, name in ipairs { "label", "version", "dim", "vocab", "lr", "batch", "examples", "every", "tests" } do
    local c = config()
    c[name] = nil
    fails(function() run { configs = { c } } end, "has no " .. name)
  end
  equal(trained, 0)
end)

test("columns of the trainer are not for configurations", function()
  for _, name in ipairs { "run", "part", "commit", "parameters", "state_floats", "state_bytes", "flops", "backend", "precision", "seconds",
    "diverged", "budget", "loss", "accuracy", "test_loss", "model" } do
    fails(function() run_config { [name] = "x" } end, "configuration 2 (v4): " .. name .. " is a column that the trainer fills")
  end
  equal(trained, 0)
end)

test("wrong values of any field: an error in words of ours, or none", function()
  for name in pairs(config { seed = 0, hooks = {}, warmup = 0, clip = 0, beta1 = 0, eps = 0, decay_all = 0, schedule = 0, final_lr = 0, test_batch = 0,
    head_size = 0, ctx = 0, mine = 0, tied = 0, weight_decay = 0, seq = 0 }) do
    for _, value in ipairs(weird) do
      if not (name == "every" or name == "examples" or name == "tests") or type(value) ~= "number" or value < 1e9 then
        no_internals("configuration." .. name .. "=" .. tostring(value), run, { configs = { config { [name] = value } } })
      end
    end
  end
  for _, name in ipairs { "name", "configs", "task", "options", "out", "evaluate", "final", "stop", "prepare", "note", "title", "keep_models" } do
    for _, value in ipairs(weird) do
      local where = type(value) == "string" and name == "out" and value ~= "" and home .. "/" .. value or value
      no_internals("run." .. name .. "=" .. tostring(value), run, { [name] = where })
      if type(value) == "table" then no_internals("options", rwkv.experiment.options, value) end
    end
    no_internals(name, run, { [name] = function() return 5 end })
    no_internals(name, run, { [name] = function() return "x" end })
    no_internals(name, run, { [name] = function() return { { {} } }, { batch = 5 } end })
  end
  local rows = { { part = "curve", run = "x", label = "a", examples = 1, accuracy = 1, lr = 1 } }
  for _, value in ipairs(weird) do
    for _, name in ipairs { "product", "seeds", "best", "summary", "curves", "learn" } do
      local f = rwkv[name]
      no_internals(name, f, value)
      no_internals(name, f, rows, value)
      no_internals(name, f, rows, "examples", value)
      no_internals(name, f, { value }, { by = { "x" }, over = "lr" })
      no_internals(name, f, rows, { by = { "x" }, over = value, value = value })
      no_internals(name, f, rows, { by = { "label" }, over = "lr", value = value })
      no_internals(name, f, rows, { by = value, over = "lr" })
      no_internals(name, f, rows, { by = { value }, keep = value, also = { value }, part = value })
      for column in pairs(rows[1]) do
        local row = { part = "curve", run = "x", label = "a", examples = 1, accuracy = 1, lr = 1, [column] = value }
        no_internals(name, f, { rows[1], row }, { by = { "label" }, over = "lr" })
        no_internals(name, f, { rows[1], row }, nil)
      end
      no_internals(name, f, { { "lr", { value } } }, { x = value })
      no_internals(name, f, { { value, { 1 } } }, { hooks = value })
    end
  end
end)

test("whole numbers may be written as 1e3; infinity, booleans and any text are the task's", function()
  local rows = run { configs = { config { layers = 1.0, dim = 8.0, batch = 4.0, examples = 8e0, every = 4.0, tests = 4.0, seed = 0.0, warmup = 1.0, tied = true,
    test_batch = 3.0, a = 1 / 0, b = "nan", c = false, d = "", ["e\tf"] = "\n" } } }
  local row = rows[#rows]
  equal({ #rows, row.examples, row.tied, row.b, row.c, row.d, row["e\tf"] }, { 3, 8, true, "nan", false, "", "\n" })
  assert(row.a == 1 / 0)
end)

test("labels of any characters, written and read again", function()
  local labels, list = { "#1", "nan", "007", "true", ("x"):rep(200), "a\tb\n\27[2J\0", "/../..", ".", '"', "é", "--jobs" }, {}
  for i, label in ipairs(labels) do list[i] = config { label = label } end
  for _, how in ipairs { {}, { "--collect" } } do -- which trains nothing
    local rows = run { configs = list, out = home .. "/labels", options = rwkv.experiment.options(how) }
    for i, label in ipairs(labels) do assert(rows[3 * i].label == label and rows[3 * i - 2].label == label) end
    equal({ #rows, #rwkv.curves(rows) }, { 3 * #labels, #labels })
  end
end)

test("names that are no names of files", function()
  for _, name in ipairs { "", "a/b", ".", "..", "a\nb", "a\0b", "\27[2J", ("x"):rep(300) } do
    fails(function() run { name = name } end, "name is a string", "expected the name of a file")
  end
  fails(function() run { out = "" } end, "out is", "the path of a folder")
end)

test("nothing to run is said, and a table is not replaced by one without rows", function()
  local _, path = run {}
  local before = io.open(path):read "a"
  fails(function() run { configs = {} } end, "there is nothing to run")
  fails(function() rwkv.seeds(0) end, "test_experiment_wrong.lua:", "there is nothing to run")
  fails(function() run { configs = rwkv.product { { "seed", {} } } } end, "there is nothing to run")
  fails(function() run { configs = { [2] = config() } } end, "configs is no list")
  fails(function() run { configs = { config { seed = 5 } }, options = rwkv.experiment.options { "--collect" } } end,
    "--collect: none of the 1 runs of t is finished")
  rwkv.experiment.figure(path, { "label" }, { { label = "a" } })
  rwkv.experiment.figure(path, { "label" }, {})
  equal(io.open(path):read "a", before)
  assert(io.open((path:gsub("tsv$", "figure.tsv"))):read "a":find "\na\n$")
  fails(function() rwkv.experiment.figure(nil, { "label" }, {}) end, "figure: path is a nil")
end)

test("options", function()
  for _, name in ipairs { "x", "/", "x/", "/y", "a/b/c" } do
    fails(function() rwkv.experiment.options { "--run", name } end, "--run " .. name, "NAME/KEY")
  end
  local o = rwkv.experiment.options {}
  for name in pairs(o) do
    local broken = rwkv.experiment.options {}
    broken[name] = nil
    fails(function() run { options = broken } end, "options: " .. name .. " is a nil")
  end
  fails(function() run { options = {} } end, "what rwkv.experiment.options returns")
end)

test("a test without a scored position ends the run before training", function()
  local steps = 0
  fails(function()
    run { configs = { config { label = "unscored" } }, task = function()
      local train = task()
      return { batch = function(_, first, count)
        steps = steps + (first > 1 and 1 or 0)
        return train:batch(first, count)
      end }, task(true)
    end }
  end, "the test task has no scored position among its 4 examples")
  assert(steps <= 1, steps) -- one batch is looked at
end)

test("what a test measures replaces nothing", function()
  local function measuring(measured, final)
    return function()
      return run { name = "m", out = home .. "/m", configs = { config { label = tostring(measured) } }, evaluate = function() return measured end,
        final = function() return final end, options = rwkv.experiment.options { "--fresh" } }
    end
  end
  for name, value in pairs { run = "x", part = "x", commit = "x", parameters = 1, state_floats = 1, state_bytes = 1, backend = "x", precision = "x",
    flops = 1, seconds = 1, examples = 1, budget = 1, diverged = 0, lr = 2, label = "b", model = "x" } do
    fails(measuring({ accuracy = 1, [name] = value }), "evaluate: column " .. name .. " is", "the trainer puts")
    fails(measuring({ accuracy = 1 }, { { [name] = value } }), "final: column " .. name .. " is", "the trainer puts")
  end
  fails(measuring { accuracy = {} }, "evaluate: column accuracy is a table")
  fails(measuring { 0.5 }, "evaluate: a column is called 1")
  fails(measuring(0.5), "evaluate returned 0.5")
  fails(measuring({}, 5), "final returned 5")
  local rows = measuring({ accuracy = 0 / 0, loss = 3, lr = 1e-2, mine = "x\ty" }, { { loss = 1 / 0, part = "final", batch = 4 } })()
  local last, final = rows[#rows - 1], rows[#rows]
  equal({ #rows, last.loss, last.mine, final.part, final.loss == 1 / 0 }, { 4, 3, "x\ty", "final", true })
  assert(last.accuracy ~= last.accuracy)
end)

test("products: hooks are merged slot by slot, into copies; what would be dropped is refused", function()
  local settings = { label = "mine", hooks = { gate = "none", decay = "v6" }, lr = { 1 }, seeds = 3, dims = {} }
  local list = rwkv.product({ { "model", { { version = "v7", hooks = { decay = "v5" } }, { version = "v6" } } }, { "seed", { 0, 1 } } }, settings)
  equal({ #list, list[1].hooks.gate, list[1].hooks.decay, list[3].hooks.decay, list[1].lr == nil }, { 4, "none", "v5", "v6", true })
  list[1].hooks.gate = "silu"
  equal({ list[2].hooks.gate, list[3].hooks.gate, settings.hooks.gate }, { "none", "none", "none" })
  equal(rwkv.product({}, settings)[1].hooks.gate, "none")
  local function product(axes, more) return function() rwkv.product(axes, more) end end
  fails(product({}, { sizes = { dim = 8 } }), "test_experiment_wrong.lua:", "settings: sizes is a table")
  fails(product({}, { f = print }), "settings: f is a function")
  fails(product({}, { hooks = "none" }), "hooks is a string ('none'), expected a table by slot")
  fails(product({}, { hooks = { "none" } }), "expected a table by slot")
  fails(product({}, { [1] = 2 }), "1 stands where a name is expected")
  fails(product { { "lr", { 1 }, { 2 } } }, "axis 1 is not { name, list of values }")
  fails(product { { "lr", { 1, nil, 2 } } }, "axis 1 is not")
  fails(product { { "lr", { x = 1 } } }, "axis 1 is not")
  fails(product { { "lr", { 1 }, name = "x" } }, "axis 1 is not")
  fails(product { { "model", { { sizes = { 1 } } } } }, "axis 1 (model), value 1: sizes is a table")
  fails(product { { "hooks", { { decay = "v6" } } } }, "axis 1 (hooks), value 1", "hooks = ")
  fails(product { { "lr", { print } } }, "lr is a function")
end)

test("the best, and summaries: missing columns, text and nan", function()
  local function row(lr, accuracy, label)
    return { part = "curve", run = ("%s %s"):format(label, lr), label = label or "a", lr = lr, accuracy = accuracy }
  end
  local best = rwkv.best({ row(1, 0 / 0), row(2, .5), row(3, 0 / 0), row(1, 0 / 0, "b"), row(2, 0 / 0, "b") }, { over = "lr", by = { "label" } })
  equal({ #best, best[1].lr, best[2].label }, { 2, 2, "b" }) -- where all diverge, one is left
  best = rwkv.best({ row(true, .5), row("x", .75), row(2, .25) }, { over = "lr", by = { "label" } })
  equal({ #best, best[1].lr }, { 1, "x" })
  local s = rwkv.summary({ row(1, 0 / 0), row(2, .5) }, { by = { "label" } })[1]
  equal(s.median ~= s.median, true)
  assert(s.mean ~= s.mean and s.low ~= s.low and s.runs == 2)
  equal(#rwkv.summary({ row(1, 1), row(1.0, 1), row("1", 1) }, { by = { "lr" } }), 2)
  fails(function() rwkv.best({ row(1, 1) }, { over = "lr" }) end, "test_experiment_wrong.lua:", "best: by is missing")
  fails(function() rwkv.best({ row(1, 1) }, { over = "rate", by = {} }) end, "best: rate of run", "is a nil")
  fails(function() rwkv.best({ row(1, 1) }, { over = "lr", by = {}, value = "x" }) end, "best: there is no x")
  fails(function() rwkv.best({ row(1, 1) }, { over = "lr", by = {}, vale = "x" }) end, "no option 'vale'", "lowest")
  fails(function() rwkv.summary({ row(1, "high") }, { by = {} }) end, "summary: accuracy of run", "'high'")
  fails(function() rwkv.summary({ row(1, 1), 5 }, { by = {} }) end, "summary: row 2 is 5")
  fails(function() rwkv.summary({ { part = "curve" } }, { by = {} }) end, "summary: row 1 has no run")
end)

test("curves: rows without the columns are left out, other values are named", function()
  local rows = { { label = "a", examples = 2, accuracy = 1 }, { label = "a", examples = 1, accuracy = .5 }, { label = "a", part = "final" } }
  equal({ #rwkv.curves(rows), rwkv.curves(rows)[1].y }, { 1, { .5, 1 } })
  fails(function() rwkv.curves(rows, "example") end, "test_experiment_wrong.lua:", "curves: no row has both example and accuracy")
  fails(function() rwkv.curves { { label = "a", examples = "x", accuracy = 1 } } end, "examples of row 1 is a string ('x')")
  fails(function() rwkv.curves { { examples = 1, accuracy = 1 } } end, "label of row 1 is a nil")
  equal(#rwkv.curves {}, 0)
end)

test("learn: names the setting", function()
  local function learn(changes, settings)
    local q = { name = "l", out = home .. "/l", train = task(), test = task(), runs = { { label = "a", version = "v4" } },
      settings = { dim = 8, head_size = 8, vocab = 7, seq = 6, examples = 8, every = 4, tests = 4 } }
    for name, value in pairs(settings or {}) do q.settings[name] = value end
    for name, value in pairs(changes) do q[name] = value end
    return function() rwkv.learn(q) end
  end
  for name, value in pairs { dim = 1.5, every = 0, tests = 0 / 0, lr = -1, warmup_steps = -1, seed = 0.5, batch = 0 } do
    fails(learn({}, { [name] = value }), "test_experiment_wrong.lua:", "learn: setting " .. name .. " is", "expected")
  end
  fails(learn { runs = {} }, "runs is empty: there is nothing to run")
  fails(learn { seeds = {}, train = task }, "seeds is empty: there is nothing to run")
  fails(learn { seeds = { 0, "x" }, train = task }, "seeds: entry 2 is a string")
  fails(learn { runs = { 5 } }, "run 1 is 5")
  fails(learn { runs = { { label = "", version = "v4" } } }, "label is a string ('')")
  fails(learn { columns = { lr = 2 } }, "columns: lr is a setting")
  fails(learn { columns = { loss = 2 } }, "loss is a column that the trainer fills")
  fails(learn { columns = { x = {} } }, "columns: x is a table")
  fails(learn { note = 5 }, "note is a number")
  fails(learn { name = "a/b" }, "name is a string ('a/b')")
end)
shell("rm -rf " .. home)
