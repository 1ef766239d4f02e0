-- Three runs for test_slurm.lua that take some twenty seconds each: every batch is waited for.
local rwkv = require "rwkv"
local mqar = require "experiments.tasks.mqar"

local function slowly(task)
  local batch = task.batch
  function task.batch(...)
    local x = 0
    for i = 1, 2e7 do x = x + i end
    return batch(...)
  end
  return task
end

rwkv.experiment.run { name = "sweep", options = rwkv.experiment.options(arg),
  configs = rwkv.product({ { "version", { "v4", "v7" } }, { "seed", { 0, 1 } } }, { label = "m", dim = 16, head_size = 8, vocab = 32, seq = 16,
    pairs = 2, filler = "zero", lr = 3e-3, batch = 8, examples = 1600, every = 800, tests = 10 }),
  task = function(c)
    local train, test = mqar.of(c)
    return slowly(train), test
  end }
