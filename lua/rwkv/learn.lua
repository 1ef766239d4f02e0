-- Learning curves: several models learn one task from the same examples, with the same budget, and are tested on the
-- way. What is finished is not run again; a run that was stopped goes on from its last test.
--   local rows, path = learn{ name =, out =, settings = {...}, train = task, test = task, runs = { { label = "v7",
--     version = "v7", hooks = { decay = mine } }, ... } }
-- A task has :batch(first, count) -> tokens, targets (see experiments/tasks). settings: layers, dim, head_size, vocab, seq
-- (sizes of the models), batch, examples, every (examples between two tests), tests (examples of a test), lr, beta1, beta2,
-- eps, weight_decay, warmup_steps, seed, and whatever else shall stand in every row. Writes OUT/NAME.tsv: a row a test.
local core = require "rwkv.core"
local hooks = require "rwkv.hooks"
local progress = require "rwkv.progress"
local tsv = require "rwkv.tsv"

local defaults = { layers = 2, batch = 64, beta1 = 0.9, beta2 = 0.99, eps = 1e-8, weight_decay = 0.1, warmup_steps = 10,
  seed = 0, lr = 3e-3 }
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

-- A file name for a run: by everything that decides its numbers, the script with its hooks included.
local function key(run, s)
  local parts = { run.label, run.version, hooks_text(run), core.commit, core.backend() }
  for _, name in ipairs(sorted(s)) do parts[#parts + 1] = name .. "=" .. tostring(s[name]) end
  for _, h in pairs(run.hooks or {}) do
    local script = type(h) == "table" and not h.name:match "%." and arg and arg[0] and io.open(arg[0])
    if script then
      parts[#parts + 1] = script:read "a"
      script:close()
      break
    end
  end
  local hash = 5381
  for c in table.concat(parts, " "):gmatch "." do hash = (hash * 33 + c:byte()) & 0xffffffff end
  return ("%s-%08x"):format(run.label:gsub("[^%w._-]", "_"), hash)
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
    for name, value in pairs(s) do row[name] = row[name] or value end
    rows[#rows + 1] = row
  end

  local bar = progress(run.label, s.examples, "examples", seen)
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
  return rows
end

return function(q)
  local s, columns = {}, { table.unpack(first_columns) }
  for name, value in pairs(defaults) do s[name] = value end
  for name, value in pairs(q.settings) do s[name] = value end
  for _, name in ipairs(sorted(s)) do if name ~= "seed" then columns[#columns + 1] = name end end
  columns[#columns + 1], columns[#columns + 2] = "backend", "seconds"
  core.mkdir(q.out)
  local all = {}
  for _, run in ipairs(q.runs) do
    local path = q.out .. "/" .. key(run, s)
    local rows = tsv.read(path .. ".tsv")
    if rows then
      io.stderr:write(("%-10s accuracy %.3f (finished before: %s.tsv)\n"):format(run.label, rows[#rows].accuracy, path))
    else
      rows = train(run, s, q, columns, path)
      if not core.commit:find "+" then tsv.write(path .. ".tsv", columns, rows) end
      os.remove(path .. ".checkpoint")
      os.remove(path .. ".partial")
    end
    for _, row in ipairs(rows) do all[#all + 1] = row end
  end
  local command = { "aviary" }
  for i = 0, #(arg or {}) do command[#command + 1] = arg[i] end
  local comments = { ("%s (commit %s, %s kernels, %s)"):format(table.concat(command, " "), core.commit, core.backend(),
    core.precision), q.note }
  local path = q.out .. "/" .. q.name .. ".tsv"
  tsv.write(path, columns, all, comments)
  return all, path
end
