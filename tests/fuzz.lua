-- Random programs against the whole of `rwkv`, right arguments and wrong ones: errors are welcome, crashes are not.
--   aviary --trust fuzz.lua >methods
-- lists the methods there are, which only a trusted script can see;
--   aviary --output . --max-memory 64M fuzz.lua SEED FIRST LAST [show]
-- runs programs FIRST..LAST of a seed in the sandbox: they try to write everywhere. `show` prints every call before it
-- is made. Files lie in the working directory. tests/fuzz.sh does it again and again.
local rwkv = require "rwkv"
local seed, first, last, show = math.tointeger(arg[1]), math.tointeger(arg[2]), math.tointeger(arg[3]), arg[4]

local values = require "tests.lua.lib.values"
local random, any, chance, sizes = math.random, values.any, values.chance, values.sizes
local class_of, from_pool, value, classes = values.class_of, values.from_pool, values.value, values.classes
local shape, related, new_tensor, ids = values.shape, values.related, values.new_tensor, values.ids

-- ---- what there is: the functions of rwkv and the methods of every class, by name ----

local function functions_of(t, except)
  local names = {}
  for name, f in pairs(t) do
    if type(f) == "function" and not (except and except[name]) then names[#names + 1] = name end
  end
  table.sort(names) -- the same programs in every run
  return names
end

if not seed then
  for class in pairs(classes) do
    for name in pairs(rwkv.classes()[class]) do print(class, name) end
  end
  os.exit()
end
local methods = { tensor = {}, model = {}, tokens = {}, rng = {}, state = {}, optimizer = {} }
for line in io.lines "methods" do
  local class, name = line:match "(%w+)\t(.*)"
  table.insert(methods[class], name)
end
for _, names in pairs(methods) do table.sort(names) end
assert(not pcall(io.open, "/dev/null", "w"), "not without the sandbox")

local operators = {
  function(a, b) return a + b end, function(a, b) return a - b end, function(a, b) return a * b end,
  function(a, b) return a / b end, function(a, b) return a ^ b end, function(a) return -a end, tostring,
  function(a) return #a end, function(a, b) return a .. b end, function(a, b) return a == b end,
  function(a, b) return a < b end, function(a, b) a[b] = a end, function(a, b) return a[b] end,
}
-- need_double and gradcheck begin again in another program; the others only write on the screen
local free = functions_of(rwkv, { need_double = true, gradcheck = true, progress = true, threads = true })

-- ---- calls ----

local function keep(...)
  for i = 1, math.min(4, select("#", ...)) do
    local x = select(i, ...)
    local pool = values.pool
    if class_of(x) then pool[#pool < 40 and #pool + 1 or random(40)] = x end
  end
  return ...
end

local function text(x)
  if class_of(x) == "tensor" then return tostring(x):match "^%S+" .. (rwkv.no_grad(x.grad, x) and "+grad" or "") end
  if type(x) == "string" then return ("%q"):format(x) end
  if type(x) ~= "table" then return tostring(x) end
  local parts = {}
  for k, v in next, x do parts[#parts + 1] = ("[%s]=%s"):format(tostring(k), tostring(v)) end
  return "{" .. table.concat(parts, " ") .. "}"
end

local function call(name, f, ...)
  if show then
    local parts = {}
    for i = 1, select("#", ...) do
      local ok, t = pcall(text, (select(i, ...)))
      parts[i] = ok and t or "?"
    end
    io.stderr:write(name, "(", table.concat(parts, ", "), ")\n")
  end
  local function done(ok, ...)
    if show then io.stderr:write("  ", ok and "ok" or tostring((...)), "\n") end
    if ok then return keep(...) end
    local message = ...
    if type(message) == "string" and message:find("(null)", 1, true) then
      print("a message lacks its text: " .. message)
      os.exit(1)
    end
  end
  return done(pcall(f, ...))
end

local function call_method(x)
  x = x or any(values.pool)
  local class = class_of(x)
  if class == "tensor" and chance(0.2) then
    local n = random(#operators)
    return call("operator " .. n, operators[n], x, value(x))
  end
  local name, arguments = any(methods[class]), { n = random(0, 4) }
  for i = 1, arguments.n do arguments[i] = value(class == "tensor" and x or nil) end
  return call(class .. ":" .. name, x[name], x, table.unpack(arguments, 1, arguments.n))
end

-- A call that would work, with one argument spoilt now and then.
local function call_right(name, f, ...)
  local arguments = table.pack(...)
  if chance(0.3) then arguments[random(arguments.n)] = value(arguments[1]) end
  return call(name, f, table.unpack(arguments, 1, arguments.n))
end

local function backward(x)
  local ok, y = pcall(x.sum, x)
  if ok then call("backward", y.backward, y) end
end

-- Methods of a tensor x of shape s, with arguments that fit.
local fitting = {
  linear = function(_, n)
    local out = any(sizes)
    return new_tensor { out, n }, chance(0.5) and new_tensor { out } or nil
  end,
  matmul = function(_, n) return new_tensor { n, any(sizes) } end,
  bmm = function(s, n) return new_tensor { chance(0.5) and s[1] or nil, n, any(sizes) } end,
  layer_norm = function(_, n) return new_tensor { n }, new_tensor { n } end,
  group_norm = function(_, n) return any { 1, 2, n }, new_tensor { n }, new_tensor { n } end,
  l2norm = function(_, n) return any { 1, 2, n } end,
  lerp = function(s, n) return new_tensor(s), new_tensor(chance(0.5) and { n } or s) end,
  embed = function(s) return ids(random(3), random(3), s[1]) end,
  gather = function(s) return ids(s[1], random(3), s[2]) end,
  cross_entropy = function(s) return ids(s[1], s[2], s[3]), any { 0, 1e-4 } end,
  shift = function(s) return new_tensor { s[1], s[3] } end,
  slice = function(s) local axis = random(#s) local from = random(s[axis]) return axis, from, random(from, s[axis]) end,
  transpose = function(s) return random(#s), random(#s) end,
  permute = function(s) return table.unpack(({ { 1 }, { 2, 1 }, { 3, 1, 2 }, { 4, 2, 1, 3 } })[#s]) end,
  sum = function(s) return random(#s), chance(0.5) end,
  mean = function(s) return random(#s), chance(0.5) end,
  max = function(s) return random(#s), chance(0.5) end,
  maximum = function(s) return new_tensor(related(s)) end,
  minimum = function(s) return new_tensor(related(s)) end,
  clamp = function() return -0.5, 0.5 end,
  reshape = function() return -1 end,
  set = function(s) return new_tensor(s) end,
  requires_grad = function() return chance(0.7) end,
}
local fitting_names = functions_of(fitting)

local function call_fitting()
  local x, name = from_pool "tensor", any(fitting_names)
  if chance(0.3) then x = new_tensor(shape()) end
  local s = x:shape()
  call_right(name, x[name], x, fitting[name](s, s[#s] or 1))
end

-- Ends the step and fills the memory of the old one with something else.
local function overwrite()
  rwkv.end_step()
  for k = 1, 20 do local _ = rwkv.full(1e30, 7) * k end
end

-- ---- what a program does ----

local action
function values.callback()
  local n, fail = random(0, 3), chance(0.3)
  return function(...)
    for _ = 1, n do action() end
    if fail then error(any { "callback", {}, 7 }) end
    return ...
  end
end

local suspended = {}
local actions = {
  function() call_method() end,
  function() for _ = 1, 8 do call_method(from_pool "tensor") end end,
  function() for _ = 1, 8 do call_method(from_pool "tensor") end end,
  function() for _ = 1, 16 do pcall(call_fitting) end end,
  function() for _ = 1, 16 do pcall(call_fitting) end end,
  function()
    local x, parts = from_pool "tensor", {}
    local s, axis = x:shape(), random(4)
    for i = 1, random(3) do
      if s[axis] then s[axis] = any(sizes) end
      parts[i] = new_tensor(s)
    end
    call_right("concat", rwkv.concat, parts, axis)
    call_right("stack", rwkv.stack, parts, axis)
  end,
  function() call_method(from_pool(any { "model", "state", "optimizer", "tokens", "rng" })) end,
  function()
    local name = any(free)
    local arguments = { n = random(0, 4) }
    for i = 1, arguments.n do arguments[i] = value() end
    call(name, rwkv[name], table.unpack(arguments, 1, arguments.n))
  end,
  function() keep(new_tensor(shape())) end,
  function() backward(from_pool "tensor") end,
  function() call("model", rwkv.model, values.sizes_of_model()) end,
  function()
    local m = from_pool "model"
    local B, T, V = random(3), random(6), m:config().vocab
    local o = chance(0.5) and { state = chance(0.5) and from_pool "state" or m:state(B) } or nil
    local loss = call_right("loss", m.loss, m, ids(B, T, V), ids(B, T, V), o)
    if class_of(loss) == "tensor" and chance(0.7) then backward(loss) end
    call_right("forward", m.forward, m, ids(B, T, V), chance(0.5) and from_pool "state" or nil)
  end,
  function()
    local m = from_pool "model"
    local o = call("adamw", rwkv.adamw, m, chance(0.7) and {} or values.options())
    if o then call("step", o.step, o) end
  end,
  function() -- recurrences
    local B, T, H, N = random(2), any { 1, 2, 5, 16, 17, 33 }, random(2), any { 1, 2, 4, 8 }
    local C = H * N
    local function t(...) return new_tensor { ... } end
    local function x() return t(B, T, C) end
    local kind = random(4)
    if kind == 1 then call_right("wkv2", rwkv.wkv2, t(C), t(C), x(), x(), t(B, C), t(B, C)) end
    if kind == 2 then call_right("wkv4", rwkv.wkv4, t(C), t(C), x(), x(), t(B, C), t(B, C), t(B, C)) end
    if kind == 3 then call_right("wkv6", rwkv.wkv6, x(), chance(0.5) and t(C) or x(), x(), x(), t(C), t(B, H, N, N)) end
    if kind == 4 then call_right("wkv7", rwkv.wkv7, x(), x(), x(), x(), x(), x(), t(B, H, N, N)) end
    if chance(0.5) then backward(values.pool[#values.pool]) end
  end,
  function() -- files, whole and damaged
    local m = from_pool "model"
    call_right("save", m.save, m, "file", chance(0.5) and { optimizer = from_pool "optimizer" } or nil)
    local f = io.open("file", "rb")
    local bytes = f and f:read "a" or ""
    if f then f:close() end
    for _ = 1, random(3) do
      local at = random(1, math.max(1, math.min(#bytes, chance(0.8) and 2000 or #bytes)))
      local byte = any { "", "0", "9", "[", "]", "{", "}", ",", ":", "\"", "\0", "\255" }
      bytes = bytes:sub(1, at - 1) .. byte .. bytes:sub(at + 1)
    end
    f = io.open("damaged", "wb")
    if f then f:write(bytes):close() end
    local name = any { "file", "damaged", "damaged" }
    call("load", rwkv.load, name)
    local o = from_pool "optimizer"
    call("restore", o.restore, o, name)
    if chance(0.2) then call("verify", rwkv.verify, m, name, 1) end
  end,
  function() call("end_step", rwkv.end_step) end,
  function() call("no_grad", rwkv.no_grad, values.callback(), value(), value()) end,
  function() rwkv.backend(any { "reference", "fast" }) end,
  function() values.pool[random(#values.pool)] = classes.tensor end,
  function()
    collectgarbage(any { "collect", "collect", "step", "stop", "restart", "generational", "incremental" })
    if chance(0.7) then collectgarbage "restart" end
  end,
  function() -- a finalizer that does what was decided now, and comes again
    local x, y, again = any(values.pool), any(values.pool), random(0, 5)
    local name = any(methods[class_of(y)])
    local f = any { rwkv.end_step, overwrite, function() return y[name](y, x) end }
    local function plant(object)
      setmetatable({ object }, { __gc = function(self)
        pcall(f)
        pcall(keep, self[1])
        pcall(function() self[1]:backward() end)
        pcall(function() self[1]:copy() end)
        again = again - 1
        if again > 0 then plant(self[1]) end
      end })
    end
    plant(x)
  end,
  function() -- a coroutine that stops in the middle, and goes on later, or never
    suspended[random(5)] = coroutine.create(function()
      for _ = 1, random(3) do
        action()
        coroutine.yield(any(values.pool))
      end
    end)
    local co = suspended[random(5)]
    if co then coroutine.resume(co) end
    if co and chance(0.2) then coroutine.close(co) end
  end,
}

local depth = 0
function action()
  if depth > 8 then return end
  depth = depth + 1
  if collectgarbage "count" > 4000 then collectgarbage("incremental", 200, 100) end -- all the time would take too long
  pcall(any(actions))
  depth = depth - 1
end

io.stdout:setvbuf "no"
for index = first, last do
  print("program", index)
  math.randomseed(seed, index)
  values.pool = {}
  collectgarbage(any { "incremental", "incremental", "generational" }, any { 1, 10, 200 }, any { 100, 1000 })
  for i, class in ipairs { "tensor", "model", "tokens", "rng", "state", "optimizer" } do
    values.pool[i] = classes[class]
  end
  for _ = 1, random(10, 60) do action() end
  rwkv.end_step()
end
print "done"
