-- Learning curves: several models learn one task from the same examples, with the same budget, and are tested on the
-- way. What is finished is not run again; a run that was stopped goes on from its last test.
--   local rows, path = learn{ name =, out =, settings = {...}, train = task, test = task, runs = { { label = "v7",
--     version = "v7", hooks = { decay = mine } }, ... } }
-- A task has :batch(first, count) -> tokens, targets (see experiments/tasks). With seeds = {0, 1, ..} every model is trained
-- with each of them; train is then a function(seed) that returns the task. settings: layers, dim, head_size, vocab, seq
-- (sizes of the models), batch, examples, every (examples between two tests), tests (examples of a test), lr, beta1, beta2,
-- eps, weight_decay, warmup_steps, seed; columns = { name = value, .. } whatever else shall stand in every row. Writes
-- OUT/NAME.tsv, a row a test, and each trained model beside it; the returned rows say where: row.model.
local core = require "rwkv.core"
local hooks = require "rwkv.hooks"
local progress = require "rwkv.progress"
local tsv = require "rwkv.tsv"

local defaults = { layers = 2, batch = 64, beta1 = 0.9, beta2 = 0.99, eps = 1e-8, weight_decay = 0.1, warmup_steps = 10,
  seed = 0, lr = 3e-3 }
local required = { "dim", "head_size", "vocab", "seq", "examples", "every", "tests" }
local fields = { name = "string", out = "string", settings = "table", runs = "table", train = true, test = true,
  seeds = "table", note = "string", columns = "table" }
local first_columns = { "label", "examples", "accuracy", "loss", "seed", "commit", "parameters", "state_floats", "version",
  "hooks" }

