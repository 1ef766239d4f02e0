-- Memorization: which value a key has is the same in all sequences, of every seed, and has to be learned by heart.
--
--     k3 ?  k1 ?  k3 ?
--        v7    v4    v7     targets
--
-- Keys are 0 .. n-1, values n .. V-2, each key's a different one; "?" is V-1.
local rwkv = require "rwkv"

local function check(task, expect)
  task.keys = (task.vocab - 1) // 2
  expect(task.keys >= 1, "vocab is %s, expected 3 or more: a key, a value and the question", task.vocab)
  expect(task.seq % 2 == 0, "seq is %s, expected an even number", task.seq)
  task.values = rwkv.rng(0, "memorization"):distinct(task.keys, task.keys, task.vocab - 2)
end

local function example(task, rng)
  local inputs, targets = {}, {}
  for t = 1, task.seq, 2 do
    local key = rng:integer(0, task.keys - 1)
    inputs[t], targets[t], inputs[t + 1], targets[t + 1] = key, -100, task.vocab - 1, task.values[key + 1]
  end
  return inputs, targets
end

return { published = { vocab = 256, seq = 32 }, check = check, example = example }
