-- State tracking: word problems of groups. How long may words be that a model can follow? After Figure 3 of arXiv:2404.08819 and
-- its counterpart in arXiv:2503.14456. Models learn words of 12 elements, scored at every prefix, and are asked words 16 times as
-- long; what is drawn is the longest length up to which more than 90 % of the words are right.
--
-- Predicted: the transition decides what one layer can do. That of RWKV-7, diag(w) - kappa (a kappa)', has real eigenvalues, and
-- at most one of a head is negative: a token is at most one reflection, and that only with doubled learning rates. A swap of S5 is
-- one reflection: v7-doubled and deltanet_negative follow. A three-cycle is two, and so is every element of A5 but the identity,
-- in the group's smallest representation; counting modulo 3 in one token is a rotation. So these need a filler token after each
-- element, or two reflections a token (deltaproduct).
--   aviary experiments/state_tracking.lua [--scale quick|small|paper] [--tasks "S5-swaps Z3"] [--models "v7 mine"] [--jobs 2]
-- Writes below runs/state_tracking: state_tracking.tsv, of each run its tests, its longest length, and of RWKV-7 with one layer
-- the smallest eigenvalue of its transition at each token; and state_tracking.figure.tsv, which plots/state_tracking.gp draws.
local rwkv = require "rwkv"
local nearest = require "rwkv.nearest"
local models = require "experiments.models"
local groups = require "experiments.tasks.groups"
local transition = require "experiments.measure.transition"

local function words_of(group, generators, steps) return { group = group, generators = generators, steps = steps } end
local kinds = {
  ["S5-swaps"] = words_of("S5", "swaps", 1),
  ["A5-three-cycles"] = words_of("A5", "three-cycles", 1),
  ["A5-three-cycles-filler"] = words_of("A5", "three-cycles", 2),
  Z3 = words_of("Z3", "all", 1), ["Z3-filler"] = words_of("Z3", "all", 2),
  A5 = words_of("A5", "all", 1), ["A5-filler"] = words_of("A5", "all", 2), -- A5, A4xZ5 and Z60: as published
  A4xZ5 = words_of("A4xZ5", "all", 1), Z60 = words_of("Z60", "all", 1),
}

local compared = "v6 v7 v7-doubled deltanet deltanet_negative deltaproduct attention mamba"
local o = models.options(arg, { models = "", tasks = "", seeds = 0 })
-- deeper: the tasks that models of more than the first depth learn, too; slow: models that these and tasks with fillers are left
-- out of; examples_Z3: as many do for Z3.
local s = rwkv.experiment.scale(o, {
  quick = { models = "v7 v7-doubled", tasks = "S5-swaps Z3 Z3-filler", deeper = "", slow = "", depths = { 1 }, length = 12,
    farthest = 192, dim = 64, head_size = 32, batch = 128, examples = 40000, examples_Z3 = 16000, every = 8000, tests = 100,
    lr = { 5e-3 }, seeds = 1 },
  small = { models = compared, tasks = "S5-swaps A5-three-cycles-filler Z3 Z3-filler A5", deeper = "S5-swaps Z3", slow = "mamba",
    depths = { 1, 2 }, length = 12, farthest = 192, dim = 64, head_size = 32, batch = 128, examples = 64000, examples_Z3 = 32000,
    every = 8000, tests = 200, lr = { 5e-3 }, seeds = 3 },
  paper = { models = "v4 v5.2 " .. compared, tasks = "S5-swaps A5-three-cycles-filler Z3 Z3-filler A5 A4xZ5 Z60",
    deeper = "S5-swaps A5-three-cycles-filler Z3 Z3-filler A5 A4xZ5 Z60", slow = "", depths = { 1, 2, 3, 4 }, length = 20,
    farthest = 320, dim = 512, head_size = 64, batch = 512, examples = 16000000, examples_Z3 = 16000000, every = 800000,
    tests = 5000, lr = { 1e-4 }, seeds = 3 },
})
if s.farthest < 4 * s.length then
  error(("--set farthest=%d: expected %d or more, four times the length"):format(s.farthest, 4 * s.length), 0)
end

-- ---- the runs ----

