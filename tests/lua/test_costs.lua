-- What computations cost: fits recover exponents, memory that is counted is what follows from shapes, and the experiments run from end
-- to end. Nothing here depends on how long something takes.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local costs = require "experiments.measure.costs"
local generation = require "experiments.measure.generation"
local ops = require "experiments.measure.sequence_ops"
local tsv = require "rwkv.tsv"
local test, equal, fails = check.test, check.equal, check.fails

test("exponents are found again, by the upper half of the points", function()
  for _, e in ipairs { -1, 0, 0.5, 1, 2, 3 } do
    local points, bent = {}, {}
    for i = 1, 8 do
      local x = 2 ^ i
      points[i], bent[i] = { x, 3 * x ^ e }, { x, i <= 4 and 7 or 3 * x ^ e }
    end
    local exponent, factor = costs.growth(points)
    equal(exponent, e, 1e-9)
    equal(factor, 3, 1e-9)
    equal(costs.growth(bent), e, 1e-9) -- what stands below does not count
  end
  equal(costs.growth { { 1, 1 }, { 2, 8 } }, 3, 1e-12)
  equal(costs.growth { { 2, 8 } }, nil)
  equal(costs.growth { { 2, 8 }, { 2, 9 } }, nil)
end)

test("crossings stand between two points along their lines, or before, or after", function()
  local function line(factor, exponent, n)
    local points = {}
    for i = 1, n do points[i] = { 2 ^ i, factor * (2 ^ i) ^ exponent } end
    return points
  end
  local x, y = costs.crossing(line(1, 2, 10), line(100, 1, 12))
  equal(x, 100, 1e-9)
  equal(y, 1e4, 1e-9)
  equal({ costs.crossing(line(1, 2, 10), line(1, 1, 10)) }, { nil, "before" })
  equal({ costs.crossing(line(1, 2, 5), line(100, 1, 12)) }, { nil, "after" })
end)

test("what is counted of a step's memory is what was taken", function()
  local x = rwkv.zeros(1000):requires_grad()
  for _, n in ipairs { 1, 3, 10 } do
    local counted = costs.numbers(function()
      for _ = 1, n do local _ = x:clone() end
    end)
    assert(math.abs(counted - 1000 * n) <= 256 + 16 * n, counted)
  end
  fails(function() costs.numbers(function() for _ = 1, 3000 do local _ = x:clone() end end) end, "more than a block")
  rwkv.end_step()
end)

-- By hand: the operands and the result, each with its gradient; and what is kept for the way back, for a token and channel: v4 three
-- numbers, v6 and v7 a state [H,64,64] every 16 tokens, so 64 / 16; attention a float64 a head; the scan a state [2C,16] every 16.
local function by_hand(C, N)
  return { v4 = { 3, 3 * 2 + 3 }, v6 = { 5, 5 * 2 + N / 16 }, v7 = { 7, 7 * 2 + N / 16 },
    attention = { 4, 4 * 2 + 8 / (tonumber(rwkv.precision:match "%d+") / 8) / N },
    mamba = { 3 * 2 + 2 * 16 / C, 2 * (3 * 2 + 2 * 16 / C) + 2 * 16 / 16 } }
end
test("the memory of the ops is what follows from the shapes by hand, at short lengths and at longer ones", function()
  for _, case in ipairs { { C = 512, N = 64, T = 16 }, { C = 64, N = 32, T = 128 } } do
    local expected = by_hand(case.C, case.N)
    for _, name in ipairs(ops.names) do
      for i, pass in ipairs(ops.passes) do
        local counted = ops.numbers(name, pass, case.C, case.N, case.T)
        assert(math.abs(counted - expected[name][i]) < 0.07,
          ("%s %s, width %d: counted %g, by hand %g"):format(name, pass, case.C, counted, expected[name][i]))
      end
    end
  end
end)

test("a text with and without what is carried is the same, and in pieces", function()
  for _, hooks in ipairs { {}, { time_mix = "attention", ffn_shift = "none" }, { time_mix = "mamba", ffn_shift = "none" } } do
    local model = rwkv.model { version = "v7", layers = 2, dim = 16, head_size = 8, vocab = 32, seed = 3, hooks = hooks, init = "uniform" }
    local carried, whole, once = generation.carried(model), generation.whole(model), generation.carried(model)
    local text = {}
    for _ = 1, 4 do
      local ids = carried(5)
      equal(whole(5), ids)
      table.move(ids, 1, 5, #text + 1, text)
    end
    equal(once(20), text)
  end
end)

local home = "runs/tests/costs_" .. rwkv.precision
check.shell("rm -rf " .. home)

local function run(script, words)
  local out, status = check.shell(("%s experiments/%s.lua --scale smoke --out %s %s"):format(check.program, script, home, words or ""))
  return out, status, status == 0 and tsv.read(("%s/%s.smoke.figure.tsv"):format(home, script)) or nil
end

test("speed_memory runs from end to end", function()
  local out, status, rows = run "speed_memory"
  assert(status == 0, out)
  local found = {}
  for _, row in ipairs(rows) do
    local key = ("%s %s %s"):format(row.part, row.label, row.pass)
    found[key] = (found[key] or 0) + 1
  end
  for _, label in ipairs(ops.names) do
    for _, pass in ipairs(ops.passes) do
      equal(found[("memory %s %s"):format(label, pass)], 1)
      equal(found[("growth %s %s"):format(label, pass)], 1)
      assert(found[("time %s %s"):format(label, pass)] >= 1)
      equal(found[("try %s %s"):format(label, pass)], 2 * found[("time %s %s"):format(label, pass)])
    end
  end
  check.has(run("speed_memory", "--set memory=0.000001"), "memory 1e-06: expected more GB, for 16 tokens")
  check.has(run("speed_memory", "--set to=8"), "to 8: expected at least from, which is 16")
end)

test("generation_cost runs from end to end", function()
  local out, status, rows = run "generation_cost"
  assert(status == 0, out)
  local longest = {}
  for _, row in ipairs(rows) do
    local key = row.label .. " " .. row.cache
    if row.part == "median" then longest[key] = math.max(longest[key] or 0, row.tokens) end
  end
  local expected = { ["v4 1"] = 32, ["v7 1"] = 32, ["attention 1"] = 32, ["attention 0"] = 16, ["mamba 1"] = 32 }
  for key, tokens in pairs(expected) do equal(longest[key], tokens) end
  for key in pairs(longest) do assert(expected[key], key) end
  check.has(run("generation_cost", "--set whole=12"), "whole 12: expected a multiple of every, which is 8")
end)

check.shell("rm -rf " .. home)
