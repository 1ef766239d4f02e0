-- ListOps (Nangia and Bowman 2018, arXiv:1804.06028), drawn as in the Long Range Arena (arXiv:2011.04006): nested lists of digits and
-- operators, whose value, a digit, is asked for at the last bracket.
--
--     [MAX 4 3 [MIN 2 3 ] 1 0 [MED 1 5 8 9 2 ] ]        target at the last "]": 5
--
-- The operators are MIN, MAX, MED, the median (of an even number of values the mean of the middle two, rounded down), and SM, the sum
-- modulo 10. A list has 2 to `arguments` of them, each a list itself with probability 1/4, at most `depth` lists deep. Drawn are
-- expressions of `low` to `high` tokens: what is shorter or longer is drawn again. Padding, 0, follows up to `high`.
--
--     local task = listops.new{ low = 10, high = 40, depth = 4, arguments = 5, seed = 1 }
--     local inputs, targets = task:batch(1, 64)         -- examples 1..64: tokens [64,40]
--     print(listops.text((task:example(1))))
--
-- Example i of a seed is always the same, in whatever batch it is drawn.
local rwkv = require "rwkv"
local options = require "experiments.tasks.options"

local ZERO, FIRST, CLOSE = 1, 11, 15 -- the digit 0, the first operator, the bracket
local operators = { "MIN", "MAX", "MED", "SM" }

local listops = { vocab = 16, operators = operators }

local values = {
  MIN = function(list) return math.min(table.unpack(list)) end,
  MAX = function(list) return math.max(table.unpack(list)) end,
  MED = function(list)
    table.sort(list)
    local n = #list
    return (list[(n + 1) // 2] + list[n // 2 + 1]) // 2
  end,
  SM = function(list)
    local sum = 0
    for _, x in ipairs(list) do sum = sum + x end
    return sum % 10
  end,
}

local Task = {}
Task.__index = Task

-- Adds a list to tokens, `depth` deep; returns its value, or nothing if it has become longer than an example may be.
function Task:draw_list(rng, tokens, depth)
  local operator, arguments = rng:integer(1, #operators), {}
  tokens[#tokens + 1] = FIRST - 1 + operator
  for i = 1, rng:integer(2, self.arguments) do
    if #tokens >= self.high then return nil end
    if depth < self.depth and rng:uniform() < 0.25 then
      arguments[i] = self:draw_list(rng, tokens, depth + 1)
      if not arguments[i] then return nil end
    else
      arguments[i] = rng:integer(0, 9)
      tokens[#tokens + 1] = ZERO + arguments[i]
    end
  end
  tokens[#tokens + 1] = CLOSE
  return values[operators[operator]](arguments)
end

-- Inputs and targets of one example, lists of `high` numbers; a target is -100 where nothing is asked.
function Task:example(index)
  local rng = rwkv.rng(self.seed, index)
  for _ = 1, 100000 do
    local inputs, targets = {}, {}
    local value = self:draw_list(rng, inputs, 1)
    local length = #inputs
    if value and length >= self.low and length <= self.high then
      for t = 1, self.high do inputs[t], targets[t] = inputs[t] or 0, -100 end
      targets[length] = ZERO + value
      return inputs, targets
    end
  end
  error(("listops: of 100000 expressions none has %d to %d tokens, %d deep with up to %d arguments"):format(self.low, self.high,
    self.depth, self.arguments), 0)
end

Task.batch = require "experiments.tasks.batch"

-- low, high: lengths in tokens, 4 <= low <= high; depth of lists (10); arguments a list at most (10); seed; set: how many examples
-- there are (without it no end)
function listops.new(o)
  options("listops", o, "low high depth arguments seed set")
  local task = setmetatable({ low = o.low, high = o.high, depth = o.depth or 10, arguments = o.arguments or 10, seed = o.seed or 0,
    set = o.set }, Task)
  for _, c in ipairs { { "low", 4 }, { "high", task.low }, { "depth", 1 }, { "arguments", 2 } } do
    local name, least = c[1], c[2]
    if math.type(task[name]) ~= "integer" or task[name] < least then
      error(("listops: %s is %s, expected a whole number from %d on"):format(name, tostring(task[name]), least), 0)
    end
  end
  return task
end

-- The tasks of a configuration with low, high, depth, arguments, seed, and set if there is one: examples of that seed to train on,
-- and others, always the same, to test.
function listops.of(c)
  local function task(seed)
    return listops.new { low = c.low, high = c.high, depth = c.depth, arguments = c.arguments, seed = seed, set = c.set }
  end
  return task(1000 + c.seed), task(7)
end

-- The expression of an example as text.
function listops.text(inputs)
  local words = {}
  for t, token in ipairs(inputs) do
    if token == 0 then break end
    words[t] = token == CLOSE and "]" or token >= FIRST and "[" .. operators[token - FIRST + 1] or tostring(token - ZERO)
  end
  return table.concat(words, " ")
end

-- How many lists an expression has.
function listops.lists(inputs)
  local n = 0
  for _, token in ipairs(inputs) do n = n + (token == CLOSE and 1 or 0) end
  return n
end

-- What can be had of examples 1 .. count without looking inside: the part that the most frequent value is right for, and the part
-- if it may depend on the outermost operator.
function listops.guesses(task, count)
  local among_all, among, whole, by_operator = {}, {}, 0, 0
  for i = 1, count do
    local inputs, targets = task:example(i)
    local first, value = inputs[1], math.max(table.unpack(targets))
    among[first] = among[first] or {}
    among[first][value] = (among[first][value] or 0) + 1
    among_all[value] = (among_all[value] or 0) + 1
  end
  for _, n in pairs(among_all) do whole = math.max(whole, n) end
  for _, counts in pairs(among) do
    local most = 0
    for _, n in pairs(counts) do most = math.max(most, n) end
    by_operator = by_operator + most
  end
  return whole / count, by_operator / count
end

return listops
