-- A task with the same tokens in front of each of its examples, unscored: what a model sees before the first token that matters.
--
--     local task = leading.new(text.new{ ... }, { 256, 256 })     -- its batches are 2 tokens longer
local rwkv = require "rwkv"

local Task = {}
Task.__index = Task

local leading = {}

-- A list of tokens with those of `lead` in front.
function leading.row(lead, row) return table.move(row, 1, #row, #lead + 1, { table.unpack(lead) }) end

function Task:batch(first, count)
  local inputs, targets = self.task:batch(first, count)
  inputs, targets = inputs:tolist(), targets:tolist()
  local unscored = {}
  for i = 1, #self.lead do unscored[i] = -100 end
  for i = 1, count do
    inputs[i], targets[i] = leading.row(self.lead, inputs[i]), leading.row(unscored, targets[i])
  end
  return rwkv.tokens(inputs), rwkv.tokens(targets)
end

-- task: one with :batch(first, count); lead: a list of tokens, which may be empty
function leading.new(task, lead)
  if type(task) ~= "table" or not task.batch then error("leading.new: expected a task, found " .. tostring(task), 0) end
  if type(lead) ~= "table" then error(("leading.new: expected a list of tokens, found a %s"):format(type(lead)), 0) end
  return setmetatable({ task = task, lead = lead }, Task)
end

return leading
