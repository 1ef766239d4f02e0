-- Text as words: what a token is, which are in the vocabulary, where windows lie.
local rwkv = require "rwkv"
local text = require "experiments.tasks.text"
local words = require "experiments.tasks.words"
local check = require "tests.lua.lib.check"
local test, equal, fails = check.test, check.equal, check.fails

-- A text of 3000 lines, of which the last part has a word that is nowhere else.
local path = "runs/tests/words.txt"
local lines, rng = {}, rwkv.rng(4)
for i = 1, 3000 do
  local line = {}
  for j = 1, 8 do line[j] = ("w%d"):format(rng:integer(0, rng:integer(0, 99))) end
  lines[i] = table.concat(line, " ") .. (i > 2650 and ", unheard." or ".")
end
rwkv.mkdir "runs/tests"
rwkv.write_file(path, table.concat(lines, "\n") .. "\n")
local parts = text.parts(path)

local function split(s)
  local list = {}
  for word in words.split(s) do list[#list + 1] = word end
  return list
end

test("a token is a word, a mark, or the end of a line; blanks are none", function()
  equal(split "God's  1st day,\tand (so) ü.\n\nEnd", { "God", "'", "s", "1st", "day", ",", "and", "(", "so", ")", "ü", ".", "\n",
    "\n", "End" })
  equal(split "", {})
  equal(split " \r\n", { "\n" })
end)

test("the vocabulary: the most frequent tokens of what is trained on, of equal ones the first by letters", function()
  local file = io.open(path, "rb")
  local training = file:read(parts.test_from)
  file:close()
  local count = {}
  for _, word in ipairs(split(training)) do count[word] = (count[word] or 0) + 1 end
  local read = words.read(parts, 50)
  equal(#read.words, 49)
  local inside = {}
  for i, word in ipairs(read.words) do
    inside[word] = true
    local before = read.words[i - 1]
    assert(not before or count[before] > count[word] or (count[before] == count[word] and before < word), word)
  end
  for word, n in pairs(count) do assert(inside[word] or n <= count[read.words[49]], word) end
  assert(not inside.unheard)
  local again = words.read(parts, 50)
  equal({ again.words, again.train, again.test }, { read.words, read.train, read.test })
end)

test("ids say the text, 0 what is not in the vocabulary, and how much of the test that is", function()
  local read = words.read(parts, 50)
  local file = io.open(path, "rb")
  file:seek("set", parts.test_from)
  local all = split(file:read(parts.document_from - parts.test_from))
  file:close()
  equal(#read.test, 2 * #all)
  local id, known = {}, 0
  for i, word in ipairs(read.words) do id[word] = i end
  for i, word in ipairs(all) do
    equal((("<I2"):unpack(read.test, 2 * i - 1)), id[word] or 0)
    if id[word] then known = known + 1 end
  end
  equal(read.known, known / #all, 1e-12)
  assert(known < #all)
end)

test("windows: each place possible, the target of a token is the next, the same in any batch", function()
  local ids = {}
  for i = 1, 12 do ids[i] = ("<I2"):pack(700 + i) end
  local task, firsts = words.new { ids = table.concat(ids), seq = 9, seed = 2 }, { false, false, false }
  for i = 1, 200 do
    local inputs, targets = task:example(i)
    firsts[inputs[1] - 700] = true
    for t = 1, 9 do equal({ inputs[t], targets[t] }, { inputs[1] + t - 1, inputs[1] + t }) end
  end
  equal(firsts, { true, true, true })
  local inputs, targets = task:batch(5, 3)
  equal({ inputs:tolist()[3], targets:tolist()[3] }, { task:example(7) })
  local train, tests = words.of({ seq = 16, seed = 3 }, words.read(parts, 50))
  assert(train.count > tests.count and train.seed ~= tests.seed)
end)

test("what does not fit is an error that says why", function()
  fails(function() words.read(parts, 1) end, "vocab is 1")
  fails(function() words.read(parts, 100000) end, "vocab is 100000")
  fails(function() words.read(parts, 5000) end, "different tokens")
  fails(function() words.read({ text = "build/no-such.txt", test_from = 1, document_from = 2 }, 50) end, "build/no-such.txt")
  fails(function() words.read({ text = path, test_from = 1 << 20, document_from = 1 << 21 }, 50) end, "shorter")
  fails(function() words.new { ids = "abc", seq = 1 } end, "words.read")
  fails(function() words.new { ids = "abcd", seq = 2 } end, "2 tokens are too few")
  fails(function() words.new { ids = "abcd", seq = 0 } end, "seq is 0")
  fails(function() words.new { ids = "abcd", sec = 1 } end, "sec")
end)
