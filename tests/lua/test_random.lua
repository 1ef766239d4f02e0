-- rwkv.rng: lists drawn at once are what single draws give.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local test, equal, fails = check.test, check.equal, check.fails

test("different numbers: those of single draws, without what came before", function()
  for _, q in ipairs { { 0, 5, 5 }, { 1, -7, -7 }, { 8, 1, 127 }, { 20, -9, 10 }, { 300, 128, 8191 } } do
    local count, low, high = table.unpack(q)
    local rng, single, seen, want = rwkv.rng(3, "list"), rwkv.rng(3, "list"), {}, {}
    while #want < count do
      local x = single:integer(low, high)
      if not seen[x] then seen[x], want[#want + 1] = true, x end
    end
    equal(rng:distinct(count, low, high), want)
    equal(rng:count(), single:count())
  end
  equal(rwkv.rng(1):distinct(2, math.maxinteger - 1, math.maxinteger)[1] >= math.maxinteger - 1, true)
  equal(rwkv.rng(1):distinct(1, math.mininteger, math.mininteger), { math.mininteger })
end)

test("an order by weights: waiting times with the weights as rates", function()
  local rng, single, weights, time, want = rwkv.rng(5, 2), rwkv.rng(5, 2), {}, {}, {}
  for j = 1, 200 do
    weights[j], want[j] = j ^ -0.99, j
    time[j] = -math.log(1 - single:uniform()) / weights[j]
  end
  table.sort(want, function(a, b) return time[a] < time[b] end)
  equal(rng:order(weights), want)
  equal(rng:count(), single:count())
  equal(rng:order {}, {})
  equal(rng:order { 3 }, { 1 })
end)

test("what cannot be drawn is named", function()
  local rng = rwkv.rng(1)
  fails(function() rng:distinct(4, 1, 3) end, "distinct: the count", "0 to 3", "4")
  fails(function() rng:distinct(-1, 1, 3) end, "distinct: the count", "-1")
  fails(function() rng:distinct(1, 3, 2) end, "distinct: from 3 to 2")
  fails(function() rng:distinct(1, 0, 1 << 24) end, "distinct: from 0 to 16777216", "range")
  fails(function() rng:distinct(1, math.mininteger, math.maxinteger) end, "distinct: from", "range")
  for _, x in ipairs { 0, -1, 1 / 0, 0 / 0, "1", {} } do
    fails(function() rng:order { 1, x } end, "order: weight 2 is", "expected a finite number above 0")
  end
  fails(function() rng:order(3) end, "table expected")
end)
