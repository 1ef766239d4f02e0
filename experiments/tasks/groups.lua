-- Word problems of finite groups, as in Merrill et al. 2024 (arXiv:2404.08819): a text of elements g_1 .. g_T, each uniform over
-- the generators; the target at g_t is the product g_1 g_2 .. g_t. In front stands a token of its own, unscored.
--
--     local task = groups.new{ group = "A5", length = 12, seed = 1 }
--     local inputs, targets = task:batch(1, 64)     -- examples 1..64: tokens [64,13], of task.vocab
--
-- Z2, Z3, .. are the sums of numbers modulo 2, 3, ..; A5 the even permutations of five things, S5 all of them; A4xZ5 pairs. 0 is
-- the identity. Which elements a text is made of, and how many tokens each takes:
--
--     groups.new{ group = "S5", generators = "swaps", length = 12 }                  -- the identity and the ten swaps
--     groups.new{ group = "A5", generators = "three-cycles", steps = 2, length = 12 } -- an element, a filler, an element, ..
--
-- Of an element with its fillers the last token is scored.
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

-- First a, then b: (ab)(i) = b(a(i)). The third result are the permutations.
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
  return product, #list, list
end

local function pairs_of(first, n, second, m) -- (a, b) is a m + b
  local product = {}
  for x = 0, n * m - 1 do
    product[x] = {}
    for y = 0, n * m - 1 do product[x][y] = first[x // m][y // m] * m + second[x % m][y % m] end
  end
  return product, n * m
end

local named = {
  A5 = function() return symmetric(5, true) end,
  S5 = function() return symmetric(5, false) end,
  A4xZ5 = function()
    local a4, n = symmetric(4, true)
    local z5, m = cyclic(5)
    return pairs_of(a4, n, z5, m)
  end,
}

-- The multiplication table product[a][b] and the order of a group; of permutations also these, [a + 1].
function groups.table(name)
  if named[name] then return named[name]() end
  local n = tostring(name):match "^Z([1-9]%d*)$"
  n = n and math.tointeger(tonumber(n))
  if n and 2 <= n and n <= 1000 then return cyclic(n) end
  error(("groups: there is no group '%s'; there are: A4xZ5, A5, S5, Z2 to Z1000"):format(tostring(name)), 0)
end

-- ---- generators ----

-- How many things a permutation moves: two a swap, three a three-cycle.
local moved = { swaps = 2, ["three-cycles"] = 3 }
local has = { S5 = { "all", "swaps" }, A5 = { "all", "three-cycles" } }

-- The elements that texts of a group are made of, the identity first.
local function elements_of(group, generators, order, list)
  local names = has[group] or { "all" }
  local known = false
  for _, name in ipairs(names) do known = known or name == generators end
  if not known then
    error(("groups: generators '%s' of %s, expected %s"):format(tostring(generators), group, table.concat(names, ", ")), 0)
  end
  local elements = {}
  for a = 0, order - 1 do
    local count = 0
    if generators ~= "all" then
      for i, x in ipairs(list[a + 1]) do count = count + (x ~= i and 1 or 0) end
    end
    if count == 0 or count == moved[generators] then elements[#elements + 1] = a end
  end
  return elements
end

-- ---- the task ----

local Task = {}
Task.__index = Task

function Task:example(index)
  local rng, inputs, targets, state = rwkv.rng(self.seed, index), { self.order }, { -100 }, 0
  for i = 1, self.length do
    local element = self.elements[rng:integer(1, #self.elements)]
    state = self.product[state][element]
    inputs[#inputs + 1] = element
    for _ = 2, self.steps do inputs[#inputs + 1], targets[#targets + 1] = self.order + 1, -100 end
    targets[1 + i * self.steps] = state
  end
  return inputs, targets
end

Task.batch = require "experiments.tasks.batch"

local function whole_number(o, name)
  local x = o[name]
  if math.type(x) ~= "integer" or x < 1 then
    error(("groups: %s %s, expected a whole number from 1 on"):format(name, tostring(x)), 0)
  end
  return x
end

-- group, length (elements), seed; generators: "all", "swaps", "three-cycles"; steps: tokens an element, 1 without fillers.
-- The task has: elements, the generators; vocab, that is the group's order, one for the token in front, one for the filler if
-- there is one; seq, the tokens of a text.
function groups.new(o)
  options("groups", o, "group length seed generators steps")
  local product, order, list = groups.table(o.group)
  local length, steps = whole_number(o, "length"), o.steps == nil and 1 or whole_number(o, "steps")
  return setmetatable({ product = product, order = order, length = length, steps = steps, seed = o.seed or 0,
    elements = elements_of(o.group, o.generators == nil and "all" or o.generators, order, list),
    vocab = order + (steps > 1 and 2 or 1), seq = 1 + length * steps }, Task)
end

-- The part of `count` examples that a model gets right up to and including each length, and the part of single answers:
-- two lists of `length` numbers.
function groups.right(model, task, count)
  local whole, single = {}, {}
  for t = 1, task.length do whole[t], single[t] = 0, 0 end
  for first = 1, count, 100 do
    local inputs, targets = task:batch(first, math.min(100, count - first + 1))
    local best = rwkv.no_grad(function() return (model:forward(inputs)):argmax() end)
    for b, row in ipairs(targets:tolist()) do
      local so_far = true
      for t = 1, task.length do
        local place = 1 + t * task.steps
        local right = best[(b - 1) * task.seq + place] == row[place]
        so_far = so_far and right
        whole[t], single[t] = whole[t] + (so_far and 1 or 0), single[t] + (right and 1 or 0)
      end
    end
  end
  for t = 1, task.length do whole[t], single[t] = whole[t] / count, single[t] / count end
  return whole, single
end

-- The longest length up to which more than nine of ten words are right, of the first list of groups.right; 0 if there is none.
function groups.longest(whole)
  local longest = 0
  for t, part in ipairs(whole) do if part > 0.9 then longest = t end end
  return longest
end

return groups
