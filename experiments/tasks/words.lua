-- Text, word by word: a token is a run of letters and digits, a mark of punctuation, or the end of a line; blanks are left out. The
-- most frequent tokens of what is trained on are the vocabulary, 0 stands for all others. Every position is scored.
--
--     local read = words.read(text.default(), 4096)   -- once: read.known, how much of the test is not token 0
--     local train, test = words.of(c, read)           -- of a configuration with seq and seed
--     local inputs, targets = train:batch(1, 16)      -- windows 1..16 at random places: tokens [16,seq]
local rwkv = require "rwkv"
local options = require "experiments.tasks.options"

local Task = {}
Task.__index = Task

local function check(condition, ...)
  if not condition then error("words: " .. string.format(...), 0) end
end

-- One window: inputs and targets, each a list of T ids.
function Task:example(index)
  local T = self.seq
  local first = rwkv.rng(self.seed, index):integer(0, self.count - T - 1)
  local ids = { self.layout:unpack(self.ids, 2 * first + 1) }
  return table.move(ids, 1, T, 1, {}), table.move(ids, 2, T + 1, 1, {})
end

Task.batch = require "experiments.tasks.batch"

local words = {}

-- The tokens of a text, one after the other. Bytes above 127 are letters of UTF-8.
function words.split(text)
  return text:gsub("[^%w\128-\255%s]", " %0 "):gsub("\n", " \n "):gsub("[\t\v\f\r]", " "):gmatch "[^ ]+"
end

-- The most frequent tokens, at most so many; of two as frequent ones the first by letters.
local function frequent(text, most)
  local count, list = {}, {}
  for word in words.split(text) do
    if not count[word] then list[#list + 1] = word end
    count[word] = (count[word] or 0) + 1
  end
  table.sort(list, function(a, b)
    if count[a] ~= count[b] then return count[a] > count[b] end
    return a < b
  end)
  return table.move(list, 1, math.min(most, #list), 1, {})
end

-- A text as ids of two bytes each, and which part of them is in the vocabulary.
local function encoded(text, id)
  local parts, known = {}, 0
  for word in words.split(text) do
    local i = id[word]
    parts[#parts + 1], known = ("<I2"):pack(i or 0), known + (i and 1 or 0)
  end
  return table.concat(parts), known / #parts
end

-- parts: what text.parts returned; vocab: how many ids, 0 among them -> { vocab =, words = those of ids 1, 2, .., train =, test =:
-- ids, known =: the part of test's tokens that are not 0 }
function words.read(parts, vocab)
  check(math.type(vocab) == "integer" and vocab >= 2 and vocab <= 65536, "vocab is %s, expected 2 to 65536", vocab)
  local file = io.open(parts.text, "rb")
  check(file, "there is no file %s", parts.text)
  local train = file:read(parts.test_from)
  local test = file:read(parts.document_from - parts.test_from)
  file:close()
  check(train and test and #train + #test == parts.document_from, "%s has become shorter", parts.text)
  local list, id = frequent(train, vocab - 1), {}
  check(#list == vocab - 1, "vocab is %d, %s has %d different tokens to train on", vocab, parts.text, #list)
  for i, word in ipairs(list) do id[word] = i end
  local read = { vocab = vocab, words = list, train = (encoded(train, id)) }
  read.test, read.known = encoded(test, id)
  return read
end

-- ids: a text as words.read gives it; seq T; seed of the random places
function words.new(o)
  options("words", o, "ids seq seed")
  check(type(o.ids) == "string" and #o.ids % 2 == 0, "ids is no text that words.read has made")
  check(math.type(o.seq) == "integer" and o.seq >= 1 and o.seq <= 4096, "seq is %s, expected 1 to 4096", o.seq)
  local task = setmetatable({ ids = o.ids, count = #o.ids // 2, seq = o.seq, seed = o.seed or 0 }, Task)
  check(task.count > task.seq, "%d tokens are too few for %d and a token to predict", task.count, task.seq)
  task.layout = "<" .. ("I2"):rep(task.seq + 1)
  return task
end

-- The tasks of a configuration with seq and seed: to train on, and to test
function words.of(c, read)
  return words.new { ids = read.train, seq = c.seq, seed = 1000 + c.seed }, words.new { ids = read.test, seq = c.seq, seed = 7 }
end

return words
