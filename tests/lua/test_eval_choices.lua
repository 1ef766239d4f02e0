-- aviary eval choices: which choice is the likeliest, by hand; where prompt and choice meet; groups.
local rwkv = require "rwkv"
local choices = require "rwkv.eval.choices"
local space = require "rwkv.eval.space"
local bytes = require "tests.lua.lib.bytes"
local check = require "tests.lua.lib.check"
local evaluated = require "tests.lua.lib.evaluated"
local test, equal, fails = check.test, check.equal, check.fails

local tokenizer = bytes.with { " a", " b", "ab" } -- 257, 258, 259

test("the three accuracies by hand", function()
  -- every token costs log_sum - logit: " a" 1 token 2 bytes, "ab" 1 token, "xxx" 3 tokens
  local logits = { [257] = 3, [258] = 2.5, [259] = 0, [string.byte "x" + 1] = 2, [string.byte "y" + 1] = -4 }
  local model = evaluated.constant("known.safetensors", 260, logits)
  local total = 255
  for _, x in pairs(logits) do total = total + math.exp(x) end
  local log_sum = math.log(total)
  local data = evaluated.file("known.jsonl", [[
{"prompt": "q", "choices": [" a", " b"], "answer": 0, "group": "g"}
{"prompt": "q", "choices": [" a", " b"], "answer": " b", "group": "h"}
{"prompt": "q", "choices": ["y", "xxx"], "answer": 1, "group": "g"}
{"prompt": ["p", "q"], "choices": "xx", "answer": 0}
]])
  -- line 3: y is 1 token of 1 byte at -4, xxx 3 tokens of 3 bytes at 2: shorter is likelier, better a token and a byte is xxx
  assert(-4 - log_sum > 3 * (2 - log_sum))
  local r = evaluated.run(tokenizer, "choices", { model, "--data", data, "--out", evaluated.path "known" })
  equal({ r.questions, r.accuracy, r.accuracy_bytes, r.accuracy_tokens }, { 4, 0.5, 0.75, 0.75 })
  local rows = evaluated.table(evaluated.path "known/choices.tsv")
  equal({ rows[1].questions, rows[2].group, rows[2].questions, rows[2].accuracy, rows[2].accuracy_tokens, rows[3].group,
    rows[3].accuracy }, { 4, "g", 2, 0.5, 1, "h", 0 })
  local items = evaluated.table(evaluated.path "known/choices.items.tsv")
  equal(#items, 8)
  equal({ items[6].line, items[6].choice, items[6].tokens, items[6].bytes, items[6].answer, items[6].group }, { 3, 1, 3, 3, true, "g" })
  equal(items[6].log_likelihood, 3 * (2 - log_sum), 1e-5)
  equal({ items[1].bytes, items[1].greedy, items[3].answer, items[4].answer }, { 1, true, false, true })
end)

test("prompt and choice are encoded as one text, and white space of the prompt moves to the choice", function()
  local function item(prompt, choice)
    local value = ('{"prompt": "%s", "choices": ["%s", "z"], "answer": 0}'):format(prompt, choice)
    return choices.items(value, "x", tokenizer, { 0 }, 0)[1]
  end
  local i = item("q ", "a")
  equal(i.ids, { 0, 114, 257 })
  equal(i.from, 3)
  i = item("q", " a")
  equal({ i.ids, i.from }, { { 0, 114, 257 }, 3 })
end)

test("white space of Unicode", function()
  for text, want in pairs { ["a"] = { "a", "" }, ["a \n"] = { "a", " \n" }, ["\u{3000}"] = { "", "\u{3000}" }, [""] = { "", "" },
    ["é\u{a0} \u{2009}"] = { "é", "\u{a0} \u{2009}" }, ["a\u{200b}"] = { "a\u{200b}", "" }, ["\xa0"] = { "\xa0", "" } } do
    equal({ space.split(text) }, want)
  end
end)

test("every choice has the log-likelihood that it has alone", function()
  local path, rng, lines = evaluated.stirred("all.safetensors", 260, "v7"), rwkv.rng(2), {}
  local function word() return ("abxyz ba"):sub(rng:integer(1, 4), rng:integer(5, 8)) end
  for i = 1, 12 do
    local list = {}
    for c = 1, rng:integer(2, 4) do list[c] = ('" %sx"'):format(word()) end
    lines[i] = ('{"prompt": "%s", "choices": [%s], "answer": 1}'):format(word():rep(rng:integer(0, 9)), table.concat(list, ","))
  end
  local text = table.concat(lines, "\n")
  local items, model = choices.items(text, "x", tokenizer, { 0 }, 0), rwkv.load(path)
  evaluated.run(tokenizer, "choices", { path, "--data", evaluated.file("all.jsonl", text), "--out", evaluated.path "all", "--batch", "40" })
  for i, row in ipairs((evaluated.table(evaluated.path "all/choices.items.tsv"))) do
    local log_p, greedy = evaluated.log_likelihood(model, items[i].ids, items[i].from)
    equal(row.log_likelihood, log_p, rwkv.precision == "float64" and 1e-10 or 1e-4)
    equal(row.greedy, greedy)
  end
end)

test("of choices with the same text the first one counts, whatever the last bits of their sums", function()
  local question = { prompts = { "x", "x", "x" }, choices = { " a", " a", " b" }, bytes = { 1, 1, 1 }, first = 1, answer = 1 }
  local function row(x) return { log_likelihood = x, tokens = 1 } end
  local r = choices.result({ question }, { row(-22.586411237), row(-22.586411189), row(-30) })[1]
  equal({ r.accuracy, r.accuracy_bytes, r.accuracy_tokens }, { 1, 1, 1 })
end)

test("what is wrong is said", function()
  local function says(line, ...)
    local expected = table.pack(...)
    fails(function() choices.items("\n" .. line, "x.jsonl", tokenizer, {}, 0) end, "x.jsonl: line 2", table.unpack(expected))
  end
  says('{"choices": ["a", "b"], "answer": 0}', '"prompt"')
  says('{"prompt": 1, "choices": ["a", "b"], "answer": 0}', '"prompt"')
  says('{"prompt": "p", "choices": "a", "answer": 0}', "two choices")
  says('{"prompt": "p", "choices": ["a"], "answer": 0}', "two choices")
  says('{"prompt": "p", "choices": ["a", null], "answer": 0}', '"choices"')
  says('{"prompt": ["p", "q", "r"], "choices": ["a", "b"], "answer": 0}', "3 prompts, 2 choices")
  says('{"prompt": "p", "choices": ["a", "b"], "answer": 2}', "from 0 to 1")
  says('{"prompt": "p", "choices": ["a", "b"], "answer": "c"}', '"answer"')
  says('{"prompt": "p", "choices": ["a", "b"]}', '"answer"')
  says('{"prompt": "p", "choices": ["a", " "], "answer": 0}', "choice 1", "empty")
  says('{"prompt": "p", "choices": ["a", "b"], "answer": 0, "group": 3}', '"group"')
  says('{"prompt": "", "choices": ["a", "b"], "answer": 0}', "choice 0: nothing stands before it")
  says('{"prompt": "a", "choices": ["b", "c"], "answer": 0}', "no token of its own")
  fails(function() choices.items("", "x.jsonl", tokenizer, {}, 0) end, "there is no question in it")
end)

evaluated.remove()
