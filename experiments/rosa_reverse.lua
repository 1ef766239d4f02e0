-- What the released models that write numbers backwards get right on their own test (RWKV-LM, RWKV-v8/251105_reverse_run.py): ten numbers
-- of each length, drawn as Python's random.seed(42) gives them, "<number>,<number backwards>#"; a digit counts if the model's most
-- likely token is it, given all before.
--   aviary experiments/rosa_reverse.lua 251105_reverse_L2.pth [--digits 60]
local rwkv = require "rwkv"
local python_random = require "experiments.tasks.python_random"
local progress = require "rwkv.progress"

local reverse = {}

local function tokens_of(text)
  local ids = {}
  for i = 1, #text do ids[i] = ("0123456789,#"):find(text:sub(i, i), 1, true) - 1 end
  return ids
end

-- -> digits that are right, digits, sequences that are right as a whole, sequences
function reverse.test(model, digits)
  local random, right, all, whole, sequences = python_random(42), 0, 0, 0, 0
  local bar = progress("numbers backwards", digits, "lengths")
  for n = 1, digits do
    local batch = {}
    for i = 1, 10 do
      local number = random:digits(n)
      batch[i] = tokens_of(number .. "," .. number:reverse() .. "#")
    end
    local best, T = rwkv.no_grad(function() return model.logits(batch):argmax() end), #batch[1]
    rwkv.end_step()
    for i, ids in ipairs(batch) do
      local wrong = 0
      for t = n + 1, #ids - 1 do if best[(i - 1) * T + t] ~= ids[t + 1] then wrong = wrong + 1 end end -- from the comma on
      right, all = right + n + 1 - wrong, all + n + 1
      whole, sequences = whole + (wrong == 0 and 1 or 0), sequences + 1
    end
    bar:update(n)
  end
  bar:clear()
  return right, all, whole, sequences
end

if arg and arg[0] and arg[0]:find "rosa_reverse%.lua$" then
  local o = rwkv.options(arg, { digits = 60 })
  if #o ~= 1 or o.digits < 1 then error("usage: aviary experiments/rosa_reverse.lua MODEL [--digits 60]", 0) end
  local right, all, whole, sequences = reverse.test(rwkv.rosa_models.load(o[1]), math.tointeger(o.digits))
  print(("%d of %d digits (%.2f %%), %d of %d numbers as a whole"):format(right, all, 100 * right / all, whole, sequences))
end

return reverse
