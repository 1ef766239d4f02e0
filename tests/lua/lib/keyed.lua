-- Every way in which a hook, a task or a measuring function can refer to a value, for test_keys.lua: functions of a number v (1 or
-- 2) that return the thing, which must be keyed by v. Run as a script, its keys are printed.
local rwkv = require "rwkv"
local fingerprint = require "rwkv.experiment.fingerprint"

local function model_with(scale)
  local decay = rwkv.hook { kind = "decay", name = "keyed", apply = function(x) return -scale * x:square() end }
  return rwkv.model { version = "v7", layers = 1, dim = 8, head_size = 4, vocab = 5, hooks = { decay = decay } }
end

local function in_file(path, text)
  rwkv.write_file(path, text)
  return io.open(path)
end

-- The same file, rewritten at once.
local function in_place(path, text)
  local file = io.open(path, "w")
  file:write(text)
  file:close()
  return io.open(path)
end

local cases = {}

-- ---- globals ----

function cases.global(v) X = v return function() return X end end
function cases.global_function(v) function X() return v end return function() return X() end end
function cases.global_field(v) X = { a = { b = v } } return function() return X.a.b end end
function cases.global_method(v) X = { a = function() return v end } return function() return X:a() end end
function cases.through_G(v) X = v return function() return _G.X end end
function cases.through_local_G(v) X = v local g = _G return function() return g.X end end
function cases.through_ENV(v) X = v return function() return _ENV.X end end
function cases.through_local_ENV(v) X = v return function() local e = _ENV return e.X end end
function cases.through_rawget(v) X = v local name = "X" return function() return rawget(_G, name) end end
function cases.by_computed_name(v) X = v return function(x) return _G["X" .. (x or "")] end end
function cases.own_ENV(v) return load("return X", "=own", "t", { X = v }) end
function cases.own_ENV_inherits(v) return load("return X", "=own", "t", setmetatable({}, { __index = { X = v } })) end
function cases.global_in_nested(v) X = v return function() return function() return function() return X end end end end
function cases.global_of_global(v)
  X = v
  function Y() return X end
  return function() return Y() end
end
function cases.global_inherited(v)
  setmetatable(_G, { __index = { Inherited = v } })
  return function() return Inherited end
end
function cases.global_written(v) X = nil return load("return function() X = (X or 0) + " .. v .. " end")() end

-- ---- variables ----

function cases.number(v) return function() return v end end
function cases.kind_of_number(v) local x = v == 1 and 1 or 1.0 return function() return x end end
function cases.large_integer(v) local x = (1 << 53) + v return function() return x end end
function cases.small_difference(v) local x = v == 1 and 0.1 or 0.1 + 2 ^ -56 return function() return x end end
function cases.sign_of_zero(v) local x = v == 1 and 0.0 or -0.0 return function() return x end end
function cases.text(v) local x = ("x"):rep(v) return function() return x end end
function cases.text_or_number(v) local x = v == 1 and "1" or 1 return function() return x end end
function cases.nothing_or_false(v) local x if v == 1 then x = false end return function() return x end end
function cases.truth(v) local x = v == 1 return function() return x end end
function cases.nested_table(v) local x = { a = { { b = v } } } return function() return x end end
function cases.list_parted_otherwise(v) local x = v == 1 and { "ab", "c" } or { "a", "bc" } return function() return x end end
function cases.boolean_key(v) local x = { [v == 1] = 1 } return function() return x end end
function cases.under_boolean_key(v) local x = { [true] = v } return function() return x end end
function cases.table_key(v) local x = { [{ v }] = 1 } return function() return x end end
function cases.under_table_key(v) local x = { [{}] = v, [{ 1 }] = 1 } return function() return x end end
function cases.function_key(v) local x = { [function() return v end] = 1 } return function() return x end end
function cases.key_of_itself(v) local x = { v } x[x] = x return function() return x end end
function cases.metatable(v) local x = setmetatable({}, { __index = { a = v } }) return function() return x.a end end
function cases.metafunction(v) local x = setmetatable({}, { __index = function() return v end }) return function() return x.a end end
function cases.hidden_metatable(v)
  local x = setmetatable({}, { __index = { a = v }, __metatable = false })
  return function() return x.a end
end
function cases.class(v)
  local class = { get = function() return v end }
  class.__index = class
  local x = setmetatable({}, class)
  return function() return x:get() end
end
function cases.callable(v) local x = setmetatable({}, { __call = function() return v end }) return function() return x() end end
function cases.inner_function(v) local function g() return v end return function() return function() return g() end end end
function cases.functions_of_functions(v)
  local function a() return v end
  local function b(f) return f() end
  return function() return b(a) end
