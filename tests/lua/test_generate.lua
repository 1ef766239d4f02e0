-- model:generate: what it writes against a loop over model:forward, batches, stop texts, and the state that it leaves.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local bytes = require "tests.lua.lib.bytes_tokenizer"
local stream = require "rwkv.text.stream"
local test, equal, fails = check.test, check.equal, check.fails

local function small(version, vocab)
  local q = { version = version, layers = 2, dim = 32, vocab = vocab or 260, init = "uniform", seed = 1 }
  if version >= "v5" then q.head_size = 8 end
  if version == "v1" then q.ctx = 200 end
  if version == "v2" then q.head_qk = 8 end
  local model, rng = rwkv.model(q), rwkv.rng(99)
  for _, t in model:parameters() do
    t:set(rwkv.no_grad(function() return t + rng:tensor("normal", t:shape()) * 0.1 end))
  end
  return model
end

-- The same by hand, a token at a time, without penalties.
local function by_hand(model, ids, count, state)
  local logits, written = nil, {}
  for _, id in ipairs(ids) do logits, state = rwkv.no_grad(function() return model:forward({ id }, state) end) end
  for i = 1, count do
    written[i] = rwkv.no_grad(function() return logits:argmax() end)[1]
    logits, state = rwkv.no_grad(function() return model:forward({ written[i] }, state) end)
  end
  return written, state
end

local greedy = { temperature = 0, presence = 0, frequency = 0, max_tokens = 12 }
local function with(more)
  local q = {}
  for name, value in pairs(greedy) do q[name] = value end
  for name, value in pairs(more) do q[name] = value end
  return q
end

local prompts = { { 1, 2, 3, 4, 5, 6, 7 }, { 9, 8, 7 }, { 4 }, { 3, 2, 1 } }

local function same_states(a, b, tolerance)
  for _, name in ipairs(a:names()) do equal(a:get(name):tolist(), b:get(name):tolist(), tolerance) end
end

