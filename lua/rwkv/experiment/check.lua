-- What an experiment is given, looked at before anything is trained: its fields, its options, every configuration, the
-- tasks; and the names of what its functions measure.
local core = require "rwkv.core"
local devices = require "rwkv.experiment.devices"
local models = require "rwkv.models"
local nearest = require "rwkv.nearest"
local ranks = require "rwkv.ranks"
local sorted = require "rwkv.sorted"
local versions = require "rwkv.versions"
local visible = require "rwkv.visible"

local check = {}

local function fail(...) error("experiment: " .. string.format(...), 0) end

-- A value as a message shows it.
function check.shown(x)
  if type(x) == "string" then return ("a string ('%s')"):format(visible.line(#x > 60 and x:sub(1, 60) .. ".." or x)) end
  if x ~= x then return "nan" end
  if type(x) == "number" or type(x) == "boolean" then return tostring(x) end
  return "a " .. type(x)
end

-- Whether a table is a list: 1 .. n and nothing else.
function check.is_list(t)
  if type(t) ~= "table" then return false end
  local n = 0
  for _ in pairs(t) do n = n + 1 end
  return n == #t
end

-- Fails unless q is a table that has, of the fields it may have, each of its kind (true: any), those that are needed. what: how
-- a field is called.
function check.fields(fail_with, what, q, fields, needed)
  if type(q) ~= "table" then fail_with("expected a table, found a %s", type(q)) end
  for name, value in pairs(q) do
    local want = fields[name]
    if not want then fail_with("there is no %s '%s'%s", what, visible.line(name), nearest.listed(name, sorted(fields))) end
    if want ~= true and type(value) ~= want then fail_with("%s is a %s, expected a %s", name, type(value), want) end
  end
  for _, name in ipairs(needed) do
    if q[name] == nil then fail_with("%s is missing", name) end
  end
end

-- ---- kinds of values ----

local function number(words, holds)
  return { words = words, holds = function(x) return type(x) == "number" and math.abs(x) < math.huge and holds(x) end } -- nan: false
end

local function whole(low, high)
  local words = high and ("a whole number from %d to %d"):format(low, high) or ("a whole number from %d on"):format(low)
  return number(words, function(x) return x >= low and x <= (high or 1 << 53) and x % 1 == 0 end)
end

local function one_of(list)
  return { words = table.concat(list, ", ", 1, #list - 1) .. " or " .. list[#list], holds = function(x)
    for _, name in ipairs(list) do if x == name then return true end end
  end }
end

local largest = 0x7fffffff
local size, count, optional_size = whole(1, largest), whole(1), whole(0, largest)
local share = number("a number from 0 to below 1", function(x) return x >= 0 and x < 1 end)
local not_negative = number("a finite number, 0 or more", function(x) return x >= 0 end)
local positive = number("a finite number above 0", function(x) return x > 0 end)
local boolean = { words = "true or false", holds = function(x) return type(x) == "boolean" end }

local label = { words = "text of 1 to 200 bytes", holds = function(x) -- it stands in names of files
  return type(x) == "string" and #x >= 1 and #x <= 200
end }

-- The fields of a configuration that the trainer knows. Of a model's sizes 0 stands for the usual one.
local known = {
  label = label, version = one_of(core.versions()), seed = whole(0, 1 << 53),
  hooks = { words = "a table by slot", holds = function(x) return type(x) == "table" end },
  layers = size, dim = size, vocab = size,
  tied = { words = "true or false", holds = function(x) return type(x) == "boolean" or x == 0 or x == 1 end },
  lr = positive, beta1 = share, beta2 = share, eps = positive, weight_decay = not_negative, decay_all = boolean,
  clip = not_negative, warmup = optional_size, schedule = one_of { "constant", "cosine" }, final_lr = not_negative,
  batch = size, shards = whole(1, 1 << 20), ranks = whole(1, 1 << 20), examples = count, every = count, tests = count, test_batch = size, seq = size,
}
local needed = { "label", "version", "dim", "vocab", "lr", "batch", "examples", "every", "tests" }
local sizes = { "version", "hooks" }
for _, name in ipairs(core.size_names()) do
  sizes[#sizes + 1] = name
  known[name] = known[name] or optional_size
end

-- Any other field is the task's.
local plain = { words = "text, a number or a boolean", holds = function(x)
  return type(x) == "string" or type(x) == "boolean" or (type(x) == "number" and x == x)
end }

-- Whether a value can be that of a field; otherwise a message without the field.
function check.field(name, value)
  local kind = known[name] or plain
  if kind.holds(value) then return true end
  return false, ("%s, expected %s"):format(check.shown(value), kind.words)
end

-- Columns that the trainer fills. The first ones are what a test measures: `evaluate` and `final` may give them.
local measurable = { accuracy = true, loss = true, test_loss = true }
check.owned = { run = true, part = true, commit = true, parameters = true, state_floats = true, state_bytes = true,
  flops = true, backend = true, matmul = true, device = true, precision = true, seconds = true, diverged = true, budget = true, model = true, sources = true }
for name in pairs(measurable) do check.owned[name] = true end

-- ---- configurations ----

-- What rwkv.model and rwkv.describe are told.
function check.design(c)
  local d = {}
  for _, name in ipairs(sizes) do if name ~= "tied" then d[name] = c[name] end end
  if c.tied ~= nil then d.tied = (c.tied == true or c.tied == 1) and 1 or 0 end
  if versions.of(c.version).context then d.ctx = c.ctx or c.seq end
  return d
end

-- Hooks of a model with so many layers: what is a function(layers) has what it returns, a list by layer, in its place.
function check.by_layer(given, layers)
  local settled = {}
  for slot, hook in pairs(given) do settled[slot] = type(hook) == "function" and hook(layers) or hook end
  return settled
end

-- A configuration with the usual values where it has none, and hooks for its layers.
function check.complete(given, defaults)
  local c = {}
  for _, from in ipairs { defaults, given } do
    for name, value in pairs(from) do c[name] = value end
  end
  if ranks.apart and c.shards == nil and size.holds(c.batch) then c.shards = ranks.usual(math.tointeger(c.batch)) end
  if c.ranks == nil then c.ranks = ranks.devices end
  if type(c.hooks) == "table" and size.holds(c.layers) then c.hooks = check.by_layer(c.hooks, c.layers) end
  return c
end

local function check_config(given, i, defaults)
  if type(given) ~= "table" then fail("configuration %d is %s, expected a table", i, check.shown(given)) end
  local called = type(given.label) == "string" and given.label or check.shown(given.label)
  local where = ("configuration %d (%s)"):format(i, visible.line(called:sub(1, 60)))
  for name in pairs(given) do
    if type(name) ~= "string" then fail("%s: a field is called %s, expected names", where, check.shown(name)) end
    if check.owned[name] then fail("%s: %s is a column that the trainer fills; give the field another name", where, name) end
    local meant = not known[name] and #name > 4 and nearest(name, sorted(known)) -- a short one is near by chance
    if meant and meant:sub(1, 1) == name:sub(1, 1) then
      fail("%s: there is no field '%s', did you mean '%s'? One of the task's needs another name", where, visible.line(name), meant)
    end
  end
  local c = check.complete(given, defaults)
  for _, name in ipairs(needed) do
    if c[name] == nil then fail("%s has no %s, expected %s", where, name, known[name].words) end
  end
  for _, name in ipairs(sorted(c)) do
    local fits, problem = check.field(name, c[name])
    if not fits then fail("%s: %s is %s", where, visible.line(name), problem) end
  end
  local unequal = c.shards and ranks.problem(math.tointeger(c.batch), math.tointeger(c.shards))
  if unequal then fail("%s: %s", where, unequal) end
  if c.ranks and c.ranks ~= ranks.devices then
    fail("%s: ranks is %d, and there are %d programs whose devices add up gradients", where, c.ranks, ranks.devices or 0)
  end
  local ok, message = pcall(models.describe, check.design(c))
  if not ok then fail("%s: %s", where, tostring(message)) end
end

-- ---- options ----

check.common = { scale = "small", set = "", jobs = 0, devices = "", list = false, collect = false, fresh = false, run = "", out = "",
  check = "", status = false, unfinished = false }

-- Of these the ones that say how to go through the list and where, and decide no number, with how many words follow each.
check.errands = { jobs = 1, devices = 1, list = 0, collect = 0, fresh = 0, run = 1, out = 1, check = 1, status = 0, unfinished = 0 }

-- What --help says of them.
check.about = {
  scale = "quick (minutes), small (an hour or few on two cores), paper (as published)",
  set = "NAME=VALUE ..: other values for numbers of the scale, in one word: \"lr=1e-3 seeds=5\"",
  jobs = "runs at a time, each a process; 0: as suits the machine",
  devices = "with --backend cuda: the devices that share the runs, 0,1",
  list = "print one command a run, and make none",
  collect = "put the table together of what is finished",
  fresh = "forget what is finished",
  run = "make this run alone, as --list prints it",
  out = "folder of results instead of runs/NAME",
  check = "is this table what the script makes now?",
  status = "say how far the runs are, wherever they are made",
  unfinished = "with --list: leave out what is finished",
}

-- The options that every experiment has.
function check.options(o)
  for name, like in pairs(check.common) do
    if type(o[name]) ~= type(like) then
      fail("options: %s is %s, expected what rwkv.experiment.options returns", name, check.shown(o[name]))
    end
  end
  if not whole(0, 64).holds(o.jobs) then fail("--jobs %s: expected a whole number, 1 to 64, or 0 for what suits the machine", check.shown(o.jobs)) end
  if ranks.apart and o.jobs > 1 then fail("--jobs %d under mpirun: the programs train one model after the other together", o.jobs) end
  devices.check(o.devices, o.jobs)
  for _, name in ipairs(o.status and { "list", "collect", "fresh", "run" } or {}) do
    if o[name] ~= check.common[name] then fail("--status and --%s: expected one of them", name) end
  end
  if o.unfinished and not o.list then fail "--unfinished goes with --list" end
  if o.fresh and o.collect then fail "--fresh and --collect: one forgets what is finished, the other puts it together" end
  for _, name in ipairs(o.check ~= "" and sorted(check.errands) or {}) do
    if name ~= "check" and o[name] ~= check.common[name] then
      fail("--check and --%s: a check makes a part of a table again, here, and writes nothing", name)
    end
  end
  if o.run ~= "" and not o.run:find "^[^/]+/[^/]+$" then
    fail("--run %s: expected NAME/KEY, as --list prints it", visible.line(o.run))
  end
end

-- ---- the whole ----

local fields = { name = "string", configs = "table", task = "function", options = "table", out = "string",
  evaluate = "function", final = "function", stop = "function", prepare = "function", note = "string",
  keep_models = "boolean", title = "function" }

-- What experiment.run is given. defaults: of configurations.
function check.question(q, defaults)
  check.fields(fail, "field", q, fields, { "name", "configs", "task" })
  if #q.name < 1 or #q.name > 200 or q.name:find "[/\0-\31\127]" or q.name == "." or q.name == ".." then
    fail("name is %s, expected the name of a file: 1 to 200 bytes without '/' and control characters", check.shown(q.name))
  end
  if q.out and (q.out == "" or q.out:find "\0") then fail("out is %s, expected the path of a folder", check.shown(q.out)) end
  if q.options then check.options(q.options) end
  if not check.is_list(q.configs) then fail "configs is no list: expected configurations 1, 2, .. without gaps or names" end
  if #q.configs == 0 then fail "configs is empty: there is nothing to run" end
  for i, c in ipairs(q.configs) do check_config(c, i, defaults) end
end

-- Text for messages, if there is one.
function check.title(title, c)
  local text = title and title(c)
  if text ~= nil and type(text) ~= "string" then fail("title returned %s, expected text", check.shown(text)) end
  return text
end

-- A task has :batch(first, count) -> tokens, targets.
function check.is_task(task) return (type(task) == "table" or type(task) == "userdata") and task.batch ~= nil end

-- One that carries a state says where it begins anew. Returns its first examples.
function check.task(name, task, c)
  if not check.is_task(task) then fail("the %s task is a %s, expected one with :batch(first, count)", name, type(task)) end
  local batch = table.pack(task:batch(1, math.min(2, c.batch)))
  for i, what in ipairs { "tokens", "targets" } do
    if type(batch[i]) ~= "userdata" or not tostring(batch[i]):find "^tokens" then
      fail("the %s task: batch returned %s as %s, expected what rwkv.tokens makes", name, check.shown(batch[i]), what)
    end
  end
  if name == "training" and task.carry and not task.restarts then
    fail "the training task has carry, but no :restarts(first)"
  end
  return batch[1], batch[2]
end

-- ---- what is measured ----

-- The rows that the function `by` measured; none if it returned nothing.
function check.rows(rows, by)
  if rows == nil then return {} end
  if not check.is_list(rows) then fail("%s returned %s, expected a list of rows", by, check.shown(rows)) end
  return rows
end

-- more, measured by the function `by`, if it can be added to a row: it may give what a test measures and columns of its own, but
-- replace nothing of the trainer's or the configuration's.
function check.measured(row, more, by)
  if type(more) ~= "table" then fail("%s returned %s, expected a table of columns", by, check.shown(more)) end
  for name, value in pairs(more) do
    if type(name) ~= "string" then fail("%s: a column is called %s, expected names", by, check.shown(name)) end
    local shown, kind = visible.line(name), type(value)
    if kind ~= "number" and kind ~= "string" and kind ~= "boolean" then
      fail("%s: column %s is %s, expected %s", by, shown, check.shown(value), plain.words)
    end
    local taken = row[name] ~= nil or (check.owned[name] and not measurable[name])
    if taken and row[name] ~= value then
      fail("%s: column %s is %s, but the trainer puts %s there; give it another name", by, shown, check.shown(value),
        row[name] ~= nil and check.shown(row[name]) or "its own")
    end
  end
  return more
end

return check
