-- Keys of runs: whatever decides numbers changes them, nothing else does, and what they cannot cover is said.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local keyed = require "tests.lua.lib.keyed"
local test, equal, shell = check.test, check.equal, check.shell
local key, cases = keyed.key, keyed.cases

rwkv.mkdir "runs/tests"
local names = {}
for name in pairs(cases) do names[#names + 1] = name end
table.sort(names)

test("every way to refer to a value is in the key, and the same value has the same key", function()
  local rep = string.rep
  for _, name in ipairs(names) do
    local a, said = key(cases[name](1))
    local b, again = key(cases[name](2)), key(cases[name](1))
    string.rep = rep
    if a == b then error(name .. ": the key does not change with the value") end
    if a ~= again then error(name .. ": the same value has two keys") end
    equal(said, "")
  end
end)

test("keys are the same in every process", function()
  local command = check.program .. " --trust tests/lua/lib/keyed.lua"
  local first = shell(command)
  assert(select(2, first:gsub("\n", "")) >= #names, first)
  for _ = 1, 4 do
    if shell(command) ~= first then error "another process has other keys" end
  end
end)

test("what a script made before it asked for the library is in the key", function()
  local path = "runs/tests/keyed.before.lua"
  local function key_of(before, use, value)
    rwkv.write_file(path, ("V = %d\n%s\nio.write((require 'rwkv.experiment.fingerprint' { function() %s end }))"):format(value,
      before, use))
    return shell(check.program .. " --trust " .. path)
  end
  for before, use in pairs { ["local v = V function made() return v end"] = "return made()", ["T = { v = V }"] = "return pairs(T)",
    ["local v = V function math.clamp() return v end"] = "return math.clamp()", ["local v = V tonumber = function() return v end"] =
    "return tonumber '1'", ["package.loaded.x = { v = V }"] = "return package.loaded.x.v",
    ["local v = V function string.mine() return v end"] = "return (''):mine()" } do
    if key_of(before, use, 1) == key_of(before, use, 2) then error(before .. ": not in the key") end
  end
end)

test("files that the library reads, the kernels and the threads are said", function()
  local tsv, file = require "rwkv.tsv", require "rwkv.file"
  for _, f in ipairs { function() return tsv.read "x" end, function() return file.model "x" end,
    function() return rwkv.backend() end, function() return rwkv.threads(1) end } do
    local _, problems = require "rwkv.experiment.fingerprint" { f }
    equal(#problems, 1)
  end
end)

test("lines, comments, names of locals, of files, and the order of making do not change a key", function()
  local function made(source, name) return (key(assert(load(source, name or "=a"))())) end
  local plain = made "local a = 2 return function(x) return x + a end"
  for _, source in ipairs { "\n\n\nlocal a = 2\nreturn function(x)\n return x\n + a end",
    "--[[ a comment ]] local a = 2 -- and another\nreturn function(x) --[[ here ]] return x + a end",
    "local other = 2 return function(y) return y + other end",
    "local unused, a = 5, 2 return function(x) return x + a end" } do
    equal(made(source) == plain, true)
    equal(made(source, "@another_file.lua") == plain, true)
  end
  local two = "return function() return function() return 1 end, function() return 2 end end"
  equal(made(two) == made(two:gsub(", function", ",\n\n function")), true)
  local function globals(first, second)
    One, Two = nil, nil
    _G[first], _G[second] = function() return first end, function() return second end
    return (key(function() return One, Two end))
  end
  equal(globals("One", "Two") == globals("Two", "One"), true)
end)

test("the order in which a table was filled does not change a key", function()
  local function filled(first, last, step, more)
    local t = {}
    for i = 1, more or 0 do t["more" .. i] = i end
    for i = 1, more or 0 do t["more" .. i] = nil end
    for i = first, last, step do t["name" .. i], t[i + 0.5], t[i] = i, i, { i } end
    return (key(t))
  end
  local plain = filled(1, 50, 1)
  equal({ filled(50, 1, -1) == plain, filled(1, 50, 1, 1000) == plain, filled(1, 49, 1) == plain }, { true, true, false })
  local function set(...)
    local t = {}
    for _, x in ipairs { ... } do t[x] = true end
    return (key(t))
  end
  local a, b, c = { 1 }, { 2 }, function() return 3 end
  equal(set(a, b, c, true, "x", 1) == set("x", c, 1, b, true, a), true)
end)

test("what a function does not read does not change its key", function()
  Unrelated = 1
  local settings = { used = 1, unused = 2 }
  local function f() return math.floor(settings.used), rwkv.ones, string.format end
  local before = key(f)
  Unrelated, settings.unused = 2, 3
  equal(key(f) == before, true)
  settings.used = 2
  equal(key(f) == before, false)
end)

test("options that say how to go through the list are no part of a key, the others are", function()
  local instead = require "rwkv.experiment.command".instead
  local function of(...)
    local o = rwkv.experiment.options({ ... }, { mine = 1 })
    local given = arg
    arg = { [0] = "script.lua", ... }
    local both = key(function() return o, arg end, instead { options = o })
    arg = given
    return both
  end
  local plain = of()
  for _, words in ipairs { { "--jobs", "3" }, { "--out", "runs/x" }, { "--list" }, { "--collect" }, { "--fresh" }, { "--run", "a/b" } } do
    equal(of(table.unpack(words)) == plain, true)
  end
  for _, words in ipairs { { "--mine", "2" }, { "--scale", "quick" }, { "--set", "a=1" } } do
    equal(of(table.unpack(words)) == plain, false)
  end
  local o = rwkv.experiment.options { "--scale", "quick" }
  local function reads() return o.scale end
  local quick = key(reads, instead { options = o })
  o.scale = "small"
  equal(key(reads, instead { options = o }) == quick, false)
end)

test("different small values have different keys", function()
  local values, seen = { true, false, "true", "", " ", "{", "}", "{ }", "1 2", '"', "\0", "#", "# 1", {}, { {} }, { {}, {} }, { { {} } } }, {}
  for i = -20, 20 do
    for _, x in ipairs { i, i + 0.0, (i + 0.5) / 7, tostring(i), { i }, { i, i }, { [i] = true }, { x = i } } do values[#values + 1] = x end
  end
  for _, x in ipairs { 0 / 0, 1 / 0, -1 / 0, -0.0, 1 << 53, (1 << 53) + 1, 2.0 ^ 53, math.mininteger, math.maxinteger, 5e-324 } do
    values[#values + 1] = x
  end
  for i = 1, 20 do
    local x = rwkv.full(i, 2)
    for _, value in ipairs { x, { x, x }, rwkv.tokens { { i } }, rwkv.rng(i), function() return i end } do values[#values + 1] = value end
  end
  for i, value in ipairs(values) do
    local text = key(value)
    if seen[text] then error(("values %d and %d have one key: %s"):format(seen[text], i, text)) end
    seen[text] = i
  end
  assert(#values > 400)
end)

test("what a key cannot cover is said", function()
  local co, wrapped, words = coroutine.create(print), coroutine.wrap(print), string.gmatch("a b", "%a")
  local model = rwkv.model { version = "v4", layers = 1, dim = 8, vocab = 5 }
  local optimizer, alike = rwkv.adamw(model, { lr = 1 }), { [{}] = 1, [{}] = 1 }
  local os_table, method = os, "time"
  for said, f in pairs {
    ["a coroutine"] = function() return co end, ["io.open"] = function() return io.open "x" end,
    ["io.lines"] = function() return io.lines "x" end, ["io.stdin"] = function() return io.stdin:read() end,
    ["load"] = function() return load "return 1" end, ["dofile"] = function() return dofile "x.lua" end,
    ["require"] = function() return require "x" end, ["os.time"] = function() return os.time() end,
    ["os.clock"] = function() return os.clock() end, ["all of os"] = function() return os_table[method]() end,
    ["os.getenv"] = function() return os.getenv "HOME" end, ["collectgarbage"] = function() return collectgarbage "count" end,
    ["debug.getinfo"] = function() return debug.getinfo(1) end, ["rwkv.time"] = function() return rwkv.time() end,
    ["rwkv.load"] = function() return rwkv.load "x" end, ["an object: rwkv.optimizer"] = function() return optimizer end,
    ["a table with keys that look alike"] = function() return alike end,
  } do
    local _, problems = key(function() return f() end)
    if not problems:find(said, 1, true) then error(("'%s' is not said, but '%s'"):format(said, problems)) end
  end
  for _, f in ipairs { function() return wrapped() end, function() return words() end } do
    local _, problems = key(f)
    assert(problems:find("a function of C", 1, true), problems)
  end
end)

test("tables that hold each other by keys take no time and no stack", function()
  local nodes = {}
  for i = 1, 60 do nodes[i] = { i } end
  for _, a in ipairs(nodes) do
    for _, b in ipairs(nodes) do a[b] = true end
  end
  local start = rwkv.time()
  key(nodes)
  assert(rwkv.time() - start < 5)
  local deep = {}
  for _ = 1, 30 do deep = { [deep] = deep } end
  key(deep)
end)

test("generators are found wherever they are held", function()
  local a, b, c, d = rwkv.rng(1), rwkv.rng(2), rwkv.rng(3), rwkv.rng(4)
  Held = { by = { name = d } }
  local list = { c, again = c }
  local function inner() return a:uniform() end
  equal(select(3, key(function() return inner() + b:uniform() + list[1]:uniform() + Held.by.name:uniform() end)), 4)
end)

-- ---- what is done with it ----

local home = "runs/tests/keys"
local script = home .. "/script.lua"
shell("rm -rf " .. home)
rwkv.mkdir(home)

-- Runs a script with a hook whose function is made by `source`, and a task by `task`; returns what is said.
local function run(source, task)
  rwkv.write_file(script, ([[local rwkv = require "rwkv"
    local o = rwkv.experiment.options(arg)
    local apply = (function() %s end)()
    local hook = rwkv.hook { kind = "decay", name = "mine", apply = apply }
    local function rows(first, count)
      local list = {}
      for i = 1, count do list[i] = { (first + i) %% 5, first %% 5, i %% 5 } end
      return rwkv.tokens(list), rwkv.tokens(list)
    end
    local task = (function() %s end)()
    rwkv.experiment.run { name = "t", out = "runs/tests/keys/out", options = o, task = function() return task, task end, configs = {
      { label = "a", version = "v7", hooks = { decay = hook }, layers = 1, dim = 8, head_size = 4, vocab = 5, lr = 1e-2,
        batch = 4, examples = 16, every = 4, tests = 4 } } }]]):format(source, task or "return { batch = function(_, first, count) return rows(first, count) end }"))
  local text, status = shell(("%s --trust %s"):format(check.program, script))
  if status ~= 0 then error(text) end
  return text
end

local finished = "1 of 1 runs were finished before"

test("a run is not made twice, unless its hook has changed", function()
  assert(not run "return function(x) return -0.1 * x:square() end":find(finished, 1, true))
  assert(run "return function(y) --[[ the same ]] return -0.1 * y:square() end":find(finished, 1, true))
  assert(not run "return function(x) return -0.2 * x:square() end":find(finished, 1, true))
  assert(run "return function(x) return -0.1 * x:square() end":find(finished, 1, true)) -- the first is still there
end)

test("a hook that changes a value of its own is said, and not kept", function()
  for _, source in ipairs { "local n = 0 return function(x) n = n + 1 return -0.1 * x:square() end",
    "local t = {} return function(x) t[#t + 1] = 1 return -0.1 * x:square() end",
    "N = 0 return function(x) N = N + 1 return -0.1 * x:square() end" } do
    for _ = 1, 2 do
      local text = run(source)
      assert(text:find("has changed while the run went on", 1, true) and text:find("not kept for another time", 1, true), text)
      assert(not text:find(finished, 1, true))
    end
  end
end)

test("a hook that reads what a key cannot cover is said, and not kept", function()
  for _ = 1, 2 do
    local text = run "return function(x) return -0.1 * x:square() * (os.time() > 0 and 1 or 2) end"
    assert(text:find("cannot cover: os.time", 1, true), text)
    assert(not text:find(finished, 1, true))
  end
end)

test("a task that counts is said, and not kept; one that makes itself when it is first asked is", function()
  local hook = "return function(x) return -0.1 * x:square() end"
  for _ = 1, 2 do
    local text = run(hook, "local n = 0 return { batch = function(_, first, count) n = n + 1 return rows(n, count) end }")
    assert(text:find("has changed while the run went on", 1, true) and not text:find(finished, 1, true), text)
  end
  local lazy = "return { batch = function(self, first, count) self.more = self.more or %d return rows(first + self.more // 9, count) end }"
  run(hook, lazy:format(1))
  assert(run(hook, lazy:format(1)):find(finished, 1, true))
  assert(not run(hook, lazy:format(2)):find(finished, 1, true)) -- what it made counts, used or not
end)

test("one more run before the others does not change their keys, whatever their tasks draw", function()
  rwkv.write_file(script, [[local rwkv = require "rwkv"
    local o = rwkv.experiment.options(arg, { labels = "" })
    local rng, configs = rwkv.rng(1), {}
    local task = { batch = function(_, first, count)
      return rwkv.tokens { { rng:integer(0, 4), math.random(0, 4) } }, rwkv.tokens { { 1, 2 } }
    end }
    for label in o.labels:gmatch "%a" do
      configs[#configs + 1] = { label = label, version = "v4", layers = 1, dim = 8, vocab = 5, lr = 1e-2, batch = 1, examples = 4,
        every = 2, tests = 1 }
    end
    rwkv.experiment.run { name = "t", out = "runs/tests/keys/out", options = o, task = function() return task, task end,
      configs = configs }]])
  local function keys(labels)
    local text, list = shell(("%s --trust %s --list --labels %s"):format(check.program, script, labels)), {}
    for name in text:gmatch "%-%-run (%S+)" do list[#list + 1] = name end
    return list
  end
  local few, more = keys "ab", keys "xab"
  equal({ #few, #more }, { 2, 3 })
  equal({ more[2], more[3] }, few)
end)

shell("rm -rf runs/tests/keys runs/tests/keyed.*")
