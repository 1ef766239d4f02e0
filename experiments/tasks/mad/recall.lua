-- In-context recall: pairs of key and value, drawn with replacement; which value a key has is fixed within a sequence and drawn
-- anew for the next. A value is asked for where its key has been there before, from the key on; the last pair always is such.
--
--     k3 v7  k1 v4  k3 v7  ..  k1 v4
--                   v7         v4        target at k3, k1
--
-- Keys are 0 .. n-1, values n .. 2n-1. Noisy recall: the last `noise_vocab` tokens of the vocabulary are noise, and in the place of
-- a pair stand two of them with probability `noise`. Of `seq` tokens all but the last are read. In training every next token is a
-- target, as in MAD, foreseeable or not.
local next_token = require "experiments.tasks.mad.next_token"

local function check(task, expect)
  task.noise, task.noise_vocab = task.noise or 0, task.noise_vocab or 0
  task.keys = (task.vocab - task.noise_vocab) // 2
  expect(task.noise >= 0 and task.noise < 1, "noise is %s, expected a part from 0 to below 1", task.noise)
  expect(task.keys >= 1, "vocab is %s with %s tokens of noise, expected room for a key and a value", task.vocab, task.noise_vocab)
  expect(task.seq % 2 == 0 and task.seq >= 4, "seq is %s, expected an even number from 4 on", task.seq)
end

local function example(task, rng)
  local n, last = task.keys, task.seq // 2
  local value_of, shown, tokens, asked = {}, {}, {}, {}
  local never_noise = rng:integer(1, last - 1)
  for i = 1, last do
    local key = i == last and shown[rng:integer(1, #shown)] or rng:integer(0, n - 1)
    if i < last and i ~= never_noise and task.noise > 0 and rng:uniform() < task.noise then
      for t = 2 * i - 1, 2 * i do tokens[t] = rng:integer(task.vocab - task.noise_vocab, task.vocab - 1) end
    else
      asked[2 * i] = value_of[key] ~= nil
      if not asked[2 * i] then value_of[key], shown[#shown + 1] = rng:integer(n, 2 * n - 1), key end
      tokens[2 * i - 1], tokens[2 * i] = key, value_of[key]
    end
  end
  return next_token(tokens, asked, task.training)
end

return {
  plain = { published = { vocab = 16, seq = 128 }, check = check, example = example },
  noisy = { published = { vocab = 32, seq = 128, noise = 0.2, noise_vocab = 16 }, check = check, example = example },
}
