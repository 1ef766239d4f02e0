-- Ablations: arms that differ in one thing each, trained on the same examples in the same order, and what each costs against
-- the first of its panel, seed by seed.
--     local o = rwkv.experiment.options(arg, { text = "" })
--     local s = rwkv.experiment.scale(o, arms.scales { quick = { seeds = 2 } })       -- the usual scales, with other values
--     arms.run { name = "ddlerp", options = o, scale = s, note = "RWKV-6", panels = {
--       { panel = "RWKV-6 on text", version = "v6", arms = { { label = "full" }, { label = "none", hooks = { shift = "lerp" } } } } } }
-- An arm has a label and what it has otherwise than the panel: fields of a configuration, hooks, or start = "name" of one of the
-- functions in `starts`, which change the fresh model; `settings` of a panel are for all its arms. Without a task a panel is on text,
-- byte by byte, and measures the loss at the end; with task = "words" word by word; with task = "mqar" it measures the examples until
-- more than 90 % are recalled (which ends a run; the budget where they are not).
-- Writes NAME.tsv, all tests of all runs, and NAME.figure.tsv, which plots/loss_arms.gp draws.
local rwkv = require "rwkv"
local mqar = require "experiments.tasks.mqar"
local text = require "experiments.tasks.text"
local words = require "experiments.tasks.words"
local nearest = require "rwkv.nearest"
local sorted = require "rwkv.sorted"
local statistics = require "rwkv.statistics"

local arms = {}

local scales = {
  quick = { layers = 2, dim = 64, head_size = 32, seq = 128, batch = 8, examples = 800, lr = 4e-3, tests = 100, seeds = 1 },
  small = { layers = 2, dim = 64, head_size = 32, seq = 128, batch = 8, examples = 6400, lr = 4e-3, tests = 400, seeds = 3 },
  paper = { layers = 6, dim = 768, head_size = 64, seq = 512, batch = 16, examples = 3125000, lr = 6e-4, tests = 500, seeds = 1 },
}

-- scales { quick = { examples = 400 }, .. }: for rwkv.experiment.scale, with these values in place of the usual ones. Panels with
-- words need words_examples, words_lr and words_vocab, those with recall mqar_examples and mqar_lr.
function arms.scales(other)
  local all = {}
  for name, usual in pairs(scales) do
    all[name] = {}
    for _, from in ipairs { usual, other[name] or {} } do
      for field, value in pairs(from) do all[name][field] = value end
    end
  end
  return all
end

-- ---- the tasks ----

