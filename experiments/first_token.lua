-- Does the empty state handle a first token badly? Loss at the first bytes of windows of a text, and recall of the first pair, with 0, 1
-- and 2 leading tokens in front, in training and in the test. After appendix M of arXiv:2503.14456, where the scores of released models
-- depend on what is put first.
--   make text; aviary experiments/first_token.lua [--scale quick|small|paper] [--text FILE] [--models "v4 v7 mine"]
-- Writes below runs/first_token: first_token.tsv, and first_token.figure.tsv, which plots/first_token.gp draws: each run and the
-- medians, of losses as differences. The leading token is one of its own (256); a model that was trained without it gets one that it
-- knows: in text the end of a line, before windows that begin with one; in recall filler. Predicted: the first positions are better
-- with one leading token, and little changes with the second.
local rwkv = require "rwkv"
local leading = require "experiments.tasks.leading"
local models = require "experiments.models"
local mqar = require "experiments.tasks.mqar"
local positions = require "experiments.measure.positions"
local recall = require "experiments.measure.recall"
local text = require "experiments.tasks.text"

local o = models.options(arg, { models = "v4 v7 attention", text = "" })
local s = rwkv.experiment.scale(o, {
  quick = { layers = 2, dim = 64, head_size = 32, seeds = 1, bytes = 60000, windows = 1000, recall_seq = 32, pairs = 4,
    recall_examples = 9600, questions = 200 },
  small = { layers = 2, dim = 64, head_size = 32, seeds = 3, bytes = 300000, windows = 3000, recall_seq = 64, pairs = 8,
    recall_examples = 14400, questions = 1000 },
  paper = { layers = 12, dim = 768, head_size = 64, seeds = 3, bytes = 100000000, windows = 20000, recall_seq = 128,
    pairs = 16, recall_examples = 100000, questions = 5000 },
})
local LEAD, most, first_bytes = 256, 2, 16
local known = { loss = 10, recall = 0 } -- the end of a line; filler

-- What stands in front of a test: the token that the model was trained with, or one that it knows.
local function lead_of(c, count)
  local lead = {}
  for i = 1, count do lead[i] = c.leading > 0 and LEAD or known[c.measured] end
  return lead
end

-- Mean loss at the first bytes of windows of a text after `lead`, by position; starts: where the windows begin.
local function first_losses(model, task, starts, lead)
  local sums, at_once = {}, 250
  for p = 1, first_bytes do sums[p] = 0 end
  for first = 1, #starts, at_once do
    local rows = {}
    for i = first, math.min(first + at_once - 1, #starts) do
      rows[#rows + 1] = leading.row(lead, task:bytes(starts[i], first_bytes + 1))
    end
    for _, l in ipairs(positions.losses(model, rows, #rows[1])) do
      for p = 1, first_bytes do sums[p] = sums[p] + l[#lead + p] end
    end
  end
  for p = 1, first_bytes do sums[p] = sums[p] / #starts end
  return sums
end

-- A row for each of the first bytes of windows, or of the pairs in the order in which they were shown. Windows begin anywhere; where the
-- end of a line is in front, at starts of lines, where it belongs.
local function measure(model, test, c)
  local rows = {}
  local function add(begin, tested, found)
    for place, x in ipairs(found) do rows[#rows + 1] = { begin = begin, tested = tested, place = place, found = x } end
  end
  local task, anywhere = test.task, {}
  for i = 1, c.windows or 0 do anywhere[i] = task:offset(i) end
  local lines = c.windows and task.document:stretches(c.windows, first_bytes + 1)
  for tested = 0, most do
    local lead = lead_of(c, tested)
    if c.measured == "recall" then
      add("anywhere", tested, recall.by_pair(model, task, lead, c.questions, 100))
    else
      if c.leading > 0 or tested == 0 then add("anywhere", tested, first_losses(model, task, anywhere, lead)) end
      if c.leading == 0 then add("line", tested, first_losses(model, task.document, lines, lead)) end
    end
  end
  return rows
end

-- Of a configuration: examples with as many leading tokens in training as it says, in tests the same.
local function task_of(c)
  local train, test
  if c.measured == "loss" then
    train, test = text.of(c)
  else
    local function pairs_of(seed)
      return mqar.new { vocab = LEAD, seq = c.seq, pairs = c.pairs, random_filler = false, seed = seed }
    end
    train, test = pairs_of(1000 + c.seed), pairs_of(7)
  end
  local lead = {}
  for i = 1, c.leading do lead[i] = LEAD end
  return leading.new(train, lead), leading.new(test, lead)
end

local common = { layers = s.layers, dim = s.dim, vocab = LEAD + 1, warmup = 20, clip = 1, schedule = "cosine", final_lr = 0.05,
  tests = 100 }
local of_text = { measured = "loss", head_size = s.head_size, seq = 64, batch = 32, carry = 0, lr = 4e-3, windows = s.windows,
  examples = s.bytes // (64 * 32) * 32 }
local of_recall = { measured = "recall", head_size = s.dim, seq = s.recall_seq, batch = 64, pairs = s.pairs, lr = 3e-3,
  questions = s.questions, examples = s.recall_examples }
local function configs_of(names, settings, more)
  for _, fields in ipairs { common, more } do
    for name, value in pairs(fields) do settings[name] = value end
  end
  settings.every = settings.examples
  return rwkv.product({ { "model", models.pick(names) }, { "leading", { 0, 1, 2 } }, { "seed", rwkv.seeds(s.seeds) } }, settings)
end
local configs = configs_of(o.models, of_text, text.default(o.text))
for _, c in ipairs(configs_of("v7", of_recall, {})) do configs[#configs + 1] = c end

local note = ("First tokens: %d layers, d=%d. Loss: %d windows of %d bytes of %s, AdamW lr %g, measured on %d windows. Recall: MQAR, "
  .. "T=%d, K=%d, V=%d, %d examples, lr %g, measured on %d"):format(s.layers, s.dim, of_text.examples, of_text.seq,
  text.default(o.text).text:match "[^/]+$", of_text.lr, s.windows, of_recall.seq, s.pairs, LEAD, s.recall_examples, of_recall.lr,
  s.questions)
local rows, path = rwkv.experiment.run { name = "first_token", options = o, keep_models = false, configs = configs,
  task = task_of,
  final = measure,
  title = function(c) return ("%s, %s, %d leading"):format(c.label, c.measured, c.leading) end,
  note = note }

-- What is drawn: of losses how they differ from those of the same seed without leading tokens, as that is little beside what positions
-- differ by; recall as it is.
local bare = {}
local function of(row) return ("%s %s %s %d %d"):format(row.label, row.measured, row.begin, row.seed, row.place) end
for _, row in ipairs(rows) do
  if row.part == "final" and row.leading == 0 and row.tested == 0 then bare[of(row)] = row.found end
end
for _, row in ipairs(rows) do
  if row.measured == "recall" then
    row.drawn = row.found
  elseif row.part == "final" then
    local without = bare[of(row)] -- not there while that run is missing
    row.drawn = without and row.found - without
  end
end
local by = { "label", "measured", "begin", "leading", "tested", "place" }
rwkv.experiment.figure(path, { "label", "measured", "begin", "leading", "tested", "place", "found", "median", "low", "high", "runs",
  "seed", "value", "parameters", "commit" }, rwkv.summary(rows, { by = by, part = "final", value = "drawn", also = { "found" },
  each = true }), note)
