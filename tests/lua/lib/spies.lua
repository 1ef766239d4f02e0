-- What the library hands to a script that replaces all it can reach, for test_capabilities.lua. Arguments: the output
-- directory; `spies` or `plain`; the modules of the library. Every function of the script's globals and of the public
-- tables of the library is replaced by a spy, every callback and metamethod is one. Prints what the library computes.
local rwkv = require "rwkv"
local O = {} -- Lua's own functions, as they were
for name, value in pairs(_G) do O[name] = value end
for _, name in ipairs { "string", "table", "math", "io", "os", "coroutine", "utf8", "debug", "package" } do
  O[name] = {}
  for key, value in pairs(_G[name]) do O[name][key] = value end
end
local _ENV = setmetatable({}, { __index = O }) -- what is written here sees no spy

local directory, spying = arg[1], arg[2] == "spies"
local modules = {}
for i = 3, #arg do
  local ok, module = pcall(require, arg[i])
  if ok then modules[arg[i]] = module end
end

-- ---- what a script can reach ----

local known = {} -- functions and tables

-- Calls each(function, where) for every function behind x that is not known yet.
local function walk(x, where, each)
  local kind = type(x)
  if kind == "function" then
    if not known[x] then
      known[x] = true
      each(x, where)
    end
  elseif kind == "table" and not known[x] then
    known[x] = true
    for key, value in next, x do
      walk(key, where .. ".key", each)
      walk(value, where .. "." .. tostring(key), each)
    end
  end
  local meta = kind ~= "string" and getmetatable(x)
  if type(meta) == "table" then walk(meta, where .. ".meta", each) end
end
local function reachable(x) walk(x, "", function() end) return x end

reachable(rwkv)
reachable(modules)
reachable(package.loaded)
reachable(package.searchers)
reachable(package.preload)
reachable(_G)
reachable(O)
reachable(_ENV)
for _, x in ipairs { io.stdout, rwkv.ones(1), rwkv.rng(1), rwkv.Tensor } do reachable(x) end

local caught, called = {}, {}

