-- Word problems of finite groups, as in Merrill et al. 2024 (arXiv:2404.08819): a text of elements g_1 .. g_T, each uniform over
-- the group; the target at g_t is the product g_1 g_2 .. g_t. In front stands a token of its own, unscored.
--
--     local task = groups.new{ group = "A5", length = 12, seed = 1 }
--     local inputs, targets = task:batch(1, 64)     -- examples 1..64: tokens [64,13]
--
-- Z60 is the sum of numbers modulo 60; A5 the even permutations of five things, S5 all of them; A4xZ5 pairs. 0 is the identity.
local rwkv = require "rwkv"
local options = require "experiments.tasks.options"

local groups = {}

-- ---- multiplication tables: product[a][b], elements from 0 ----

local function cyclic(n)
  local product = {}
  for a = 0, n - 1 do
    product[a] = {}
    for b = 0, n - 1 do product[a][b] = (a + b) % n end
  end
  return product, n
end

-- The permutations of 1..n in the order of a dictionary, the identity first; even: only the even ones.
local function permutations(n, even)
  local list, p, used = {}, {}, {}
  local function is_even()
    local swaps = 0
    for i = 1, n do
      for j = i + 1, n do swaps = swaps + (p[i] > p[j] and 1 or 0) end
    end
    return swaps % 2 == 0
  end
  local function extend(k)
    if k > n then
      if not even or is_even() then list[#list + 1] = { table.unpack(p) } end
      return
    end
    for x = 1, n do
      if not used[x] then
        p[k], used[x] = x, true
        extend(k + 1)
        used[x] = false
      end
    end
    p[k] = nil
  end
  extend(1)
  return list
end

-- First a, then b: (ab)(i) = b(a(i)).
local function symmetric(n, even)
  local list, index, product = permutations(n, even), {}, {}
  for i, p in ipairs(list) do index[table.concat(p, " ")] = i - 1 end
  for a, p in ipairs(list) do
    product[a - 1] = {}
    for b, q in ipairs(list) do
      local both = {}
      for i = 1, n do both[i] = q[p[i]] end
      product[a - 1][b - 1] = index[table.concat(both, " ")]
    end
  end
  return product, #list
end

local function pairs_of(first, n, second, m) -- (a, b) is a m + b
  local product = {}
  for x = 0, n * m - 1 do
    product[x] = {}
    for y = 0, n * m - 1 do product[x][y] = first[x // m][y // m] * m + second[x % m][y % m] end
  end
  return product, n * m
end

local makers = {
  Z60 = function() return cyclic(60) end,
  A5 = function() return symmetric(5, true) end,
  S5 = function() return symmetric(5, false) end,
  A4xZ5 = function()
    local a4, n = symmetric(4, true)
    local z5, m = cyclic(5)
    return pairs_of(a4, n, z5, m)
  end,
}

-- The multiplication table product[a][b] and the order of a group.
function groups.table(name)
  if not makers[name] then error(("groups: there is no group '%s'; there are: A4xZ5, A5, S5, Z60"):format(tostring(name)), 0) end
  return makers[name]()
end

-- ---- the task ----

local Task = {}
Task.__index = Task

function Task:example(index)
  local rng, inputs, targets, state = rwkv.rng(self.seed, index), { self.order }, { -100 }, 0
  local scored = self.length
  if index < self.ramp then scored = 2 + (self.length - 2) * index // self.ramp end
  for t = 2, self.length + 1 do
    inputs[t] = rng:integer(0, self.order - 1)
    state = self.product[state][inputs[t]]
    targets[t] = t <= scored + 1 and state or -100
  end
  return inputs, targets
end

Task.batch = require "experiments.tasks.batch"

-- group, length (elements), seed; ramp: over so many examples the prefixes that are scored grow from 2 elements to all of
-- them (0: at once). task.order is the group's, its vocabulary one more
function groups.new(o)
  options("groups", o, "group length seed ramp")
  local product, order = groups.table(o.group)
  if math.type(o.length) ~= "integer" or o.length < 1 then
    error(("groups: length %s, expected a whole number from 1 on"):format(tostring(o.length)), 0)
  end
  return setmetatable({ product = product, order = order, length = o.length, seed = o.seed or 0,
    ramp = o.ramp or 0 }, Task)
end

-- The part of `count` examples that a model gets right up to and including each length, and the part of single answers:
-- two lists of `length` numbers.
function groups.right(model, task, count)
  local whole, single, T = {}, {}, task.length
  for t = 1, T do whole[t], single[t] = 0, 0 end
  for first = 1, count, 100 do
    local inputs, targets = task:batch(first, math.min(100, count - first + 1))
    local best = rwkv.no_grad(function() return (model:forward(inputs)):argmax() end)
    for b, row in ipairs(targets:tolist()) do
      local so_far = true
      for t = 1, T do
        local right = best[(b - 1) * (T + 1) + t + 1] == row[t + 1]
        so_far = so_far and right
        whole[t], single[t] = whole[t] + (so_far and 1 or 0), single[t] + (right and 1 or 0)
      end
    end
  end
  for t = 1, T do whole[t], single[t] = whole[t] / count, single[t] / count end
  return whole, single
end

return groups
