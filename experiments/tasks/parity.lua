-- Parity of bits, as in Grazzi et al. 2024 (arXiv:2411.12537): a text of bits, tokens 1 and 2, of a length from low to high, each
-- as likely; at its last bit the target says whether the 2s were even (1) or odd (2) in number. The rest is padding, 0.
--
--     local task = parity.new{ low = 3, high = 40, seed = 1 }
--     local inputs, targets = task:batch(1, 64)     -- examples 1..64: tokens [64,high]
--
-- A model that only counts up to some length, or forgets, is right half of the time.
local rwkv = require "rwkv"
local options = require "experiments.tasks.options"

local Task = {}
Task.__index = Task

-- Inputs and targets of one example, lists of `high` numbers; a target is -100 where nothing is asked.
function Task:example(index)
  local rng, longest = rwkv.rng(self.seed, index), self.high
  if index < self.ramp then longest = self.low + (self.high - self.low) * index // self.ramp end
  local length, odd, inputs, targets = rng:integer(self.low, longest), 0, {}, {}
  for t = 1, self.high do
    inputs[t], targets[t] = t <= length and rng:integer(1, 2) or 0, -100
    if inputs[t] == 2 then odd = 1 - odd end
  end
  targets[length] = 1 + odd
  return inputs, targets
end

Task.batch = require "experiments.tasks.batch"

local parity = { vocab = 3 }

-- low, high: lengths, 1 <= low <= high. ramp: over so many examples the longest length grows from low to high (0: at once)
function parity.new(o)
  options("parity", o, "low high seed ramp")
  local low, high = o.low, o.high
  if not (math.type(low) == "integer" and math.type(high) == "integer" and 1 <= low and low <= high) then
    error(("parity: lengths from %s to %s, expected whole numbers from 1 on"):format(tostring(low), tostring(high)), 0)
  end
  return setmetatable({ low = low, high = high, seed = o.seed or 0, ramp = o.ramp or 0 }, Task)
end

return parity
