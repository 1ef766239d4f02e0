-- Stand-ins for the tensors of one token: each knows its shape, and notes what is done with it (recorded.lua).
--
-- An axis of a stand-in has a tag: B sequences, H heads, A both of H and of columns, R rows and C columns of what a head has,
-- 1 for an axis of size 1. Only axes with the same tag meet: what goes on in a head sees no other head.
local has_gradient = require "rwkv.core".private.recording -- whether what is computed now can have one
local stand_in = {}

local function text(shape) return "[" .. table.concat(shape, ",") .. "]" end

-- What cannot be recorded; `recording.why` stays, even where the step catches the error.
local recording -- { made =, facts =, sizes =, why = }, while a step is being recorded
function stand_in.cannot(...)
  local why = string.format(...)
  if not recording then error("this stood for a tensor while a step was recorded, and is none", 0) end
  recording.why = recording.why or why
  error(why, 0)
end
local cannot = stand_in.cannot

-- ---- stand-ins: facts[x] = { reg =, shape =, tags = } ----

local class = { __metatable = "recorded" }

local function fact(x)
  return recording and recording.facts[x] or cannot("it computes with a %s", type(x) == "userdata" and "tensor that it was not given"
    or type(x) == "table" and "table" or type(x))
end

local function new(reg, shape, tags)
  local x = setmetatable({}, class)
  recording.facts[x] = { reg = reg, shape = shape, tags = tags }
  return x
end

-- Rows and columns of a head's part of it.
local function sizes(shape, tags)
  local rows, cols = 1, 1
  for i, tag in ipairs(tags) do
    if tag == "R" then rows = shape[i] elseif tag == "C" then cols = shape[i] end
    if tag == "A" then cols = recording.sizes.N end
  end
  return rows, cols
end

