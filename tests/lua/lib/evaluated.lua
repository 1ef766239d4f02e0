-- What the tests of evaluations share: models whose probabilities are known, files, and a run of an evaluation.
local rwkv = require "rwkv"
local eval = require "rwkv.eval"
local tsv = require "rwkv.tsv"
local bytes = require "tests.lua.lib.bytes"

local evaluated = {}

local directory = os.tmpname()
os.remove(directory)
rwkv.mkdir(directory)

function evaluated.path(name) return directory .. "/" .. name end
function evaluated.remove() os.execute("rm -rf " .. directory) end

function evaluated.file(name, text)
  rwkv.write_file(evaluated.path(name), text)
  return evaluated.path(name)
end

-- A model that finds logits[id] (0 where there is none) for every next token, whatever stood before.
function evaluated.constant(name, vocab, logits)
  local model = rwkv.model { version = "v7", layers = 1, dim = 8, head_size = 8, vocab = vocab, init = "uniform" }
  local head = {}
  for id = 0, vocab - 1 do head[id + 1] = { logits[id] or 0, 0, 0, 0, 0, 0, 0, 0 } end
  model:param "head.weight":set(head)
  model:param "ln_out.weight":set(0)
  model:param "ln_out.bias":set { 1, 0, 0, 0, 0, 0, 0, 0 }
  model:save(evaluated.path(name))
  return evaluated.path(name)
end

-- A model in which everything depends on everything; of tokens that are likely the logits are raised.
function evaluated.stirred(name, vocab, version, likely)
  local model = rwkv.model { version = version or "v7", layers = 2, dim = 16, head_size = 8, vocab = vocab, seed = 3, ctx = 4000 }
  local rng = rwkv.rng(7)
  for _, p in model:parameters() do
    p:set(rwkv.no_grad(function() return p + rng:tensor("normal", p:shape()) * 0.3 end))
  end
  if likely then
    local head, bias = model:param "head.weight":tolist(), model:param "ln_out.bias":tolist()
    for _, id in ipairs(likely) do
      for i, b in ipairs(bias) do head[id + 1][i] = head[id + 1][i] + 6 * b end
    end
    model:param "head.weight":set(head)
  end
  model:save(evaluated.path(name))
  return evaluated.path(name)
end

-- The log-likelihood of ids[from ..], and whether each is the likeliest, from the logits of one sequence at a time.
function evaluated.log_likelihood(model, ids, from)
  local logits = rwkv.no_grad(function()
    return (model:forward(table.move(ids, 1, #ids - 1, 1, {})))
  end):tolist()[1]
  local sum, greedy = 0, true
  for t = from - 1, #ids - 1 do
    local top, total, target = -math.huge, 0, logits[t][ids[t + 1] + 1]
    for _, x in ipairs(logits[t]) do top = math.max(top, x) end
    for _, x in ipairs(logits[t]) do total = total + math.exp(x - top) end
    sum, greedy = sum + target - top - math.log(total), greedy and target == top
  end
  return sum, greedy
end

-- The fields of the line of results of `aviary eval KIND MODEL ...`, with a tokenizer of the tests.
function evaluated.run(tokenizer, kind, words)
  local line = eval.run(kind, words, { command = "a test", plot = function() end, find = function()
    return tokenizer or bytes.with(), "bytes"
  end })
  local fields = {}
  for name, value in line:gmatch "([%w_]+)=(%S+)" do fields[name] = tonumber(value) end
  return fields
end

-- The rows of a table, and the facts at its head.
function evaluated.table(path)
  local facts = {}
  for line in io.lines(path) do
    local name, value = line:match "^# ([^:]+): (.*)$"
    if name then facts[name] = value end
  end
  return tsv.read(path), facts
end

return evaluated
