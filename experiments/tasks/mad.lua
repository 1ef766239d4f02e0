-- The six tasks of MAD, mechanistic architecture design (Poli et al. 2024, arXiv:2403.17844): each asks for one thing that a layer
-- of a language model must be able to do. A task is a file in mad/, where its data is described.
--
--     local task = mad.new{ task = "selective_copying", seq = 64, copies = 8, seed = 1 }
--     local inputs, targets = task:batch(1, 64)     -- examples 1..64: tokens [64,64]
--
-- What is left out is as published: mad.published[task]. Example i of a seed is always the same, in whatever batch it is drawn.
local rwkv = require "rwkv"
local nearest = require "rwkv.nearest"
local options = require "experiments.tasks.options"

local mad = { tasks = { "recall", "noisy_recall", "fuzzy_recall", "selective_copying", "compression", "memorization" }, published = {} }

-- A kind has published, its options and their published values, check(task), which fails or makes ready, and example(task, rng).
local recall = require "experiments.tasks.mad.recall"
local kinds = { recall = recall.plain, noisy_recall = recall.noisy, fuzzy_recall = require "experiments.tasks.mad.fuzzy_recall",
  selective_copying = require "experiments.tasks.mad.selective_copying",
  compression = require "experiments.tasks.mad.compression", memorization = require "experiments.tasks.mad.memorization" }
for name, kind in pairs(kinds) do mad.published[name] = kind.published end

local Task = {}
Task.__index = Task

-- Inputs and targets of one example, lists of one length; a target is -100 where nothing is asked.
function Task:example(index) return kinds[self.task].example(self, rwkv.rng(self.seed, index)) end

Task.batch = require "experiments.tasks.batch"

local function kind_of(name)
  return kinds[name] or error(("mad: there is no task '%s'%s"):format(tostring(name), nearest.listed(tostring(name), mad.tasks)), 0)
end

-- task: a name of mad.tasks; seed; set: how many examples there are (without it no end); training: examples as MAD trains on
-- them, which is not everywhere as it tests; and the options of the task.
function mad.new(o)
  local kind = kind_of(type(o) == "table" and o.task)
  local names = { "task seed set training" }
  local task = setmetatable({ task = o.task, seed = o.seed or 0, set = o.set, training = o.training }, Task)
  for name, value in pairs(kind.published) do
    names[#names + 1] = name
    task[name] = o[name] == nil and value or o[name]
    if type(task[name]) ~= "number" then
      error(("mad: %s: %s is a %s, expected a number"):format(o.task, name, type(task[name])), 0)
    end
    if name ~= "noise" and (task[name] < 1 or task[name] % 1 ~= 0) then
      error(("mad: %s: %s is %s, expected a whole number from 1 on"):format(o.task, name, task[name]), 0)
    end
  end
  table.sort(names)
  options("mad", o, table.concat(names, " "))
  kind.check(task, function(condition, ...)
    if not condition then error(("mad: %s: %s"):format(o.task, string.format(...)), 0) end
  end)
  return task
end

-- The tasks of a configuration with task, seed, options of the task, and set if there is one: examples of that seed to train on,
-- and others, always the same, to test.
function mad.of(c)
  local function task(seed, training)
    local o = { task = c.task, seed = seed, set = c.set, training = training }
    for name in pairs(kind_of(c.task).published) do o[name] = c[name] end
    return mad.new(o)
  end
  return task(1000 + c.seed, true), task(7, false)
end

return mad
