-- Fuzzy in-context recall: keys and values are motifs, 1 to `motif` different tokens in a row. Every token of a value is asked for
-- where its key has been there before; the last pair is such a one, and stands somewhere before.
--
--     pad pad  k2 k5 k1 v9  k0 k4 k2 v7 v8  ..  k2 k5 k1 v9
--                                                     v9         target at the last token of the key
--
-- Key tokens are 0 .. n-1, value tokens n .. V-2, padding, at the left, V-1. In training keys are of all lengths and every next token
-- is a target; in tests keys are always of the longest. `seq` tokens are read.
local next_token = require "experiments.tasks.mad.next_token"

local function check(task, expect)
  task.keys = (task.vocab - 1) // 2
  expect(task.keys >= task.motif, "vocab is %s, expected %s or more: different tokens for motifs of %s", task.vocab, 2 * task.motif + 1,
    task.motif)
  expect(task.seq >= 6 * task.motif, "seq is %s, expected %s or more: three times the longest key and value", task.seq, 6 * task.motif)
end

local function example(task, rng)
  local n, longest, value_of, tokens, asked = task.keys, task.motif, {}, {}, {}
  local function draw()
    local key = rng:distinct(task.training and rng:integer(1, longest) or longest, 0, n - 1)
    return key, rng:distinct(rng:integer(1, longest), n, task.vocab - 2)
  end
  local function add(key, value)
    local name = table.concat(key, " ")
    local known = value_of[name]
    value = known or value
    value_of[name] = value
    table.move(key, 1, #key, #tokens + 1, tokens)
    for _, v in ipairs(value) do tokens[#tokens + 1], asked[#tokens + 1] = v, known ~= nil end
  end
  local probe, answer = draw()
  local room = task.seq + 1 - #probe - #answer
  local place = rng:integer(0, room - 4 * longest) -- from here on the pair that is asked for last
  while #tokens <= room - 2 * longest do
    if place and #tokens >= place then
      add(probe, answer)
      answer, place = value_of[table.concat(probe, " ")], nil
    else
      add(draw())
    end
  end
  add(probe)
  local padding, all, all_asked = task.seq + 1 - #tokens, {}, {}
  for t = 1, task.seq + 1 do
    all[t], all_asked[t] = tokens[t - padding] or task.vocab - 1, asked[t - padding]
  end
  return next_token(all, all_asked, task.training)
end

return { published = { vocab = 16, seq = 128, motif = 3 }, check = check, example = example }
