-- Random programs against the whole of `rwkv`, right arguments and wrong ones: errors are welcome, crashes are not.
--   aviary --trust fuzz.lua >methods
-- lists the methods there are, which only a trusted script can see;
--   aviary --output . --max-memory 64M fuzz.lua SEED FIRST LAST [show]
-- runs programs FIRST..LAST of a seed in the sandbox: they try to write everywhere. `show` prints every call before it
-- is made. Files lie in the working directory. tests/fuzz.sh does it again and again.
local rwkv = require "rwkv"
local seed, first, last, show = math.tointeger(arg[1]), math.tointeger(arg[2]), math.tointeger(arg[3]), arg[4]

local random = math.random
local function any(list) return list[random(#list)] end
local function chance(p) return random() < p end

-- ---- what there is: the functions of rwkv and the methods of every class, by name ----

local function functions_of(t, except)
  local names = {}
  for name, f in pairs(t) do
    if type(f) == "function" and not (except and except[name]) then names[#names + 1] = name end
  end
  table.sort(names) -- the same programs in every run
  return names
end

local tiny = { version = "v4", layers = 1, dim = 4, vocab = 3 }
local classes = { tensor = rwkv.ones(1), model = rwkv.model(tiny), tokens = rwkv.tokens { 1 }, rng = rwkv.rng(),
  state = rwkv.model(tiny):state(), optimizer = rwkv.adamw(rwkv.model(tiny), {}) }
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
local versions, backends = rwkv.versions(), { "reference", "fast" }

-- ---- values ----

local pool -- what the program has made: a list of objects of rwkv

local function class_of(x)
  local name = type(x) == "userdata" and getmetatable(x)
  return type(name) == "string" and name:match "^rwkv%.(.*)"
end

local function from_pool(class)
  for _ = 1, 20 do
    local x = any(pool)
    if class_of(x) == class then return x end
  end
  return classes[class]
end

local numbers = { 0, 1, -1, 2, 3, 4, 8, 0.5, -0.5, 1e-8, 1e30, -1e300, 1 / 0, -1 / 0, 0 / 0, 2 ^ 31, 2 ^ 31 - 1, -2 ^ 31, 2 ^ 53,
  math.maxinteger, math.mininteger, 65536, 1 << 24 }
local strings = { "", "x", "normal", "uniform", "fast", "1", "nan", "a\0b", ("x"):rep(300), "0.att_xx", "0.att_kv", "emb.weight",
  "blocks.0.att.key.weight", "file", "file", "damaged", "version", "/dev/zero", "../x", "." }
local sizes = { 0, 1, 1, 2, 2, 3, 4, 5, 8, 16, 17, 33 }
local empties = { { 65536, 65536, 16384, 0 }, { 0, 2147483647, 2147483647 }, { 2147483647, 0 }, { 1, 0, 2147483647 } }

local function shape()
  if chance(0.03) then return any(empties) end
  local s = {}
  for i = 1, random(0, 4) do s[i] = any(sizes) end
  return s
end

-- A shape that may fit a tensor's
local function related(s)
  local n, r = #s, {}
  local kind = random(8)
  if kind == 1 then return s end
  if kind == 2 then return { s[n] or 1 } end
  if kind == 3 then return { s[n] or 1, any(sizes) } end
  if kind == 4 then return { any(sizes), s[n] or 1 } end
  if kind == 5 then return { s[1] or 1, s[n] or 1 } end
  for i = 1, n do r[i] = s[i] end
  if kind == 6 then table.remove(r, 1) end
  if kind == 7 and n > 0 then r[random(n)] = 1 end
  if kind == 8 and n > 0 then r[random(n)] = any(sizes) end
  return r
end

local function new_tensor(s)
  local x = chance(0.8) and rwkv.rng(random(9)):tensor(any { "normal", "uniform" }, s) or rwkv.full(any(numbers), s)
  if chance(0.5) then x:requires_grad() end
  if chance(0.2) then x = x * 1 end
  return x
end

local function number() return chance(0.6) and random(-4, 5) or any(numbers) end

local value
local wild_list = setmetatable({ 1, 2, 3 }, { __index = function() error "index" end, __len = function() return 1 << 40 end })

local function list(depth)
  local l, kind = {}, random(4)
  for i = 1, random(0, 5) do
    if kind == 1 and depth > 0 then l[i] = list(depth - 1) else l[i] = kind == 2 and value() or random(0, 3) end
  end
  if chance(0.1) then l[random(5)] = nil end
  if chance(0.05) then l[#l + 1] = l end
  return l
end

local function ids(B, T, high)
  local rows = {}
  for b = 1, math.min(B, 40) do
    rows[b] = {}
    for t = 1, math.min(T, 40) do rows[b][t] = chance(0.98) and random(0, high - 1) or number() end
  end
  if chance(0.5) then return rows end
  local ok, tokens = pcall(rwkv.tokens, rows)
  return ok and tokens or rows
end

local function sizes_of_model()
  local o = { version = any(versions), layers = random(1, 2), dim = any { 4, 8 }, vocab = random(2, 6), head_size = any { 2, 4 },
    seed = random(5) }
  for _, name in ipairs { "ctx", "decay_rank", "head_qk", "tiny_att", "tiny_att_layer", "pre_ffn", "dim_ffn", "mix_rank" } do
    if chance(0.1) then o[name] = random(0, 8) end
  end
  if chance(0.1) then o[any { "layers", "dim", "vocab", "head_size", "dim_att", "ctx" }] = number() end
  return o
end

local function options()
  local o = {}
  local names = { "lr", "eps", "clip", "warmup", "betas", "state", "l2wrap", "optimizer", "meta", "layers", "dim" }
  for _ = 1, random(0, 2) do
    local name = any(names)
    o[name] = name == "state" and from_pool "state" or name == "optimizer" and from_pool "optimizer" or
      name == "meta" and { a = "b", [any(strings)] = value() } or name == "betas" and { 0.9, 0.99 } or value()
  end
  return o
end

local action, actions

local function callback()
  local n, fail = random(0, 3), chance(0.3)
  return function(...)
    for _ = 1, n do action() end
    if fail then error(any { "callback", {}, 7 }) end
    return ...
  end
end

function value(like)
  local kind = random(14)
  if like and kind <= 4 then
    local ok, s = pcall(like.shape, like)
    return new_tensor(related(ok and s or {}))
  end
  if kind <= 6 then return any(pool) end
  if kind == 7 then return new_tensor(shape()) end
  if kind <= 9 then return number() end
  if kind == 10 then return any(strings) end
  if kind == 11 then return list(2) end
  if kind == 12 then return options() end
  if kind == 13 then return callback() end
  return any { false, true, wild_list, print, coroutine.create(print), io.stdout, ids(random(3), random(3), 3) }
end

-- ---- calls ----

local function keep(...)
  for i = 1, math.min(4, select("#", ...)) do
    local x = select(i, ...)
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
  x = x or any(pool)
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
  linear = function(_, n) local out = any(sizes) return new_tensor { out, n }, chance(0.5) and new_tensor { out } or nil end,
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

local suspended = {}
actions = {
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
  function() call("model", rwkv.model, sizes_of_model()) end,
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
    local o = call("adamw", rwkv.adamw, m, chance(0.7) and {} or options())
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
    if chance(0.5) then backward(pool[#pool]) end
  end,
  function() -- files, whole and damaged
    local m = from_pool "model"
    call_right("save", m.save, m, "file", chance(0.5) and { optimizer = from_pool "optimizer" } or nil)
    local f = io.open("file", "rb")
    local bytes = f and f:read "a" or ""
    if f then f:close() end
    for _ = 1, random(3) do
      local at = random(1, math.max(1, math.min(#bytes, chance(0.8) and 2000 or #bytes)))
      bytes = bytes:sub(1, at - 1) .. any { "", "0", "9", "[", "]", "{", "}", ",", ":", "\"", "\0", "\255" } .. bytes:sub(at + 1)
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
  function() call("no_grad", rwkv.no_grad, callback(), value(), value()) end,
  function() rwkv.backend(any(backends)) end,
  function() pool[random(#pool)] = classes.tensor end,
  function()
    collectgarbage(any { "collect", "collect", "step", "stop", "restart", "generational", "incremental" })
    if chance(0.7) then collectgarbage "restart" end
  end,
  function() -- a finalizer that does what was decided now, and comes again
    local x, y, again = any(pool), any(pool), random(0, 5)
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
        coroutine.yield(any(pool))
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
  pool = {}
  collectgarbage(any { "incremental", "incremental", "generational" }, any { 1, 10, 200 }, any { 100, 1000 })
  for _, class in ipairs { "tensor", "model", "tokens", "rng", "state", "optimizer" } do pool[#pool + 1] = classes[class] end
  for _ = 1, random(10, 60) do action() end
  rwkv.end_step()
end
print "done"
