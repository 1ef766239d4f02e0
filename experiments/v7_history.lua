-- What each change from the first candidate of RWKV-7 to its release bought, on text and on recall (MQAR), at equal parameters: the
-- candidates rc2, rc3, rc4 and rc4a as they are, and the release with one of the changes taken back. A change is a hook
-- (measure/v7_steps.lua); a channel mixing is as wide as makes the model as large as the release. Nothing is published on any of it.
-- Predicted: the value residual and gates that start open help recall early; the rest is within the spread of the seeds.
--   make text; aviary experiments/v7_history.lua [--scale quick|small|paper] [--text FILE] [--jobs 2]
-- Writes below runs/v7_history: v7_history.tsv and v7_history.figure.tsv, which plots/v7_history.gp draws.
local rwkv = require "rwkv"
local arms = require "experiments.measure.arms"
local equal_parameters = require "experiments.measure.equal_parameters"
local steps = require "experiments.measure.v7_steps"

local o = rwkv.experiment.options(arg, { text = "" })
local s = rwkv.experiment.scale(o, arms.scales {
  quick = { examples = 800, ranks = 32 },
  small = { examples = 4800, mqar_examples = 16000, mqar_lr = 3e-3, ranks = 32 },
  paper = { mqar_examples = 160000, mqar_lr = 3e-3 }, -- ranks as released
})

-- Ranks of low-rank maps, of those that a model has.
local ranks = {}
if s.ranks then
  for _, name in ipairs { "decay", "iclr", "value", "gate", "key_norm" } do ranks[name .. "_rank"] = s.ranks end
  for _, name in ipairs { "mix", "key_iclr", "key_decay" } do ranks[name .. "_rank"] = s.ranks // 2 end
end
local sizes = { layers = s.layers, dim = s.dim, head_size = s.head_size, vocab = 256 }
for name, rank in pairs(ranks) do sizes[name] = rank end
local release = equal_parameters.describe({ version = "v7" }, sizes).parameters

local function fitted(arm)
  arm.version = arm.version or "v7"
  for name, rank in pairs(ranks) do arm[name] = rank end
  arm.dim_ffn = equal_parameters.dim_ffn(arm, sizes, release, 0.01)
  return arm
end

local list = { { label = "release (v7)" }, { label = "rc4a: other initial values", version = "rc4a" }, { label = "rc4", version = "rc4" },
  { label = "rc3", version = "rc3" }, { label = "rc2", version = "rc2" } }
for _, step in ipairs(steps) do list[#list + 1] = { label = step.label, hooks = step.hooks } end
for i, arm in ipairs(list) do list[i] = fitted(arm) end

local panels = { { panel = "text: bytes", version = "v7", arms = list } }
if s.mqar_examples then panels[2] = { panel = "recall (MQAR)", task = "mqar", version = "v7", arms = list } end

arms.run { name = "v7_history", options = o, scale = s, panels = panels,
  note = ("RWKV-7's candidates, and its release with one change taken back in each arm; %d parameters, within 1 %%"):format(release) }
