-- Random values of every kind, right and wrong, for tests/fuzz.lua.
local rwkv = require "rwkv"

local values = {
  pool = {},      -- what the program has made: a list of objects of rwkv
  classes = nil,  -- an object of every class
  callback = nil, -- () -> a function that does something
}

local random = math.random
local function any(list) return list[random(#list)] end
local function chance(p) return random() < p end

local tiny = { version = "v4", layers = 1, dim = 4, vocab = 3 }
values.classes = { tensor = rwkv.ones(1), model = rwkv.model(tiny), tokens = rwkv.tokens { 1 }, rng = rwkv.rng(),
  state = rwkv.model(tiny):state(), optimizer = rwkv.adamw(rwkv.model(tiny), {}) }

local function class_of(x)
  local name = type(x) == "userdata" and getmetatable(x)
  return type(name) == "string" and name:match "^rwkv%.(.*)"
end

local function from_pool(class)
  for _ = 1, 20 do
    local x = any(values.pool)
    if class_of(x) == class then return x end
  end
  return values.classes[class]
end

local numbers = { 0, 1, -1, 2, 3, 4, 8, 0.5, -0.5, 1e-8, 1e30, -1e300, 1 / 0, -1 / 0, 0 / 0, 2 ^ 31, 2 ^ 31 - 1,
  -2 ^ 31, 2 ^ 53, math.maxinteger, math.mininteger, 65536, 1 << 24 }
local strings = { "", "x", "normal", "uniform", "fast", "1", "nan", "a\0b", ("x"):rep(300), "0.att_xx", "0.att_kv",
  "emb.weight", "blocks.0.att.key.weight", "file", "file", "damaged", "version", "/dev/zero", "../x", "." }
local sizes = { 0, 1, 1, 2, 2, 3, 4, 5, 8, 16, 17, 33 }
local empties = { { 65536, 65536, 16384, 0 }, { 0, 2147483647, 2147483647 }, { 2147483647, 0 }, { 1, 0, 2147483647 } }

local function shape()
  if chance(0.03) then return any(empties) end
  local s, elements = {}, 1
  for i = 1, random(0, 4) do
    s[i] = any(sizes)
    elements = elements * s[i]
    if elements > 20000 then s[i] = 1 end
  end
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
local wild_list = setmetatable({ 1, 2, 3 }, {
  __index = function() error "index" end,
  __len = function() return 1 << 40 end,
})

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
  local o = { version = any(rwkv.versions()), layers = random(1, 2), dim = any { 4, 8 }, vocab = random(2, 6),
    head_size = any { 2, 4 }, seed = random(5) }
  for _, name in ipairs { "ctx", "decay_rank", "head_qk", "tiny_att", "tiny_att_layer", "pre_ffn", "dim_ffn",
    "mix_rank" } do
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

-- Anything; `like`: perhaps a tensor that may fit this one.
function value(like)
  local kind = random(14)
  if like and kind <= 4 then
    local ok, s = pcall(like.shape, like)
    return new_tensor(related(ok and s or {}))
  end
  if kind <= 6 then return any(values.pool) end
  if kind == 7 then return new_tensor(shape()) end
  if kind <= 9 then return number() end
  if kind == 10 then return any(strings) end
  if kind == 11 then return list(2) end
  if kind == 12 then return options() end
  if kind == 13 then return values.callback() end
  return any { false, true, wild_list, print, coroutine.create(print), io.stdout, ids(random(3), random(3), 3) }
end

values.any, values.chance, values.sizes = any, chance, sizes
values.class_of, values.from_pool, values.value = class_of, from_pool, value
values.shape, values.related, values.new_tensor = shape, related, new_tensor
values.ids, values.sizes_of_model, values.options = ids, sizes_of_model, options
return values
