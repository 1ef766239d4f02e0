-- aviary eval choices: questions with several answers, of which the likeliest is taken.
-- Prompt and choice become tokens as in EleutherAI's lm-evaluation-harness (lm_eval/api/model.py, TemplateLM._encode_pair): the
-- white space at the end of the prompt moves to the choice, the two are encoded as one text, and scored is what follows as many
-- tokens as the prompt alone has.
local json = require "rwkv.json"
local record = require "rwkv.eval.record"
local scoring = require "rwkv.eval.scoring"
local space = require "rwkv.eval.space"

local function fail(...) error(string.format(...), 0) end

local choices = { defaults = { data = "", limit = 0, batch = 512 }, needs = "data" }

-- The text, n times; or the list of n texts; nil if it is neither.
local function texts_of(value, n)
  if type(value) == "string" then
    local list = {}
    for i = 1, n do list[i] = value end
    return list
  end
  if type(value) ~= "table" or #value == 0 or value == json.null then return nil end
  for _, text in ipairs(value) do
    if type(text) ~= "string" then return nil end
  end
  return value
end

-- The index of the answer, from 1: it is given from 0, or as a text of the list.
local function answer_of(answer, list)
  local index = math.tointeger(answer)
  if index and type(answer) == "number" and list[index + 1] then return index + 1 end
  for i, text in ipairs(list) do
    if text == answer then return i end
  end
end

-- A line of the file: prompts and choices, one beside the other, the answer from 1, the group.
local function question_of(value, name)
  local n = type(value.prompt) == "table" and #value.prompt or type(value.choices) == "table" and #value.choices or 0
  local prompts, list = texts_of(value.prompt, n), texts_of(value.choices, n)
  if not prompts then fail('%s: expected "prompt", a text or a list of texts', name) end
  if not list then fail('%s: expected "choices", a list of texts', name) end
  if n < 2 or #prompts ~= #list then
    fail("%s: expected at least two choices, and a prompt for all of them or one for each; found %d prompts, %d choices",
      name, #prompts, #list)
  end
  local answer = answer_of(value.answer, type(value.choices) == "table" and list or prompts)
  if not answer then fail('%s: expected "answer", an index from 0 to %d or one of the choices', name, n - 1) end
  local group = value.group
  if group ~= nil and type(group) ~= "string" then fail('%s: expected "group" to be a text', name) end
  return { prompts = prompts, choices = list, answer = answer, group = group }
end

-- Items of all choices of all questions, and the questions, each with `first`, the index of its first item.
function choices.items(text, path, tokenizer, prefix, limit)
  local items, questions = {}, {}
  for i, entry in ipairs(json.lines(text, path)) do
    if i > limit and limit > 0 then break end
    local line = ("%s: line %d"):format(path, entry.line)
    local q = question_of(entry.value, line)
    questions[i], q.first, q.bytes = q, #items + 1, {}
    for c, choice in ipairs(q.choices) do
      local name = ("%s, choice %d"):format(line, c - 1)
      local prompt, moved = space.split(q.prompts[c])
      local ids, all = table.move(prefix, 1, #prefix, 1, {}), tokenizer:encode(prompt .. moved .. choice)
      local from = #prefix + #tokenizer:encode(prompt) + 1
      table.move(all, 1, #all, #ids + 1, ids)
      q.bytes[c] = #choice:gsub("^%s+", "")
      if q.bytes[c] == 0 then fail("%s: the choice is empty", name) end
      if #ids < from then fail("%s: it has no token of its own: its text ends in the last token of the prompt", name) end
      if from < 2 then fail("%s: nothing stands before it; --prefix puts a token there", name) end
      items[#items + 1] = { ids = ids, from = from, name = name, labels = { line = entry.line, choice = c - 1, group = q.group,
        answer = c == q.answer, bytes = q.bytes[c] } }
    end
  end
  if #items == 0 then fail("%s: there is no question in it", path) end
  return items, questions
end

-- What the log-likelihood is divided by, for each accuracy.
local measures = {
  { "accuracy", function() return 1 end },
  { "accuracy_bytes", function(_, bytes) return bytes end },
  { "accuracy_tokens", function(row) return row.tokens end },
}

-- Whether the answer has the largest measure, the first one of equals. The same text has the same: the last bits of sums
-- depend on what else stands in a batch.
local function is_right(q, rows, divisor)
  local best, at, first = -math.huge, nil, {}
  for c = 1, #q.choices do
    local text = q.prompts[c] .. "\0" .. q.choices[c]
    first[text] = first[text] or c
    local row = rows[q.first + first[text] - 1]
    local value = row.log_likelihood / divisor(row, q.bytes[c])
    if value > best then best, at = value, c end
  end
  return at == q.answer
end

-- A row for all questions that are answered in full, and one for each group: group, questions, and the three accuracies, 0..1.
-- rows: by item.
function choices.result(questions, rows)
  local list, by_name = {}, {}
  local function add(name, right)
    local r = by_name[name]
    if not r then
      r = { group = name, questions = 0, accuracy = 0, accuracy_bytes = 0, accuracy_tokens = 0 }
      by_name[name], list[#list + 1] = r, r
    end
    r.questions = r.questions + 1
    for _, m in ipairs(measures) do r[m[1]] = r[m[1]] + (right[m[1]] and 1 or 0) end
  end
  for _, q in ipairs(questions) do
    local whole, right = true, {}
    for c = 1, #q.choices do whole = whole and rows[q.first + c - 1] end
    if whole then
      for _, m in ipairs(measures) do right[m[1]] = is_right(q, rows, m[2]) end
      add("", right)
      if q.group then add(q.group, right) end
    end
  end
  for _, r in ipairs(list) do
    for _, m in ipairs(measures) do r[m[1]] = r[m[1]] / r.questions end
  end
  return list
end

local function by_item(rows)
  local map = {}
  for _, row in ipairs(rows) do map[row.item] = row end
  return map
end

local function line_of(r)
  return ("questions=%d accuracy=%.6f accuracy_bytes=%.6f accuracy_tokens=%.6f"):format(r.questions, r.accuracy, r.accuracy_bytes,
    r.accuracy_tokens)
end

function choices.run(e)
  local items, questions = choices.items(e.data, e.options.data, e.tokenizer, e.prefix, e.options.limit)
  local rows = scoring.run { model = e.model, items = items, budget = e.options.batch, path = e.out .. "/choices.items.tsv",
    facts = e.facts, columns = { "line", "choice", "group", "answer", "bytes" }, again = e.options.again, name = "choices",
    note = function(some)
      local r = choices.result(questions, by_item(some))[1]
      return r and ("accuracy %.4f"):format(r.accuracy) or ""
    end }
  local list = choices.result(questions, by_item(rows))
  record.write(e.out .. "/choices.tsv", e.facts, { "group", "questions", "accuracy", "accuracy_bytes", "accuracy_tokens" }, list)
  for i = 2, #list do print(("%-20s %s"):format(list[i].group, line_of(list[i]))) end
  return line_of(list[1])
end

return choices
