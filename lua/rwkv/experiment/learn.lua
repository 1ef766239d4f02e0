-- Learning curves: several models learn one task from the same examples, with the same budget, and are tested on the
-- way: an experiment (lua/pages/experiments.md) of few words.
--   local rows, path = learn{ name =, settings = {...}, train = task, test = task, runs = { { label = "v7",
--     version = "v7", hooks = { decay = mine } }, ... } }
-- options: what rwkv.experiment.options returned; out: where (without it --out, or runs/NAME). A task has :batch(first, count) -> tokens, targets (see experiments/tasks). With seeds = {0, 1, ..} every model is trained
-- with each of them; train is then a function(seed) that returns the task. settings: layers, dim, head_size, vocab, seq
-- (sizes of the models), batch, examples, every (examples between two tests), tests (examples of a test), lr, beta1, beta2,
-- eps, weight_decay, warmup_steps, seed; columns = { name = value, .. } whatever else shall stand in every row.
local at_caller = require "rwkv.at_caller"
local check = require "rwkv.experiment.check"
local configs = require "rwkv.experiment.configs"
local experiment = require "rwkv.experiment"
local nearest = require "rwkv.nearest"
local sorted = require "rwkv.sorted"
local visible = require "rwkv.visible"

local defaults = { layers = 2, batch = 64, beta1 = 0.9, beta2 = 0.99, eps = 1e-8, weight_decay = 0.1, warmup_steps = 10,
  seed = 0, lr = 3e-3 }
local required = { "dim", "head_size", "vocab", "seq", "examples", "every", "tests" }
local fields = { name = "string", out = "string", options = "table", settings = "table", runs = "table", train = true, test = true,
  seeds = "table", note = "string", columns = "table" }

local function fail(...) error("learn: " .. string.format(...), 0) end

local function check_run(run, i)
  if type(run) ~= "table" then fail("run %d is %s, expected { label =, version =, hooks = }", i, check.shown(run)) end
  for name in pairs(run) do
    if name ~= "label" and name ~= "version" and name ~= "hooks" then
      fail("run %d: there is no '%s'%s", i, visible.line(name), nearest.listed(name, { "label", "version", "hooks" }))
    end
  end
  if type(run.label) ~= "string" or type(run.version) ~= "string" then fail("run %d: label and version are needed", i) end
end

local function check_question(q)
  check.fields(fail, "option", q, fields, { "name", "settings", "runs", "train", "test" })
  local known = {}
  for _, name in ipairs(required) do known[name] = true end
  for name in pairs(defaults) do known[name] = true end
  for name, value in pairs(q.settings) do
    if not known[name] then
      fail("there is no setting '%s'%s (what shall only stand in the table goes into columns)", visible.line(name),
        nearest.listed(name, sorted(known)))
    end
    local fits, problem = check.field(name == "warmup_steps" and "warmup" or name, value)
    if not fits then fail("setting %s is %s", name, problem) end
  end
  for _, name in ipairs(required) do if not q.settings[name] then fail("setting %s is missing", name) end end
  for name, value in pairs(q.columns or {}) do
    if known[name] or name == "label" or name == "version" then fail("columns: %s is a setting", name) end
    local fits, problem = check.field(name, value)
    if not fits then fail("columns: %s is %s", visible.line(name), problem) end
  end
  for _, name in ipairs { "runs", "seeds" } do
    if not check.is_list(q[name] or {}) then fail("%s is no list", name) end
    if q[name] and #q[name] == 0 then fail("%s is empty: there is nothing to run", name) end
  end
  for i, run in ipairs(q.runs) do check_run(run, i) end
  for i, seed in ipairs(q.seeds or {}) do
    local fits, problem = check.field("seed", seed)
    if not fits then fail("seeds: entry %d is %s", i, problem) end
  end
  if q.seeds and type(q.train) ~= "function" then fail "with seeds, train is a function(seed) that returns the task" end
  for _, name in ipairs { "train", "test" } do
    if not (check.is_task(q[name]) or name == "train" and type(q.train) == "function") then
      fail("%s is a %s, expected a task with :batch(first, count)", name, type(q[name]))
    end
  end
end

local function learn(q)
  check_question(q)
  local settings = {}
  for _, from in ipairs { defaults, q.settings, q.columns or {} } do
    for name, value in pairs(from) do settings[name] = value end
  end
  settings.warmup, settings.warmup_steps = settings.warmup_steps, nil
  return experiment.run { name = q.name, out = q.out, options = q.options, note = q.note,
    configs = configs.product({ { "seed", q.seeds or { settings.seed } }, { "run", q.runs } }, settings),
    task = function(c) return type(q.train) == "function" and q.train(c.seed) or q.train, q.test end }
end

return at_caller(learn)
