-- One run of an experiment: a model of a configuration is trained, tested on the way, and measured at the end. It stops
-- at any moment and goes on from its last test with the same numbers.
--   PATH.tsv         its rows, when it is finished         PATH.safetensors  the trained model
--   PATH.partial, PATH.checkpoint, PATH.state    while it is not: rows so far; model and optimizer; a carried state
local core = require "rwkv.core"
local check = require "rwkv.experiment.check"
local configs = require "rwkv.experiment.configs"
local hooks = require "rwkv.hooks"
local tsv = require "rwkv.tsv"
local visible = require "rwkv.visible"

local trial = {}

trial.defaults = { layers = 2, beta1 = 0.9, beta2 = 0.99, eps = 1e-8, weight_decay = 0.1, decay_all = false, clip = 0,
  warmup = 0, schedule = "constant", final_lr = 0, seed = 0 }

local function exists(path)
  local file = io.open(path)
  return file and file:close()
end

-- ---- measuring ----

-- Accuracy over the scored positions of c.tests examples, and their mean loss.
function trial.evaluate(model, task, c)
  local correct, scored, loss, size = 0, 0, 0, c.test_batch or 50
  for first = 1, c.tests, size do
    core.no_grad(function()
      local l, score = model:loss(task:batch(first, math.min(size, c.tests - first + 1)))
      correct, scored, loss = correct + score.correct, scored + score.scored, loss + l:item() * score.scored
    end)
  end
  if scored == 0 then error(("experiment: the test task has no scored position among its %d examples"):format(c.tests), 0) end
  return { accuracy = correct / scored, test_loss = loss / scored }
end

-- Multiplications and additions of training on so many examples of T tokens, `labels` of which are scored: three times
-- those of the forward pass, the head only where a position is scored.
local function training_flops(c, examples, T, labels)
  local d = check.design(c)
  d.tokens = T
  local head = 2 * c.dim * c.vocab
  return 3 * examples * (T * (core.describe(d).flops_per_token - head) + labels * head)
end

-- What stands in every row of a run.
local function row_of(run, model, seen)
  local c, T = run.config, run.tokens
  local row = { run = run.key, part = "curve", hooks = configs.hooks_text(c), commit = core.commit,
    parameters = model:param_count(), state_floats = model:state_floats(T), backend = core.backend(),
    precision = core.precision, flops = training_flops(c, seen, T, run.labels) }
  row.state_bytes = 4 * row.state_floats
  for name, value in pairs(c) do
    if name ~= "hooks" then row[name == "examples" and "budget" or name] = value end
  end
  row.examples = seen
  return row
end

local function with(row, more)
  for name, value in pairs(more) do row[name] = value end
  return row
end

-- ---- the state that a task carries from batch to batch ----

local function save_state(path, state)
  local list = {}
  for i, name in ipairs(state:names()) do list[i] = { name = name, value = state:get(name) } end
  core.save_tensors(path, list)
end

local function load_state(path, model, batch)
  local state, tensors = model:state(batch), core.load_tensors(path)
  for _, name in ipairs(state:names()) do state:set(name, tensors[name].value) end
  return state
end

-- ---- training ----

local function optimizer(model, c)
  return core.adamw(model, { lr = c.lr, betas = { c.beta1, c.beta2 }, eps = c.eps, weight_decay = c.weight_decay,
    decay_all = c.decay_all, clip = c.clip, warmup = c.warmup, final = c.final_lr,
    total = c.schedule == "cosine" and math.ceil(c.examples / c.batch) or 0 })
end

