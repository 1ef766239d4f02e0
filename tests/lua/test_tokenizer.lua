-- Tokenizers: ids of the official World tokenizer and of Hugging Face's, each written a second time, and vocabularies that are
-- damaged. tests/text/ has small ones: world.txt has every form of a token, bpe.json was trained by Hugging Face's tokenizers on
-- this README, bpe.jsonl has what they make of some texts.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local vocab = require "rwkv.text.vocab"
local test, equal, fails = check.test, check.equal, check.fails

local world, bpe = rwkv.tokenizer "tests/text/world.txt", rwkv.tokenizer "tests/text/bpe.json"
local rng = rwkv.rng(3, "tokenizer")

local function write(text, name)
  local path = "runs/tokenizer/" .. (name or "vocabulary")
  rwkv.mkdir "runs/tokenizer"
  rwkv.write_file(path, text)
  return path
end

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read "a"
  if file then file:close() end
  return text
end

local function random_bytes(n, low, high)
  local bytes = {}
  for i = 1, n do bytes[i] = string.char(rng:integer(low or 0, high or 255)) end
  return table.concat(bytes)
end

-- "\u00e9" of JSON
local function from_json(text)
  local function unescape(code)
    return utf8.char(tonumber(code, 16))
  end
  local function pair(high, low)
    return utf8.char(0x10000 + ((tonumber(high, 16) - 0xd800) << 10) + tonumber(low, 16) - 0xdc00)
  end
  local letters = { n = "\n", t = "\t", r = "\r", b = "\b", f = "\f", ["\\"] = "\\", ['"'] = '"', ["/"] = "/" }
  text = text:gsub("\\u([dD][89abAB]%x%x)\\u([dD][c-fC-F]%x%x)", pair):gsub("\\u(%x%x%x%x)", unescape)
  return (text:gsub("\\(.)", letters))
end