-- A register that an instruction makes.
local function make(name, shape, tags, a, b, scale, offset)
  if has_gradient() ~= recording.gradient then cannot "part of it is in no_grad" end
  local reg = { name = name, a = a, b = b, scale = scale, offset = offset }
  recording.made[#recording.made + 1] = reg
  reg.rows, reg.cols = sizes(shape, tags)
  return new(reg, shape, tags)
end

-- The axis of a column stands before the last one, that of a row is the last: so the same vector is one or the other.
local function vector_tag(shape, i)
  if i == #shape then return "C" end
  if i == #shape - 1 then return "R" end
  cannot("it has a tensor of shape %s", text(shape))
end

-- x under another shape, whose tags are `tags`: as it is, or a row as a column, or a column as a row.
local function under(x, shape, tags)
  local f = fact(x)
  local rows, cols = sizes(f.shape, f.tags)
  local to_rows, to_cols = sizes(shape, tags)
  if rows == to_rows and cols == to_cols then return new(f.reg, shape, tags) end
  return make("turn", shape, tags, f.reg)
end

-- Tags for a new shape of what has these: axes of size 1 come and go, and A becomes H and C, or these A.
local function tags_of(shape, f)
  local before, tags, at = {}, {}, 1
  for i, tag in ipairs(f.tags) do
    if tag ~= "1" then before[#before + 1] = { tag = tag, size = f.shape[i] } end
  end
  local function refuse() cannot("it reshapes %s to %s", text(f.shape), text(shape)) end
  local data = 0
  for _, axis in ipairs(before) do if axis.tag == "R" or axis.tag == "C" then data = data + 1 end end
  local i = 1
  while i <= #shape do
    local from, after = before[at], before[at + 1]
    if shape[i] == 1 then tags[i] = "1"
    elseif not from then refuse()
    elseif from.size == shape[i] then
      local vector = data == 1 and (from.tag == "R" or from.tag == "C")
      tags[i], at = vector and vector_tag(shape, i) or from.tag, at + 1
      if data == 2 and (from.tag == "R" and i ~= #shape - 1 or from.tag == "C" and i ~= #shape) then refuse() end
    elseif from.tag == "A" and shape[i] == recording.sizes.H and shape[i + 1] == recording.sizes.N then
      tags[i], tags[i + 1], at, i = "H", vector_tag(shape, i + 1), at + 1, i + 1
    elseif from.tag == "H" and after and data == 1 and from.size * after.size == shape[i] and i == #shape then
      tags[i], at = "A", at + 2
    else refuse() end
    i = i + 1
  end
  if before[at] then refuse() end
  return tags
end

local function reshape(x, ...)
  local shape = type(...) == "table" and table.move(..., 1, #(...), 1, {}) or { ... }
  local f, known, open, all = fact(x), 1, nil, 1
  for i, n in ipairs(shape) do
    if math.type(n) ~= "integer" then cannot("it reshapes to a size that is no whole number") end
    if n == -1 then open = i else known = known * n end
  end
  for _, n in ipairs(f.shape) do all = all * n end
  if open then shape[open] = known ~= 0 and all // known or 0 end
  return under(x, shape, tags_of(shape, f))
end

-- ---- what can be done with them ----

-- The shape and tags of two operands that are broadcast against each other.
local function broadcast(a, b)
  local shape, tags, n = {}, {}, math.max(#a.shape, #b.shape)
  for i = 1, n do
    local ia, ib = i - n + #a.shape, i - n + #b.shape
    local size_a, size_b, tag_a, tag_b = a.shape[ia] or 1, b.shape[ib] or 1, a.tags[ia] or "1", b.tags[ib] or "1"
    if tag_a ~= tag_b and tag_a ~= "1" and tag_b ~= "1" or size_a ~= size_b and size_a ~= 1 and size_b ~= 1 then
      cannot("%s and %s do not meet head by head", text(a.shape), text(b.shape))
    end
    shape[i], tags[i] = math.max(size_a, size_b), tag_a == "1" and tag_b or tag_a
  end
  return shape, tags
end

local function number(value) return { reg = fact(make("number", {}, {}, nil, nil, nil, value)).reg, shape = {}, tags = {} } end
local function operand(x) return type(x) == "number" and number(x) or fact(x) end
local function affine(x, scale, offset)
  local f = fact(x)
  return make("affine", f.shape, f.tags, f.reg, nil, scale, offset)
end

local function binary(name, a, b)
  local x, y = operand(a), operand(b)
  local shape, tags = broadcast(x, y)
  return make(name, shape, tags, x.reg, y.reg)
end

function class.__add(a, b)
  if type(a) == "number" then return affine(b, 1, a) elseif type(b) == "number" then return affine(a, 1, b) end
  return binary("add", a, b)
end
function class.__sub(a, b)
  if type(a) == "number" then return affine(b, -1, a) elseif type(b) == "number" then return affine(a, 1, -b) end
  return binary("sub", a, b)
end
function class.__mul(a, b)
  if type(a) == "number" then return affine(b, a, 0) elseif type(b) == "number" then return affine(a, b, 0) end
  return binary("mul", a, b)
end
function class.__div(a, b) return binary("div", a, b) end

local methods = {}

local function unary(name)
  return function(x)
    local f = fact(x)
    return make(name, f.shape, f.tags, f.reg)
  end
end
for _, name in ipairs { "neg", "exp", "log", "sqrt", "square", "abs", "tanh", "sigmoid", "silu", "relu", "relu2", "softplus",
  "mish", "sin", "cos" } do
  methods[name] = unary(name)
end
class.__unm, methods.neg = methods.neg, nil

-- As the method of tensors: whole powers by multiplying.
function class.__pow(x, p)
  if type(p) ~= "number" then cannot "its exponent is no number" end
  if p == 0.5 then return x:sqrt() end
  local n = p >= -16 and p <= 16 and math.tointeger(p)
  if not n then return affine(x:log(), p, 0):exp() end
  local y
  for _ = 1, math.abs(n) do y = y and binary("mul", y, x) or x end
  y = y or affine(x, 0, 1)
  return n < 0 and binary("div", 1, y) or y
end
methods.pow = class.__pow

function methods.maximum(a, b) return binary("max", a, b) end
function methods.minimum(a, b) return binary("min", a, b) end
function methods.clamp(x, low, high)
  if type(low) ~= "number" or type(high) ~= "number" or not (low <= high) then cannot "its clamp has no bounds" end
  return x:maximum(low):minimum(high)
end
function methods.reciprocal(x) return 1 / x end
function methods.rsqrt(x) return 1 / x:sqrt() end
function methods.clone(x) return affine(x, 1, 0) end

local function axis_of(f, axis)
  local at = math.tointeger(axis)
  if at and at < 0 then at = at + #f.shape + 1 end
  if not at or at < 1 or at > #f.shape then cannot("%s has no axis %s", text(f.shape), axis) end
  return at
end

local function without(list, at)
  local copy = table.move(list, 1, #list, 1, {})
  table.remove(copy, at)
  return copy
end

local function sum(x, axis, keep, scale)
  local f = fact(x)
  if axis == nil then cannot "it sums over all axes" end
  local at = axis_of(f, axis)
  local tag, shape, tags = f.tags[at], table.move(f.shape, 1, #f.shape, 1, {}), table.move(f.tags, 1, #f.tags, 1, {})
  if tag ~= "R" and tag ~= "C" and tag ~= "1" then cannot("it sums over axis %d of %s", at, text(f.shape)) end
  shape[at], tags[at] = 1, "1"
  local y = x
  if tag ~= "1" then y = make(tag == "C" and "sum" or "sum_down", shape, tags, f.reg, nil, scale(f.shape[at])) end
  return keep and y or reshape(y, without(shape, at))
end
function methods.sum(x, axis, keep) return sum(x, axis, keep, function() return 1 end) end
function methods.mean(x, axis, keep) return sum(x, axis, keep, function(n) return 1 / n end) end

methods.reshape = reshape
function methods.shape(x) return table.move(fact(x).shape, 1, #fact(x).shape, 1, {}) end
function methods.dim(x) return #fact(x).shape end
function methods.size(x, axis)
  local f, n = fact(x), 1
  if axis then return f.shape[axis_of(f, axis)] end
  for _, size in ipairs(f.shape) do n = n * size end
  return n
end
methods.numel = function(x) return methods.size(x) end
function methods.unsqueeze(x, axis)
  local shape = methods.shape(x)
  local at = math.tointeger(axis)
  if at and at < 0 then at = at + #shape + 2 end
  if not at or at < 1 or at > #shape + 1 then cannot("%s has no place %s for an axis", text(shape), axis) end
  table.insert(shape, at, 1)
  return reshape(x, shape)
end
function methods.squeeze(x, axis)
  local f, shape = fact(x), methods.shape(x)
  local from = axis ~= nil and axis_of(f, axis) or #shape
  for i = from, axis ~= nil and from or 1, -1 do
    if shape[i] == 1 then table.remove(shape, i) elseif axis ~= nil then cannot("it squeezes axis %d of %s", i, text(shape)) end
  end
  return reshape(x, shape)
end

function class.__tostring()
  return recording and cannot "it prints a tensor" or "what stood for a tensor while a step was recorded"
end
function class.__index(_, name) return methods[name] or cannot("it asks a tensor for '%s'", tostring(name)) end
for _, event in ipairs { "__newindex", "__len", "__call", "__concat", "__lt", "__le", "__pairs", "__mod",
  "__idiv", "__name" } do
  class[event] = class[event] or function() cannot("it asks a tensor for what it is (%s)", event:sub(3)) end
end
class.__name = nil

-- ---- for whoever records ----

stand_in.new, stand_in.sizes = new, sizes

-- Everything from here on is noted, for a head of these sizes: H, N, A.
function stand_in.begin(d)
  recording = { made = {}, facts = {}, sizes = d, gradient = has_gradient() }
end

-- The registers that were made, and why the step cannot be recorded, or nil.
function stand_in.finish()
  local r = recording
  recording = nil
  return r.made, r.why
end

-- What was refused so far, even where the step has caught the error.
function stand_in.refused() return recording.why end

-- The register of x and its shape; nil: x is none.
function stand_in.register(x)
  local f = recording.facts[x]
  if f then return f.reg, f.shape end
end

return stand_in
