-- Multi-query associative recall (Arora et al. 2023, "Zoology", arXiv:2312.04927; the generator follows
-- the authors' code). A sequence shows K key-value pairs, then asks for each key once:
--
--     k1 v1 k2 v2 .. kK vK   .. k3 .. k1 ...
--     target at each query key: its value, on the key's own position
--
-- Keys are from 1 .. V/2-1, values from V/2 .. V-1, both without repetition. Where a key is asked for
-- follows a power law: gap slot j = 1 .. (T-2KP)/2 with weight j^(power-1), drawn without replacement.
-- Everything else is filler: 0, or uniform over 0 .. V-1.
--
--     local task = mqar.new{ vocab = 256, seq = 64, pairs = 8, seed = 1 }
--     local inputs, targets = task:batch(1, 64)     -- examples 1..64: tokens [64,64]
--
-- Example i of a seed is always the same, in whatever batch it is drawn.
local rwkv = require "rwkv"
local options = require "experiments.tasks.options"

local Task = {}
Task.__index = Task

local function check(condition, ...)
  if not condition then error("mqar: " .. string.format(...), 0) end
end

-- One example: inputs and targets, each a list of T numbers; a target is -100 where nothing is asked.
function Task:example(index)
  local rng = rwkv.rng(self.seed, index)
  local K, T = self.pairs, self.seq
  local context = 2 * K * self.passes
  local keys = rng:distinct(K, 1, self.vocab // 2 - 1)
  local values = rng:distinct(K, self.vocab // 2, self.vocab - 1)
  local slots = rng:order(self.weights)

  local inputs, targets = { table.unpack(self.filler) }, { table.unpack(self.unasked) }
  for pass = 0, self.passes - 1 do
    for i = 1, K do
      inputs[2 * (pass * K + i) - 1] = keys[i]
      inputs[2 * (pass * K + i)] = values[i]
    end
  end
  for i = 1, K do
    local t = context + 2 * (slots[i] - 1) + 1
    inputs[t], targets[t] = keys[i], values[i]
  end
  if self.random_filler then
    for t = 1, T do
      if inputs[t] == 0 then inputs[t] = rng:integer(0, self.vocab - 1) end
    end
  end
  return inputs, targets
end

Task.batch = require "experiments.tasks.batch"

local mqar = {}

-- vocab V, seq T (even), pairs K with 2KP + 2K <= T and K < V/2; passes P: how often the pairs are shown;
-- set: how many examples there are (without it no end): after so many they come
-- again, in the same order. power: 0.01 as published; random_filler: true in the generator's default, false in Zoology's Figure 2.
function mqar.new(o)
  options("mqar", o, "vocab seq pairs passes power random_filler seed set")
  local task = setmetatable({ vocab = o.vocab, seq = o.seq, pairs = o.pairs, passes = o.passes or 1,
    power = o.power or 0.01, random_filler = o.random_filler ~= false, seed = o.seed or 0, set = o.set }, Task)
  local V, T, K, P = task.vocab, task.seq, task.pairs, task.passes
  check(math.type(V) and math.type(T) and math.type(K), "vocab, seq and pairs must be numbers")
  check(T % 2 == 0, "seq must be even, found %s", T)
  check(K >= 1 and K < V // 2, "pairs must be 1 to %d for vocab %d, found %s", V // 2 - 1, V, K)
  check(2 * K * P + 2 * K <= T, "%d pairs shown %d times and asked once need a seq of %d, found %d", K, P,
    2 * K * P + 2 * K, T)
  task.filler, task.unasked, task.weights = {}, {}, {}
  for t = 1, T do task.filler[t], task.unasked[t] = 0, -100 end
  for j = 1, (T - 2 * K * P) // 2 do task.weights[j] = j ^ (task.power - 1) end
  return task
end

-- The tasks of a configuration with vocab, seq, pairs, filler ("zero" or "random"), seed, and set if there is one: examples
-- of that seed to train on, and others, always the same, to test.
function mqar.of(c)
  local function task(seed)
    return mqar.new { vocab = c.vocab, seq = c.seq, pairs = c.pairs, random_filler = c.filler == "random", seed = seed,
      set = c.set }
  end
  return task(1000 + c.seed), task(7)
end

-- The mean over examples of the mean over their asked positions. answers: lists of T token ids.
function mqar.accuracy(answers, targets)
  local sum = 0
  for i, row in ipairs(targets) do
    local asked, right = 0, 0
    for t, target in ipairs(row) do
      if target >= 0 then
        asked = asked + 1
        if answers[i][t] == target then right = right + 1 end
      end
    end
    sum = sum + right / asked
  end
  return sum / #targets
end

return mqar
