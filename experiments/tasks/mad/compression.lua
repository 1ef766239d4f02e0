-- Compression: random symbols and a mark, whose vector has to hold them all: from it and a position alone, each symbol is asked for.
--
--     5 0 2 5 1 9  MARK  ? ? ? ? ? ?
--                        5 0 2 5 1 9     targets
--
-- Symbols are 0 .. V-3, MARK is V-2, "?" V-1. `seq` counts all tokens, so it is odd; MAD's length is (seq + 1) / 2. That the
-- answers see the vector at MARK and nothing else is the model's: see readout.lua. MAD also asks for the mark itself, here it does not.
local function check(task, expect)
  expect(task.vocab >= 3, "vocab is %s, expected 3 or more: symbols, the mark and the question", task.vocab)
  expect(task.seq % 2 == 1 and task.seq >= 3, "seq is %s, expected an odd number from 3 on", task.seq)
end

local function example(task, rng)
  local n, inputs, targets = task.seq // 2, {}, {}
  for i = 1, n do
    inputs[i], targets[i] = rng:integer(0, task.vocab - 3), -100
    inputs[n + 1 + i], targets[n + 1 + i] = task.vocab - 1, inputs[i]
  end
  inputs[n + 1], targets[n + 1] = task.vocab - 2, -100
  return inputs, targets
end

return { published = { vocab = 17, seq = 63 }, check = check, example = example }
