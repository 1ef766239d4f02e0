-- A needle in a haystack, as passkey tests have it (arXiv:2305.16300), with tokens in place of words: a marked value stands
-- somewhere in a text, and at the end of the text it is asked for.
--
--     x x x x x  NEEDLE d1 .. dD  x x x x x x x  ASK d1 .. dD-1
--     target:                                     d1 d2 .. dD
--
-- NEEDLE is token 0, ASK 1, the digits 2 .. 11; filler x is random from 12 .. V-1, and in part `distractors` random digits
-- without the mark. Depth says where the needle stands: 0 at the start, 1 directly before the question.
--
--     local task = needle.new{ vocab = 32, seq = 64, digits = 4, seed = 1 }
--     local inputs, targets = task:batch(1, 64)     -- examples 1..64, depths uniform: tokens [64,64]
--     local far = needle.new{ vocab = 32, seq = 1024, digits = 4, depth = 0.25, seed = 7 }
--
-- The answer counts if all its digits are the likeliest, each after the right ones: then, and only then, writing on from ASK
-- gives it. Example i of a seed is always the same, in whatever batch it is drawn.
local rwkv = require "rwkv"
local options = require "experiments.tasks.options"

local Task = {}
Task.__index = Task

local NEEDLE, ASK, ZERO, FILLER = 0, 1, 2, 12

local function check(condition, ...)
  if not condition then error("needle: " .. string.format(...), 0) end
end

-- One example: inputs and targets, each a list of T numbers.
function Task:example(index)
  local rng = rwkv.rng(self.seed, index)
  local T, D = self.seq, self.digits
  local question = T - D + 1 -- where ASK stands
  local room = question - 1 - (D + 1)
  local at = self.depth and math.floor(self.depth * room + 0.5) or rng:integer(0, room)
  local value, inputs, targets = {}, {}, {}
  for i = 1, D do value[i] = ZERO + rng:integer(0, 9) end
  for t = 1, T do
    targets[t] = -100
    local digit = self.distractors > 0 and rng:uniform() < self.distractors
    inputs[t] = digit and ZERO + rng:integer(0, 9) or rng:integer(FILLER, self.vocab - 1)
  end
  inputs[at + 1], inputs[question] = NEEDLE, ASK
  for i = 1, D do
    inputs[at + 1 + i], targets[question + i - 1] = value[i], value[i]
    if i < D then inputs[question + i] = value[i] end
  end
  return inputs, targets
end

Task.batch = require "experiments.tasks.batch"

local needle = {}

-- vocab V; seq T; digits D; distractors: part of the filler that is digits (0); depth: 0 to 1, without it uniform; seed
function needle.new(o)
  options("needle", o, "vocab seq digits depth distractors seed")
  local task = setmetatable({ vocab = o.vocab, seq = o.seq, digits = o.digits or 4, depth = o.depth,
    distractors = o.distractors or 0, seed = o.seed or 0 }, Task)
  check(math.type(task.vocab) == "integer" and task.vocab > FILLER, "vocab is %s, expected more than %d", task.vocab, FILLER)
  check(math.type(task.digits) == "integer" and task.digits >= 1, "digits is %s, expected 1 or more", task.digits)
  check(math.type(task.seq) == "integer" and task.seq > 2 * task.digits, "seq is %s, %d digits and their marks need %d",
    task.seq, task.digits, 2 * task.digits + 1)
  check(not task.depth or (task.depth >= 0 and task.depth <= 1), "depth is %s, expected 0 to 1", task.depth)
  return task
end

-- The tasks of a configuration with vocab, seq, digits, distractors and seed: to train on, and to test
function needle.of(c)
  local function task(seed)
    return needle.new { vocab = c.vocab, seq = c.seq, digits = c.digits, distractors = c.distractors, seed = seed }
  end
  return task(1000 + c.seed), task(7)
end

-- The same task at another length and depth, with other examples.
function Task:at(seq, depth)
  return needle.new { vocab = self.vocab, seq = seq, digits = self.digits, distractors = self.distractors, depth = depth,
    seed = self.seed + 1 }
end

-- How many of the answers to examples first .. first+count-1 are right: all digits, and single digits. The text is read in
-- pieces with the state carried on, logits are made where the answer stands.
function Task:right(model, first, count, piece)
  local T, D, state, inputs, targets = self.seq, self.digits, model:state(count), {}, {}
  for i = 1, count do inputs[i], targets[i] = self:example(first + i - 1) end
  local function part(from, to)
    local rows = {}
    for i, row in ipairs(inputs) do rows[i] = table.move(row, from, to, 1, {}) end
    return rows
  end
  local question = T - D + 1
  for from = 1, question - 1, piece do
    rwkv.no_grad(function() model:forward(part(from, math.min(from + piece, question) - 1), state, { last = true }) end)
  end
  local answers = rwkv.no_grad(function() return (model:forward(part(question, T), state)) end):argmax()
  local whole, single = 0, 0
  for i = 1, count do
    local good = 0
    for d = 1, D do
      if answers[(i - 1) * D + d] == targets[i][question + d - 1] then good = good + 1 end
    end
    whole, single = whole + (good == D and 1 or 0), single + good
  end
  return whole, single
end

return needle