local function sorted(t)
  local names = {}
  for name in pairs(t) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function hooks_text(run)
  local parts = {}
  for _, slot in ipairs(sorted(run.hooks or {})) do
    local h = run.hooks[slot]
    parts[#parts + 1] = slot .. "=" .. (type(h) == "table" and h.name or h)
  end
  return table.concat(parts, " ")
end

-- The text of the script and of every module that it has loaded and that is not the library's.
local function sources()
  local texts, names = {}, {}
  for name in pairs(package.loaded) do
    if type(name) == "string" and not name:match "^rwkv" then names[#names + 1] = name end
  end
  table.sort(names)
  local paths = { arg and arg[0] or "" }
  for _, name in ipairs(names) do paths[#paths + 1] = package.searchpath(name, package.path) end
  for _, path in ipairs(paths) do
    local file = io.open(path)
    texts[#texts + 1] = file and file:read "a" or ""
    if file then file:close() end
  end
  return table.concat(texts)
end

-- A file name for a run: by everything that decides its numbers. That is its settings, hooks and seed, Aviary's commit,
-- the script and its modules, and the data.
local function key(run, s, q)
  local parts = { run.label, run.version, hooks_text(run), core.commit, core.backend(), core.precision, sources() }
  for _, name in ipairs(sorted(s)) do parts[#parts + 1] = name .. "=" .. tostring(s[name]) end
  for _, task in ipairs { q.train, q.test } do
    for _, tokens in ipairs { task:batch(1, math.min(4, s.tests)) } do
      for _, row in ipairs(tokens:tolist()) do parts[#parts + 1] = table.concat(row, " ") end
    end
  end
  local hash = 5381
  for c in table.concat(parts, "\n"):gmatch "." do hash = (hash * 33 + c:byte()) & 0xffffffffffff end
  return ("%s-%012x"):format(run.label:gsub("[^%w._-]", "_"), hash)
end

local function accuracy(model, task, s)
  local correct, scored = 0, 0
  for first = 1, s.tests, 50 do
    core.no_grad(function()
      local _, score = model:loss(task:batch(first, math.min(50, s.tests - first + 1)))
      correct, scored = correct + score.correct, scored + score.scored
    end)
  end
  return correct / scored
end

local function train(run, s, q, columns, path)
  local model = hooks.model { version = run.version, hooks = run.hooks, layers = s.layers, dim = s.dim,
    head_size = s.head_size, vocab = s.vocab, ctx = s.seq, seed = s.seed }
  local rows, seen, seconds = {}, 0, 0
  local function optimizer()
    return core.adamw(model, { lr = s.lr, betas = { s.beta1, s.beta2 }, eps = s.eps, weight_decay = s.weight_decay,
      warmup = s.warmup_steps })
  end
  local opt = optimizer()
  local checkpoint = io.open(path .. ".checkpoint")
  if checkpoint then
    checkpoint:close()
    model = hooks.load(path .. ".checkpoint")
    opt = optimizer()
    opt:restore(path .. ".checkpoint")
    rows, seen = tsv.read(path .. ".partial"), opt:steps() * s.batch
    while rows[#rows].examples > seen do rows[#rows] = nil end -- stopped between the two files
    seconds = rows[#rows].seconds
  end

  local function record(loss)
    local row = { label = run.label, version = run.version, hooks = hooks_text(run), examples = seen,
      accuracy = accuracy(model, q.test, s), loss = loss, commit = core.commit, parameters = model:param_count(),
      state_floats = model:state_floats(s.seq), backend = core.backend(), seconds = seconds }
    for name, value in pairs(s) do row[name == "examples" and "budget" or name] = value end
    for name, value in pairs(q.columns) do row[name] = value end
    rows[#rows + 1] = row
  end

  local bar = progress(q.title(run), s.examples, "examples", seen)
  local start, sum, steps = core.time() - seconds, 0, 0
  if seen == 0 then record(math.log(s.vocab)) end
  while seen < s.examples do
    local loss = model:loss(q.train:batch(seen + 1, s.batch))
    opt:zero_grad()
    loss:backward()
    opt:step()
    seen, sum, steps = seen + s.batch, sum + loss:item(), steps + 1
    bar:update(seen, ("loss %.3f"):format(sum / steps))
    if seen // s.every > (seen - s.batch) // s.every or seen >= s.examples then
      seconds = core.time() - start
      record(sum / steps)
      sum, steps = 0, 0
      if seen < s.examples then
        tsv.write(path .. ".partial", columns, rows)
        model:save(path .. ".checkpoint", { optimizer = opt })
      end
    end
  end
  bar:finish(("accuracy %.3f, loss %.3f, %d parameters, state %d floats"):format(rows[#rows].accuracy,
    rows[#rows].loss, model:param_count(), model:state_floats(s.seq)))
  model:save(path .. ".safetensors")
  return rows
end

-- ---- what is asked for ----

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
  local known = { layers = true, dim = true, head_size = true, vocab = true, seq = true, examples = true, every = true,
    tests = true }
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

-- The rows of one run: from its file if it is finished.
local function rows_of(run, s, q, columns)
  local path = q.out .. "/" .. key(run, s, q)
  local rows = tsv.read(path .. ".tsv")
  if rows then
    io.stderr:write(("%-10s accuracy %.3f (finished before: %s.tsv)\n"):format(q.title(run), rows[#rows].accuracy, path))
  else
    rows = train(run, s, q, columns, path)
    if not core.commit:find "+" then tsv.write(path .. ".tsv", columns, rows) end
    os.remove(path .. ".checkpoint")
    os.remove(path .. ".partial")
  end
  for _, row in ipairs(rows) do row.model = path .. ".safetensors" end
  return rows
end

local function learn(q)
  check(q)
  local s, columns, extra = {}, { table.unpack(first_columns) }, q.columns or {}
  for name, value in pairs(defaults) do s[name] = value end
  for name, value in pairs(q.settings) do s[name] = value end
  for _, name in ipairs(sorted(s)) do
    if name ~= "seed" then columns[#columns + 1] = name == "examples" and "budget" or name end
  end
  for _, name in ipairs(sorted(extra)) do columns[#columns + 1] = name end
  columns[#columns + 1], columns[#columns + 2] = "backend", "seconds"
  core.mkdir(q.out)
  local all = {}
  for _, seed in ipairs(q.seeds or { s.seed }) do
    s.seed = seed
    local one = { out = q.out, train = q.train, test = q.test, columns = extra }
    if type(q.train) == "function" then one.train = q.train(seed) end
    check_task("train", one.train)
    function one.title(run) return q.seeds and ("%s seed %d"):format(run.label, seed) or run.label end
    for _, run in ipairs(q.runs) do
      for _, row in ipairs(rows_of(run, s, one, columns)) do all[#all + 1] = row end
    end
  end
  local command = { "aviary" }
  for i = 0, #(arg or {}) do command[#command + 1] = arg[i] end
  local comments = { ("%s (commit %s, %s kernels, %s)"):format(table.concat(command, " "), core.commit, core.backend(),
    core.precision), q.note }
  local path = q.out .. "/" .. q.name .. ".tsv"
  tsv.write(path, columns, all, comments)
  return all, path
end

return function(q)
  local results = table.pack(pcall(learn, q))
  if results[1] then return results[2], results[3] end
  local message = results[2]
  error(message, type(message) == "string" and not message:match "^[^\n ]+:%d+: " and 2 or 0)
end