local function from_base64(text)
  local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  local bits, count, bytes = 0, 0, {}
  for c in text:gmatch "[%w+/]" do
    bits, count = bits << 6 | alphabet:find(c, 1, true) - 1, count + 6
    if count >= 8 then
      count = count - 8
      bytes[#bytes + 1] = string.char(bits >> count & 255)
    end
  end
  return table.concat(bytes)
end

local function ids_of(line)
  local ids = {}
  for id in line:match '"ids": %[(.-)%]':gmatch "%d+" do ids[#ids + 1] = tonumber(id) end
  return ids
end

test("World: ids of the official tokenizer", function()
  local path = "../shared/data/vocab/rwkv_vocab_v20230424.txt"
  local cases = read "../shared/golden/world_tokenizer.jsonl"
  if not cases or not read(path) then return print "SKIPPED: ../shared/golden, ../shared/data/vocab are not there" end
  local dos = write(read(path):gsub("\n", "\r\n"), "dos.txt")
  for _, t in ipairs { rwkv.tokenizer(path), rwkv.tokenizer(dos) } do
    equal({ t:kind(), t:size(), t:bytes(0), t:bytes(256) }, { "world", 65530, "", "\255" })
    for line in cases:gmatch "[^\n]+" do
      local text, ids = from_base64(line:match '"text_b64": "(.-)"'), ids_of(line)
      equal(t:encode(text), ids)
      equal(t:decode(ids), text)
    end
  end
  os.remove(dos)
end)

test("World: the greedy longest match, written once more", function()
  local id_of, longest = {}, 0
  for id = 1, world:size() - 1 do
    local bytes = world:bytes(id)
    id_of[bytes], longest = id, math.max(longest, #bytes)
  end
  local pieces = {}
  for bytes in pairs(id_of) do pieces[#pieces + 1] = bytes end
  table.sort(pieces)
  for _ = 1, 300 do
    local parts = {}
    for i = 1, rng:integer(1, 20) do
      local piece = pieces[rng:integer(1, #pieces)]
      parts[i] = piece:sub(1, rng:integer(1, #piece))
    end
    local text, ids, at = table.concat(parts), {}, 1
    while at <= #text do
      local n = math.min(longest, #text - at + 1)
      while not id_of[text:sub(at, at + n - 1)] do n = n - 1 end
      ids[#ids + 1], at = id_of[text:sub(at, at + n - 1)], at + n
    end
    equal(world:encode(text), ids)
    equal(world:decode(ids), text)
  end
end)

test("BPE: ids of Hugging Face's tokenizers", function()
  equal({ bpe:kind(), bpe:size() }, { "bpe", 405 })
  local count = 0
  for line in io.lines "tests/text/bpe.jsonl" do
    local text = from_json(line:match '"text": "(.-)", "ids"')
    equal(bpe:encode(text), ids_of(line))
    count = count + 1
  end
  equal(count, 87)
end)

-- One merge after the other, the whole word looked through for each.
local function naive_bpe(text, ranks)
  local symbols = {}
  for i = 1, #text do symbols[i] = text:sub(i, i) end
  while true do
    local best, where = math.huge, nil
    for i = 1, #symbols - 1 do
      local rank = ranks[symbols[i] .. " " .. symbols[i + 1]]
      if rank and rank < best then best, where = rank, i end
    end
    if not where then return symbols end
    symbols[where] = symbols[where] .. table.remove(symbols, where + 1)
  end
end

test("BPE: random merges, written once more", function()
  for _ = 1, 40 do
    local tokens, id_of, merges, ranks = {}, {}, {}, {}
    local function add(token)
      if id_of[token] then return end
      tokens[#tokens + 1], id_of[token] = token, #tokens
    end
    for c in ("abcd"):gmatch "." do add(c) end
    while #merges < 30 do
      local a, b = tokens[rng:integer(1, #tokens)], tokens[rng:integer(1, #tokens)]
      if not ranks[a .. " " .. b] and #a + #b < 9 then
        merges[#merges + 1], ranks[a .. " " .. b] = ('"%s %s"'):format(a, b), #merges
        add(a .. b)
      end
    end
    local entries = {}
    for i, token in ipairs(tokens) do entries[i] = ('"%s": %d'):format(token, i - 1) end
    local t = rwkv.tokenizer(write(('{"pre_tokenizer": {"type": "ByteLevel"}, "model": {"vocab": {%s}, "merges": [%s]}}'):format(
      table.concat(entries, ", "), table.concat(merges, ", "))))
    for _ = 1, 40 do
      local text, ids = random_bytes(rng:integer(1, 40), 97, 100), {}
      for i, symbol in ipairs(naive_bpe(text, ranks)) do ids[i] = id_of[symbol] end
      equal(t:encode(text), ids)
    end
  end
end)

test("any bytes come back", function()
  for _, t in ipairs { world, bpe, rwkv.tokenizer "bytes" } do
    for n = 0, 300 do
      local text = random_bytes(n)
      if t ~= bpe then equal(t:decode(t:encode(text)), text) end
      text = random_bytes(n, 0, 127) .. "\xff\xc3" .. random_bytes(n, 0x80, 0xbf) .. "\xf4\x90\x80\x80\xed\xa0\x80 \xe2\x82"
      equal(t:decode(t:encode(text)), text)
    end
    equal(t:encode "", {})
    equal(t:decode {}, "")
    local text = ("to and fro\n"):rep(1000)
    equal(t:decode(t:tokens(text)), text)
    equal(t:tokens(text):tolist()[1], t:encode(text))
  end
end)

test("a text that NFC changes from its first character on", function()
  local t = rwkv.tokenizer "tests/text/bpe.json" -- nothing has been normalised by it yet
  equal(t:decode(t:encode "e\u{301}"), "é")
  equal(t:decode(t:encode ""), "")
end)

test("a long word takes its time, but ends", function()
  local start = rwkv.time()
  local ids = bpe:tokens(("a"):rep(1000000))
  equal(#bpe:decode(ids), 1000000)
  assert(#bpe:encode(("e\u{301}\u{323}"):rep(20000) .. ("\u{301}\u{323}"):rep(100000)) > 0)
  assert(rwkv.time() - start < 60, rwkv.time() - start)
end)

test("characters: UTF-8 and UTF-16", function()
  local json = [[{"0": "\n", "1": "a", "2": "é", "3": "😀", "4": "\u0000", "5": "\ud83d\ude01"}]]
  local function utf16(big)
    local units = { big and "\xfe\xff" or "\xff\xfe" }
    for _, c in utf8.codes(json) do
      local format = big and ">I2" or "<I2"
      if c < 0x10000 then
        units[#units + 1] = format:pack(c)
      else
        units[#units + 1] = format:pack(0xd800 + (c - 0x10000 >> 10)) .. format:pack(0xdc00 + (c - 0x10000 & 0x3ff))
      end
    end
    return table.concat(units)
  end
  for _, text in ipairs { json, "\xef\xbb\xbf" .. json, utf16(false), utf16(true), utf16(false):sub(3), utf16(true):sub(3) } do
    local t = rwkv.tokenizer(write(text))
    equal({ t:kind(), t:size() }, { "chars", 6 })
    equal(t:encode "aé\0😀😁\na", { 1, 2, 4, 3, 5, 0, 1 })
    equal(t:decode { 5, 4 }, "😁\0")
    fails(function() t:encode "ab" end, "vocabulary: no token begins with the byte 0x62")
  end
  fails(function() rwkv.tokenizer(write(utf16(false):sub(1, -2))) end, "UTF-16")
  fails(function() rwkv.tokenizer(write "\xff\xfe{\0\0\xd8") end, "surrogate")
  fails(function() rwkv.tokenizer(write [[{"0": "a", "x": "b"}]]) end, 'key "x"', "id")
  fails(function() rwkv.tokenizer(write [[{"hello": 3}]]) end, 'key "hello"')
  fails(function() rwkv.tokenizer(write [[{"0": 3}]]) end, "id 0")
  fails(function() rwkv.tokenizer(write [[{"0": ""}]]) end, "token 0 has no bytes")
  fails(function() rwkv.tokenizer(write [[{"0": "a", "1": "a"}]]) end, "token 1 has the bytes of token 0")
  fails(function() rwkv.tokenizer(write [[{"0": "a", "0": "b"}]]) end, "id 0 stands there twice")
  fails(function() rwkv.tokenizer(write [[{}]]) end, "without tokens")
end)

test("World: damaged vocabularies", function()
  for text, why in pairs {
    [""] = "no vocabulary",
    ["PK\3\4"] = "no vocabulary",
    ["version https://git-lfs"] = "no vocabulary",
    ["1 'a' 1\n\n3 'b' 1\n"] = "line 2: expected an id",
    ["1 'a'"] = "line 1: expected an id",
    ["1 'a' 1\nx 'b' 1"] = "line 2: the first field",
    ["0 'a' 1"] = "line 1: the first field",
    ["1234567890 'a' 1"] = "line 1: the first field",
    ["999999999 'a' 1"] = "line 1: id 999999999, expected 0 to 1048574",
    ["1 'a' x"] = "line 1: the last field",
    ["1 'a' 2"] = "line 1: token 1 has 1 bytes, the line says 2",
    ["1 '\xc3\xa9' 1"] = "line 1: token 1 has 2 bytes",
    ["1 '' 0"] = "line 1: token 1 has no bytes",
    ["1 'a' 1\n1 'b' 1"] = "line 2: id 1 stands there twice",
    ["1 'a' 1\n2 b'a' 1"] = "line 2: token 2 has the bytes of token 1",
    ["1 a 1"] = "line 1: the literal of token 1: expected '..'",
    ["1 'a\" 1"] = "expected '..'",
    ["1 'it's' 4"] = "quotation mark",
    ["1 '\\' 1"] = "backslash",
    ["1 '\\q' 1"] = "an escape is none of",
    ["1 b'\\u0041' 1"] = "an escape is none of",
    ["1 '\\x4' 1"] = "too few digits",
    ["1 '\\u123' 1"] = "too few digits",
    ["1 '\\ud800' 3"] = "no code point",
    ["1 '\\U00110000' 4"] = "no code point",
    ["1 b'\\400' 1"] = "above 255",
    ["1 '\xff' 1"] = "not UTF-8",
    ["1 b'\xc3\xa9' 2"] = "not ASCII",
  } do
    fails(function() rwkv.tokenizer(write(text)) end, "runs/tokenizer/vocabulary: ", why)
  end
  fails(function() rwkv.tokenizer "runs" end, "runs: is a directory")
  fails(function() rwkv.tokenizer "none.txt" end, "none.txt: No such file")
  local t = rwkv.tokenizer(write "1 'a' 1\n2 'ab' 2")
  fails(function() t:encode "abc" end, "no token begins with the byte 0x63")
  for _, id in ipairs { -1, 3, 1 << 40, "x", 1.5 } do fails(function() t:bytes(id) end, "0 to 2") end
  fails(function() t:decode { 3 } end, "there is no id 3; ids are from 0 to 2")
  fails(function() t:decode { { 1 }, { 2 } } end, "one sequence")
  fails(function() t:tokens "" end, "at least one")
end)

test("BPE: damaged vocabularies, and those that are of another make", function()
  local good = read "tests/text/bpe.json"
  local function changed(from, to)
    local first, last = good:find(from, 1, true)
    assert(first, from)
    return good:sub(1, first - 1) .. to .. good:sub(last + 1)
  end
  local function refused(text, ...) fails(function() rwkv.tokenizer(write(text)) end, "runs/tokenizer/vocabulary: ", ...) end
  refused(good:sub(1, 5000), "not JSON")
  refused("{\n\n\"model\": x", "line 3: not JSON")
  refused('{"model"\0}', "a byte 0")
  refused('{"model": {}}', "pre_tokenizer is \"nothing\", expected \"ByteLevel\"")
  refused('{"model": 3, "pre_tokenizer": {"type": "ByteLevel"}}', "no vocab")
  refused(changed('"type": "NFC"', '"type": "NFKC"'), 'normalizer is "NFKC", expected "NFC" or nothing')
  refused(changed("<|padding|>", "\xff\xff"), "line 17: not UTF-8") -- of which NFC found no end
  refused(changed('"type": "BPE"', '"type": "Unigram"'), 'model is "Unigram", expected "BPE"')
  refused(changed('"truncation": null', '"truncation": {"max_length": 3}'), "truncation is not supported")
  refused(changed('"unk_token": null', '"unk_token": "a"'), "unk_token is not supported")
  refused(changed('"byte_fallback": false', '"byte_fallback": true'), "byte_fallback is not supported")
  refused(changed('"add_prefix_space": false', '"add_prefix_space": true'), "add_prefix_space is not supported")
  refused(changed('"use_regex": true', '"use_regex": false'), "use_regex is false")
  refused(changed('"lstrip": false', '"lstrip": true'), "lstrip is not supported")
  refused(changed('"content": "<|padding|>"', '"content": "<|endoftext|>"'), "<|endoftext|>")
  refused(changed('"id": 400', '"id": 5'), "added token", "id 5 stands there twice")
  refused(changed('"id": 400', '"id": 4.5'), "no whole number")
  refused(changed('"content": "<|padding|>"', '"content": ""'), "added token 2 has no content")
  refused(changed('"!": 2', '"!": -2'), 'the id of "!"')
  refused(changed('"!": 2', '"!": 3'), "id 3 stands there twice")
  refused(changed('"!": 2', '"\\u0000": 2'), "byte 0")
  local first = good:match '"merges": %[%s*("[^"]*")'
  refused(changed(first, '"!"'), "merge 1: expected two tokens")
  refused(changed(first, '["!"]'), "merge 1: expected two tokens")
  refused(changed(first, '"! nonsense"'), 'merge 1: "nonsense" is no token')
  refused(changed(first, '"! !"'), 'merge 1: "!!" is no token')
  refused(changed(first, first .. ", " .. first), "merge 2", "stand there twice")
  local left, right = first:match '"(.-) (.-)"'
  equal(rwkv.tokenizer(write(changed(first, ('["%s", "%s"]'):format(left, right)))):encode "the state", bpe:encode "the state")
end)

test("the vocabulary of a model", function()
  rwkv.mkdir "runs/tokenizer/place"
  write(read "tests/text/world.txt", "place/rwkv_vocab_v20230424.txt")
  local function found(...) return select(2, vocab.find(...)) end
  local inside = "runs/tokenizer/place/rwkv_vocab_v20230424.txt"
  equal(found("bytes", nil, 256), "bytes")
  equal(found(nil, "x.safetensors", 256), "bytes")
  equal(found("tests/text/bpe.json"), "tests/text/bpe.json")
  equal(found("runs/tokenizer/place"), inside)
  equal(found(nil, "runs/tokenizer/place/model.pth", 65536), inside)
  equal(found(nil, "runs/tokenizer/place", 65536), inside)
  equal(found(nil, "runs/tokenizer/place/", 400), inside)
  equal(vocab.find(nil, "runs/tokenizer/place/"):kind(), "world")
  fails(function() vocab.find("runs/tokenizer/place", nil, 50277) end, "none of: 20B_tokenizer.json, tokenizer.json")
  fails(function() vocab.find(nil, "runs/tokenizer/place/m", 50277) end, "--vocab", "beside the model", "AVIARY_VOCAB", "20B_tokenizer.json",
    "50277 ids")
  fails(function() vocab.find("tests/text/world.txt", nil, 256) end, "tests/text/world.txt: a vocabulary of 380 ids, the model has 256")
  local code = [[print(select(2, require "rwkv.text.vocab".find(nil, "x", 65536)))]]
  equal((check.shell(("AVIARY_VOCAB=runs/tokenizer/place %s -e '%s'"):format(check.program, code))), inside .. "\n")
end)

test("aviary tokenize: ids and back, in parts", function()
  local function tokenize(options, input)
    write(input, "in")
    local out, status = check.shell(check.program .. " tokenize " .. options .. " <runs/tokenizer/in >runs/tokenizer/out")
    return status == 0 and read "runs/tokenizer/out" or out, status
  end
  local texts = { "", "a", random_bytes(5000), ("to and fro\n"):rep(300000), ("a"):rep(3000000), "x" .. ("é "):rep(1100000) }
  for _, name in ipairs { "tests/text/world.txt", "tests/text/bpe.json", "bytes" } do
    local t = rwkv.tokenizer(name)
    for _, text in ipairs(texts) do
      local ids = tokenize("--vocab " .. name, text)
      assert(ids == table.concat(t:encode(text), " ") .. "\n", name .. ": other ids than at once")
      assert(tokenize("--decode --vocab " .. name, ids) == t:decode(t:encode(text)), name .. ": another text")
    end
  end
  for _, case in ipairs { { "", "a", "--vocab FILE" }, { "--vocab none", "a", "tokenize: none: No such file" },
    { "--nonsense", "", "--decode --vocab" }, { "words", "", "'words' is no option" },
    { "--decode --vocab bytes", "1 x2 3", "expected ids, found 'x2'" }, { "--decode --vocab bytes", "1 -2", "found '-2'" },
    { "--decode --vocab bytes", "256", "bytes: there is no id 256; ids are from 0 to 255" },
    { "--decode --vocab bytes", ("9"):rep(100), "expected ids, found '999" } } do
    local out, status = tokenize(case[1], case[2])
    equal(status, 1)
    assert(out:find(case[3], 1, true), out)
  end
  equal(tokenize("--decode --vocab bytes", "72\t105\n\n 33"), "Hi!")
end)

test("objects", function()
  equal(tostring(world), "tokenizer(world, 380 ids)")
  fails(function() rwkv.tokenizer() end, "string expected")
  fails(function() world.encode(rwkv.rng(1), "a") end, "rwkv.tokenizer expected")
  local late
  setmetatable({ t = rwkv.tokenizer "bytes" }, { __gc = function(x) late = x.t end })
  collectgarbage()
  collectgarbage()
  if late then fails(function() late:encode "a" end, "collected") end
end)