end
function cases.recursion(v) local function f(n) return n == 0 and v or f(n - 1) end return f end
function cases.shared_variable(v) -- one variable, or two that are equal
  local x, y = 0, 0
  local one = function(n) x = n return x end
  local two = v == 1 and function() return x end or function() return y end
  return function(n) return one(n), two() end
end

-- ---- code ----

function cases.constant(v) return load(("return function(x) return x * %d end"):format(v), "=hook")() end
function cases.operator(v) return load(("return function(x) return x %s 2 end"):format(v == 1 and "*" or "/"), "=hook")() end
function cases.same_line(v) local f, g = function() return 1 end, function() return 2 end return v == 1 and f or g end
function cases.long_constant(v) return load(("return function() return '%s' end"):format(("x"):rep(99) .. v), "=hook")() end
function cases.inner_code(v) return load(("return function() return function() return %d end end"):format(v), "=hook")() end
function cases.any_arguments(v) return load(v == 1 and "return function(...) end" or "return function() end", "=hook")() end

-- ---- what scripts add to libraries ----

function cases.tensor_method(v) rwkv.Tensor.keyed = function(x) return x * v end return function(x) return x:keyed() end end
function cases.string_method(v) string.keyed = function() return v end return function(x) return x:keyed() end end
function cases.math_function(v) math.keyed = function() return v end return function() return math.keyed() end end
function cases.rwkv_function(v) rwkv.keyed = function() return v end return function() return rwkv.keyed() end end
function cases.rwkv_inner(v) rwkv.experiment.keyed = function() return v end return function() return rwkv.experiment.keyed() end end
function cases.replaced(v) string.rep = function() return v end return function() return string.rep("x", 2) end end
function cases.taken_away(v) math.keyed = v == 1 and 0 or nil return function() return math.keyed == nil end end

-- ---- objects ----

function cases.tensor(v) local x = rwkv.full(v, 3) return function() return x end end
function cases.last_number(v) local x = rwkv.tensor { 0, 0, v } return function() return x end end
function cases.shape(v) local x = rwkv.ones(v, 6 // v) return function() return x end end
function cases.tokens(v) local x = rwkv.tokens { { 1, v } } return function() return x end end
function cases.shape_of_tokens(v) local x = rwkv.tokens(v == 1 and { { 1, 2 } } or { { 1 }, { 2 } }) return function() return x end end
function cases.rng_seed(v) local x = rwkv.rng(v) return function() return x:uniform() end end
function cases.rng_stream(v) local x = rwkv.rng(0, "stream" .. v) return function() return x:uniform() end end
function cases.rng_count(v) local x = rwkv.rng(0) x:count(v) return function() return x:uniform() end end
function cases.model_seed(v)
  local x = rwkv.model { version = "v4", layers = 1, dim = 8, vocab = 5, seed = v }
  return function() return x end
end
function cases.model_hook(v) local x = model_with(v) return function() return x end end
function cases.loaded_model_hook(v)
  local path = "runs/tests/keyed.safetensors"
  model_with(v):save(path)
  local x = rwkv.load(path)
  return function() return x end
end
function cases.state(v)
  local model = rwkv.model { version = "v4", layers = 1, dim = 8, vocab = 5 }
  local x = model:state(1)
  rwkv.no_grad(function() model:forward(rwkv.tokens { { v } }, x) end)
  return function() return x end
end
function cases.hook(v)
  return rwkv.hook { kind = "decay", name = "keyed", params = { w = { 8, init = v } }, apply = function(x, p) return x * p.w end }
end
function cases.file_of_contents(v) local x = in_file("runs/tests/keyed.txt", "text " .. v) return function() return x:read() end end
function cases.file_rewritten(v) local x = in_place("runs/tests/keyed.more", "text " .. v) return function() return x:read() end end
function cases.file_inside(v)
  local x = in_file("runs/tests/keyed.txt", ("a"):rep(1e5) .. v .. ("b"):rep(1e5))
  return function() return x:read() end
end

-- The key of a value, what it cannot cover, and how many generators it has.
local function key(value, instead)
  local text, problems, generators = fingerprint({ value }, instead)
  return text, table.concat(problems, "; "), #generators
end

if arg[0]:find "keyed%.lua$" then
  local names = {}
  for name in pairs(cases) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do print(name, (key(cases[name](1)))) end
  for _, name in ipairs { "attention", "deltanet", "deltanet_negative", "gated_deltanet", "mamba" } do
    print(name, (key(rwkv.mixers[name]))) -- some of their functions have several names in the library
  end
end

return { cases = cases, key = key }
