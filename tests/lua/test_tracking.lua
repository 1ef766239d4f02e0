-- State tracking: the tasks' data against what they mean, and what is measured on them.
local rwkv = require "rwkv"
local groups = require "experiments.tasks.groups"
local parity = require "experiments.tasks.parity"
local transition = require "experiments.measure.transition"
local check = require "tests.lua.lib.check"
local test, equal, fails = check.test, check.equal, check.fails

test("groups: identity, inverses, associativity, order, and which commute", function()
  for name, want in pairs { Z2 = { 2, true }, Z3 = { 3, true }, Z60 = { 60, true }, A5 = { 60, false }, S5 = { 120, false }, A4xZ5 = { 60, false } } do
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
  for _, name in ipairs { "B5", "Z1", "Z03", "Z1001", "Z3 ", "Z" } do
    fails(function() groups.new { group = name, length = 3 } end, ("'%s'"):format(name), "A4xZ5, A5, S5, Z2 to Z1000")
  end
  fails(function() groups.new { length = 3 } end, "'nil'")
  fails(function() groups.new { group = "A5", length = 0 } end, "length 0, expected a whole number")
  for _, steps in ipairs { 0, 1.5, "2" } do
    fails(function() groups.new { group = "A5", length = 3, steps = steps } end, "steps " .. steps, "expected a whole number")
  end
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
  equal({ groups.new { group = "A5", length = 6, seed = 3 }:example(2) }, { { 60, 35, 45, 29, 43, 58, 7 }, { -100, 35, 3, 34, 22, 43, 56 } }) -- for ever
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

-- The permutations of five things, in the order of a dictionary, from the digits of their place: nothing shared with the task.
local function permutation(place)
  local left, p = { 1, 2, 3, 4, 5 }, {}
  for i, size in ipairs { 24, 6, 2, 1, 1 } do
    p[i] = table.remove(left, place // size + 1)
    place = place % size
  end
  return p
end

local function moved(p)
  local count = 0
  for i, x in ipairs(p) do count = count + (x ~= i and 1 or 0) end
  return count
end

local function is_even(p) -- by its cycles: a cycle of n things is n - 1 swaps
  local seen, swaps = {}, 0
  for i = 1, 5 do
    local x, length = i, 0
    while not seen[x] do seen[x], x, length = true, p[x], length + 1 end
    swaps = swaps + math.max(0, length - 1)
  end
  return swaps % 2 == 0
end

local function permutations_of(group)
  local list = {}
  for place = 0, 119 do
    local p = permutation(place)
    if group == "S5" or is_even(p) then list[#list + 1] = p end
  end
  return list
end

test("generators: which there are, and the products of their words", function()
  for _, case in ipairs { { "S5", "swaps", 11, 2 }, { "A5", "three-cycles", 21, 3 }, { "S5", "all", 120 }, { "A5", "all", 60 } } do
    local group, generators, count, moves = table.unpack(case)
    for steps = 1, 3 do
      local task, list, seen = groups.new { group = group, generators = generators, steps = steps, length = 8, seed = 2 },
        permutations_of(group), {}
      equal(#task.elements, count)
      equal({ task.seq, task.vocab }, { 1 + 8 * steps, #list + (steps == 1 and 1 or 2) })
      for index = 1, 300 do
        local inputs, targets = task:example(index)
        equal({ #inputs, #targets, inputs[1], targets[1] }, { task.seq, task.seq, #list, -100 })
        local product = { 1, 2, 3, 4, 5 } -- where each thing is after the words so far
        for i = 1, 8 do
          local first, last = 2 + (i - 1) * steps, 1 + i * steps
          local p = list[inputs[first] + 1]
          seen[inputs[first]] = true
          assert(not moves or moved(p) == 0 or moved(p) == moves)
          for thing = 1, 5 do product[thing] = p[product[thing]] end
          equal(list[targets[last] + 1], product)
          for t = first, last - 1 do equal(targets[t], -100) end -- the element, before its fillers
          for t = first + 1, last do equal(inputs[t], #list + 1) end
        end
      end
      local drawn = 0
      for _ in pairs(seen) do drawn = drawn + 1 end
      equal(drawn, count)
    end
  end
end)

test("numbers: sums modulo n, with fillers; every answer is as likely", function()
  for _, n in ipairs { 2, 3, 7 } do
    local task, counts = groups.new { group = "Z" .. n, steps = 2, length = 5, seed = 4 }, {}
    for index = 1, 700 do
      local inputs, targets = task:example(index)
      local sum = 0
      for t = 2, 11, 2 do
        sum = sum + inputs[t]
        equal({ inputs[t + 1], targets[t], targets[t + 1] }, { n + 1, -100, sum % n })
      end
      counts[sum % n] = (counts[sum % n] or 0) + 1
    end
    for a = 0, n - 1 do assert(math.abs(counts[a] - 700 / n) < 4 * math.sqrt(700 / n)) end
  end
end)

test("generators that a group does not have", function()
  local wrong = { S5 = { "three-cycles", "swap" }, A5 = { "swaps", "" }, Z3 = { "swaps", "three-cycles" },
    A4xZ5 = { "swaps" }, Z60 = { 1 } }
  local there = { S5 = "all, swaps", A5 = "all, three-cycles" }
  for group, list in pairs(wrong) do
    for _, generators in ipairs(list) do
      fails(function() groups.new { group = group, generators = generators, length = 3 } end,
        ("generators '%s' of %s, expected %s"):format(generators, group, there[group] or "all"))
    end
  end
  fails(function() groups.new { group = "A5", generator = "all", length = 3 } end, "did you mean 'generators'?")
end)

test("words right up to a length: what a model answers, counted by hand", function()
  for steps = 1, 2 do
    local task = groups.new { group = "Z60", length = 4, steps = steps, seed = 1 }
    local model = rwkv.model { version = "v4", layers = 1, dim = 16, vocab = task.vocab, seed = 1 }
    for _, t in model:parameters() do t:set(rwkv.rng(2):tensor("normal", t:shape())) end
    local whole, single = groups.right(model, task, 150)
    local inputs, targets = task:batch(1, 150)
    local logits = rwkv.no_grad(function() return (model:forward(inputs)) end):tolist()
    local want, one = { 0, 0, 0, 0 }, { 0, 0, 0, 0 }
    for b, row in ipairs(targets:tolist()) do
      local all, element = true, 0
      for t, target in ipairs(row) do
        if target >= 0 then
          local best = 1
          for v = 2, task.vocab do if logits[b][t][v] > logits[b][t][best] then best = v end end
          element = element + 1
          all = all and best - 1 == target
          want[element], one[element] = want[element] + (all and 1 or 0), one[element] + (best - 1 == target and 1 or 0)
        end
      end
    end
    for t = 1, 4 do equal({ whole[t], single[t] }, { want[t] / 150, one[t] / 150 }, 1e-12) end
  end
  equal(groups.longest { 1, 0.95, 0.91, 0.9, 0.2 }, 3)
  equal(groups.longest { 0.5, 0.2 }, 0)
  equal(groups.longest { 1, 1 }, 2)
end)

-- Whether diag(w) - kappa (a kappa)' - x is positive definite, by elimination of the symmetric matrix that is similar to it.
local function above(x, w, kappa, a)
  local n, M = #w, {}
  for i = 1, n do
    M[i] = {}
    for j = 1, n do M[i][j] = (i == j and w[i] - x or 0) - math.sqrt(a[i] * a[j]) * kappa[i] * kappa[j] end
  end
  for i = 1, n do
    if M[i][i] <= 0 then return false end
    for k = i + 1, n do
      local part = M[k][i] / M[i][i]
      for j = i, n do M[k][j] = M[k][j] - part * M[i][j] end
    end
  end
  return true
end

test("transitions: the smallest eigenvalue, of a swap -1", function()
  local half = math.sqrt(0.5)
  local values = transition.lowest(rwkv.tensor { { 1, 1, 1 }, { 1, 1, 1 }, { 0.9, 0.5, 0.8 } },
    rwkv.tensor { { half, -half, 0 }, { half, -half, 0 }, { 0, 1, 0 } },
    rwkv.tensor { { 2, 2, 2 }, { 1, 1, 1 }, { 1, 0.75, 1 } }):tolist()
  equal(values, { -1, 0, -0.25 }, 1e-5)

  local model = rwkv.model { version = "v7", layers = 2, dim = 24, head_size = 8, vocab = 9, seed = 1, hooks = { iclr = "doubled" } }
  for name, t in model:parameters() do
    if name:find "^blocks%.0%.att" then t:set(rwkv.rng(3, name):tensor("normal", t:shape())) end
  end
  local tokens = { 8, 1, 2, 3, 4, 5, 1, 1 }
  local heads, seen = transition.of_tokens(model, tokens), model:trace(tokens)
  local function named(name) return seen["blocks.0.att." .. name]:reshape(#tokens, 3, 8):tolist() end
  local w, kappa, a, negative = named "w", named "kappa", named "a", 0
  equal(#heads, 3)
  for h = 1, 3 do
    equal(#heads[h], #tokens)
    for t, x in ipairs(heads[h]) do
      local decay = {}
      for i, y in ipairs(w[t][h]) do decay[i] = math.exp(y) end
      assert(above(x - 1e-4, decay, kappa[t][h], a[t][h]) and not above(x + 1e-4, decay, kappa[t][h], a[t][h]))
      negative = negative + (x < -0.1 and 1 or 0)
    end
  end
  assert(negative > 5)
  rwkv.end_step()
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
