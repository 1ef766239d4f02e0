-- aviary eval text: perplexity by hand, the same however a text is cut and whenever it is stopped; documents, positions, and the
-- reading of long texts in pieces.
local rwkv = require "rwkv"
local reading = require "rwkv.eval.reading"
local bytes = require "tests.lua.lib.bytes"
local check = require "tests.lua.lib.check"
local evaluated = require "tests.lua.lib.evaluated"
local test, equal, fails = check.test, check.equal, check.fails

local close = rwkv.precision == "float64" and 1e-11 or 1e-5

local function run(words, tokenizer) return evaluated.run(tokenizer, "text", words) end

test("perplexity and bits a byte by hand", function()
  local model = evaluated.constant("known.safetensors", 259, { [string.byte "a" + 1] = 2, [257] = 1 })
  local log_sum = math.log(math.exp(2) + math.exp(1) + 257)
  local tokenizer = bytes.with { "bbb" }
  local data = evaluated.file("known.txt", "abbbaab") -- a bbb a a b
  local nats = 3 * (log_sum - 2) + (log_sum - 1) + log_sum
  local r = run({ model, "--text", data, "--out", evaluated.path "known" }, tokenizer)
  equal({ r.tokens, r.bytes }, { 5, 7 })
  equal({ r.perplexity, r.bits_per_byte }, { math.exp(nats / 5), nats / math.log(2) / 7 }, close)
  r = run({ model, data, "--prefix", "none", "--out", evaluated.path "none" }, tokenizer) -- the first one is not scored
  equal({ r.tokens, r.bytes }, { 4, 6 })
  equal(r.perplexity, math.exp((nats - log_sum + 2) / 4), close)
  local rows, facts = evaluated.table(evaluated.path "known/text.tsv")
  equal({ rows[1].text, rows[1].documents, rows[1].tokens, rows[1].bytes }, { data, 1, 5, 7 })
  equal({ facts.chunk, facts.prefix, facts.separator }, { "512", "zero", "" })
  local positions = evaluated.table(evaluated.path "known/text.positions.tsv")
  equal({ #positions, positions[1].from, positions[1].to, positions[1].tokens }, { 4, 1, 1, 1 })
  equal({ positions[2].loss, positions[4].from, positions[4].to, positions[4].tokens }, { log_sum - 1, 4, 5, 2 }, close)
  equal(positions[4].loss, (2 * log_sum - 2) / 2, close)
end)

-- A text of `count` words, some of them tokens of `tokenizer`.
local function text_of(count, seed)
  local rng, parts = rwkv.rng(seed), {}
  for i = 1, count do parts[i] = ({ "ab", "abc", "a", "xyz ", " ", "\n", "é", "bcd", "\0" })[rng:integer(1, 9)] end
  return table.concat(parts)
end

local long = bytes.with { "ab", "abcab", "bc", "cabcabcab", "xyz xyz", "\n\n", " a" }

test("cut anywhere, a text has the same perplexity, that of its tokens one by one", function()
  for _, version in ipairs { "v7", "v5.2", "v3" } do
    local path = evaluated.stirred(version .. ".safetensors", 264, version)
    local words = text_of(150, 1)
    local data, ids = evaluated.file("words.txt", words), long:encode(words)
    table.insert(ids, 1, version == "v7" and 0 or 11)
    local sum = evaluated.log_likelihood(rwkv.load(path), ids, 2)
    for _, chunk in ipairs { 1, 7, 64, 4096 } do
      local r = run({ path, "--text", data, "--chunk", tostring(chunk), "--out", evaluated.path(version .. chunk) }, long)
      equal({ r.tokens, r.bytes }, { #ids - 1, #words })
      equal(r.perplexity, math.exp(-sum / (#ids - 1)), 10 * close)
    end
    local few = run({ path, "--text", data, "--chunk", "7", "--limit", "17", "--out", evaluated.path(version .. "few") }, long)
    equal(few.tokens, 17)
    equal(few.perplexity, math.exp(-evaluated.log_likelihood(rwkv.load(path), table.move(ids, 1, 18, 1, {}), 2) / 17), 10 * close)
  end
end)

test("documents begin anew, and what stands between them is not scored", function()
  local path = evaluated.stirred("d.safetensors", 264, "v7")
  local model = rwkv.load(path)
  local documents, sum, tokens = { "abcab xyz xyz", "b", "cabcabcab\n\na", (text_of(30, 5):gsub("\n", "")) }, 0, 0
  for _, document in ipairs(documents) do
    local ids = long:encode(document)
    table.insert(ids, 1, 0)
    sum, tokens = sum + evaluated.log_likelihood(model, ids, 2), tokens + #ids - 1
  end
  local data = evaluated.file("d.txt", "<|>" .. table.concat(documents, "<|>") .. "<|><|>")
  for _, chunk in ipairs { "3", "512" } do
    local r = run({ path, "--text", data, "--separator", "<|>", "--chunk", chunk, "--out", evaluated.path("d" .. chunk) }, long)
    equal(r.tokens, tokens)
    equal(r.perplexity, math.exp(-sum / tokens), 10 * close)
    local rows = evaluated.table(evaluated.path("d" .. chunk .. "/text.tsv"))
    equal(rows[1].documents, 4)
    local positions = evaluated.table(evaluated.path("d" .. chunk .. "/text.positions.tsv"))
    equal(positions[1].tokens, 4)
  end
  data = evaluated.file("lines.txt", "ab\nx\\y\n")
  local r = run({ path, "--text", data, "--separator", "\\n", "--out", evaluated.path "lines" }, long)
  equal(r.tokens, 4)
end)

-- All chunks of a text as one list, and where documents begin.
local function all_of(path, tokenizer, separator, n)
  local ids, starts = {}, {}
  for chunk, begins in reading.chunks(path, tokenizer, separator, n) do
    assert(#chunk <= n and #chunk > 0)
    if begins then starts[#starts + 1] = #ids + 1 end
    table.move(chunk, 1, #chunk, #ids + 1, ids)
  end
  return ids, starts
end

test("a text that is read in pieces has the tokens of the whole", function()
  local text = text_of(90000, 3) -- more than two pieces
  assert(#text > 1 << 17)
  local path = evaluated.file("long.txt", text)
  equal({ all_of(path, long, "", 100) }, { long:encode(text), { 1 } })
  local bpe = rwkv.tokenizer "tests/text/bpe.json"
  local dense = ("ab"):rep(100000) .. " " .. ("c"):rep(70000) -- no place to cut in three pieces
  for _, words in ipairs { text, dense } do
    local ids = bpe:encode(words)
    equal({ all_of(evaluated.file("words.txt", words), bpe, "", 1000) }, { ids, { 1 } })
  end
end)

test("a separator may stand across two pieces, at the beginning and at the end", function()
  local separator = "--separator--"
  for shift = -14, 2 do
    local first = ("ab"):rep(33000):sub(1, (1 << 16) + shift)
    local path = evaluated.file("s.txt", separator .. first .. separator .. "xyz" .. separator)
    local want = long:encode(first)
    local ids, starts = all_of(path, long, separator, 512)
    equal(starts, { 1, #want + 1 })
    equal(#ids, #want + 3)
  end
end)

test("what was stopped goes on and ends with the same numbers", function()
  for _, version in ipairs { "v7", "v4" } do
    local path = evaluated.stirred("stop" .. version .. ".safetensors", 264, version)
    local one, two = evaluated.file("one.txt", text_of(20000, 8)), evaluated.file("two.txt", text_of(3000, 9))
    local options = { path, "--text", one, two, "--chunk", "400", "--limit", "9000" }
    local function with(tokenizer, out) return run({ "--out", evaluated.path(out), table.unpack(options) }, tokenizer) end
    local whole = with(long, "whole" .. version)
    local calls = 0
    local stopping = { size = function() return long:size() end, kind = function() return long:kind() end,
      bytes = function(_, id) return long:bytes(id) end, encode = function(_, ...) -- fails somewhere on the way
        calls = calls + 1
        if calls > 3 then error "stopped" end
        return long:encode(...)
      end }
    fails(function() with(stopping, "part" .. version) end, "stopped")
    local out = "part" .. version
    local resumed = with(long, out)
    equal({ resumed.perplexity, resumed.bits_per_byte, resumed.tokens }, { whole.perplexity, whole.bits_per_byte, whole.tokens })
    for _, name in ipairs { "text.tsv", "text.positions.tsv" } do
      equal(rwkv.read_file(evaluated.path(out .. "/" .. name)):gsub("out%S*", ""),
        rwkv.read_file(evaluated.path("whole" .. version .. "/" .. name)):gsub("out%S*", ""))
    end
  end
end)

test("finished results of another model, text or setting stay, and a text that changes meanwhile gives none", function()
  local a, b = evaluated.stirred("a.safetensors", 264, "v7"), evaluated.stirred("b.safetensors", 264, "v6")
  local data, out = evaluated.file("kept.txt", text_of(60, 8)), evaluated.path "kept"
  local first = run({ a, data, "--out", out }, long)
  equal(run({ a, data, "--out", out }, long), first)
  fails(function() run({ b, data, "--out", out }, long) end, "of another evaluation", "model sha256", "--again")
  fails(function() run({ a, data, "--out", out, "--limit", "9" }, long) end, "of another evaluation", "limit")
  evaluated.file("kept.txt", text_of(60, 9))
  fails(function() run({ a, data, "--out", out }, long) end, "of another evaluation", "data sha256")
  local changing, calls = {}, 0
  for _, name in ipairs { "kind", "bytes", "size", "decode" } do
    changing[name] = function(_, ...) return long[name](long, ...) end
  end
  function changing.encode(_, ...)
    calls = calls + 1
    if calls == 2 then evaluated.file("kept.txt", text_of(60, 10)) end
    return long:encode(...)
  end
  fails(function() run({ a, data, "--out", evaluated.path "changed", "--separator", "\\n" }, changing) end, "was changed while it was evaluated")
  assert(not io.open(evaluated.path "changed/text.tsv"))
end)

test("what is wrong is said", function()
  local path, good = evaluated.stirred("w.safetensors", 264, "v7"), evaluated.file("good.txt", "abc")
  local out = evaluated.path "wrong"
  fails(function() run { path, "--text", evaluated.path "none", "--out", out } end, "none")
  fails(function() run { path, "--text", evaluated.file("empty.txt", ""), "--out", out } end, "empty.txt", "no token to score")
  fails(function() run { path, "--text", evaluated.file("a.txt", "a"), "--prefix", "none", "--out", out } end, "a.txt", "no token to score")
  fails(function() run { path, "--text", good, "--chunk", "0", "--out", out } end, "option --chunk")
  fails(function() run { path, "--text", good, "--separator", "\\q", "--out", out } end, "option --separator", "found \\q")
  fails(function() run { path, "--out", out } end, "usage: aviary eval text MODEL")
  fails(function() run { path, "--text", good, "--batch", "3", "--out", out } end, "unknown option --batch")
  fails(function() run { path, "--text", "/tmp", "--out", out } end, "/tmp")
end)

evaluated.remove()
