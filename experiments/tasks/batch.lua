-- task:batch(first, count) of a task made of examples: examples first .. first+count-1, each from task:example(index), as tokens
-- [count,T], and their targets. A task with a field `set` has so many examples, and begins anew after them.
local rwkv = require "rwkv"

return function(task, first, count)
  local inputs, targets = {}, {}
  for i = 1, count do
    local index = first + i - 1
    if task.set then index = (index - 1) % task.set + 1 end
    inputs[i], targets[i] = task:example(index)
  end
  return rwkv.tokens(inputs), rwkv.tokens(targets)
end
