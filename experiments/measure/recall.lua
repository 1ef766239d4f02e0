-- How well a model recalls: by the position of the question, far beyond the length it was trained at, and by the pair asked for.
local rwkv = require "rwkv"
local leading = require "experiments.tasks.leading"
local positions = require "experiments.measure.positions"

local recall = {}

-- The answers of a model to examples 1 .. count of a task (mqar), at_once of them at a time -> a row for each of at most `bins`
-- intervals of positions, as long as the logarithm has it, in which something is asked: position (the middle, on the
-- logarithmic axis), first, last; accuracy, the part of the answers that are right; count of answers.
function recall.by_position(model, task, count, at_once, bins)
  local asked, right = {}, {}
  for t = 1, task.seq do asked[t], right[t] = 0, 0 end
  for first = 1, count, at_once do
    local inputs, targets = {}, {}
    for i = first, math.min(first + at_once - 1, count) do
      inputs[#inputs + 1], targets[#targets + 1] = task:example(i)
    end
    local answers = rwkv.no_grad(function() return (model:forward(inputs)):argmax() end)
    for b, row in ipairs(targets) do
      for t, target in ipairs(row) do
        if target >= 0 then
          asked[t] = asked[t] + 1
          if answers[(b - 1) * task.seq + t] == target then right[t] = right[t] + 1 end
        end
      end
    end
  end
  local rows, first = {}, 1
  for _, last in ipairs(positions.edges(task.seq, bins)) do
    local questions, good = 0, 0
    for t = first, last do questions, good = questions + asked[t], good + right[t] end
    if questions > 0 then
      rows[#rows + 1] = { position = (first * last) ^ 0.5, first = first, last = last, accuracy = good / questions, count = questions }
    end
    first = last + 1
  end
  return rows
end

-- The part of right answers for the 1st, 2nd, .. pair that was shown, over examples 1 .. count of a task (mqar) with the tokens of
-- `lead` in front, at_once of them at a time.
function recall.by_pair(model, task, lead, count, at_once)
  local right = {}
  for pair = 1, task.pairs do right[pair] = 0 end
  for first = 1, count, at_once do
    local inputs, targets = {}, {}
    for i = first, math.min(first + at_once - 1, count) do
      local row
      row, targets[#targets + 1] = task:example(i)
      inputs[#inputs + 1] = leading.row(lead, row)
    end
    local answers = rwkv.no_grad(function() return (model:forward(inputs)):argmax() end)
    for b, row in ipairs(inputs) do
      local pair_of = {}
      for pair = 1, task.pairs do pair_of[row[#lead + 2 * pair - 1]] = pair end
      for t, target in ipairs(targets[b]) do
        if target >= 0 and answers[(b - 1) * #row + #lead + t] == target then
          local pair = pair_of[row[#lead + t]]
          right[pair] = right[pair] + 1
        end
      end
    end
  end
  for pair = 1, task.pairs do right[pair] = right[pair] / count end
  return right
end

return recall
