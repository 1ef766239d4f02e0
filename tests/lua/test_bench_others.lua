-- What other programs take of the machine while a benchmark measures: by counters that are made up, and by those of the system,
-- which programs that we start move. No time is judged.
local others = require "rwkv.bench.others"
local check = require "tests.lua.lib.check"
local test, equal = check.test, check.equal

-- A reader of counters: in each try processors of 1000 hundredths are used so much by all and by us.
local function counters_of(...)
  local now, list = { total = 0, busy = 0, own = 0 }, { ... }
  local calls = 0
  return function()
    calls = calls + 1
    local try = calls % 2 == 0 and list[calls // 2]
    if try then now = { total = now.total + 1000, busy = now.busy + try[1], own = now.own + try[2] } end
    return now
  end
end

local function measured(tries, ...)
  local n = 0
  local row, value, nothing, last = others.measure(tries, function()
    n = n + 1
    return n, nil, "last"
  end, counters_of(...))
  equal({ nothing == nil, last }, { true, "last" })
  return { row.others, row.tries, value, n }
end

test("a quiet try is the only one", function()
  equal(measured(3, { 500, 500 }), { 0, 1, 1, 1 })
  equal(measured(3, { 540, 500 }), { 0.04, 1, 1, 1 })
  equal(measured(3, { 502, 500 }), { 0, 1, 1, 1 }) -- counters are behind by as much
  equal(measured(3, { 400, 500 }), { 0, 1, 1, 1 })
end)

test("a disturbed try is repeated; the quietest counts", function()
  equal(measured(3, { 800, 500 }, { 510, 500 }), { 0.01, 2, 2, 2 })
  equal(measured(3, { 800, 500 }, { 600, 500 }, { 900, 500 }), { 0.1, 3, 2, 3 })
  equal(measured(1, { 800, 500 }), { 0.3, 1, 1, 1 })
end)

test("what is said of it", function()
  equal(others.words { others = 0.05, tries = 3 }, "")
  equal(others.words { others = 0.312, tries = 1 }, "disturbed: other programs took 31 % of the processors' time")
  equal(others.words { others = 0.312, tries = 3 },
    "disturbed: other programs took 31 % of the processors' time, in the quietest of 3 tries")
  equal(others.fields { others = 0.5, tries = 2 }, { { "others", "%.3f", 0.5 }, { "tries", "%d", 2 } })
end)

test("a system that does not say: nothing is repeated, and nothing is said", function()
  local row, value = others.measure(3, function() return 7 end, function() end)
  equal({ row.others == nil, row.tries, value }, { true, 1, 7 })
  equal(others.words(row), "")
  equal(others.fields(row), { { "tries", "%d", 1 } })
end)

local function ticks_of(process) -- user and system time
  local file = io.open("/proc/" .. process .. "/stat")
  local text = file and file:read "a" or ""
  if file then file:close() end
  local user, system = text:match "^.*%) %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ (%d+) (%d+)"
  return user and user + system or 0
end

-- The difference of the counters while a busy program takes 20 hundredths of a second.
local function while_busy(start)
  local before, process, close = others.counters(), start()
  repeat until ticks_of(process) >= 20
  local after = others.counters()
  os.execute("kill " .. process)
  if close then close() end
  return { own = after.own - before.own, foreign = after.busy - before.busy - (after.own - before.own) }
end

if not others.counters() then
  print "SKIPPED: the system does not say what processors and processes do"
  return
end

local busy = "echo $$; while :; do :; done"

test("a program that we started is ours while it runs", function()
  local clock = os.clock()
  local took = while_busy(function()
    local pipe = io.popen("exec sh -c '" .. busy .. "'")
    return pipe:read "l", function() pipe:close() end
  end)
  assert(took.own - 100 * (os.clock() - clock) >= 15, took.own)
end)

test("one that is not ours is others'", function()
  local path = os.tmpname()
  local took = while_busy(function()
    os.execute(("setsid sh -c '%s' >%s 2>/dev/null &"):format(busy, path)) -- the shell that started it is gone: it is nobody's child
    local process
    repeat
      local file = io.open(path)
      process = file:read "l"
      file:close()
    until process
    return process
  end)
  os.remove(path)
  assert(took.foreign >= 10, took.foreign)
end)

test("others take nothing from a share of nothing", function()
  local now = { total = 5, busy = 4, own = 3 }
  equal(others.share(now, now), 0)
  equal(others.share(now, { total = 105, busy = 400, own = 3 }), 1)
  equal(others.share(nil, now) == nil, true)
end)
