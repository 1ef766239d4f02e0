-- State tracking: the tasks' data against what they mean, and what is measured on them.
local rwkv = require "rwkv"
local groups = require "experiments.tasks.groups"
local parity = require "experiments.tasks.parity"
local check = require "tests.lua.lib.check"
local test, equal, fails = check.test, check.equal, check.fails

test("groups: identity, inverses, associativity, order, and which commute", function()
  for name, want in pairs { Z60 = { 60, true }, A5 = { 60, false }, S5 = { 120, false }, A4xZ5 = { 60, false } } do
    local product, order = groups.table(name)
    equal(order, want[1])
    local commutes, rng = true, rwkv.rng(1, name)
    for a = 0, order - 1 do
      local seen, inverse = {}, false
      for b = 0, order - 1 do
        local c = product[a][b]
        assert(c >= 0 and c < order and not seen[c], name) -- each row is a permutation
        seen[c] = true
        inverse = inverse or (c == 0 and product[b][a] == 0)
        commutes = commutes and c == product[b][a]
      end
      assert(inverse and product[0][a] == a and product[a][0] == a, name)
    end
    equal(commutes, want[2])
    for _ = 1, 2000 do
      local a, b, c = rng:integer(0, order - 1), rng:integer(0, order - 1), rng:integer(0, order - 1)
      equal(product[product[a][b]][c], product[a][product[b][c]])
    end
  end
  fails(function() groups.new { group = "B5", length = 3 } end, "B5", "S5")
  fails(function() groups.new { group = "A5", length = 0 } end, "length 0")
end)

-- How many elements x have x^n = 1, n the smallest: what tells groups of one order apart.
test("groups: the orders of their elements", function()
  for name, want in pairs { A5 = { [1] = 1, [2] = 15, [3] = 20, [5] = 24 },
    S5 = { [1] = 1, [2] = 25, [3] = 20, [4] = 30, [5] = 24, [6] = 20 } } do
    local product, order = groups.table(name)
    local found = {}
    for a = 0, order - 1 do
      local x, n = a, 1
      while x ~= 0 do x, n = product[x][a], n + 1 end
      found[n] = (found[n] or 0) + 1
    end
    for n, count in pairs(want) do equal(found[n], count) end
  end
end)

test("words: the targets are the products of the prefixes; example i is always the same", function()
  local task = groups.new { group = "S5", length = 9, seed = 3 }
  local inputs, targets = task:batch(1, 20)
  equal(inputs:shape(), { 20, 10 })
  local again = task:batch(7, 2):tolist()
  equal(again[1], inputs:tolist()[7])
  inputs, targets = inputs:tolist(), targets:tolist()
  for b = 1, 20 do
    equal({ inputs[b][1], targets[b][1] }, { 120, -100 })
    local state = inputs[b][2]
    equal(targets[b][2], state)
    for t = 3, 10 do
      state = task.product[state][inputs[b][t]]
      equal(targets[b][t], state)
    end
  end
  local seen = {}
  for i = 1, 400 do
    for t, x in ipairs((task:example(i))) do if t > 1 then seen[x] = true end end
  end
  for x = 0, 119 do assert(seen[x], "element " .. x .. " is never drawn") end
end)

test("words right up to a length: what a model answers, counted by hand", function()
  local task = groups.new { group = "Z60", length = 4, seed = 1 }
  local model = rwkv.model { version = "v4", layers = 1, dim = 16, vocab = 61, seed = 1 }
  for _, t in model:parameters() do t:set(rwkv.rng(2):tensor("normal", t:shape())) end
  local whole, single = groups.right(model, task, 150)
  local inputs, targets = task:batch(1, 150)
  local logits = rwkv.no_grad(function() return (model:forward(inputs)) end):tolist()
  local want, one = { 0, 0, 0, 0 }, { 0, 0, 0, 0 }
  for b, row in ipairs(targets:tolist()) do
    local all = true
    for t = 2, 5 do
      local best = 1
      for v = 2, 61 do if logits[b][t][v] > logits[b][t][best] then best = v end end
      all = all and best - 1 == row[t]
      want[t - 1], one[t - 1] = want[t - 1] + (all and 1 or 0), one[t - 1] + (best - 1 == row[t] and 1 or 0)
    end
  end
  for t = 1, 4 do equal({ whole[t], single[t] }, { want[t] / 150, one[t] / 150 }, 1e-12) end
end)

test("parity: lengths, padding, one target, and it is right", function()
  local task = parity.new { low = 3, high = 12, seed = 5 }
  local seen, odd = {}, 0
  for i = 1, 500 do
    local inputs, targets = task:example(i)
    local length, twos, asked = 0, 0, 0
    for t = 1, 12 do
      if inputs[t] > 0 then
        length = length + 1
        equal(length, t) -- no gaps
        twos = twos + (inputs[t] == 2 and 1 or 0)
      end
      if targets[t] >= 0 then asked = asked + 1 end
    end
    equal({ asked, targets[length] }, { 1, 1 + twos % 2 })
    seen[length], odd = true, odd + twos % 2
  end
  for length = 3, 12 do assert(seen[length]) end
  assert(not seen[2] and odd > 200 and odd < 300)
  fails(function() parity.new { low = 5, high = 4 } end, "5 to 4")
end)

test("swaps by construction: exact with doubled rates, lost without", function()
  local directory = "runs/test_tracking_" .. rwkv.precision
  local out, status = check.shell(("%s experiments/expressivity.lua --scale quick --out %s"):format(check.program, directory))
  assert(status == 0, out)
  assert(out:find "c = 2, exact *after 10000 swaps: 100 %% of words tracked, largest error 0\n", out)
  assert(out:find "c = 2, normalised keys *after 10000 swaps: 100 %%", out)
  assert(out:find "c = 1 %(as shipped%) *after 10000 swaps: 0 %%", out)
  local bounds = 0
  for low, bound in out:gmatch "found (%S+), bound (%S+)" do
    assert(tonumber(low) >= tonumber(bound), out)
    bounds = bounds + 1
  end
  equal(bounds, 3)
  check.shell("rm -r " .. directory)
end)