local function of_text(s, lr, examples)
  return { lr = lr, seq = s.seq, batch = s.batch, examples = examples, every = math.max(1, examples // 4), tests = s.tests }
end

local tasks = {
  text = { value = "test_loss", measured = "test loss, nats a byte", settings = function(s) return of_text(s, s.lr, s.examples) end },
  words = { value = "test_loss", measured = "test loss, nats a word",
    settings = function(s)
      local c = of_text(s, s.words_lr, s.words_examples)
      c.vocab = s.words_vocab
      return c
    end },
  mqar = { value = "examples", goal = true, measured = "MQAR examples until 90 % are recalled",
    settings = function(s)
      return { seq = 64, pairs = 8, filler = "zero", head_size = math.min(64, s.dim), batch = 64, lr = s.mqar_lr, schedule = "constant",
        examples = s.mqar_examples, every = 512, tests = 200 }
    end },
}
local function recalled(row) return row.accuracy > 0.9 end

local function known(what, name, there)
  if there[name] == nil then error(("arms: there is no %s '%s'%s"):format(what, name, nearest.listed(name, sorted(there))), 0) end
end

local function configs_of(s, panel, starts, parts)
  local task, list = panel.task or "text", {}
  known("task", task, tasks)
  local common = { layers = s.layers, dim = s.dim, head_size = s.head_size, vocab = 256, warmup = 20, clip = 1, schedule = "cosine",
    final_lr = 0.1, weight_decay = 0.1, start = "official", version = panel.version, panel = panel.panel, task = task }
  for _, arm in ipairs(panel.arms) do
    if arm.start then known("start", arm.start, starts) end
  end
  for _, seed in ipairs(rwkv.seeds(s.seeds)) do -- outermost: of what is stopped there are whole seeds
    for _, arm in ipairs(panel.arms) do
      local c = { seed = seed }
      for _, from in ipairs { common, task ~= "mqar" and parts or {}, tasks[task].settings(s), panel.settings or {}, arm } do
        for name, value in pairs(from) do c[name] = value end
      end
      list[#list + 1] = c
    end
  end
  return list
end

-- ---- what each costs ----

-- The last rows of a panel's runs, by label and seed.
local function last_rows(rows, panel)
  local last = {}
  for _, row in ipairs(rows) do
    if row.panel == panel.panel and row.part == "curve" then
      last[row.label] = last[row.label] or {}
      last[row.label][row.seed] = row
    end
  end
  return last
end

-- The median of some numbers, the lowest and the highest: nan where one is, nothing of none.
local function spread(list)
  local mean, low, high = statistics.summary(list)
  if not mean or mean ~= mean then return mean, low, high end
  return statistics.median(list), low, high
end

-- A row of one run and, if there is one, of the first arm's with the same seed. A run that diverged has no value.
local function run_row(task, row, first)
  local function value(of) return of.diverged == 1 and 0 / 0 or of[task.value] end
  return { seed = row.seed, value = value(row), difference = first and value(row) - value(first),
    reached = task.goal and not recalled(row) and 0 or 1 }
end

-- For every arm of a panel of which there are runs a row: median, low and high of the runs, how many there are and how many reached
-- the goal, and of their differences to the first arm with the same seed median, lowest and highest. A row a run follows.
function arms.rows(rows, panel)
  local task, last, list = tasks[panel.task or "text"], last_rows(rows, panel), {}
  local firsts = last[panel.arms[1].label] or {}
  for _, arm in ipairs(panel.arms) do
    local runs, values, differences, reached, any = last[arm.label] or {}, {}, {}, 0, nil
    local of_arm = { {} }
    for _, seed in ipairs(sorted(runs)) do
      local r = run_row(task, runs[seed], firsts[seed])
      of_arm[#of_arm + 1], values[#values + 1], differences[#differences + 1] = r, r.value, r.difference
      reached, any = reached + r.reached, runs[seed]
    end
    local whole = of_arm[1]
    whole.runs, whole.reached, whole.commit = #values, reached, any and any.commit
    whole.median, whole.low, whole.high = spread(values)
    whole.difference, whole.difference_low, whole.difference_high = spread(differences)
    for _, r in ipairs(any and of_arm or {}) do
      r.panel, r.measured, r.version, r.label, r.parameters, r.budget = panel.panel, task.measured, any.version, arm.label,
        any.parameters, any.budget
      list[#list + 1] = r
    end
  end
  return list
end

-- ---- the whole ----

arms.columns = { "panel", "measured", "version", "label", "median", "low", "high", "runs", "reached", "budget", "difference",
  "difference_low", "difference_high", "seed", "value", "parameters", "commit" }

local function settings_text(s, panels)
  local list, on = { ("%d layers, d=%d, heads of %d"):format(s.layers, s.dim, s.head_size) }, {}
  for _, panel in ipairs(panels) do on[panel.task or "text"] = true end
  if on.text then list[2] = ("%.2g MB of text, T=%d, batch %d, lr %g, cosine"):format(s.examples * s.seq / 1e6, s.seq, s.batch, s.lr) end
  if on.words then
    list[#list + 1] = ("words: V=%d, %d windows, lr %g, cosine"):format(s.words_vocab, s.words_examples, s.words_lr)
  end
  if on.mqar then
    list[#list + 1] = ("MQAR: T=64, K=8, V=256, heads of 64, batch 64, lr %g, at most %d examples"):format(s.mqar_lr, s.mqar_examples)
  end
  return table.concat(list, "; ")
end

function arms.run(q)
  local s, starts, configs = q.scale, q.starts or {}, {}
  local parts, read = text.default(q.options.text), nil
  for _, panel in ipairs(q.panels) do
    if panel.task == "words" then read = words.read(parts, s.words_vocab) end
    table.move(configs_of(s, panel, starts, parts), 1, s.seeds * #panel.arms, #configs + 1, configs)
  end
  local note = ("%s. %s; AdamW, weight decay .1, clip 1; %d %s"):format(q.note, settings_text(s, q.panels), s.seeds,
    s.seeds == 1 and "seed" or "seeds")
  local rows, path = rwkv.experiment.run { name = q.name, options = q.options, configs = configs, keep_models = false, note = note,
    title = function(c) return ("%s, %s, seed %d"):format(c.panel, c.label, c.seed) end,
    task = function(c)
      if c.task == "words" then return words.of(c, read) end
      return (c.task == "mqar" and mqar or text).of(c)
    end,
    stop = function(row, c) return c.task == "mqar" and recalled(row) end,
    prepare = function(model, c)
      if c.start ~= "official" then starts[c.start](model, c) end
    end }
  local drawn = {}
  for _, panel in ipairs(q.panels) do
    for _, row in ipairs(arms.rows(rows, panel)) do drawn[#drawn + 1] = row end
  end
  rwkv.experiment.figure(path, arms.columns, drawn, note)
end

return arms
