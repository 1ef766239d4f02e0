-- The command `aviary eval`: from files to the line of results, interrupted and called again, and what it says of mistakes.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local evaluated = require "tests.lua.lib.evaluated"
local test, equal = check.test, check.equal

local program = check.program
local out = evaluated.path "out"
local model = evaluated.stirred("model.safetensors", 256, "v7", { 97 })

local function run(words) return check.shell(("%s eval %s"):format(program, words)) end

local contains = check.has

test("each kind ends with its line of results, and its tables say what they are of", function()
  local text = evaluated.file("text.txt", ("The sky is blue. "):rep(20))
  local passages = evaluated.file("passages.jsonl", '{"text": "The sky is a"}\n{"text": "It is b"}\n')
  local questions = evaluated.file("questions.jsonl", '{"prompt": "q", "choices": ["a", "b"], "answer": 0, "group": "x y"}\n')
  for _, e in ipairs {
    { "text", "--text " .. text, "^tokens=340 bytes=340 perplexity=%S+ bits_per_byte=%S+\n", "text.positions.tsv" },
    { "lambada", "--data " .. passages, "passages=2 correct=%d accuracy=%S+ perplexity=%S+\n", "lambada.passages.tsv" },
    { "choices", "--data " .. questions, "\nquestions=1 accuracy=%S+ accuracy_bytes=%S+ accuracy_tokens=%S+\n", "choices.items.tsv" },
  } do
    local words = ("%s %s %s --vocab bytes --out %s"):format(e[1], model, e[2], out)
    local said, status = check.shell(("%s eval %s 2>/dev/null"):format(program, words))
    equal(status, 0)
    assert(said:find(e[3]), said)
    local rows, facts = evaluated.table(out .. "/" .. e[4])
    assert(#rows > 0)
    equal(facts.command, "aviary eval " .. words)
    equal((facts.commit:gsub("%+$", "")), (rwkv.commit:gsub("%+$", "")))
    equal(#facts["data sha256"], 64)
    contains(facts.arithmetic, "kernels")
    contains(facts.tokenizer, "bytes")
  end
end)

test("in float64 as well", function()
  local text = evaluated.file("short.txt", "abc")
  local said, status = check.shell(("%s --double eval text %s --text %s --vocab bytes --out %s"):format(program, model, text,
    evaluated.path "double"))
  equal(status, 0)
  contains(said, "tokens=3")
  local _, facts = evaluated.table(evaluated.path "double/text.tsv")
  contains(facts.arithmetic, "float64")
end)

-- Interrupts a run with a pause after its start, until one was interrupted on its way.
local function interrupted(words, directory)
  for _, seconds in ipairs { 0.5, 0.2, 1, 2, 0.1, 4 } do
    os.execute("rm -rf " .. directory)
    local said = check.shell(("timeout -s INT %.1f %s eval %s --out %s"):format(seconds, program, words, directory))
    local begun = check.shell("ls " .. directory)
    if said:find "interrupted" and begun:find "%." then return said end
  end
end

test("Ctrl-C stops it, and the same command goes on and ends with the same numbers", function()
  local lines, rng = {}, rwkv.rng(1)
  for i = 1, 1500 do lines[i] = ('{"text": "%s a"}'):format(("word "):rep(rng:integer(1, 60)):sub(1, -2)) end
  local passages = evaluated.file("many.jsonl", table.concat(lines, "\n"))
  local text = evaluated.file("long.txt", ("Some words and others, "):rep(20000))
  for _, words in ipairs { ("lambada %s --data %s --vocab bytes --batch 128"):format(model, passages),
    ("text %s --text %s --vocab bytes --chunk 64"):format(model, text) } do
    local part = evaluated.path "part"
    local said = interrupted(words, part)
    if not said then
      print "SKIPPED: the machine was too fast or too slow for a run to be interrupted on its way"
    else
      contains(said, "interrupted", "the same command goes on")
      local whole = check.shell(("%s eval %s --out %s 2>/dev/null"):format(program, words, evaluated.path "whole"))
      equal(check.shell(("%s eval %s --out %s 2>/dev/null"):format(program, words, part)), whole)
    end
  end
end)

test("mistakes are said, with status 1", function()
  for _, e in ipairs {
    { "", "usage: aviary eval text|lambada|choices" },
    { "glue x", "there is no evaluation 'glue'" },
    { "text", "usage: aviary eval text MODEL --text FILE" },
    { "lambada " .. model, "usage: aviary eval lambada MODEL --data FILE" },
    { "lambada none.safetensors --data x", "none.safetensors" },
    { "text " .. model .. " --text x --step 1", "unknown option --step", "--chunk" },
    { ("text %s --text %s --vocab bytes --out %s"):format(model, evaluated.path "none", out), "none" },
  } do
    local said, status = run(e[1])
    equal(status, 1)
    contains(said, "eval: ", table.unpack(e, 2))
    assert(not said:find "traceback", said)
  end
end)

test("help", function()
  local said, status = check.shell(program .. " help eval")
  equal(status, 0)
  contains(said, "aviary eval text", "aviary eval lambada", "aviary eval choices", "--separator", "--again")
end)

evaluated.remove()
