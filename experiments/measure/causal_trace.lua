-- Where does a model keep a pair that it was shown? Causal tracing, after figure 9 of arXiv:2305.13048: a run in which the pair has another
-- value is given one part of the state of the right run, after one token, and goes on from there. Does it answer with the right value?
local rwkv = require "rwkv"
local mean = require("rwkv.statistics").mean

local parts = { "shift", "memory", "ffn_shift" }

-- What a part of the state belongs to: a layer, from 1, and a name of `parts`; nil for what is no layer's.
local function place(name)
  local layer, what = name:match "^(%d+)%.(.+)$"
  if not layer then return nil end
  local part = what == "att_xx" and "shift" or (what == "ffn_xx" or what == "mlp_xx") and "ffn_shift" or "memory"
  return math.tointeger(layer) + 1, part
end

-- A state with some parts of another one; nil where it has no such part.
local function restored(state, from, layer, part)
  local mixed
  for _, name in ipairs(state:names()) do
    local l, p = place(name)
    if l == layer and p == part then
      mixed = mixed or state:copy()
      mixed:set(name, from:get(name))
    end
  end
  return mixed
end

local function columns(rows, first, last)
  local list = {}
  for i, row in ipairs(rows) do list[i] = table.move(row, first, last, 1, {}) end
  return list
end

-- The probabilities of the targets of the tokens from `first` on, of which each sequence has one; state: after the tokens before.
local function answered(model, tokens, targets, first, state)
  local list = rwkv.no_grad(model.log_likelihood, model, columns(tokens, first, #tokens[1]), columns(targets, first, #tokens[1]),
    { state = state })
  for i, x in ipairs(list) do list[i] = math.exp(x) end
  return list
end

-- Examples 1 .. count of a task (mqar), of which only one pair is asked: tokens, targets, and the tokens in which that pair
-- has a value that the example does not have.
local function questions(task, pair, count)
  local tokens, targets, wrong = {}, {}, {}
  for i = 1, count do
    local row, asked = task:example(i)
    local taken, other = {}, task.vocab // 2
    for p = 1, task.pairs do taken[row[2 * p]] = true end
    while taken[other] do other = other + 1 end
    for t = 1, #row do if asked[t] >= 0 and row[t] ~= row[2 * pair - 1] then asked[t] = -100 end end
    tokens[i], targets[i], wrong[i] = row, asked, { table.unpack(row) }
    wrong[i][2 * pair] = other
  end
  return tokens, targets, wrong
end

-- model, task (mqar), the pair (1 for the first) and how many examples are asked -> rows { layer =, restored = a name of `parts`, after =
-- how many tokens after the pair's value, probability = of the right value, the mean }: from one token before the value, which is the
-- pair's key, to the last token before questions. And { clean =, wrong = } of whole runs.
return function(model, task, pair, count)
  local value, last = 2 * pair, 2 * task.pairs
  local tokens, targets, wrong = questions(task, pair, count)
  local whole = { clean = mean(answered(model, tokens, targets, 1)), wrong = mean(answered(model, wrong, targets, 1)) }
  local right_state, wrong_state, rows = model:state(count), model:state(count), {}
  for t = 1, last do
    rwkv.no_grad(function()
      model:forward(columns(tokens, t, t), right_state)
      model:forward(columns(wrong, t, t), wrong_state)
    end)
    for layer = 1, t >= value - 1 and model:config().layers or 0 do
      for _, part in ipairs(parts) do
        local state = restored(wrong_state, right_state, layer, part)
        if state then
          rows[#rows + 1] = { layer = layer, restored = part, after = t - value,
            probability = mean(answered(model, wrong, targets, t + 1, state)) }
        end
      end
    end
  end
  return rows, whole
end
