-- One run of an experiment: a model of a configuration is trained, tested on the way, and measured at the end. It stops
-- at any moment and goes on from its last checkpoint with the same numbers: there is one after each test, every few minutes, and when a
-- notice says that the program is going to be taken down.
local core = require "rwkv.core"
local check = require "rwkv.experiment.check"
local configs = require "rwkv.experiment.configs"
local draws = require "rwkv.experiment.draws"
local files = require "rwkv.experiment.files"
local lock = require "rwkv.experiment.lock"
local models = require "rwkv.models"
local notice = require "rwkv.experiment.notice"
local ranks = require "rwkv.ranks"
local provenance = require "rwkv.provenance"
local sorted = require "rwkv.sorted"
local say = require "rwkv.visible".say

local trial = {}

local checkpoint_seconds = 300 -- at most so many are lost where a machine dies

trial.defaults = { layers = 2, beta1 = 0.9, beta2 = 0.99, eps = 1e-8, weight_decay = 0.1, decay_all = false, clip = 0,
  warmup = 0, schedule = "constant", final_lr = 0, seed = 0 }

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

-- Of a whole run, with its tests.
function trial.flops(c, T, labels)
  local tests = (c.examples // c.every + 1) * c.tests
  return training_flops(c, c.examples, T, labels) + training_flops(c, tests, T, labels) / 3
end

-- What stands in every row of a run.
local function row_of(run, model, seen)
  local c, T = run.config, run.tokens
  local row = { run = run.key, part = "curve", hooks = configs.hooks_text(c), commit = provenance.commit(),
    sources = provenance.digest(),
    parameters = model:param_count(), state_floats = model:state_floats(T), backend = core.backend(),
    precision = core.precision, flops = training_flops(c, seen, T, run.labels) }
  row.state_bytes = 4 * row.state_floats
  row.device = core.device()
  if row.device or core.matmul() ~= "full" then row.matmul = core.matmul() end
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

-- ---- training ----

local function optimizer(model, c)
  local steps = math.max(math.ceil(c.examples / c.batch), c.warmup) -- a short run ends while it warms up
  return core.adamw(model, { lr = c.lr, betas = { c.beta1, c.beta2 }, eps = c.eps, weight_decay = c.weight_decay,
    decay_all = c.decay_all, clip = c.clip, warmup = c.warmup, final = c.final_lr,
    total = c.schedule == "cosine" and steps or 0 })
end

-- Puts all that draws random numbers to the place of what comes next: a step, a test, ..
local function place(run, what, number) draws.place(run.config.seed, what, number, run.generators, run.starts) end

-- Why what this run gives must not be used by another process: if there are no reasons, list is empty.
local function reasons_of(run)
  local reasons = { table.unpack(run.uncovered) }
  for i, g in ipairs(run.generators) do g:count(run.starts[i]) end -- a place is no change
  if configs.code(run.config, run.train, run.test, run.functions, run.instead) ~= run.code then
    reasons[#reasons + 1] = "a value that a hook, a task or a measuring function uses has changed while the run went on"
  end
  return reasons
end

-- The model, its optimizer, the rows so far, what has come since the last of them, and the carried state: from a checkpoint, or new.
local function begin(run)
  local c = run.config
  if run.path and #run.uncovered == 0 then
    local model, opt, rows, since, state
    if ranks.writes() then model, opt, rows, since, state = files.resume(run, optimizer) end
    local is_there = ranks.decided(model)
    if is_there and not model then model, opt, rows, since, state = files.resume(run, optimizer) end
    if is_there then
      say("%s goes on after %d of %d examples", c.label, opt:steps() * c.batch, c.examples)
      return model, opt, rows, since, state
    end
  end
  local d = check.design(c)
  d.seed = c.seed
  place(run, "prepare", 0)
  local model = models.model(d)
  if run.prepare then core.no_grad(run.prepare, model, c) end
  return model, optimizer(model, c), {}, { loss = 0, steps = 0, seconds = 0 }, nil
end

-- The loss of a batch, with its gradients in place; the state after it; whether one of the programs that share it had a notice.
local function gradients(run, model, opt, seen, state)
  local c, train = run.config, run.train
  local tokens, targets = train:batch(seen + 1, c.batch)
  if c.shards then
    if train.carry then error("experiment: a state that is carried on, and shards of a batch: expected one of them", 0) end
    local loss, _, heard = ranks.gradients(model, tokens, targets, nil, c.shards, notice.heard() and 1 or 0)
    return loss, nil, heard > 0
  end
  if train.carry then state = not train:restarts(seen + 1) and state or model:state(c.batch) end
  local loss = model:loss(tokens, targets, state and { state = state })
  opt:zero_grad()
  loss:backward()
  return loss:item(), state, notice.heard() ~= nil
end

-- One step. Returns the loss, the state after it and whether there was a notice, or nothing if the gradient is not finite: the run has
-- diverged.
local function step(run, model, opt, seen, state)
  place(run, "step", opt:steps())
  local value, after, heard = gradients(run, model, opt, seen, state)
  local finite, message = pcall(opt.step, opt)
  if not finite then
    if not tostring(message):find "gradient is not finite" then error(message, 0) end
    core.end_step()
    return nil
  end
  if after then after:detach() end
  return value, after, heard
end

-- Trains on; returns the rows of the whole run and the model. most: so many rows, and then no more.
local function train(run, bar, most)
  local c = run.config
  local model, opt, rows, since, state = begin(run)
  local seen, start, kept = opt:steps() * c.batch, core.time() - since.seconds, core.time()

  local function record(more)
    place(run, "test", opt:steps())
    local row = row_of(run, model, seen)
    with(row, check.measured(row, notice.during(run.evaluate, model, run.test, c), "evaluate"))
    local loss = #rows == 0 and math.log(c.vocab) or since.steps > 0 and since.loss / since.steps or nil
    row.loss, row.seconds = row.loss or loss, core.time() - start
    rows[#rows + 1] = with(row, more or {})
    since.loss, since.steps = 0, 0
  end
  local function keep()
    kept = core.time()
    if not run.path or #rows == 0 or #reasons_of(run) > 0 then return end
    since.seconds = kept - start
    files.keep(run, model, opt, trial.columns(rows), rows, since, state)
  end
  run.keep = keep
  local function due() return seen // c.every > (seen - c.batch) // c.every or seen >= c.examples end
  local function tested() return #rows > 0 and rows[#rows].examples == seen end
  local function ends()
    place(run, "stop", opt:steps())
    return seen >= c.examples or #rows >= (most or math.huge) or (run.stop and run.stop(rows[#rows], c))
  end

  local heard = not ranks.apart and notice.heard() ~= nil
  while true do
    if due() and not tested() then
      record()
      if seen > 0 then keep() end
    end
    if #rows > 1 and tested() and ends() then break end
    if heard then
      keep()
      notice.stop()
    end
    local loss, after
    loss, after, heard = step(run, model, opt, seen, state)
    if not loss then
      record { diverged = 1 }
      break
    end
    state, seen, since.loss, since.steps = after, seen + c.batch, since.loss + loss, since.steps + 1
    bar:update(seen, ("loss %.3f"):format(since.loss / since.steps))
    if run.path then lock.beat(run.path, seen) end
    if core.time() - kept > checkpoint_seconds and not due() then keep() end
  end
  run.keep = nil
  place(run, "final", opt:steps())
  return rows, model
end

-- ---- tables ----

local first_columns = { "label", "examples", "accuracy", "loss", "seed", "commit", "parameters", "state_floats", "state_bytes",
  "flops", "part", "test_loss", "version", "hooks" }
local last_columns = { "backend", "matmul", "device", "precision", "sources", "seconds", "diverged", "run" }

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
  for _, name in ipairs(sorted(there)) do take(name) end
  for _, name in ipairs(last_columns) do
    if last[name] then columns[#columns + 1] = name end
  end
  return columns
end

-- ---- the whole ----

-- How many tokens an example has, and how many of them are scored: as many as on average.
local function count_labels(run)
  place(run, "count", 0)
  local tokens, targets = run.train:batch(run.config.examples // 2 + 1, math.min(run.config.batch, 8))
  run.tokens, run.labels = tokens:shape()[2], configs.labels(targets)
end

local function measured(run, bar)
  count_labels(run)
  local rows, model = train(run, bar)
  local last = rows[#rows]
  local found = run.final and notice.during(core.no_grad, run.final, model, run.test, run.config)
  for _, more in ipairs(check.rows(found, "final")) do
    local row = row_of(run, model, last.examples)
    row.part, row.seconds = "final", last.seconds
    rows[#rows + 1] = with(row, check.measured(row, more, "final"))
  end
  return rows, model
end

-- The first rows of a run, at most so many: it begins at its start, and writes nothing.
function trial.first(run, bar, most)
  run.path = nil
  return draws.keep(run.generators, function(starts)
    run.starts = starts
    count_labels(run)
    return (train(run, bar, most))
  end)
end

-- run: see list_runs in init.lua. bar: see rwkv.progress. Returns its rows; after a notice it raises the error of notice.stop.
function trial.run(run, bar)
  if run.keep_model then files.make_room(run) end
  local backend, threads = core.backend(), core.threads()
  local rows, model = draws.keep(run.generators, function(starts)
    run.starts = starts
    local done, found, trained = pcall(measured, run, bar)
    if done then return found, trained end
    notice.attend(false)
    if not notice.is(found) then
      if not tostring(found):find "interrupted$" and #reasons_of(run) == 0 then files.fail(run, tostring(found)) end
      error(found, 0)
    end
    if run.keep then run.keep() end
    return notice.stop()
  end)
  local reasons = reasons_of(run)
  if core.backend() ~= backend or core.threads() ~= threads then -- the next run begins as this one
    core.backend(backend)
    core.threads(threads)
    reasons[#reasons + 1] = "the kernels or the threads were changed while the run went on"
  end
  if #reasons > #run.uncovered then
    say("%s: %s: its numbers may depend on what ran before, and are not kept for another time", run.config.label, reasons[#reasons])
  end
  if run.keep_model then model:save(run.path .. ".safetensors") end
  files.write(run, trial.columns(rows), rows, reasons)
  files.clear(run)
  ranks.agree(0) -- it is written
  return (files.read(run))
end

return trial