-- The model, its optimizer, the rows so far and the carried state: from a checkpoint, or new.
local function begin(run)
  local c, path = run.config, run.path
  local rows = exists(path .. ".checkpoint") and tsv.read(path .. ".partial")
  if rows and #rows > 0 then
    local model = hooks.load(path .. ".checkpoint")
    local opt = optimizer(model, c)
    opt:restore(path .. ".checkpoint")
    local seen = opt:steps() * c.batch
    io.stderr:write(("%s goes on after %d of %d examples\n"):format(visible.line(c.label), seen, c.examples))
    while rows[#rows].examples > seen do rows[#rows] = nil end -- stopped between the two files
    run.kept = run.train.carry and path .. ".state." .. opt:steps()
    return model, opt, rows, run.kept and load_state(run.kept, model, c.batch) or nil
  end
  local d = check.design(c)
  d.seed = c.seed
  local model = hooks.model(d)
  if run.prepare then core.no_grad(run.prepare, model, c) end
  return model, optimizer(model, c), {}, nil
end

-- What `begin` goes on from. The checkpoint says which state and how many rows belong to it: it is written last.
local function keep(run, model, opt, rows, state)
  local before = run.kept
  run.kept = state and run.path .. ".state." .. opt:steps()
  if state then save_state(run.kept, state) end
  tsv.write(run.path .. ".partial", trial.columns(rows), rows)
  model:save(run.path .. ".checkpoint", { optimizer = opt })
  if before then os.remove(before) end
end

-- One step. Returns the loss and the state after it, or nothing if the gradient is not finite: the run has diverged.
local function step(run, model, opt, seen, state)
  local c, train = run.config, run.train
  local tokens, targets = train:batch(seen + 1, c.batch)
  if train.carry then state = not train:restarts(seen + 1) and state or model:state(c.batch) end
  local loss = model:loss(tokens, targets, state and { state = state })
  opt:zero_grad()
  loss:backward()
  local value = loss:item()
  local finite, message = pcall(opt.step, opt)
  if not finite then
    if not tostring(message):find "gradient is not finite" then error(message, 0) end
    core.end_step()
    return nil
  end
  if state then state:detach() end
  return value, state
end

-- Trains on; returns the rows of the whole run and the model.
local function train(run, bar)
  local c, path = run.config, run.path
  local model, opt, rows, state = begin(run)
  local seen, seconds = opt:steps() * c.batch, #rows > 0 and rows[#rows].seconds or 0
  local start, sum, steps = core.time() - seconds, 0, 0
  local function record(loss, more)
    local row = row_of(run, model, seen)
    with(row, check.measured(row, run.evaluate(model, run.test, c), "evaluate"))
    row.loss, row.seconds = row.loss or loss, core.time() - start
    rows[#rows + 1] = with(row, more or {})
    return row
  end
  if #rows == 0 then record(math.log(c.vocab)) end
  local done = seen >= c.examples or (#rows > 1 and run.stop and run.stop(rows[#rows], c))
  while not done do
    local loss, after = step(run, model, opt, seen, state)
    if not loss then
      record(steps > 0 and sum / steps or nil, { diverged = 1 })
      break
    end
    state, seen, sum, steps = after, seen + c.batch, sum + loss, steps + 1
    bar:update(seen, ("loss %.3f"):format(sum / steps))
    if seen // c.every > (seen - c.batch) // c.every or seen >= c.examples then
      local row = record(sum / steps)
      sum, steps = 0, 0
      done = seen >= c.examples or (run.stop and run.stop(row, c))
      keep(run, model, opt, rows, state)
    end
  end
  return rows, model
end

-- ---- tables ----

local first_columns = { "label", "examples", "accuracy", "loss", "seed", "commit", "parameters", "state_floats", "state_bytes",
  "flops", "part", "test_loss", "version", "hooks" }
local last_columns = { "backend", "precision", "seconds", "diverged", "run" }

-- All names in the rows, in a fixed order.
function trial.columns(rows)
  local there, columns = { diverged = true }, {}
  for _, row in ipairs(rows) do
    for name in pairs(row) do there[name] = true end
  end
  there.model = nil
  local function take(name)
    if there[name] then columns[#columns + 1] = name end
    there[name] = nil
  end
  for _, name in ipairs(first_columns) do take(name) end
  local last = {}
  for _, name in ipairs(last_columns) do last[name], there[name] = there[name], nil end
  for _, name in ipairs(configs.sorted(there)) do take(name) end
  for _, name in ipairs(last_columns) do
    if last[name] then columns[#columns + 1] = name end
  end
  return columns
end

-- The rows of a finished run, nil if it is not finished.
function trial.finished(run)
  local rows = tsv.read(run.path .. ".tsv")
  for _, row in ipairs(rows or {}) do row.model = run.path .. ".safetensors" end
  return rows
end

function trial.forget(run)
  for _, ending in ipairs { ".tsv", ".checkpoint", ".partial" } do os.remove(run.path .. ending) end
end

-- run: { config =, key =, path =, train =, test =, evaluate =, final =, stop =, prepare =, keep_model = }. bar: see
-- rwkv.progress. Returns its rows.
function trial.run(run, bar)
  local c = run.config
  local tokens, targets = run.train:batch(c.examples // 2 + 1, math.min(c.batch, 8)) -- as many targets as on average
  local scored, shape = 0, tokens:shape()
  for _, row in ipairs(targets:tolist()) do
    for _, target in ipairs(row) do scored = scored + (target >= 0 and 1 or 0) end
  end
  run.tokens, run.labels = shape[2], scored / shape[1]
  local rows, model = train(run, bar)
  local last = rows[#rows]
  for _, more in ipairs(check.rows(run.final and core.no_grad(run.final, model, run.test, c), "final")) do
    local row = row_of(run, model, last.examples)
    row.part, row.seconds = "final", last.seconds
    rows[#rows + 1] = with(row, check.measured(row, more, "final"))
  end
  if run.keep_model then model:save(run.path .. ".safetensors") end
  tsv.write(run.path .. ".tsv", trial.columns(rows), rows)
  for _, ending in ipairs { ".checkpoint", ".partial" } do os.remove(run.path .. ending) end
  if run.kept then os.remove(run.kept) end
  return trial.finished(run)
end

return trial
