-- Functions and methods of tensors that are put together from others. Methods stand in the table rwkv.Tensor, to which a
-- script may add its own. Shapes and errors: lua/pages/tensor.md.
local core = require "rwkv.core"
local Tensor = core.Tensor
local counted = require "rwkv.counted"

-- An error names the function, and the line that called it.
local function finish(name, ok, ...)
  if ok then return ... end
  local message = ...
  if type(message) ~= "string" then error(message, 0) end
  error(name .. ": " .. message:gsub("^[^\n]-tensor%.lua:%d+: ", ""), 2)
end

local function define(where, of, name, f)
  f = counted(of, name, f)
  where[name] = function(...) return finish(name, pcall(f, ...)) end
end

local function method(name, f) define(Tensor, "tensor", name, f) end
local function make(name, f) define(core, "rwkv", name, f) end

local function text(shape) return "[" .. table.concat(shape, ",") .. "]" end

-- An axis of x as 1, 2, ..
local function axis_of(x, axis)
  local _ = Tensor.size(x, axis)
  return axis < 0 and axis + x:dim() + 1 or axis
end

-- ---- creation ----

local generator = core.rng(0, "rwkv.rand")

-- rand and randn go on from here.
make("seed", function(n) generator = core.rng(n, "rwkv.rand") end)
make("rand", function(...) return generator:tensor("uniform", ...) end)
make("randn", function(...) return generator:tensor("normal", ...) end)

-- The generator of rand and randn, replaced by another one if it is given.
function core.private.drawing_from(other)
  local before = generator
  generator = other or generator
  return before
end
make("zeros_like", function(x) return core.zeros(Tensor.shape(x)) end)
make("ones_like", function(x) return core.ones(Tensor.shape(x)) end)

-- ---- shapes ----

method("dim", function(x) return #Tensor.shape(x) end)

-- Axes first .. last (all of them) become one.
method("flatten", function(x, first, last)
  if first == nil and last == nil then return Tensor.reshape(x, -1) end
  first, last = axis_of(x, first or 1), axis_of(x, last or -1)
  if first > last then error(("axis %d comes after axis %d"):format(first, last)) end
  local shape, n = Tensor.shape(x), 1
  for _ = first, last do n = n * table.remove(shape, first) end
  table.insert(shape, first, n)
  return x:reshape(shape)
end)

-- Without the axis, which has size 1; or without all such axes.
method("squeeze", function(x, axis)
  local shape = Tensor.shape(x)
  local from, to = #shape, 1
  if axis ~= nil then
    from = axis_of(x, axis)
    to = from
    if shape[from] ~= 1 then error(("axis %d of %s has size %d, expected 1"):format(axis, text(shape), shape[from])) end
  end
  for i = from, to, -1 do
    if shape[i] == 1 then table.remove(shape, i) end
  end
  return x:reshape(shape)
end)

-- With a new axis of size 1 in this place.
local function with_axis(x, axis)
  local shape = Tensor.shape(x)
  local at = math.tointeger(axis)
  if at and at < 0 then at = at + #shape + 2 end
  if not at or at < 1 or at > #shape + 1 then
    error(("axis %s, expected 1 to %d"):format(axis, #shape + 1))
  end
  table.insert(shape, at, 1)
  return x:reshape(shape), at
end
method("unsqueeze", function(x, axis) return (with_axis(x, axis)) end)

core.cat = core.concat

-- Tensors of one shape along a new axis.
make("stack", function(list, axis)
  local parts, at = {}, nil
  for i, x in ipairs(list) do parts[i], at = with_axis(x, axis or 1) end
  return core.concat(parts, at)
end)

local function pieces(x, axis, sizes)
  local parts, from = {}, 1
  for i, n in ipairs(sizes) do
    parts[i] = x:slice(axis, from, from + n - 1)
    from = from + n
  end
  return table.unpack(parts)
end

-- sizes: a list of sizes that make up the axis, or how many equal parts.
method("split", function(x, axis, sizes)
  local total, list = Tensor.size(x, axis), {}
  if type(sizes) == "table" then
    local sum = 0
    for i, n in ipairs(sizes) do
      list[i] = math.tointeger(n) or error(("size %d of the list is %s"):format(i, n))
      if list[i] < 0 then error(("size %d of the list is %d"):format(i, n)) end
      sum = sum + list[i]
    end
    if sum ~= total then error(("the sizes sum up to %d, axis %d has size %d"):format(sum, axis, total)) end
  else
    local count = math.tointeger(sizes)
    if not count or count < 1 or count > math.max(total, 1) or total % count ~= 0 then
      error(("axis %d of size %d cannot be split into %s equal parts"):format(axis, total, sizes))
    end
    for i = 1, count do list[i] = total // count end
  end
  return pieces(x, axis, list)
end)

-- At most n parts, all of one size but the last.
method("chunk", function(x, n, axis)
  axis = axis or 1
  local total, list = Tensor.size(x, axis), {}
  local count = math.tointeger(n)
  if not count or count < 1 then error(("%s parts"):format(n)) end
  local size = math.max(1, (total + count - 1) // count)
  for from = 0, math.max(total, 1) - 1, size do list[#list + 1] = math.min(size, total - from) end
  return pieces(x, axis, list)
end)

-- ---- arithmetic ----

method("detach", Tensor.keep)
method("clone", function(x) return x + 0 end)
method("numel", function(x) return Tensor.size(x) end)
method("rsqrt", function(x) return 1 / Tensor.sqrt(x) end)
method("reciprocal", function(x) return 1 / x end)
method("min", function(x, axis, keep) return -Tensor.max(-x, axis, keep) end)

-- unbiased: divided by n - 1 (unless it is false)
local function var(x, axis, keep, unbiased)
  local n = axis == nil and Tensor.size(x) or Tensor.size(x, axis)
  if unbiased ~= nil and type(unbiased) ~= "boolean" then
    error(("unbiased is %s, expected true or false"):format(tostring(unbiased)))
  end
  local least = unbiased == false and 1 or 2
  if n < least then
    error(("of %d numbers, expected at least %d%s"):format(n, least, n == 1 and " (or unbiased = false)" or ""))
  end
  return (x - x:mean(axis, true)):square():sum(axis, keep) / (unbiased == false and n or n - 1)
end
method("var", var)
method("std", function(...) return var(...):sqrt() end)

-- The root of the sum of squares. Its gradient at 0 is 0.
method("norm", function(x, axis, keep)
  local square = Tensor.square(x):sum(axis, keep)
  local none = square:eq(0)
  return core.where(none, 0, core.where(none, 1, square):sqrt())
end)

-- ---- masks ----

method("masked_fill", function(x, mask, number) return core.where(mask, number, x) end)

-- x where `keeps` holds between k and how far an element of the last two axes is to the right of the diagonal, else 0.
local function band(x, keeps, k)
  if Tensor.dim(x) < 2 then error(("shape %s has no rows and columns"):format(text(x:shape()))) end
  if k ~= nil and not math.tointeger(k) then error(("the diagonal is %s, expected a whole number"):format(tostring(k))) end
  if x:size() == 0 then return x * 1 end -- rows times columns may be very many
  local right = core.arange(x:size(-1)) - core.arange(x:size(-2)):reshape(-1, 1) -- [rows,cols]
  return core.where(keeps(right, k or 0), x, 0)
end

-- 0 above the k-th diagonal, or below it.
method("tril", function(x, k) return band(x, Tensor.le, k) end)
method("triu", function(x, k) return band(x, Tensor.ge, k) end)
