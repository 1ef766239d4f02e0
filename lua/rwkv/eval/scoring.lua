-- The log-likelihood of the last tokens of many sequences, many at a time: those of similar length side by side, padded on the
-- right, where nothing is scored. What stands to the right changes nothing to the left of it.
local core = require "rwkv.core"
local progress = require "rwkv.progress"
local record = require "rwkv.eval.record"

local scoring = {}

local padding = 0

-- Batches of items, the longest first, none larger than `budget` tokens unless it is one item. They depend on the items alone,
-- so an evaluation that goes on has the same ones.
local function batches(items, budget)
  local order, list, at = {}, {}, 1
  for i = 1, #items do order[i] = i end
  table.sort(order, function(a, b)
    local m, n = #items[a].ids, #items[b].ids
    return m > n or m == n and a < b
  end)
  while order[at] do
    local count = math.max(1, budget // (#items[order[at]].ids - 1))
    list[#list + 1] = table.move(order, at, math.min(at + count - 1, #order), 1, {})
    at = at + count
  end
  return list
end

-- Inputs and targets of positions first .. last of some items.
local function tokens_of(items, batch, first, last)
  local inputs, targets = {}, {}
  for b, index in ipairs(batch) do
    local item, input, target = items[index], {}, {}
    for t = first, last do
      input[#input + 1] = item.ids[t] or padding
      target[#target + 1] = t + 1 >= item.from and item.ids[t + 1] or -1
    end
    inputs[b], targets[b] = input, target
  end
  return inputs, targets
end

-- A row for each item of a batch. A single long item is read in pieces of `budget` tokens.
local function rows_of(model, items, batch, budget)
  local longest, log_p, greedy, state = #items[batch[1]].ids - 1, {}, {}, nil
  local step = #batch > 1 and longest or math.min(longest, budget)
  for first = 1, longest, step do
    local inputs, targets = tokens_of(items, batch, first, math.min(first + step - 1, longest))
    local some, right
    some, right, state = core.no_grad(model.log_likelihood, model, inputs, targets, { state = state })
    table.move(some, 1, #some, #log_p + 1, log_p)
    table.move(right, 1, #right, #greedy + 1, greedy)
  end
  local rows, at = {}, 0
  for b, index in ipairs(batch) do
    local item = items[index]
    local row = { item = index, tokens = #item.ids - item.from + 1, log_likelihood = 0.0, greedy = true }
    for i = at + 1, at + row.tokens do
      row.log_likelihood, row.greedy = row.log_likelihood + log_p[i], row.greedy and greedy[i]
    end
    at = at + row.tokens
    if row.log_likelihood - row.log_likelihood ~= 0 then
      error(("%s: the log-likelihood is %s: the model's logits there are no finite numbers"):format(item.name,
        row.log_likelihood), 0)
    end
    rows[b] = row
  end
  return rows
end

-- q: model; items, each { ids =, from = index of the first token that is scored, at least 2, name = what errors call it,
-- labels = more columns }; budget in tokens; path and facts of the table, columns of its labels; again: what is there is not
-- used; name and note(rows) for the bar. Returns a row for each item, in their order: item, labels, tokens, log_likelihood in
-- nats, greedy: whether each token had the largest logit.
function scoring.run(q)
  local columns, done, total, before = { "item", table.unpack(q.columns) }, {}, 0, 0
  for _, name in ipairs { "tokens", "log_likelihood", "greedy" } do columns[#columns + 1] = name end
  for _, row in ipairs(q.again and {} or record.read(q.path, q.facts)) do done[row.item] = row end
  for i, item in ipairs(q.items) do
    total = total + #item.ids
    if done[i] then before = before + #item.ids end
  end
  local function rows()
    local list = {}
    for i = 1, #q.items do list[#list + 1] = done[i] end
    return list
  end
  local function save() record.write(q.path, q.facts, columns, rows()) end
  local function whole(batch)
    for _, index in ipairs(batch) do
      if not done[index] then return false end
    end
    return true
  end
  local bar, save_now_and_then, read = progress(q.name, total, "tok", before), record.saver(save), before
  record.saving(save, function()
    for _, batch in ipairs(batches(q.items, q.budget)) do
      if not whole(batch) then
        for _, row in ipairs(rows_of(q.model, q.items, batch, q.budget)) do
          local item = q.items[row.item]
          for name, value in pairs(item.labels or {}) do row[name] = value end
          if not done[row.item] then read = read + #item.ids end
          done[row.item] = row
        end
        save_now_and_then()
        bar:update(read, q.note(rows()))
      end
    end
  end)
  local seconds = core.time() - bar.start
  bar:finish(read > before and ("%d tokens, %.0f a second"):format(read - before, (read - before) / seconds)
    or "all of it was there")
  return rows()
end

return scoring
