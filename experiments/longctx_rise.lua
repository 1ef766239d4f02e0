-- Does anything rise past the length it was trained at? Figure 5 of arXiv:2404.05892 has RWKV-4, 3B, trained at 4096 tokens, rise
-- from about 10^4 on; small models stay flat (longctx_loss). Suspects, each an arm: depth; a training length that is short beside
-- the memory of the channels; channels that hardly forget, as long training makes them (Figure 9 of arXiv:2305.13048), while official
-- initial values have none that keep a half for more than some hundred bytes. RWKV-7 stands beside it, attention as a control that must
-- rise, and the published remedy: training on at a longer length.
--   make text; aviary experiments/longctx_rise.lua [--scale quick|small|paper] [--text FILE] [--models "v4 v7 attention"] [--seeds 2]
-- Texts differ from position to position by more than models do. So every byte is read twice, after all that stands before it and
-- after the last T/2 to T bytes alone, which is what training was like: `gain` is the second loss less the first, in nats a byte.
-- Above 0 the longer context helps, below 0 it does harm.
-- Predicted: RWKV-4 with slow channels does harm to itself, as its sums are then averages over more than it ever saw.
-- Writes below runs/longctx_rise: longctx_rise.tsv and, of what is trained on, longctx_rise_on.tsv, with a row a position (part =
-- final), and longctx_rise.figure.tsv, which plots/longctx_rise.gp draws.
local rwkv = require "rwkv"
local models = require "experiments.models"
local positions = require "experiments.measure.positions"
local text = require "experiments.tasks.text"

local o = models.options(arg, { models = "v4 v7 attention", text = "", seeds = 0 })
local s = rwkv.experiment.scale(o, {
  quick = { deep = 3, dim = 32, head_size = 16, seq = 32, tokens = 1024, passes = 0.05, lr = 4e-3, seeds = 1, length = 2048,
    documents = 8, tests = 50, longer = 128 },
  small = { deep = 6, dim = 64, head_size = 32, seq = 64, tokens = 4096, passes = 0.4, lr = 4e-3, seeds = 2, length = 16384,
    documents = 24, tests = 100, longer = 512 },
  paper = { deep = 12, dim = 768, head_size = 64, seq = 4096, tokens = 32768, passes = 20, lr = 6e-4, seeds = 1, length = 65536,
    documents = 5, tests = 16, longer = 16384 },
})

-- ---- the suspects ----

local arms = {
  { arm = "2 layers", layers = 2, slow = 0 },
  { arm = "2 layers, slow channels", layers = 2, slow = 1 },
  { arm = ("%d layers"):format(s.deep), layers = s.deep, slow = 0 },
  { arm = ("%d layers, slow channels"):format(s.deep), layers = s.deep, slow = 1 },
}

-- The parameter of a layer from which its decays come, by version: 6 less in it, and a channel forgets 400 times as slowly. The
-- first half of the channels, which are slow already, get that.
local decays, slower = { v4 = "blocks.%d.att.time_decay", v7 = "blocks.%d.att.w0" }, 6
local function slow_down(model, c)
  for layer = 0, c.layers - 1 do
    local name = decays[c.version]:format(layer)
    local parameter = model:param(name)
    local values, shape = parameter:reshape(-1):tolist(), parameter:shape()
    for i = 1, #values // 2 do values[i] = values[i] - slower end
    parameter:set(rwkv.tensor(values):reshape(shape))
  end
end

local trained = {} -- models that go on, by the run that made them
local function go_on(model, c)
  for name, parameter in model:parameters() do parameter:set(trained[c.from]:param(name)) end
end

-- ---- what is measured ----

local function final(model, test, c)
  local gains = {}
  for i, start in ipairs(test.document:stretches(c.documents, c.length + 1)) do
    local rows = { test.document:bytes(start, c.length + 1) }
    local all, last = positions.losses(model, rows, 512)[1], positions.within(model, rows, c.context)[1]
    gains[i] = {}
    for p = 1, c.length do gains[i][p] = last[p] - all[p] end
  end
  local list = {}
  for _, row in ipairs(positions.binned(gains, 28)) do
    if row.first > c.context // 2 then
      list[#list + 1] = { position = row.position, first = row.first, last = row.last, gain = row.loss, stderr = row.stderr }
    end
  end
  return list
end

-- ---- training ----

local training = { vocab = 256, schedule = "cosine", final_lr = 0.05, warmup = 20, clip = 1, carry = 0, dim = s.dim,
  head_size = s.head_size, lr = s.lr, tests = s.tests, length = s.length, documents = s.documents, context = s.seq }

-- So many bytes in sequences of T, as many of them in a batch as have the same number of bytes.
local function budget(T, passes)
  local batch = math.max(1, s.tokens // T)
  local examples = math.ceil(passes * text.default(o.text).test_from / T / batch) * batch
  return { seq = T, batch = batch, test_batch = batch, examples = examples, every = math.max(batch, examples // 2) }
end

local function merged(...)
  local c = {}
  for _, t in ipairs { ... } do
    for name, value in pairs(t) do c[name] = value end
  end
  return c
end

local configs = rwkv.product({ { "model", models.pick(o.models) }, { "arm", arms },
  { "seed", rwkv.seeds(o.seeds > 0 and o.seeds or s.seeds) }, { "text", { text.default(o.text) } } },
  merged(training, budget(s.seq, s.passes)))
for i = #configs, 1, -1 do
  if configs[i].slow == 1 and not decays[configs[i].label] then table.remove(configs, i) end
end

local note = ("d=%d, %.2g of the %.1f MB of text once, T=%d, %d bytes a batch, lr %g; gain of %d documents of %d bytes, standard "
  .. "error over documents and seeds; trained on: as much again at T=%d"):format(s.dim, s.passes, text.default(o.text).test_from / 1e6,
  s.seq, s.tokens, s.lr, s.documents, s.length, s.longer)
local rows, path = rwkv.experiment.run { name = "longctx_rise", options = o, configs = configs, task = text.of, final = final, note = note,
  prepare = function(model, c) if c.slow == 1 then slow_down(model, c) end end }

-- The remedy: what has been trained goes on at a longer length.
local longer = {}
for _, row in ipairs(rows) do
  if row.model and not trained[row.run] and row.arm == arms[1].arm then
    trained[row.run] = rwkv.load(row.model)
    for _, m in ipairs(models.pick(row.label)) do
      longer[#longer + 1] = merged(training, budget(s.longer, s.passes), text.default(o.text), m,
        { arm = "2 layers, trained on", layers = 2, slow = 0, seed = row.seed, from = row.run })
    end
  end
end
local more = rwkv.experiment.run { name = "longctx_rise_on", options = o, configs = longer, task = text.of, prepare = go_on,
  final = final, note = note }
table.move(more, 1, #more, #rows + 1, rows)

local by = { "label", "arm", "position" }
rwkv.experiment.figure(path, { "label", "arm", "position", "mean", "low", "high", "stderr", "first", "last", "runs", "layers", "context",
  "length", "parameters", "commit" }, rwkv.summary(rows, { by = by, part = "final", value = "gain", also = { "stderr" },
  keep = { "first", "last", "layers", "context", "length" } }), note)