for _, version in ipairs(rwkv.versions()) do
  test(version .. ": as a loop by hand writes, alone and in a batch; the state has read all of it", function()
    local model = small(version)
    local all, states, details = model:generate(prompts, with { piece = 2 })
    for i, prompt in ipairs(prompts) do
      local want, after = by_hand(model, prompt, 12)
      local ids, state, d = model:generate(prompt, with { piece = 3 })
      equal(ids, want)
      equal(all[i], want)
      equal({ d.ended, details[i].ended }, { "max_tokens", "max_tokens" })
      equal({ state:seen(), states[i]:seen() }, { #prompt + 12, #prompt + 12 })
      same_states(state, after, 1e-4)
      same_states(states[i], after, 1e-4)
    end
  end)
end

test("from a state; it is not changed", function()
  local model = small "v7"
  local _, state = by_hand(model, { 1, 2 }, 3)
  equal((model:generate({ 5 }, with { state = state })), (by_hand(model, { 5 }, 12, state:copy())))
  equal(state:seen(), 5)
  local all = model:generate({ { 5 }, { 6 } }, with { state = { state, model:state(1) } })
  equal(all, { (by_hand(model, { 5 }, 12, state:copy())), (by_hand(model, { 6 }, 12)) })
  all = model:generate({ { 5 }, { 6 } }, with { state = state })
  equal(all, { (by_hand(model, { 5 }, 12, state:copy())), (by_hand(model, { 6 }, 12, state:copy())) })
  fails(function() model:generate({ { 5 }, { 6 } }, with { state = { state } }) end, "1 states for 2 prompts")
  fails(function() model:generate({ 5 }, with { state = model:state(2) }) end, "batch of 2")
  fails(function() model:generate({ 5 }, with { state = small "v6":state(1) }) end, "another model")
end)

test("the same seed writes the same text, in a batch too, where each prompt draws for itself", function()
  local model, tokenizer = small "v7", bytes()
  local q = { tokenizer = tokenizer, max_tokens = 30, seed = 4 }
  local text, _, d = model:generate("abc", q)
  equal(#d.ids, 30)
  equal(tokenizer:decode(d.ids), text)
  equal((model:generate("abc", q)), text)
  local all = model:generate({ "abc", "abc" }, q)
  equal(all[1], text)
  assert(all[2] ~= text)
  q.seed = 5
  assert(model:generate("abc", q) ~= text)
end)

-- A model that writes a text over and over: whatever it has read, the hook wants the next byte of it.
local function writes(text, tokenizer, more)
  local ids = tokenizer:encode(text)
  local q = with { tokenizer = tokenizer, max_tokens = #ids, logits = function(logits, seen)
    local l = rwkv.zeros(logits:size())
    local list = l:tolist()
    list[ids[#seen % #ids + 1] + 1] = 1
    return l:set(list)
  end }
  for name, value in pairs(more or {}) do q[name] = value end
  return q
end

test("text comes in whole characters, what is no UTF-8 as it is", function()
  local model = small "v7"
  local text, pieces = "a\u{e4}\u{20ac}\u{1f600}\xff\xe2\x82x\xed\xa0\x80\xc3", {}
  local result = model:generate("p", writes(text, bytes(), { on_token = function(piece) pieces[#pieces + 1] = piece end }))
  equal(result, text)
  equal(table.concat(pieces), text)
  equal(pieces, { "a", "", "\u{e4}", "", "", "\u{20ac}", "", "", "", "\u{1f600}", "\xff", "", "", "\xe2\x82x", "", "\xed\xa0", "\x80", "\xc3" })
end)

test("a stop text ends it, and is neither in the text nor in the state", function()
  local model = small "v7"
  local tokenizer = bytes { "c\n", "\nUs", "er:", "bcd" }
  for _, stop in ipairs { "\n\nUser:", "\nUs", "r:", { "nowhere", "\n\nUser:" }, "bc", "abc", "a", "\n" } do
    for _, prompt in ipairs { "x", "hello abc" } do
      local shown = {}
      local q = writes("abc\n\nUser: more", tokenizer, { stop = stop, on_token = function(piece) shown[#shown + 1] = piece end })
      local text, state, d = model:generate(prompt, q)
      local last = type(stop) == "table" and stop[2] or stop
      equal(text, ("abc\n\nUser: more"):match("^(.-)" .. last))
      equal(table.concat(shown), text)
      equal(d.ended, "stop")
      local _, direct = rwkv.no_grad(function() return model:forward(tokenizer:encode(prompt)) end)
      for _, id in ipairs(tokenizer:encode(text)) do
        rwkv.no_grad(function() model:forward({ id }, direct) end)
      end
      equal(state:seen(), direct:seen())
      same_states(state, direct, 1e-4)
    end
  end
  equal((model:generate({ "x", "y", "z" }, writes("abc\n\nUser: more", tokenizer, { stop = "\n\n" }))), { "abc", "abc", "abc" })
end)

test("what only looks like a stop text comes out", function()
  local model = small "v7"
  local text, _, d = model:generate("x", writes("ab\nab\nUser\n\n", bytes(), { stop = "\n\nUser:" }))
  equal({ text, d.ended }, { "ab\nab\nUser\n\n", "max_tokens" })
end)

test("an id of the end ends it; so does a function that returns false", function()
  local model, tokenizer = small "v7", bytes()
  local text, state, d = model:generate("x", writes("ab\0cd", tokenizer, { stop_ids = { 0 } }))
  equal({ text, state:seen(), d.ended, #d.ids }, { "ab", 3, "stop_id", 2 })
  equal((model:generate("x", writes("ab\0cd", tokenizer))), "ab\0cd")
  tokenizer.kind = function() return "world" end
  equal((model:generate("x", writes("ab\0cd", tokenizer))), "ab")
  text, state, d = model:generate("x", writes("abcd", tokenizer, { on_token = function(piece) return piece ~= "c" end }))
  equal({ text, state:seen(), d.ended }, { "abc", 4, "on_token" })
end)

test("what is held back of a text, byte by byte", function()
  local function pushed(text, stops)
    local s, parts = stream(stops), {}
    for i = 1, #text do parts[i] = s:push(text:sub(i, i)) end
    parts[#parts + 1] = s:finish()
    return table.concat(parts, "|")
  end
  equal(pushed("a\u{e9}", {}), "a||\u{e9}|")
  equal(pushed("\xc0\x80\xf5\xe0\x80", {}), "\xc0|\x80|\xf5||\xe0\x80|") -- none of these begins a character
  equal(pushed("aab", { "aac" }), "||aab|")
  equal(pushed("aaab", { "aac" }), "||a|aab|")
  local s = stream { "xy", "y" }
  equal({ s:push "ax" }, { "a" })
  equal({ s:push "y" }, { "", 2 })
end)

test("logits go into a tensor that is there", function()
  local model, into, all = small "v7", rwkv.zeros(2, 1, 260), rwkv.zeros(2, 3, 260)
  local tokens, states = { { 1, 2, 3 }, { 3, 2, 1 } }, { model:state(2), model:state(2) }
  rwkv.no_grad(function() model:forward(tokens, states[1], { last = true, into = into }) end)
  local logits = rwkv.no_grad(function() return (model:forward(tokens, states[2], { into = all })) end)
  equal(all:tolist(), logits:tolist())
  equal(into:tolist()[2][1], logits:tolist()[2][3], 1e-5)
  fails(function() model:forward(tokens, states[1], { into = into }) end, "into is [2,1,260], expected [2,3,260]")
  fails(function() model:forward(tokens, states[1], { into = rwkv.zeros(6) }) end, "into is [6]")
  fails(function() model:forward(tokens, states[1], { into = 1 }) end, "tensor")
  equal(states[1]:seen(), 3)
end)

test("options that cannot be are refused", function()
  local model, tokenizer = small "v7", bytes()
  local function refused(q, ...)
    local words = { ... }
    fails(function() model:generate({ 1 }, q) end, table.unpack(words))
  end
  refused({ max_token = 3 }, "generate", "max_token", "max_tokens")
  for _, n in ipairs { 0, -1, 1.5, 0 / 0, 1 / 0 } do refused({ max_tokens = n }, "max_tokens", "whole number from 1") end
  refused({ max_tokens = "5" }, "max_tokens", "number")
  refused({ piece = 0 }, "piece")
  refused({ stop = "x" }, "tokenizer")
  refused({ stop = { "" }, tokenizer = tokenizer }, "text 1 is empty")
  refused({ stop = { 5 }, tokenizer = tokenizer }, "text 1")
  refused({ stop_ids = { "x" } }, "stop_ids")
  refused({ on_token = 1 }, "on_token", "function")
  refused({ temperature = -1 }, "temperature: expected")
  refused({ top_p = "x" }, "top_p")
  refused({ tokenizer = 5 }, "tokenizer")
  refused(5, "table of options")
  fails(function() model:generate "text" end, "tokenizer")
  fails(function() model:generate("", { tokenizer = tokenizer }) end, "prompt is empty")
  fails(function() model:generate {} end, "prompt is empty")
  fails(function() model:generate(5) end, "the prompt is a number")
  fails(function() model:generate { { 1 }, {} } end, "prompt 2 is empty")
  fails(function() model:generate { 300 } end, "300 at sequence 1, position 1", "expected 0 to 259")
  fails(function() model:generate({ 1 }, { logits = function() error "mine" end }) end, "mine")
end)

local tiny = "../shared/data/tiny/tiny-rwkv-5v1-730K.safetensors"
local file = io.open(tiny)
if file then
  file:close()
  test("a real model writes words", function()
    local model = rwkv.load(tiny, { weights = "packed" })
    local text = model:generate("The ", with { tokenizer = bytes(), max_tokens = 40 })
    equal(text, "result in the strong and the process of ")
  end)
else
  print "SKIPPED: a real model: ../shared/data is not there"
end
