-- aviary eval lambada: the last word of each passage, guessed from all that stands before it.
-- Counted as the official scripts do it (BlinkDL: ChatRWKV v2/benchmark.py, RWKV-LM RWKV-v7/rwkv_v7_demo.py): the passage is cut
-- at its last space; what stands before it and " " with the last word become tokens apart; a token stands in front. A passage is
-- right if every token of the word has the largest logit. Perplexity is e^-(sum of log-probabilities / passages): that of words,
-- not of tokens.
local json = require "rwkv.json"
local record = require "rwkv.eval.record"
local scoring = require "rwkv.eval.scoring"

local lambada = { defaults = { data = "", limit = 0, batch = 512 }, needs = "data" }

-- The passages of a file {"text": ..} a line, the first `limit` of them unless that is 0.
function lambada.items(text, path, tokenizer, prefix, limit)
  local items = {}
  for i, entry in ipairs(json.lines(text, path)) do
    if i > limit and limit > 0 then break end
    local name, passage = ("%s: line %d"):format(path, entry.line), entry.value.text
    if type(passage) ~= "string" then error(('%s: expected {"text": "..."}'):format(name), 0) end
    local before, word = passage:match "^(.*) ([^ ]*)$"
    if not before then error(("%s: the passage has no space, and so no last word"):format(name), 0) end
    local ids = table.move(prefix, 1, #prefix, 1, {})
    for _, part in ipairs { before, " " .. word } do
      local from, more = #ids + 1, tokenizer:encode(part)
      table.move(more, 1, #more, from, ids)
      items[i] = { ids = ids, from = from, name = name, labels = { line = entry.line } }
    end
    if items[i].from < 2 then
      error(("%s: nothing stands before the last word; --prefix puts a token there"):format(name), 0)
    end
  end
  if #items == 0 then error(("%s: there is no passage in it"):format(path), 0) end
  return items
end

-- passages, correct, accuracy 0..1, perplexity
function lambada.result(rows)
  local sum, correct = 0, 0
  for _, row in ipairs(rows) do
    sum, correct = sum + row.log_likelihood, correct + (row.greedy and 1 or 0)
  end
  return { passages = #rows, correct = correct, accuracy = correct / #rows, perplexity = math.exp(-sum / #rows) }
end

function lambada.run(e)
  local items = lambada.items(e.data, e.options.data, e.tokenizer, e.prefix, e.options.limit)
  local rows = scoring.run { model = e.model, items = items, budget = e.options.batch, path = e.out .. "/lambada.passages.tsv",
    facts = e.facts, columns = { "line" }, again = e.options.again, name = "lambada",
    note = function(some)
      local r = lambada.result(some)
      return ("accuracy %.4f, perplexity %.2f"):format(r.accuracy, r.perplexity)
    end }
  local r = lambada.result(rows)
  record.write(e.out .. "/lambada.tsv", e.facts, { "passages", "correct", "accuracy", "perplexity" }, { r })
  return ("passages=%d correct=%d accuracy=%.6f perplexity=%.12g"):format(r.passages, r.correct, r.accuracy, r.perplexity)
end

return lambada
