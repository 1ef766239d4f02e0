-- MAD's tasks: the data against what it means, each solved by a plain program; and that the readout of compression sees one vector.
local rwkv = require "rwkv"
local mad = require "experiments.tasks.mad"
local models = require "experiments.models"
local readout = require "experiments.tasks.mad.readout"
local check = require "tests.lua.lib.check"
local test, equal, fails = check.test, check.equal, check.fails

-- Calls see(inputs, targets) for examples 1 .. count; returns how many positions are asked in the mean.
local function each(o, count, see)
  local task, asked = mad.new(o), 0
  for i = 1, count do
    local inputs, targets = task:example(i)
    equal(#inputs, #targets)
    for _, target in ipairs(targets) do asked = asked + (target >= 0 and 1 or 0) end
    see(inputs, targets)
  end
  return asked / count
end

-- Recall: a pair at 2i-1, 2i; the value is asked for at the key, and was there before. keys: how many.
local function solve_recall(inputs, targets, keys)
  local value_of = {}
  for t = 1, #inputs, 2 do
    local key, value = inputs[t], inputs[t + 1]
    if key >= 2 * keys then -- noise
      equal(targets[t], -100)
      assert(value >= 2 * keys)
    else
      assert(key < keys)
      equal(targets[t], value_of[key] or -100)
      assert(not value or value_of[key] == value or value_of[key] == nil and value >= keys and value < 2 * keys)
      value_of[key] = value
    end
    equal(targets[t + 1] or -100, -100)
  end
  assert(targets[#inputs] >= 0) -- the last key is known
end

test("recall: what a key had before is asked for", function()
  for _, o in ipairs { { task = "recall" }, { task = "recall", vocab = 64, seq = 32 } } do
    local keys, seen = (o.vocab or 16) // 2, {}
    each(o, 200, function(inputs, targets)
      equal(#inputs, (o.seq or 128) - 1)
      solve_recall(inputs, targets, keys)
      for _, x in ipairs(inputs) do seen[x] = true end
    end)
    for x = 0, 2 * keys - 1 do assert(seen[x], x) end
  end
end)

test("noisy recall: one pair in five is noise", function()
  local noise, pairs_of = 0, 0
  each({ task = "noisy_recall", seq = 64 }, 500, function(inputs, targets)
    solve_recall(inputs, targets, 8)
    for t = 1, #inputs - 2, 2 do noise, pairs_of = noise + (inputs[t] >= 16 and 1 or 0), pairs_of + 1 end
  end)
  equal(noise / pairs_of, 0.2 * 30 / 31, 0.02) -- one of the 31 never is
end)

-- Runs of key tokens and of value tokens, after the padding: { from =, tokens =, value = true or false }.
local function motifs(inputs, n, padding)
  local list = {}
  for t, x in ipairs(inputs) do
    if x == padding then
      assert(#list == 0, "padding in the middle")
    else
      local last = list[#list]
      if not last or last.value ~= (x >= n) then
        last = { from = t, tokens = {}, value = x >= n }
        list[#list + 1] = last
      end
      last.tokens[#last.tokens + 1] = x
    end
  end
  return list
end

test("fuzzy recall: motifs of different tokens, every token of a known value is asked for", function()
  for _, training in ipairs { false, true } do
    local task, sizes = mad.new { task = "fuzzy_recall", training = training, seed = 3 }, {}
    for i = 1, 300 do
      local inputs, targets = task:example(i)
      equal(#inputs, 128)
      local value_of, key, last = {}, nil, nil
      for _, m in ipairs(motifs(inputs, 7, 15)) do
        local seen = {}
        for _, x in ipairs(m.tokens) do
          assert(not seen[x])
          seen[x] = true
        end
        local text = table.concat(m.tokens, " ")
        last = m
        if m.value then
          local known = value_of[key]
          if m.from + #m.tokens <= #inputs then -- the last value is cut
            assert(not known or known == text)
            sizes[("%d value"):format(#m.tokens)] = true
          end
          for at = m.from, m.from + #m.tokens - 1 do
            if not training then equal(targets[at - 1], known and inputs[at] or -100) end
          end
          value_of[key] = text
        else
          key = text
          sizes[#m.tokens] = true
        end
      end
      if training then
        for t = 1, 127 do equal(targets[t], inputs[t + 1]) end
      end
      -- The last pair was there before; of its value, all but the last token are read.
      local read = last.value and last.tokens or {}
      local answer = table.concat(read, " ") .. (#read > 0 and " " or "") .. targets[#inputs]
      local before = 0
      for _, m in ipairs(motifs({ table.unpack(inputs, 1, last.from - 1) }, 7, 15)) do
        if m.value and table.concat(m.tokens, " ") == answer then before = before + 1 end
      end
      assert(before >= 1, answer)
    end
    equal({ sizes[1] or false, sizes[2] or false, sizes[3] }, { training, training, true })
    assert(sizes["1 value"] and sizes["2 value"] and sizes["3 value"])
  end
end)

test("selective copying: what is no blank comes again in its order; where blanks stand", function()
  local first = 0
  equal(each({ task = "selective_copying", seq = 40, copies = 4, vocab = 6 }, 2000, function(inputs, targets)
    local symbols, n = {}, 0
    for t, x in ipairs(inputs) do
      if x == 5 then equal(t, 36) end -- the mark
      if x < 4 then symbols[#symbols + 1] = x end
      if t > 36 then
        n = n + 1
        equal({ x, targets[t] }, { 4, symbols[n] })
      else
        equal(targets[t], -100)
      end
    end
    equal({ #inputs, #symbols, n }, { 40, 4, 4 })
    assert(inputs[35] < 4) -- a blank stands before a symbol
    for t = 1, 35 do
      if inputs[t] < 4 then break end
      first = first + 1
    end
  end), 4)
  equal(first / 2000, 31 / 4, 0.03) -- a quarter of the 31 blanks stands before the first of four
end)

test("compression: all symbols, a mark, and the same asked for", function()
  equal(each({ task = "compression" }, 100, function(inputs, targets)
    equal({ #inputs, inputs[32], targets[32] }, { 63, 15, -100 })
    for t = 1, 31 do
      assert(inputs[t] < 15)
      equal({ targets[t], inputs[32 + t], targets[32 + t] }, { -100, 16, inputs[t] })
    end
  end), 31)
end)

test("memorization: one value a key, in all seeds, in training and test", function()
  local value_of, keys, values = {}, 0, {}
  for seed = 1, 2 do
    equal(each({ task = "memorization", seed = seed, training = seed == 1 }, 200, function(inputs, targets)
      for t = 1, 32, 2 do
        local key, value = inputs[t], targets[t + 1]
        equal({ inputs[t + 1], targets[t] }, { 255, -100 })
        assert(key < 127 and value >= 127 and value < 255)
        if not value_of[key] then
          assert(not values[value], "two keys have one value")
          keys, value_of[key], values[value] = keys + 1, value, true
        end
        equal(value_of[key], value)
      end
    end), 16)
  end
  equal(keys, 127)
end)

test("example i is always the same; seeds differ; a set comes again; in training every next token of recall is a target", function()
  for _, name in ipairs(mad.tasks) do
    local task = mad.new { task = name, seed = 3 }
    local a, a_targets = task:batch(5, 4)
    local b, b_targets = task:batch(7, 1)
    equal({ a:tolist()[3], a_targets:tolist()[3] }, { b:tolist()[1], b_targets:tolist()[1] })
    assert(table.concat((task:example(1)), " ") ~= table.concat((mad.new { task = name, seed = 4 }:example(1)), " "), name)
    equal(mad.new({ task = name, seed = 3, set = 4 }):batch(7, 1):tolist(), (task:batch(3, 1)):tolist())
  end
  local inputs, targets = mad.new({ task = "recall", training = true }):example(1)
  for t = 1, #inputs - 1 do equal(targets[t], inputs[t + 1]) end
  local train, held = mad.of { task = "recall", seq = 32, seed = 0 }
  equal({ train.training, held.training, train.seq, train.vocab, train.seed ~= held.seed }, { true, false, 32, 16, true })
end)

test("what does not fit is an error that says why", function()
  fails(function() mad.new { task = "recal" } end, "recal", "recall")
  fails(function() mad.new { task = "recall", copies = 3 } end, "copies")
  fails(function() mad.new { task = "recall", seq = 31 } end, "recall", "seq is 31", "even")
  fails(function() mad.new { task = "noisy_recall", noise = 1 } end, "noise is 1")
  fails(function() mad.new { task = "noisy_recall", vocab = 17 } end, "vocab is 17", "16 tokens of noise")
  fails(function() mad.new { task = "fuzzy_recall", motif = 8 } end, "vocab is 16", "17 or more")
  fails(function() mad.new { task = "fuzzy_recall", seq = 17 } end, "seq is 17", "18 or more")
  fails(function() mad.new { task = "selective_copying", seq = 32 } end, "seq is 32", "33 or more")
  fails(function() mad.new { task = "compression", seq = 32 } end, "seq is 32", "odd")
  fails(function() mad.new { task = "memorization", vocab = 2 } end, "vocab is 2")
  fails(function() mad.new { task = "memorization", vocab = 16.5 } end, "vocab is 16.5", "whole")
  fails(function() mad.new { task = "memorization", vocab = "many" } end, "vocab is a string")
end)

-- A model for compression whose numbers are all random.
local function compressing(label)
  local m = models.pick(label)[1]
  local model = rwkv.model { version = m.version, layers = 3, dim = 16, head_size = 8, vocab = 17, ctx = 31, seed = 1,
    hooks = readout(m, 2) }
  for name, t in model:parameters() do
    t:set(rwkv.no_grad(function() return rwkv.rng(2, name):tensor("normal", t:shape()) * 0.5 end))
  end
  return model
end

test("readout: the answers see the vector at the mark, and nothing else", function()
  for _, label in ipairs { "v1", "v3", "v4", "v5.2", "v6", "v7", "attention", "mamba", "deltanet", "hybrid-last" } do
    local model, inputs = compressing(label), mad.new({ task = "compression", seq = 31 }):batch(1, 2)
    rwkv.no_grad(function()
      local before = model:forward(inputs, nil, { hidden = 2 }):tolist()
      for t = 17, 31 do -- of the layers before the decoder nothing is there at the questions
        equal(before[1][t], before[1][17])
        equal(before[2][t], before[1][17])
      end
      local logits = model:forward(inputs):tolist()
      local function far(a, b)
        local worst = 0
        for i, x in ipairs(a) do worst = math.max(worst, math.abs(x - b[i])) end
        return worst
      end
      assert(far(logits[1][17], logits[2][17]) > 1e-3, label .. ": the answers do not depend on the symbols")
      assert(far(logits[1][17], logits[1][18]) > 1e-3, label .. ": the answers do not depend on the position")
    end)
  end
end)

test("readout: a sequence may be cut anywhere", function()
  local model, inputs = compressing "v7", mad.new({ task = "compression", seq = 31 }):batch(1, 2)
  rwkv.no_grad(function()
    local whole = model:forward(inputs):tolist()
    for _, at in ipairs { 5, 16, 22 } do
      local parts = { {}, {} }
      for b, row in ipairs(inputs:tolist()) do
        parts[1][b], parts[2][b] = table.move(row, 1, at, 1, {}), table.move(row, at + 1, 31, 1, {})
      end
      local first, state = model:forward(parts[1])
      local second = model:forward(parts[2], state):tolist()
      first = first:tolist()
      for b = 1, 2 do
        equal(first[b], table.move(whole[b], 1, at, 1, {}), 1e-5)
        equal(second[b], table.move(whole[b], at + 1, 31, 1, {}), 1e-5)
      end
    end
  end)
end)

test("readout: what it cannot stand beside is an error", function()
  local biased = rwkv.hook { kind = "time_out", name = "mad_test_biased", apply = function(y) return y + 1 end }
  fails(function() readout({ label = "mine", version = "v7", hooks = { time_out = biased } }, 2) end, "mine", "time_out")
  fails(function()
    rwkv.model { version = "v4", layers = 3, dim = 15, vocab = 17, hooks = readout(models.pick("v4")[1], 2) }
  end, "dim is 15")
end)
