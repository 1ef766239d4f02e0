-- Token shift and initial values on text, RWKV-4 and RWKV-7: what each official choice is worth. Published as claims, without
-- numbers (README and code of BlinkDL/RWKV-LM; arXiv:2305.13048 on small embeddings): token shift helps much with characters, a
-- mix for each stream helps, matrices that start at 0 and embeddings near 0 train better. So every arm should cost something.
--   make text; aviary experiments/init_ablation.lua [--scale quick|small|paper] [--text FILE] [--jobs 2]
-- Writes below runs/init_ablation: init_ablation.tsv and init_ablation.figure.tsv, which plots/init_ablation.gp draws.
local rwkv = require "rwkv"
local arms = require "experiments.measure.arms"
local initial = require "experiments.measure.initial"
local models = require "experiments.models"

local o = rwkv.experiment.options(arg, { text = "" })
local s = rwkv.experiment.scale(o, arms.scales { quick = { examples = 600 }, small = { examples = 4000 } })

local one_mix = rwkv.hook { kind = "shift", name = "one-mix", params = function(d) return { mu = { d.C, init = "lerp" } } end,
  apply = function(x, prev, p, d)
    local mixed, z = {}, x + (prev - x) * p.mu
    for _, stream in ipairs(d.streams) do mixed[stream] = z end
    return mixed
  end }

local starts = {
  half = function(model) initial.mixes(model, 0.5) end,
  ["no zeros"] = function(model, c) initial.no_zeros(model, rwkv.rng(c.seed, "no zeros")) end,
  ["embedding 0.02"] = function(model, c) models.embed(model, { seed = c.seed, embedding = 0.02 }) end,
  ["embedding 1"] = function(model, c) models.embed(model, { seed = c.seed, embedding = 1 }) end,
}

local function panel(title, version)
  return { panel = title, version = version, arms = {
    { label = "official" },
    { label = "no token shift", hooks = { shift = "none", ffn_shift = "none" } },
    { label = "one mix for all streams", hooks = { shift = one_mix } },
    { label = "all mixes start at 1/2", start = "half" },
    { label = "zero matrices start normal", start = "no zeros" },
    { label = "embedding from N(0, 0.02²)", start = "embedding 0.02" },
    { label = "embedding from N(0, 1)", start = "embedding 1" },
  } }
end

arms.run { name = "init_ablation", options = o, scale = s, starts = starts,
  note = "Token shift and initial values, one thing changed in each arm",
  panels = { panel("RWKV-4 on text", "v4"), panel("RWKV-7 on text", "v7") } }