local function look(where, ...)
  for i = 1, select("#", ...) do
    walk(select(i, ...), ("%s, argument %d"):format(where, i), function(f, place)
      caught[#caught + 1] = ("%s: %s"):format(place, tostring(f))
    end)
  end
end

-- The same for callbacks and spies: fingerprints of experiments do not look behind it.
local looks = coroutine.wrap(function(...)
  local function at(spied, where, ...)
    if spied then called[#called + 1] = where end
    look(where, ...)
  end
  at(...)
  while true do at(coroutine.yield()) end
end)

-- A function of the script that the library may call.
local function mine(where, f)
  return reachable(function(...)
    looks(false, where, ...)
    return f(...)
  end)
end

-- One that it must not call.
local function spy(where, original)
  return reachable(function(...)
    looks(true, where, ...)
    return original(...)
  end)
end

-- ---- everything is replaced ----

local globals = O._G
local spied = {}
local function replace(t, where)
  if spied[t] or getmetatable(t) ~= nil then return end
  spied[t] = true
  for key, value in next, t do
    if type(value) == "function" then rawset(t, key, spy(where .. "." .. tostring(key), value))
    elseif type(value) == "table" then replace(value, where .. "." .. tostring(key)) end
  end
end

local call = {} -- the library's functions, not through spies
for name, value in next, rwkv do call[name] = value end
for name, value in next, rwkv.experiment do call["experiment_" .. name] = value end
local of_modules = {} -- the same of each module
for name, module in pairs(modules) do
  of_modules[name] = {}
  if type(module) == "function" then of_modules[name][""] = module end
  for key, f in next, type(module) == "table" and module or {} do
    if type(f) == "function" then of_modules[name]["." .. tostring(key)] = f end
  end
end
if spying then
  for name in pairs(modules) do package.preload[name] = spy("preload", function() return {} end) end
  for name, module in pairs(modules) do if type(module) == "table" then replace(module, name) end end
  local searchers = globals.package.searchers
  for i, f in ipairs(searchers) do searchers[i] = spy("searcher " .. i, f) end
  replace(globals, "_G")
  globals.package.path, globals.package.cpath = "/nowhere/?.lua", "/nowhere/?.so"
  for name in pairs(modules) do globals.package.loaded[name] = nil end
  globals.package.loaded.debug = { traceback = spy("loaded.debug.traceback", debug.traceback) }
  setmetatable(globals, reachable { __index = spy("_G.__index", function() end),
    __newindex = spy("_G.__newindex", rawset) })
  rwkv.Tensor.mine = spy("tensor:mine", function(x) return x end)
  pcall(function() rwkv.Tensor.relu = spy("tensor:relu", function(x) return x end) end)
end

-- ---- everything is used ----

local metamethods = [[__index __newindex __len __pairs __call __tostring __eq __lt __le __concat __add __unm __gc __close __mode
  __name]]
-- A table whose metamethods look at what they are given.
local function watched(t)
  local of, meta = {}, {}
  for name in metamethods:gmatch "%S+" do
    meta[name] = mine("metamethod " .. name, function(x, key)
      if name == "__index" then return of[key] end
      if name == "__len" then return #of end
      if name == "__pairs" then return next, of, nil end
      if name == "__tostring" then return "watched" end
      if name == "__eq" or name == "__lt" or name == "__le" then return false end
      return x
    end)
  end
  meta.__mode, meta.__name = nil, "watched"
  for key, value in next, t do of[key] = value end
  return reachable(setmetatable({}, reachable(meta)))
end

local function say(...)
  local parts = table.pack(...)
  for i = 1, parts.n do parts[i] = tostring(parts[i]):gsub("0x%x+", "ADDRESS"):gsub("%d+%.%d+ ?s%f[%A]", "TIME") end
  O.print(table.concat(parts, "\t"))
end

local function use(name, f)
  local results = table.pack(xpcall(f, debug.traceback))
  reachable(results)
  for i = 1, results.n do if type(results[i]) == "string" then results[i] = results[i]:gsub("\n.*", "") end end
  say(name, table.unpack(results, 1, math.min(results.n, 3)))
end

local decay = call.hook { kind = "decay", name = "floor",
  params = mine("params", function(d) return { w = { d.C, init = "decay_v7" } } end),
  state = mine("state", function(d) return { seen = { d.C } } end),
  apply = mine("apply", function(x, s, p) s.seen = s.seen return -0.3 * (x + p.w):sigmoid() end) }
local recurrence = call.hook { kind = "recurrence", name = "mine",
  step = mine("step", function(x, s)
    s.S = s.S * x.w:exp():unsqueeze(-2) + x.v:unsqueeze(-1) * x.k:unsqueeze(-2)
    return s.S:matmul(x.r:unsqueeze(-1)):squeeze(-1)
  end) }
reachable { decay, recurrence }
local function new_model(hooks)
  return call.model { version = "v7", layers = 2, dim = 16, head_size = 8, vocab = 12, hooks = hooks, seed = 1 }
end

use("models with hooks", function()
  local sums = {}
  for i, hooks in ipairs { { decay = decay }, { recurrence = recurrence }, { decay = "floor" } } do
    local model = reachable(new_model(hooks))
    local optimizer = call.adamw(model, { lr = 0.01 })
    model:loss({ 1, 2, 3 }, { 2, 3, 4 }):backward()
    optimizer:step()
    call.end_step()
    sums[i] = ("%.17g"):format(model:forward({ 1, 2 }):sum():item())
    model:check_cuts()
    model:trace { 1, 2 }
    call.describe(model:config())
  end
  return table.concat(sums, " ")
end)
local mixers = {}
for name in next, rwkv.mixers do mixers[#mixers + 1] = name end
table.sort(mixers)
for _, name in ipairs(mixers) do
  local mixer = rwkv.mixers[name]
  use("mixer " .. name, function()
    local made = type(mixer) == "function" and mixer() or mixer
    return ("%.17g"):format(new_model({ time_mix = reachable(made) }):forward({ 1, 2, 3 }):sum():item())
  end)
end
use("gradcheck", function()
  return call.gradcheck(mine("gradcheck", function(x) return x:square():sum() end), call.rng(1):tensor("normal", 3), {})
end)
use("no_grad", function() return call.no_grad(mine("no_grad", function() return 7 end)) end)

local function task()
  return watched { batch = mine("batch", function(_, first, count)
    local rows, targets = {}, {}
    for b = 1, count do
      rows[b], targets[b] = {}, {}
      for t = 1, 6 do rows[b][t], targets[b][t] = (first + b * t) % 12, (first + b) % 12 end
    end
    return call.tokens(rows), call.tokens(targets)
  end), restarts = mine("restarts", function() return true end) }
end
local plain_task = function() local t = task() return { batch = reachable(function(_, ...) return t:batch(...) end) } end
local configs = { { label = "v7", version = "v7", hooks = { decay = decay }, layers = 1, dim = 16, head_size = 8, vocab = 12,
  seq = 6, lr = 0.01, batch = 8, examples = 64, every = 32, tests = 16, seed = 0 } }
for _, make in ipairs { plain_task, task } do
  use("experiment", function()
    local rows = call.experiment_run { name = "spied", out = directory .. "/spied", configs = configs,
      task = mine("task", function() return make(), make() end),
      final = mine("final", function(model) return { { position = 1, sum = model:param("emb.weight"):sum():item() } } end),
      stop = mine("stop", function() return false end),
      prepare = mine("prepare", function() end), title = mine("title", function() return "title" end) }
    return #rows, ("%.17g"):format(rows[1].loss), rows[#rows].sum
  end)
end
use("experiment, watched", function() return call.experiment_run(watched { name = "x", configs = watched {}, task = task }) end)
use("learn", function()
  local rows = call.learn { name = "learnt", out = directory, train = plain_task(), test = plain_task(),
    settings = { layers = 1, dim = 16, head_size = 8, vocab = 12, seq = 6, examples = 64, every = 32, tests = 16, batch = 8 },
    runs = { { label = "v7", version = "v7", hooks = { decay = decay } } } }
  return #rows, ("%.17g"):format(rows[#rows].loss)
end)
use("options", function() return call.options({ "--a", "2" }, watched { a = 1 }) end)
use("progress", function()
  local bar = reachable(call.progress("name", 10, "things"))
  bar.line = mine("line", function() return "line" end)
  bar:update(3, watched {})
  bar:say(watched {})
  bar:finish "done"
end)
use("plot to a file", function()
  call.plot({ 1, 4, 2 }, { file = directory .. "/picture.png" })
  return #io.open(directory .. "/picture.png", "rb"):read "a"
end)
use("plot", function() call.plot(watched { 1, 2, 3 }, watched { title = watched {} }) end)
use("plot to the terminal", function() call.plot { 1, 2, 4 } end)
use("help", function() call.help() call.help "model:forward" call.help(call.adamw) call.help "tensor" end)
use("show", function()
  return call.show { 1, { 2 }, "x", watched { 1 }, decay, new_model {}, call.ones(2), mine("shown", print) }
end)
use("curves", function() return call.curves(watched {}, watched {}) end)

-- Whatever else there is, with whatever a script may give it; but for what trains models, measures time, goes deep or
-- ends the program.
local left_out = {}
for name in ([[rwkv.machine_rates rwkv.backend rwkv.threads rwkv.time rwkv.tape_bytes rwkv.terminal_size rwkv.seed
  rwkv.command.run]]):gmatch "%S+" do
  left_out[name], left_out["rwkv.core" .. name:sub(5)] = true, true
end
local given = { {}, { watched {} }, { "text", watched {} }, { mine("given", function() return watched {} end) },
  { watched { mine("in a list", function() end) }, watched { 1 }, "text" }, { new_model {}, watched {} },
  { directory .. "/none", watched {}, watched {} }, { { { a = 1 } }, { "a" } } }
reachable(given)
local function try(name, f)
  for i, arguments in ipairs(given) do
    local ok, result = pcall(f, table.unpack(arguments))
    reachable(result)
    if not ok then look(name .. ", error", result) end
    say(name, i, ok, ok and type(result) or tostring(result):gsub("\n.*", ""))
  end
end
for i = 3, #arg do
  local name = arg[i]
  local keys = {}
  for key in pairs(of_modules[name] or {}) do
    if not left_out[name .. key] and not name:find "rwkv%.experiment" and not name:find "rwkv%.golden%.[^n]" then keys[#keys + 1] = key end
  end
  table.sort(keys)
  for _, key in ipairs(keys) do try(name .. key, of_modules[name][key]) end
end
collectgarbage()
call.end_step()

local found = #caught
looks(false, "planted", { { function() end } })
if #caught ~= found + 1 then error "what is planted is not caught" end
caught[#caught] = nil

for _, text in ipairs(caught) do O.print("CAUGHT " .. text) end
local count = {}
for _, name in ipairs(called) do count[name] = (count[name] or 0) + 1 end
for name, n in pairs(count) do O.print(("CALLED %s %d"):format(name, n)) end
O.print "END"
