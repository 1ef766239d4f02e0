-- ListOps: expressions against the grammar, their values worked out a second time, from the tokens.
local listops = require "experiments.tasks.listops"
local check = require "tests.lua.lib.check"
local test, equal, fails = check.test, check.equal, check.fails

-- The value of an expression, its depth and its longest list, by a stack over its text.
local function evaluate(text)
  local stack, deepest, longest, value = {}, 0, 0, nil
  for word in text:gmatch "%S+" do
    assert(value == nil, "something follows the last bracket")
    local x = tonumber(word)
    if word:sub(1, 1) == "[" then
      stack[#stack + 1] = { operator = word:sub(2) }
      deepest = math.max(deepest, #stack)
    elseif word == "]" then
      local list = table.remove(stack)
      longest = math.max(longest, #list)
      assert(#list >= 2)
      local sum = 0
      for _, y in ipairs(list) do sum = sum + y end
      table.sort(list)
      local n = #list
      x = ({ MIN = list[1], MAX = list[n], SM = sum % 10,
        MED = n % 2 == 1 and list[(n + 1) // 2] or (list[n // 2] + list[n // 2 + 1]) // 2 })[list.operator]
    end
    if x then
      assert(x >= 0 and x <= 9)
      if #stack == 0 then value = x else table.insert(stack[#stack], x) end
    end
  end
  equal(#stack, 0)
  return value, deepest, longest
end

test("values, lengths, depth and arguments", function()
  equal(evaluate "[MAX 4 3 [MIN 2 3 ] 1 0 [MED 1 5 8 9 2 ] ]", 5)
  equal(evaluate "[SM 9 8 [MED 3 4 ] ]", 0)
  for _, o in ipairs { { low = 4, high = 12, depth = 1, arguments = 4 }, { low = 10, high = 40, depth = 4, arguments = 5 },
    { low = 20, high = 100, depth = 10, arguments = 10 } } do
    local task, deep, long, seen, kinds = listops.new(o), 0, 0, {}, {}
    for i = 1, 400 do
      local inputs, targets = task:example(i)
      local length, asked = 0, 0
      for t = 1, o.high do
        if inputs[t] > 0 then
          length = length + 1
          equal(length, t) -- no gaps
        end
        if targets[t] >= 0 then asked = asked + 1 end
      end
      equal({ #inputs, #targets, asked }, { o.high, o.high, 1 })
      assert(length >= o.low and length <= o.high)
      local text = listops.text(inputs)
      local value, deepest, longest = evaluate(text)
      equal(targets[length], 1 + value) -- the digit's token
      equal(select(2, text:gsub("%[", "")), listops.lists(inputs))
      assert(deepest <= o.depth and longest <= o.arguments)
      deep, long, seen[value], kinds[text:match "%a+"] = math.max(deep, deepest), math.max(long, longest), true, true
    end
    equal({ deep == o.depth or o.depth == 10, long }, { true, o.arguments })
    for x = 0, 9 do assert(seen[x], x) end
    for _, name in ipairs(listops.operators) do assert(kinds[name], name) end
  end
end)

test("example i is always the same; seeds differ; a set comes again", function()
  local o = { low = 10, high = 30, depth = 3, arguments = 4 }
  local function new(seed, set)
    return listops.new { low = o.low, high = o.high, depth = o.depth, arguments = o.arguments, seed = seed, set = set }
  end
  local task = new(1)
  local inputs, targets = task:batch(5, 4)
  local again, again_targets = task:batch(7, 1)
  equal({ inputs:shape(), inputs:tolist()[3], targets:tolist()[3] }, { { 4, 30 }, again:tolist()[1], again_targets:tolist()[1] })
  assert(listops.text((task:example(1))) ~= listops.text((new(2):example(1))))
  equal((new(1, 4):batch(7, 1)):tolist(), (task:batch(3, 1)):tolist())
  local train, held = listops.of { low = 10, high = 30, depth = 3, arguments = 4, seed = 0 }
  assert(train.seed ~= held.seed and train.high == 30 and held.depth == 3)
end)

test("guesses: counted by hand; the outermost operator says something", function()
  local task, count = listops.new { low = 4, high = 20, depth = 2, arguments = 5, seed = 7 }, 500
  local by_value, by_both = {}, {}
  for i = 1, count do
    local text = listops.text((task:example(i)))
    local value, operator = evaluate(text), text:match "%a+"
    by_value[value] = (by_value[value] or 0) + 1
    by_both[operator] = by_both[operator] or {}
    by_both[operator][value] = (by_both[operator][value] or 0) + 1
  end
  local function most(counts)
    local n = 0
    for _, c in pairs(counts) do n = math.max(n, c) end
    return n
  end
  local sum = 0
  for _, counts in pairs(by_both) do sum = sum + most(counts) end
  equal({ listops.guesses(task, count) }, { most(by_value) / count, sum / count })
  assert(sum > 1.3 * most(by_value))
end)

test("what does not fit is an error that says why", function()
  fails(function() listops.new { low = 3, high = 9 } end, "low is 3", "4")
  fails(function() listops.new { low = 10, high = 9 } end, "high is 9", "10")
  fails(function() listops.new { low = 10 } end, "high is nil")
  fails(function() listops.new { low = 10, high = 20, depth = 0 } end, "depth is 0")
  fails(function() listops.new { low = 10, high = 20, arguments = 1 } end, "arguments is 1")
  fails(function() listops.new { low = 10, high = 20, width = 1 } end, "width")
  fails(function() listops.new({ low = 30, high = 40, depth = 1, arguments = 5 }):example(1) end, "30 to 40", "1 deep")
end)
