-- Leading tokens, recall by the pair that is asked for, models of equally many parameters, the spread of numbers.
local rwkv = require "rwkv"
local equal_parameters = require "experiments.measure.equal_parameters"
local leading = require "experiments.tasks.leading"
local mqar = require "experiments.tasks.mqar"
local recall = require "experiments.measure.recall"
local spread = require "experiments.measure.spread"
local check = require "tests.lua.lib.check"
local test, equal, fails = check.test, check.equal, check.fails

local inner = mqar.new { vocab = 32, seq = 40, pairs = 4, random_filler = false, seed = 3 }

test("leading tokens stand in front of every example, unscored; the rest is the task's", function()
  local inputs, targets = inner:batch(4, 5)
  local same, same_targets = leading.new(inner, {}):batch(4, 5)
  equal({ same:tolist(), same_targets:tolist() }, { inputs:tolist(), targets:tolist() })
  local longer, asked = leading.new(inner, { 32, 7 }):batch(4, 5)
  equal(longer:shape(), { 5, 42 })
  for i, row in ipairs(longer:tolist()) do
    equal({ row[1], row[2] }, { 32, 7 })
    equal(table.move(row, 3, 42, 1, {}), inputs:tolist()[i])
    row = asked:tolist()[i]
    equal({ row[1], row[2] }, { -100, -100 })
    equal(table.move(row, 3, 42, 1, {}), targets:tolist()[i])
  end
  fails(function() leading.new({}, { 1 }) end, "expected a task")
  fails(function() leading.new(inner, 2) end, "found a number")
end)

test("recall by pair: every pair is asked once an example, and what is right counts for its own", function()
  -- Looks every key up in the sequence itself, but does not know the second pair.
  local function oracle(lead)
    return { forward = function(_, rows)
      local logits = {}
      for b, row in ipairs(rows) do
        local value_of = {}
        for pair = 1, 4 do value_of[row[lead + 2 * pair - 1]] = pair ~= 2 and row[lead + 2 * pair] or 0 end
        logits[b] = {}
        for t, token in ipairs(row) do
          local scores = {}
          for v = 0, 32 do scores[v + 1] = v == value_of[token] and 1 or 0 end
          logits[b][t] = scores
        end
      end
      return rwkv.tensor(logits)
    end }
  end
  equal(recall.by_pair(oracle(0), inner, {}, 25, 10), { 1, 0, 1, 1 })
  equal(recall.by_pair(oracle(2), inner, { 32, 32 }, 25, 25), { 1, 0, 1, 1 })
end)

test("equal parameters: found by the width of channel mixing, in every version, or an error that says how far off", function()
  local sizes = { layers = 2, dim = 64, head_size = 32, vocab = 256, ctx = 64 }
  for _, version in ipairs(rwkv.versions()) do
    local m = { label = version, version = version }
    local usual = equal_parameters.describe(m, sizes).parameters
    local target = math.floor(usual * 1.1)
    local width = equal_parameters.dim_ffn(m, sizes, target, 0.005)
    local model = rwkv.model { version = version, layers = 2, dim = 64, head_size = 32, vocab = 256, ctx = 64, dim_ffn = width,
      init = "uniform" }
    assert(math.abs(model:param_count() - target) <= 0.005 * target, version)
  end
  local hybrid = { label = "hybrid", version = "v7", hooks = { time_mix = function() return { "attention", "v7" } end } }
  local width = equal_parameters.dim_ffn(hybrid, sizes, 210000, 0.005)
  assert(math.abs(equal_parameters.describe(hybrid, sizes, width).parameters - 210000) <= 0.005 * 210000)
  fails(function() equal_parameters.dim_ffn({ label = "mine", version = "v6" }, sizes, 50000, 0.02) end, "mine: ", "expected 50000")
  local without = { label = "bare", version = "v7", hooks = { channel_mix = "none" } }
  fails(function() equal_parameters.dim_ffn(without, sizes, 210000, 0.02) end, "expected 210000 within 2 %")
end)

test("the spread of numbers, whatever their order", function()
  local numbers = {}
  for i = 1, 101 do numbers[i] = (i * 37) % 101 end -- 0 .. 100
  local function all(list)
    local s = spread(list)
    return { s.least, s.low, s.middle, s.high, s.most, s.count }
  end
  equal(all(numbers), { 0, 10, 50, 90, 100, 101 })
  equal(numbers[1], 37) -- not sorted in place
  equal(all { 4 }, { 4, 4, 4, 4, 4, 1 })
end)
