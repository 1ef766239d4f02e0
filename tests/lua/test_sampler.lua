-- rwkv.sampler: options, hooks on the logits, what it has seen. Its numbers: tests/test_sampler.c.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local bytes = require "tests.lua.lib.bytes_tokenizer"
local test, equal, fails = check.test, check.equal, check.fails

local logits = rwkv.tensor { 1, 3, 2, 0.5 }

local function picks(q, count, from)
  local s, list = rwkv.sampler(q), {}
  for i = 1, count do list[i] = s:pick(from or logits) end
  return list, s
end

test("temperature 0 takes the largest; a seed gives the same ids again, another one others", function()
  equal(picks({ temperature = 0 }, 5), { 1, 1, 1, 1, 1 })
  local function text(q) return table.concat((picks(q, 50)), " ") end
  local q = { temperature = 3, top_p = 1, seed = 5 }
  equal(text(q), text(q))
  assert(text(q) ~= text { temperature = 3, top_p = 1, seed = 6 })
  assert(text(q) ~= text { temperature = 3, top_p = 1, seed = 5, stream = 1 })
  equal(rwkv.sampler():pick(logits:reshape(1, 1, 4)) < 4 and 1 or 0, 1)
end)

test("a row of a batch", function()
  local batch = rwkv.tensor { { { 0, 9, 0 } }, { { 0, 0, 9 } } }
  local s = rwkv.sampler { temperature = 0 }
  equal({ s:pick(batch, 1), s:pick(batch, 2) }, { 1, 2 })
  fails(function() s:pick(batch) end, "[2,1,3]", "a row")
  fails(function() s:pick(batch, 3) end, "the row", "1 to 2")
  fails(function() s:pick(rwkv.tensor(1)) end, "one position")
  fails(function() s:pick { 1, 2 } end, "rwkv.tensor")
end)

test("a function on the logits sees a tensor and the ids so far, and returns one", function()
  local seen
  local s = rwkv.sampler { temperature = 0, logits = function(l, ids)
    seen = { l:tolist(), table.concat(ids, " ") }
    return -l
  end }
  s:saw(7)
  s:saw(2)
  equal(s:pick(logits), 3)
  equal(seen, { { 1, 3, 2, 0.5 }, "7 2" })
  local function with(f) return function() rwkv.sampler { logits = f }:pick(logits) end end
  fails(with(function() return 1 end), "returned a number, expected a tensor")
  fails(with(function() return rwkv.tensor { 1, 2 } end), "[2]", "4 numbers")
  fails(with(function() error "mine" end), "mine")
  fails(with(function(l) return l * (0 / 0) end), "the logit of id 0 is", "nan")
  equal(rwkv.sampler { logits = function(l) return l:reshape(2, 2) end, temperature = 0 }:pick(logits), 1)
end)

test("penalties: an id that was seen is less likely; digits, spaces and tabs count for presence alone", function()
  local q = { temperature = 0, presence = 0.5, frequency = 1, decay = 0.5, tokenizer = bytes { "12", "1 ", " \t", "\t0" } }
  local s = rwkv.sampler(q)
  for _, id in ipairs { 65, 48, 32, 9, 256, 257, 258, 259, 10 } do s:saw(id) end
  -- of "12", "1 ", " \t" and "\t0" all but the second stand in " \t0123456789"
  equal(s:memory(), "draws 0 65:0.00390625 48:0 32:0 9:0 256:0 257:0.125 258:0 259:0 10:1")
  local plain = rwkv.sampler { temperature = 0, presence = 0.5, frequency = 1 }
  plain:saw(1)
  equal(plain:pick(logits), 2) -- 3 - 1.5
  equal(rwkv.sampler { temperature = 0, presence = 0.5, memory = plain:memory() }:pick(logits), 1)
end)

test("what it knows goes into a text and comes back", function()
  local q = { temperature = 2, top_p = 1, seed = 3 }
  local whole = picks(q, 20)
  local first, s = picks(q, 8)
  s:saw(1)
  q.memory = s:memory()
  local rest, again = picks(q, 12)
  equal(again:memory():match "%d+:.*", s:memory():match "%d+:.*")
  q.memory, q.presence = "draws 8", 0
  table.move((picks(q, 12)), 1, 12, 9, first)
  equal(first, whole)
  equal(#rest, 12)
  for _, text in ipairs { "", "draws", "draws x", "draws 1 x", "draws 1 5", "draws 1 5:", "draws 1 -5:1", "draws 1 5:nan", "draws 1 5:-1",
    "draws 1 99999999999:1", "draws 1  5:1" } do
    fails(function() rwkv.sampler { memory = text } end, "memory: expected", text)
  end
end)

test("no id beyond the tokenizer's is picked", function()
  local small = bytes()
  small.size = function() return 2 end
  equal(picks({ temperature = 0, tokenizer = small }, 2, rwkv.tensor { 1, 0, 9, 9 }), { 0, 0 })
  small.size = function() return "many" end
  fails(function() rwkv.sampler { tokenizer = small } end, "size of the tokenizer")
  fails(function() rwkv.sampler { tokenizer = {} } end, "size")
end)

test("what cannot be is refused", function()
  for _, name in ipairs { "temperature", "top_p", "presence", "frequency", "decay" } do
    for _, x in ipairs { -1, 0 / 0, 1 / 0, -1 / 0 } do
      fails(function() rwkv.sampler { [name] = x } end, name .. ": expected a number from 0")
    end
    fails(function() rwkv.sampler { [name] = {} } end, name, "table")
  end
  for _, x in ipairs { -1, 0.5, 1e30 } do
    fails(function() rwkv.sampler { top_k = x } end, "top_k", "whole number")
    fails(function() rwkv.sampler { seed = x } end, "seed", "whole number")
  end
  fails(function() rwkv.sampler { top_p = 1.5 } end, "from 0 to 1")
  fails(function() rwkv.sampler { temprature = 1 } end, "temprature", "temperature")
  fails(function() rwkv.sampler { logits = 1 } end, "logits", "function")
  fails(function() rwkv.sampler { tokenizer = 1 } end, "tokenizer")
  fails(function() rwkv.sampler { memory = 1 } end, "memory")
  fails(function() rwkv.sampler(1) end, "table")
  local s = rwkv.sampler {}
  for _, id in ipairs { -1, 0.5, 1e30, "x" } do fails(function() s:saw(id) end, "saw") end
  fails(function() s:pick(rwkv.tensor { 0 / 0 }) end, "nan")
  fails(function() s:pick(rwkv.tensor { -1 / 0, -1 / 0 }) end, "all 2 logits")
end)

test("65536 logits take less than a millisecond", function()
  local many, best = rwkv.rng(1):tensor("normal", 65536), math.huge
  local s = rwkv.sampler { temperature = 0.9 }
  for _ = 1, 20 do
    local start = rwkv.time()
    s:saw(s:pick(many))
    best = math.min(best, rwkv.time() - start)
  end
  local checked = check.program:find "asan" or check.program:find "cov"
  assert(checked or best < 1.5e-3, ("%.2f ms"):format(1e3 * best))
  print(("%.2f ms a pick"):format(1e3 * best))
end)
