-- Learning curves: several models learn one task from the same examples, with the same budget, and are tested on the
-- way: an experiment (lua/doc/experiments.md) of few words.
--   local rows, path = learn{ name =, out =, settings = {...}, train = task, test = task, runs = { { label = "v7",
--     version = "v7", hooks = { decay = mine } }, ... } }
-- A task has :batch(first, count) -> tokens, targets (see experiments/tasks). With seeds = {0, 1, ..} every model is trained
-- with each of them; train is then a function(seed) that returns the task. settings: layers, dim, head_size, vocab, seq
-- (sizes of the models), batch, examples, every (examples between two tests), tests (examples of a test), lr, beta1, beta2,
-- eps, weight_decay, warmup_steps, seed; columns = { name = value, .. } whatever else shall stand in every row.
local configs = require "rwkv.experiment.configs"
local experiment = require "rwkv.experiment"

local sorted = configs.sorted
local defaults = { layers = 2, batch = 64, beta1 = 0.9, beta2 = 0.99, eps = 1e-8, weight_decay = 0.1, warmup_steps = 10,
  seed = 0, lr = 3e-3 }
local required = { "dim", "head_size", "vocab", "seq", "examples", "every", "tests" }
local fields = { name = "string", out = "string", settings = "table", runs = "table", train = true, test = true,
  seeds = "table", note = "string", columns = "table" }

local function fail(...) error("learn: " .. string.format(...), 0) end

local function listed(t) return table.concat(sorted(t), ", ") end

local function check_task(name, task)
  local has = (type(task) == "table" or type(task) == "userdata") and task.batch
  if not has then fail("%s is a %s, expected a task with :batch(first, count)", name, type(task)) end
end

local function check(q)
  if type(q) ~= "table" then fail("expected a table, found a %s", type(q)) end
  for name in pairs(q) do
    if not fields[name] then fail("there is no option '%s'; there are: %s", tostring(name), listed(fields)) end
  end
  for _, name in ipairs { "name", "out", "settings", "runs", "train", "test" } do
    local want = fields[name]
    if q[name] == nil then fail("%s is missing", name) end
    if want ~= true and type(q[name]) ~= want then fail("%s is a %s, expected a %s", name, type(q[name]), want) end
  end
  local known = {}
  for _, name in ipairs(required) do known[name] = true end
  for name in pairs(defaults) do known[name] = true end
  for name, value in pairs(q.settings) do
    if not known[name] then
      fail("there is no setting '%s'; there are: %s (what shall only stand in the table goes into columns)",
        tostring(name), listed(known))
    end
    if type(value) ~= "number" then fail("setting %s is a %s, expected a number", name, type(value)) end
  end
  for _, name in ipairs(required) do if not q.settings[name] then fail("setting %s is missing", name) end end
  for i, run in ipairs(q.runs) do
    for name in pairs(run) do
      if name ~= "label" and name ~= "version" and name ~= "hooks" then
        fail("run %d: there is no '%s'; there are: label, version, hooks", i, tostring(name))
      end
    end
    if type(run.label) ~= "string" or type(run.version) ~= "string" then fail("run %d: label and version are needed", i) end
  end
  if q.seeds and type(q.train) ~= "function" then fail "with seeds, train is a function(seed) that returns the task" end
  if type(q.train) ~= "function" then check_task("train", q.train) end
  check_task("test", q.test)
end

local function learn(q)
  check(q)
  local settings = {}
  for _, from in ipairs { defaults, q.settings, q.columns or {} } do
    for name, value in pairs(from) do settings[name] = value end
  end
  settings.warmup, settings.warmup_steps = settings.warmup_steps, nil
  return experiment.run { name = q.name, out = q.out, note = q.note,
    configs = configs.product({ { "seed", q.seeds or { settings.seed } }, { "run", q.runs } }, settings),
    task = function(c) return type(q.train) == "function" and q.train(c.seed) or q.train, q.test end }
end

return function(q)
  local results = table.pack(pcall(learn, q))
  if results[1] then return results[2], results[3] end
  local message = results[2]
  error(message, type(message) == "string" and not message:match "^[^\n ]+:%d+: " and 2 or 0)
end
