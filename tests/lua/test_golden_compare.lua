-- Tensors of a pack against those of a port: every number is looked at, and the first one that is off is the first.
local rwkv = require "rwkv"
if rwkv.precision ~= "float64" then return end -- as test_golden.lua
local check = require "tests.lua.lib.check"
local compare = require "rwkv.golden.compare"
local test, equal = check.test, check.equal

local rng = rwkv.rng(5)
local tol = { worst = 1e-6, rms = 1e-7 }
local function pack(B, T)
  local tokens = {}
  for b = 1, B do
    tokens[b] = {}
    for t = 1, T do tokens[b][t] = 0 end
  end
  return { tokens = tokens, config = { version = "v7" } }
end

local function entry(list, shape, dtype) return { value = rwkv.tensor(list), shape = shape, dtype = dtype or "f64" } end

local function numbers(n)
  local list = {}
  for i = 1, n do list[i] = rng:normal() / 2 end
  return list
end

-- The same once more, by lists of numbers.
local function error_of(found, expected, scale)
  if found == expected or found ~= found and expected ~= expected then return 0 end
  local e = math.abs(found - expected) / math.max(scale, math.abs(expected))
  return e ~= e and math.huge or e
end

local function by_lists(a, b, T, row)
  local scale, worst, squares, positions, first = 1e-3, 0, 0, {}, nil
  for _, x in ipairs(a) do if math.abs(x) < math.huge then scale = math.max(scale, math.abs(x)) end end
  scale = math.min(scale, 1)
  for i = 1, #a do
    local e, t = error_of(b[i], a[i], scale), (i - 1) // row % T
    worst, squares = math.max(worst, e), squares + e * e
    positions[t] = math.max(positions[t] or 0, e)
    if e > tol.worst and (not first or t < first.t or t == first.t and e > first.e) then first = { t = t, e = e, i = i - 1 } end
  end
  return { worst = worst, rms = math.sqrt(squares / #a), positions = positions, first = first }
end

test("random errors, NaN and infinite numbers: as number by number", function()
  for round = 1, 60 do
    local B, T, row = rng:integer(1, 3), rng:integer(2, 7), rng:integer(1, 700)
    local p, a = pack(B, T), numbers(B * T * row)
    local b = { table.unpack(a) }
    for _ = 1, rng:integer(0, 3) do
      local i, wrong = rng:integer(1, #a), { 0 / 0, 1 / 0, -1 / 0, 1, -1 }
      b[i] = round % 4 == 0 and wrong[rng:integer(1, 5)] or b[i] + rng:normal()
      if round % 8 == 0 then a[i] = wrong[rng:integer(1, 3)] end
    end
    local r = compare.tensors(p, "trace.blocks.0.att.x", entry(a, { B, T, row }), entry(b, { B, T, row }), tol)
    local want = by_lists(a, b, T, row)
    assert(r.worst == want.worst and r.last == T - 1 and not r.problem)
    assert(r.rms == want.rms or math.abs(r.rms - want.rms) < 1e-12 * want.rms)
    for t = 0, T - 1 do assert(r.positions[t] == want.positions[t]) end
    equal(r.first ~= nil, want.first ~= nil)
    if want.first then
      local i = want.first.i
      equal({ r.first.position, r.first.sequence, r.first.index },
        { i // row % T, i // row // T, ("[%d]"):format(i % row) })
      assert(r.first.error == want.first.e)
      assert(r.first.found == b[i + 1] or r.first.found ~= r.first.found and b[i + 1] ~= b[i + 1])
    end
  end
end)

test("the last position alone, a parameter at every position, all together, another shape", function()
  local p, a = pack(1, 4), numbers(12)
  local r = compare.tensors(p, "logits", entry(a, { 1, 4, 3 }), entry({ table.unpack(a, 10) }, { 3 }), tol)
  equal({ r.worst, r.note, r.last }, { 0, "the last position only", 3 })
  r = compare.tensors(p, "logits", entry(a, { 1, 4, 3 }), entry({ 9, 9, 9 }, { 3 }), tol)
  equal({ r.first.position, r.first.expected }, { 3, a[9 + tonumber(r.first.index:match "%d") + 1] })
  local w, often = numbers(3), {}
  for i = 0, 11 do often[i + 1] = w[i % 3 + 1] end
  equal({ compare.errors(p, "trace.blocks.0.att.w", entry(w, { 3 }), entry(often, { 1, 4, 3 })) }, { 0, 0 })
  often[8] = often[8] + 1
  r = compare.tensors(p, "trace.blocks.0.att.w", entry(w, { 3 }), entry(often, { 1, 4, 3 }), tol)
  equal(r.first.index, "[1]")
  local b = {}
  for i = 1, 12 do b[i] = a[i] + 5e-7 end
  r = compare.tensors(p, "logits", entry(a, { 1, 4, 3 }), entry(b, { 1, 4, 3 }), tol)
  assert(r.together and r.first and r.first.error <= tol.worst)
  r = compare.tensors(p, "logits", entry(a, { 1, 4, 3 }), entry(a, { 3, 4 }), tol)
  assert(r.problem == "has shape [3,4], expected [1,4,3]" and r.worst == math.huge)
  equal({ compare.errors(p, "logits", entry(a, { 1, 4, 3 }), entry(a, { 3, 4 })) }, { -1, -1 })
end)

test("tokens beside numbers, and nothing at all", function()
  local p = pack(1, 3)
  local ids = { value = rwkv.tokens { 5, 70000, 2 }, shape = { 3 }, dtype = "i64" }
  equal(compare.errors(p, "tokens", ids, entry({ 5, 70000, 2 }, { 3 })), 0)
  equal(compare.tensors(p, "tokens", ids, entry({ 5, 70001, 2 }, { 3 }), tol).first.index, "[1]")
  local none = { value = rwkv.zeros(0), shape = { 0 }, dtype = "f64" }
  equal(compare.tensors(p, "logits", none, none, tol).worst, 0)
end)
