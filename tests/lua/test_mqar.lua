-- The MQAR task: layout, distribution, scoring.
local rwkv = require "rwkv"
local mqar = require "experiments.tasks.mqar"
local check = require "tests.lua.lib.check"
local test, equal, fails = check.test, check.equal, check.fails

local settings = { { vocab = 256, seq = 64, pairs = 8 }, { vocab = 64, seq = 32, pairs = 8 },
  { vocab = 8192, seq = 64, pairs = 4, random_filler = false }, { vocab = 64, seq = 40, pairs = 3, passes = 2 } }

test("layout", function()
  for _, s in ipairs(settings) do
    local task = mqar.new(s)
    local K, V, T, context = s.pairs, s.vocab, s.seq, 2 * s.pairs * (s.passes or 1)
    for i = 1, 50 do
      local inputs, targets = task:example(i)
      equal(#inputs, T)
      equal(#targets, T)
      local value_of, asked, keys, values = {}, 0, {}, {}
      for p = 1, context // 2 do
        local k, v = inputs[2 * p - 1], inputs[2 * p]
        assert(k >= 1 and k < V // 2 and v >= V // 2 and v < V)
        assert(value_of[k] == nil or value_of[k] == v)
        value_of[k] = v
        keys[k], values[v] = true, true
      end
      local function count(t) local n = 0 for _ in pairs(t) do n = n + 1 end return n end
      equal(count(keys), K) -- without repetition
      equal(count(values), K)
      for t = 1, T do
        if targets[t] ~= -100 then
          asked = asked + 1
          assert(t > context and (t - context) % 2 == 1, "a query stands at an even offset of the query area")
          equal(value_of[inputs[t]], targets[t]) -- on the key's own position
          value_of[inputs[t]] = false            -- and once only
        elseif t > context and s.random_filler == false then
          equal(inputs[t], 0)
        end
      end
      equal(asked, K)
    end
  end
end)

test("gaps follow the power law, drawn without replacement", function()
  local task = mqar.new { vocab = 256, seq = 64, pairs = 8, random_filler = false }
  local slots, n, counts, first = 24, 20000, {}, {}
  for j = 1, slots do counts[j], first[j] = 0, 0 end
  for i = 1, n do
    local inputs, targets = task:example(i)
    for j = 1, slots do
      if targets[16 + 2 * (j - 1) + 1] ~= -100 then counts[j] = counts[j] + 1 end
      if inputs[16 + 2 * (j - 1) + 1] == inputs[1] then first[j] = first[j] + 1 end
    end
  end
  -- The first key's slot is the first draw: probability proportional to j^-0.99.
  local total = 0
  for j = 1, slots do total = total + j ^ -0.99 end
  for j = 1, slots do
    local p = j ^ -0.99 / total
    local deviation = math.sqrt(n * p * (1 - p))
    assert(math.abs(first[j] - n * p) < 5 * deviation, ("slot %d: %d of %d, expected %.0f"):format(j, first[j], n, n * p))
  end
  -- Inclusion probabilities after 8 draws fall from near 1, and add up to 8 an example.
  local sum = 0
  for j = 1, slots do sum = sum + counts[j] end
  equal(sum, 8 * n)
  assert(counts[1] > 0.9 * n and counts[1] > counts[6] and counts[6] > counts[24])
end)

test("keys and values are uniform", function()
  local task, n, low, high = mqar.new { vocab = 64, seq = 32, pairs = 4 }, 5000, 0, 0
  for i = 1, n do
    local inputs = task:example(i)
    for p = 1, 4 do
      low = low + inputs[2 * p - 1]
      high = high + inputs[2 * p]
    end
  end
  equal(low / (4 * n), 16, 0.02)   -- mean of 1..31
  equal(high / (4 * n), 47.5, 0.02) -- mean of 32..63
end)

test("random filler is uniform over the vocabulary", function()
  local task, seen = mqar.new { vocab = 16, seq = 64, pairs = 2, random_filler = true }, {}
  for i = 1, 200 do
    local inputs, targets = task:example(i)
    for t = 5, 64 do if targets[t] == -100 then seen[inputs[t]] = true end end
  end
  for id = 0, 15 do assert(seen[id], "filler never is " .. id) end
end)

test("an example does not depend on its batch; seeds differ", function()
  local task = mqar.new { vocab = 256, seq = 64, pairs = 8, seed = 3 }
  local a, b = task:batch(5, 4), task:batch(7, 1)
  equal(a:rows(3):tolist(), b:tolist())
  local other = mqar.new { vocab = 256, seq = 64, pairs = 8, seed = 4 }
  assert(table.concat((task:example(1)), " ") ~= table.concat((other:example(1)), " "))
end)

test("scoring: a perfect answer is 1, chance is chance", function()
  local task = mqar.new { vocab = 64, seq = 32, pairs = 4 }
  local answers, guesses, targets, rng = {}, {}, {}, rwkv.rng(1)
  for i = 1, 2000 do
    local inputs, t = task:example(i)
    local value_of = {}
    for p = 1, 4 do value_of[inputs[2 * p - 1]] = inputs[2 * p] end
    answers[i], guesses[i], targets[i] = {}, {}, t
    for at = 1, 32 do
      answers[i][at] = value_of[inputs[at]] or 0
      guesses[i][at] = rng:integer(32, 63)
    end
  end
  equal(mqar.accuracy(answers, targets), 1)
  equal(mqar.accuracy(guesses, targets) * 32, 1, 0.25)
end)

test("the model's own count is the same accuracy", function()
  local task = mqar.new { vocab = 64, seq = 32, pairs = 4 }
  local model = rwkv.model { version = "v7", layers = 1, dim = 16, head_size = 16, vocab = 64 }
  local inputs, targets = task:batch(1, 20)
  rwkv.no_grad(function()
    local _, score = model:loss(inputs, targets)
    local flat, answers = model:forward(inputs):argmax(), {}
    for b = 1, 20 do answers[b] = table.move(flat, (b - 1) * 32 + 1, b * 32, 1, {}) end
    equal(score.correct / score.scored, mqar.accuracy(answers, targets:tolist()), 1e-12)
  end)
end)

test("settings are checked", function()
  fails(function() mqar.new { vocab = 64, seq = 31, pairs = 2 } end, "even")
  fails(function() mqar.new { vocab = 64, seq = 32, pairs = 9 } end, "36", "32")
  fails(function() mqar.new { vocab = 8, seq = 64, pairs = 8 } end, "vocab 8")
  fails(function() mqar.new { seq = 64, pairs = 8 } end, "numbers")
end)
