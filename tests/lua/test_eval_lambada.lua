-- aviary eval lambada: counted by hand where probabilities are known, one passage at a time where they are not.
local rwkv = require "rwkv"
local lambada = require "rwkv.eval.lambada"
local bytes = require "tests.lua.lib.bytes"
local check = require "tests.lua.lib.check"
local evaluated = require "tests.lua.lib.evaluated"
local test, equal, fails = check.test, check.equal, check.fails

local words = { " a", " b", " c" } -- tokens 257, 258, 259
local tokenizer = bytes.with(words)
local tolerance = rwkv.precision == "float64" and 1e-11 or 1e-5

test("accuracy and perplexity by hand", function()
  local model = evaluated.constant("known.safetensors", 260, { [257] = 3, [258] = 1, [string.byte "x" + 1] = 2 })
  local data = evaluated.file("known.jsonl", '{"text": "x y a"}\n{"text": "x b"}\n\n{"text": "x ax"}\n{"text": "x a"}\n')
  local r = evaluated.run(tokenizer, "lambada", { model, "--data", data, "--out", evaluated.path "known" })
  local log_sum = math.log(math.exp(3) + math.exp(1) + math.exp(2) + 257)
  local sum = (3 - log_sum) + (1 - log_sum) + (3 - log_sum + 2 - log_sum) + (3 - log_sum) -- " a", " b", " a" "x", " a"
  equal({ r.passages, r.correct, r.accuracy }, { 4, 2, 0.5 })
  equal(r.perplexity, math.exp(-sum / 4), tolerance)
  local rows, facts = evaluated.table(evaluated.path "known/lambada.passages.tsv")
  equal(#rows, 4)
  equal({ rows[3].line, rows[3].tokens, rows[3].greedy }, { 4, 2, false })
  equal(rows[2].log_likelihood, 1 - log_sum, tolerance)
  equal({ facts.prefix, facts.batch, facts.limit, facts.command }, { "zero", "512", "0", "a test" })
  equal(#facts["model sha256"], 64)
  local summary = evaluated.table(evaluated.path "known/lambada.tsv")
  equal({ summary[1].passages, summary[1].correct, summary[1].accuracy }, { 4, 2, 0.5 })
end)

test("a passage is cut at its last space, and a token stands in front", function()
  local items = lambada.items('{"text": "b  a c"}\n{"text": " a"}\n{"text": "x "}', "x", tokenizer, { 0 }, 0)
  equal(items[1].ids, { 0, 99, 33, 257, 259 })
  equal({ items[1].from, items[2].from, items[3].from }, { 5, 2, 3 })
  equal(items[2].ids, { 0, 257 })
  equal(items[3].ids, { 0, 121, 33 })
  local newline = evaluated.stirred("v4.safetensors", 260, "v4")
  local data = evaluated.file("one.jsonl", '{"text": "x y a"}')
  for prefix, want in pairs { [""] = "newline", zero = "zero", none = "none" } do
    local more = prefix ~= "" and { "--prefix", prefix } or {}
    evaluated.run(tokenizer, "lambada", { newline, "--data", data, "--out", evaluated.path("p" .. prefix), table.unpack(more) })
    local _, facts = evaluated.table(evaluated.path("p" .. prefix .. "/lambada.tsv"))
    equal(facts.prefix, want)
  end
end)

-- Passages of many lengths whose last word is often a likely one.
local function passages(count)
  local rng, lines = rwkv.rng(1), {}
  for i = 1, count do
    local parts = {}
    for j = 1, rng:integer(1, 40) do parts[j] = ("abcxyz"):rep(rng:integer(0, 2)):sub(rng:integer(1, 5)) end
    lines[i] = ('{"text": "%s %s"}'):format(table.concat(parts, " "), ({ "a", "b", "c", "ab", "xx" })[rng:integer(1, 5)])
  end
  return table.concat(lines, "\n")
end

for _, version in ipairs { "v7", "v6", "v4", "v3" } do
  test(version .. ": batches padded on the right count as one passage after the other does", function()
    local path = evaluated.stirred(version .. ".safetensors", 260, version, { 257 })
    local data = evaluated.file("many.jsonl", passages(40))
    local prefix = version == "v7" and { 0 } or { 11 }
    local items, model = lambada.items(rwkv.read_file(data), data, tokenizer, prefix, 0), rwkv.load(path)
    local sum, correct = 0, 0
    for _, item in ipairs(items) do
      local log_p, greedy = evaluated.log_likelihood(model, item.ids, item.from)
      sum, correct = sum + log_p, correct + (greedy and 1 or 0)
    end
    assert(correct > 0 and correct < 40, "the passages prove nothing: " .. correct)
    for _, batch in ipairs { 1, 30, 4096 } do
      local r = evaluated.run(tokenizer, "lambada", { path, "--data", data, "--batch", tostring(batch), "--out",
        evaluated.path(version .. batch) })
      equal({ r.passages, r.correct }, { 40, correct })
      equal(r.perplexity, math.exp(-sum / 40), rwkv.precision == "float64" and 1e-10 or 1e-4)
    end
  end)
end

test("PyTorch counts the same, one passage after the other", function()
  local _, status = check.shell "python3 -c 'import torch'"
  if status ~= 0 then return print "SKIPPED: python3 has no torch" end
  for _, version in ipairs { "v7", "v4" } do
    local path, data = evaluated.stirred("t" .. version .. ".safetensors", 260, version, { 257 }), evaluated.file("t.jsonl", passages(40))
    local out, failed = check.shell(("python3 experiments/peers/lambada.py %s --vocab %s --data %s --head-size 8"):format(path,
      evaluated.file("t.txt", bytes.vocabulary(words)), data))
    equal(failed, 0)
    local count, correct, perplexity = out:match "passages=(%d+) correct=(%d+) accuracy=%S+ perplexity=(%S+)"
    local r = evaluated.run(tokenizer, "lambada", { path, "--data", data, "--out", evaluated.path("t" .. version) })
    equal({ r.passages, r.correct }, { tonumber(count), tonumber(correct) })
    equal(r.perplexity, tonumber(perplexity), rwkv.precision == "float64" and 1e-10 or 1e-4)
  end
end)

test("what was stopped goes on and ends with the same numbers; another evaluation is not mixed with it", function()
  local model, other = evaluated.stirred("one.safetensors", 260, "v7", { 257 }), evaluated.stirred("two.safetensors", 260, "v7")
  local data, out = evaluated.file("stop.jsonl", passages(30)), evaluated.path "stop"
  local function run(...) return evaluated.run(tokenizer, "lambada", { ..., "--data", data, "--batch", "64", "--out", out }) end
  local whole, path = run(model), out .. "/lambada.passages.tsv"
  local text = rwkv.read_file(path)
  local lines, heads = {}, 0
  for line in text:gmatch "[^\n]*\n" do
    lines[#lines + 1] = line
    if line:find "^#" then heads = #lines end
  end
  for _, kept in ipairs { 0, 7, 29, 30 } do -- any rows may be missing
    rwkv.write_file(path, table.concat(lines, "", 1, heads + 1 + kept))
    local r = run(model)
    equal({ r.perplexity, r.correct, r.passages }, { whole.perplexity, whole.correct, whole.passages })
    equal(rwkv.read_file(path), text)
  end
  fails(function() run(other) end, path, "another evaluation", "model sha256", "--out", "--again")
  equal(evaluated.run(tokenizer, "lambada", { other, "--data", data, "--out", out, "--again" }).passages, 30)
  fails(function() run(other) end, "batch is 512 there and 64 now")
  fails(function() evaluated.run(tokenizer, "lambada", { other, "--data", data, "--out", out, "--limit", "3" }) end, "limit")
  equal(evaluated.run(tokenizer, "lambada", { other, "--data", data, "--out", out .. "3", "--limit", "3" }).passages, 3)
end)

test("weights stay as they are in the file, or become what --dtype says", function()
  local model, data = evaluated.stirred("dtype.safetensors", 260, "v7"), evaluated.file("dtype.jsonl", passages(5))
  local seen = {}
  for _, dtype in ipairs { "", "f32", "bf16" } do
    local more = dtype ~= "" and { "--dtype", dtype } or {}
    seen[dtype] = evaluated.run(tokenizer, "lambada", { model, "--data", data, "--out", evaluated.path("d" .. dtype),
      table.unpack(more) }).perplexity
  end
  equal(seen[""], seen.f32, 1e-5)
  assert(math.abs(seen.bf16 / seen.f32 - 1) > 1e-6)
end)

test("what is wrong is said", function()
  local model = evaluated.stirred("wrong.safetensors", 260, "v7")
  local good = evaluated.file("good.jsonl", '{"text": "x a"}')
  local out = evaluated.path "wrong"
  local function says(more, ...)
    local list = { model, "--out", out, table.unpack(more) }
    local expected = table.pack(...)
    fails(function() evaluated.run(tokenizer, "lambada", list) end, table.unpack(expected))
  end
  says({ "--data", evaluated.file("a.jsonl", '{"text": "word"}') }, "a.jsonl: line 1: the passage has no space")
  says({ "--data", evaluated.file("b.jsonl", '{"text": "x a"}\n{"txt": "x a"}') }, 'b.jsonl: line 2: expected {"text": "..."}')
  says({ "--data", evaluated.file("c.jsonl", '{"text": "x a"') }, "c.jsonl: line 1: byte")
  says({ "--data", evaluated.file("d.jsonl", "\n") }, "d.jsonl: there is no passage in it")
  says({ "--data", evaluated.path "none" }, "none")
  says({ "--data", evaluated.file("e.jsonl", '{"text": " a"}'), "--prefix", "none" }, "line 1: nothing stands before", "--prefix")
  says({ "--data", good, "--batch", "0" }, "option --batch: expected a whole number from 1")
  says({ "--data", good, "--limit", "1.5" }, "option --limit")
  says({ "--data", good, "--prefix", "bos" }, "option --prefix: expected zero, newline, none, found 'bos'")
  says({ "--data", good, "--dtype", "int8" }, "option --dtype: expected f32, bf16, f16")
  says({ "--data", good, "--chunk", "5" }, "unknown option --chunk")
  says({ "more", "--data", good }, "'more' is no option")
  says({}, "usage: aviary eval lambada MODEL --data FILE")
  fails(function() evaluated.run(tokenizer, "perplexity", {}) end, "there is no evaluation 'perplexity'", "text|lambada|choices")
  local broken = rwkv.load(model)
  broken:param "head.weight":set(0 / 0)
  broken:save(evaluated.path "nan.safetensors")
  fails(function() evaluated.run(tokenizer, "lambada", { evaluated.path "nan.safetensors", "--data", good, "--out", out .. "n" }) end,
    "good.jsonl: line 1: the log-likelihood is", "nan")
end)

evaluated.remove()
