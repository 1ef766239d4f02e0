-- Six small tasks that each ask a layer for one ability: MAD, arXiv:2403.17844, and the table of it in arXiv:2503.14456.
-- Predicted from that table: the delta rule (RWKV-7, DeltaNet) recalls best in context, also among noise and behind motifs; all
-- copy selectively; in compression and memorization neither attention nor Mamba is behind.
--   aviary experiments/mad.lua [--scale quick|small|paper] [--models "v4 v7 mine"] [--tasks "recall compression"] [--seeds 3] [--jobs 2]
-- Writes below runs/mad: mad.tsv, all curves, and mad.figure.tsv, the ends of those with the best learning rate and weight decay
-- (highest mean over seeds), which plots/mad.gp draws.
local rwkv = require "rwkv"
local models = require "experiments.models"
local rates = require "experiments.rates"
local mad = require "experiments.tasks.mad"
local readout = require "experiments.tasks.mad.readout"

local o = models.options(arg, { models = "", tasks = "", seeds = 0 })
local all, six = "v4 v5.2 v6 v7 attention mamba deltanet", table.concat(mad.tasks, " ")
local published = { 1e-4, 5e-4, 1e-3 } -- MAD's, of which the best counts
-- seq and examples: of each task; one number holds for all of them. facts: the vocabulary of memorization. tested: how often.
local s = rwkv.experiment.scale(o, {
  quick = { models = "v4 v7 attention", tasks = "recall selective_copying memorization", seq = { 32, 32, 16 }, copies = 4, motif = 2,
    facts = 64, layers = 2, dim = 32, head_size = 16, lr = { 5e-3 }, lr_of_vectors = { 1e-2 }, lr_of_attention = { 5e-3 },
    weight_decay = { 0.1 }, seeds = 1, batch = 16, examples = { 8000 }, tested = 4, tests = 200 },
  small = { models = all, tasks = six, seq = { 32, 32, 48, 48, 31, 32 }, copies = 8, motif = 2,
    facts = 2048, layers = 2, dim = 64, head_size = 32, lr = { 5e-3 }, lr_of_vectors = { 1e-2 }, lr_of_attention = { 1e-3, 5e-3 },
    weight_decay = { 0.1 }, seeds = 2, batch = 16, examples = { 12800 }, tested = 4, tests = 500 },
  paper = { models = all, tasks = six, seq = { 128, 128, 128, 256, 63, 32 }, copies = 16, motif = 3,
    facts = 256, layers = 2, dim = 128, head_size = 64, lr = published, lr_of_vectors = published, lr_of_attention = published,
    weight_decay = { 0, 0.1 }, seeds = 3, batch = 128, examples = { 2560000, 2560000, 2560000, 2560000, 2560000, 51200 },
    tested = 20, tests = 1280 },
})

local place, names = {}, {} -- of a task in the scale's lists
for name in s.tasks:gmatch "%S+" do names[#names + 1], place[name] = name, #names + 1 end
local function of_task(setting, name)
  local list = s[setting]
  if #list ~= 1 and #list ~= #names then
    error(("--set %s: expected one number, or %d, of %s"):format(setting, #names, s.tasks), 0)
  end
  return list[#list > 1 and place[name] or 1]
end

-- The settings of a task: what the scale has, otherwise the published ones.
local function settings(name)
  if not place[name] then error(("--tasks: there is no '%s' at this scale, expected some of: %s"):format(name, s.tasks), 0) end
  local examples = of_task("examples", name)
  local c = { task = name, set = name == "memorization" and 256 or 12800, seq = of_task("seq", name), examples = examples,
    every = math.max(1, examples // s.tested), warmup = examples // s.batch // 20 }
  for option, value in pairs(mad.published[name]) do c[option] = c[option] or s[option] or value end
  if name == "memorization" then c.vocab = s.facts end
  return c
end

local configs = {}
for name in (o.tasks ~= "" and o.tasks or s.tasks):gmatch "%S+" do
  for _, m in ipairs(models.pick(o.models ~= "" and o.models or s.models)) do
    local model = { label = m.label, version = m.version, layers = s.layers, hooks = m.hooks }
    if name == "compression" then model.layers, model.hooks = s.layers + 1, readout(m, s.layers) end
    for _, c in ipairs(rwkv.product({ { "task", { settings(name) } }, { "model", { model } }, { "lr", rates.of(m.label, s) },
      { "weight_decay", s.weight_decay }, { "seed", rwkv.seeds(o.seeds > 0 and o.seeds or s.seeds) } },
      { dim = s.dim, head_size = s.head_size, beta2 = 0.999, clip = 1, schedule = "cosine", batch = s.batch, tests = s.tests })) do
      configs[#configs + 1] = c
    end
  end
end

local function listed(...)
  local texts = {}
  for i, list in ipairs { ... } do texts[i] = table.concat(list, ", ") end
  return table.unpack(texts)
end
local note = ("MAD: %d layers with channel mixing (in compression a decoder, too), d=%d, heads of %d, batch %d, examples %s (12,800 "
  .. "different ones, in memorization 256), lr %s, of v1 to v4 %s, of attention %s, weight decay %s"):format(s.layers, s.dim,
  s.head_size, s.batch, listed(s.examples, s.lr, s.lr_of_vectors, s.lr_of_attention, s.weight_decay))
local rows, path = rwkv.experiment.run { name = "mad", options = o, keep_models = false, configs = configs, task = mad.of,
  stop = function(row) return row.accuracy > 0.999 end, note = note }

for _, row in ipairs(rows) do row.tuned = ("%g %g"):format(row.lr, row.weight_decay) end
local best = rwkv.best(rows, { over = "tuned", by = { "task", "label" } })
rwkv.experiment.figure(path, { "task", "label", "seq", "median", "low", "high", "runs", "seed", "value", "lr", "weight_decay",
  "parameters", "state_floats", "commit" },
  rwkv.summary(best, { by = { "task", "label" }, keep = { "seq", "lr", "weight_decay" }, each = true }), note)