local function names(text) -- a set
  local set = {}
  for name in text:gmatch "%S+" do
    if not kinds[name] then
      local all = {}
      for known in pairs(kinds) do all[#all + 1] = known end
      table.sort(all)
      error(("--tasks: there is no task '%s'%s"):format(name, nearest.listed(name, all)), 0)
    end
    set[name] = true
  end
  return set
end

local asked, deeper, slow = o.tasks ~= "" and o.tasks or s.tasks, names(s.deeper), {}
names(asked)
for label in s.slow:gmatch "%S+" do slow[label] = true end

local cases = {} -- a task, a depth and a model
for name in asked:gmatch "%S+" do
  local kind = kinds[name]
  local task = groups.new { group = kind.group, generators = kind.generators, steps = kind.steps, length = s.length }
  for i, layers in ipairs(s.depths) do
    for _, m in ipairs(models.pick(o.models ~= "" and o.models or s.models)) do
      if (i == 1 or deeper[name]) and not (slow[m.label] and (i > 1 or kind.steps > 1)) then
        cases[#cases + 1] = { label = m.label, version = m.version, hooks = m.hooks, layers = layers, task = name,
          group = kind.group, generators = kind.generators, steps = kind.steps, vocab = task.vocab, seq = task.seq,
          examples = kind.group == "Z3" and s.examples_Z3 or s.examples }
      end
    end
  end
end

local note = ("trained on words of %d elements; d=%d, heads of %d, batch %d, at most %d examples (Z3: %d; fewer where more than 99 %% "
  .. "of words of %d are right), warm-up and cosine, weight decay 0.01, clip 1, best of lr %s"):format(s.length, s.dim, s.head_size,
    s.batch, s.examples, s.examples_Z3, 4 * s.length, table.concat(s.lr, ", "))

local function words(c, length, seed)
  return groups.new { group = c.group, generators = c.generators, steps = c.steps, length = length, seed = seed }
end

-- Of a model of RWKV-7 the smallest eigenvalue of its transition where an element of a word stands, and at its filler: a row for
-- each head with the median over the word and its lowest and highest.
local function eigenvalues(model, task)
  local inputs, found, rows = task:example(1), {}, {}
  for head, values in ipairs(transition.of_tokens(model, inputs)) do
    for t = 2, #inputs do
      local step = (t - 2) % task.steps + 1
      local element = inputs[t - step + 1]
      local key = ("%d %d %d"):format(step, element, head)
      if not found[key] then
        found[key] = { step = step, element = element, head = head, values = {} }
        rows[#rows + 1] = found[key]
      end
      table.insert(found[key].values, values[t])
    end
  end
  for _, row in ipairs(rows) do
    local values = row.values
    table.sort(values)
    row.eigenvalue, row.lowest, row.highest, row.values = values[#values // 2 + 1], values[1], values[#values], nil
  end
  return rows
end

local rows, path = rwkv.experiment.run { name = "state_tracking", options = o, keep_models = false,
  title = function(c) return ("%s %s, %d %s, seed %d"):format(c.task, c.label, c.layers, c.layers == 1 and "layer" or "layers", c.seed) end,
  configs = rwkv.product({ { "lr", s.lr }, { "case", cases }, { "seed", rwkv.seeds(o.seeds > 0 and o.seeds or s.seeds) } },
    { dim = s.dim, head_size = s.head_size, length = s.length, farthest = s.farthest, batch = s.batch, every = s.every,
      tests = s.tests, schedule = "cosine", warmup = 100, weight_decay = 0.01, beta2 = 0.999, clip = 1 }),
  task = function(c) return words(c, c.length, 1000 + c.seed), words(c, 4 * c.length, 7) end,
  evaluate = function(model, test, c)
    local whole, single = groups.right(model, test, c.tests)
    return { accuracy = single[c.length], words = whole[c.length], words_beyond = whole[4 * c.length],
      longest = groups.longest(whole) }
  end,
  stop = function(row) return row.words_beyond > 0.99 end,
  final = function(model, _, c)
    local task, list = words(c, c.farthest, 8), {}
    local whole, single = groups.right(model, task, c.tests)
    if c.layers == 1 and c.version == "v7" and not (c.hooks and c.hooks.time_mix) then list = eigenvalues(model, task) end
    table.insert(list, 1, { longest = groups.longest(whole), words = whole[c.length], accuracy = single[c.length] })
    return list
  end,
  note = note }

-- ---- the figure ----

local best = rwkv.best(rows, { over = "lr", by = { "label", "task", "layers" }, value = "longest" })
local lengths = {}
for _, row in ipairs(best) do if row.longest then lengths[#lengths + 1] = row end end
local figure = rwkv.summary(lengths, { by = { "label", "task", "layers" }, part = "final", value = "longest", keep = { "lr" },
  each = true })
for _, row in ipairs(figure) do row.measured = "longest" end
for _, row in ipairs(best) do
  if row.eigenvalue then
    figure[#figure + 1] = { label = row.label, task = row.task, layers = row.layers, measured = "eigenvalue", seed = row.seed,
      step = row.step, element = row.element, head = row.head, value = row.eigenvalue, low = row.lowest, high = row.highest,
      lr = row.lr, commit = row.commit }
  end
end
rwkv.experiment.figure(path, { "label", "task", "layers", "measured", "step", "element", "head", "median", "low", "high", "runs",
  "seed", "value", "lr", "parameters", "state_floats", "commit" }, figure, note)
