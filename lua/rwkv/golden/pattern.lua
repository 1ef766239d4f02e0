-- What kind of difference there is between a tensor of a pack and a port's: where it stands, and what theirs is instead.
--   pattern(p, name, ours, theirs, tol) -> { where = { { axis = "head", size =, off = { first, last, first, last, .. } }, .. },
--     place = "head 1 only", kind =, phrase = "ours transposed: ..", worst =, rms =, before = rms without it, grid = "bf16", .. }
-- Indices count from 0. kind and phrase: of the first in the table `explanations` that gives all numbers within tol = { worst =,
-- rms = } and leaves at most a third of the error; nil if none does. ours, theirs: entries { value =, shape =, dtype = }.
-- If they do not have as many numbers: what part.lua finds, or nil.
local familiar = require "rwkv.golden.familiar"
local names = require "rwkv.golden.names"
local part = require "rwkv.golden.part"
local place = require "rwkv.golden.place"
local private = require "rwkv.core".private

local function product(list, from, to)
  local n = 1
  for i = from or 1, to or #list do n = n * list[i] end
  return n
end

local several = place.several

-- ---- questions ----

-- The residual if theirs is within tol of what the options and boxes of private.like make of some numbers, by default ours.
local function like(q, o, ...)
  o.scale, o.tol = o.scale or q.sums.scale, o.tol or q.tol.worst
  local from = o.from or q.ours
  o.from = nil
  local worst, rms = private.like(from, q.theirs, o, ...)
  return worst and { worst = worst, rms = rms }
end

local function whole(q) return { size = { q.n }, found = { 1 }, expected = { 1 } } end

-- Ours [outer, m, n, inner] and theirs [outer, n, m, inner].
local function exchanged(q, outer, m, n, inner)
  if m < 2 or n < 2 or outer * m * n * inner ~= q.n then return nil end
  return like(q, {}, { size = { outer, n, m, inner }, found = { m * n * inner, m * inner, inner, 1 },
    expected = { m * n * inner, inner, n * inner, 1 } })
end

-- Along an axis, [outer, size, inner], theirs are parts { at =, n =, from = in ours, step = 1 or -1 }; what no part has is
-- not looked at. from = -1: zeros.
local function parts_like(q, axis, parts)
  local boxes, zeros = {}, {}
  for _, e in ipairs(parts) do
    local list = e.from < 0 and zeros or boxes
    list[#list + 1] = { size = { axis.outer, e.n, axis.inner },
      found = { axis.size * axis.inner, axis.inner, 1 }, expected = { axis.size * axis.inner, (e.step or 1) * axis.inner, 1 },
      found_from = e.at * axis.inner, expected_from = math.max(e.from, 0) * axis.inner }
  end
  if #boxes + #zeros > 200 then return nil end
  if #zeros > 0 and not like(q, { by = "times", k = { 0 }, tol = 0 }, table.unpack(zeros)) then return nil end
  return #boxes > 0 and like(q, {}, table.unpack(boxes)) or nil
end

-- ---- orders along an axis ----

local function reversed(q, axis)
  if axis.size < 3 then return nil end
  return parts_like(q, axis, { { at = 0, n = axis.size, from = axis.size - 1, step = -1 } }), several(axis.axis) .. " in reverse", {}
end

local function shifted(q, axis)
  local S, name = axis.size, several(axis.axis)
  if S < 3 then return nil end
  for n = 1, math.min(S - 1, 64) do
    for _, late in ipairs { true, false } do
      local kept = late and { at = n, n = S - n, from = 0 } or { at = 0, n = S - n, from = n }
      local edge = late and { at = 0, n = n, from = S - n } or { at = S - n, n = n, from = 0 }
      if S - n > 1 and parts_like(q, axis, { kept }) then
        local phrase = ("%s %s by %d"):format(name, late and "late" or "early", n)
        local found = parts_like(q, axis, { kept, edge })
        if found then return found, phrase .. ", those at the end come round", { by = late and n or -n, edge = "rolled" } end
        edge.from = -1
        found = parts_like(q, axis, { kept, edge })
        if found then return found, phrase .. ", zeros at the end that is left free", { by = late and n or -n, edge = "zeros" } end
        if axis.axis == "position" then
          return parts_like(q, axis, { kept }), phrase, { by = late and n or -n, edge = "other" }
        end
      end
    end
  end
end

-- { 0, 1, 5, 6 } -> parts
local function parts_of(order)
  local parts, last = {}, nil
  for i, from in ipairs(order) do
    if last and (from < 0 and last.from < 0 or from >= 0 and last.from >= 0 and from == last.from + last.n) then
      last.n = last.n + 1
    else
      last = { at = i - 1, n = 1, from = from }
      parts[#parts + 1] = last
    end
  end
  return parts
end

local function text(order) return table.concat(order, " ", 1, math.min(#order, 12)) .. (#order > 12 and " .." or "") end

local function another_order(q, axis)
  local order = private.compare_order(q.ours, q.theirs, { axis.outer, axis.size, axis.inner }, q.sums.scale, q.tol.worst)
  local seen, once, zeros, other = {}, true, {}, {}
  for i, from in ipairs(order) do
    if from == -2 then return nil end
    once = once and not seen[from] and from >= 0
    seen[from] = true
    if from == -1 then zeros[#zeros + 1] = i - 1 elseif from ~= i - 1 then other[#other + 1] = from end
  end
  if not once and axis.outer * axis.inner < 8 then return nil end -- chance has one near
  local found, name = parts_like(q, axis, parts_of(order)), several(axis.axis)
  if not found then return nil end
  if #other == 0 then return found, ("%s %s are zeros"):format(name, text(zeros)), { order = order } end
  if not once and #zeros == 0 and next(seen, next(seen)) == nil then
    return found, ("every %s is our %s %d"):format(axis.axis, axis.axis, order[1]), { order = order }
  end
  return found, ("%s in another order: they are our %s"):format(name, text(order)), { order = order }
end

-- ---- explanations ----

-- Each: (q) -> residual, phrase, more fields; or nothing.
local explanations = {}
local function explain(kind, f) explanations[#explanations + 1] = { kind = kind, f = f } end

explain("zeros", function(q)
  return q.sums.zeros == q.n and { worst = 0, rms = 0 }, "all zeros"
end)

explain("transposed", function(q)
  local s, k, H = q.shape, #q.shape, q.heads
  local last, B, T = s[k] or 1, #q.p.tokens, #q.p.tokens[1]
  local outer, side, N = q.n // last, math.tointeger(last ^ 0.5 // 1), q.p.config.head_size or 0
  for _, c in ipairs {
    { q.n // (B * T) * B * T == q.n and s[1] == B and s[2] == T and { 1, B, T, q.n // (B * T) }, "time-major: [T,B,..] for [B,T,..]" },
    { k >= 2 and { product(s, 1, k - 2), s[k - 1], s[k], 1 }, "ours transposed: the last two axes are exchanged" },
    { k >= 3 and { product(s, 1, k - 3), s[k - 2], s[k - 1], s[k] }, "ours with the two axes before the last exchanged" },
    { last % H == 0 and { outer, H, last // H, 1 }, "heads interleaved: [N,H] for [H,N]" },
    { last % H == 0 and { outer, last // H, H, 1 }, "heads interleaved: channels read as [N,H] where they are [H,N]" },
    { N > 1 and last % (N * N) == 0 and { q.n // (N * N), N, N, 1 }, "ours transposed in each head, [N,N]" },
    { side * side == last and { outer, side, side, 1 }, "ours transposed: the last axis as a square" },
  } do
    local found = c[1] and exchanged(q, table.unpack(c[1]))
    if found then return found, c[2] end
  end
end)

for _, e in ipairs { { "reversed", reversed }, { "shifted", shifted }, { "reordered", another_order } } do
  explain(e[1], function(q)
    for _, axis in ipairs(q.orders) do
      local found, phrase, more = e[2](q, axis)
      if found then
        more.axis = axis.axis
        return found, phrase, more
      end
    end
  end)
end

local few = 4 -- fewer numbers than that are anything times some constant

explain("scaled", function(q)
  local c = q.sums.ratio
  local known = familiar(q.p, c)
  if c ~= c or c == 0 or math.abs(c) == math.huge or q.n < few and not known then return nil end
  return like(q, { by = "times", k = { c } }, whole(q)), ("ours times %.9g%s"):format(c, known and " = " .. known or ""),
    { constant = c, familiar = known }
end)

explain("offset", function(q)
  local c = q.sums.found - q.sums.expected
  if c ~= c or math.abs(c) == math.huge or q.n < few then return nil end
  return like(q, { by = "plus", k = { c } }, whole(q)), ("ours plus %.9g"):format(c), { constant = c }
end)

for _, f in ipairs { { "exp", "e^x of ours" }, { "log", "the logarithm of ours" }, { "log_minus", "the logarithm of -x" },
  { "exp_exp", "exp(-exp(x)) of ours" }, { "sigmoid", "the sigmoid of ours" }, { "tanh", "tanh of ours" }, { "silu", "silu of ours" },
  { "square", "the square of ours" }, { "relu", "ours where it is above 0, otherwise 0" } } do
  explain(f[1], function(q) return like(q, { by = f[1] }, whole(q)), f[2] end)
end

for _, f in ipairs { { "softmax", false, "the softmax of ours" }, { "log_softmax", true, "the logarithm of the softmax of ours" } } do
  explain(f[1], function(q)
    local row = q.shape[#q.shape] or 1
    if row < 2 then return nil end
    local worst, rms = private.like_softmax(q.ours, q.theirs, row, f[2], q.sums.scale, q.tol.worst)
    return worst and { worst = worst, rms = rms }, f[3]
  end)
end

explain("clamped", function(q)
  local s, infinite = q.sums, math.huge
  local low = s.low > 1 and s.expected_low < s.found_low and s.found_low or -infinite
  local high = s.high > 1 and s.expected_high > s.found_high and s.found_high or infinite
  if low == -infinite and high == infinite then return nil end
  return like(q, { by = "clamp", k = { low, high } }, whole(q)), ("ours cut off%s%s%s"):format(
    low > -infinite and (" below %.9g"):format(low) or "", high < infinite and (" above %.9g"):format(high) or "",
    (high == 65504 or low == -65504) and " (fp16's largest number)" or ""), { low = low, high = high }
end)

-- A number and the next one of a format are so far apart, relative to the number.
local steps = { bf16 = 2 ^ -7, f16 = 2 ^ -10 }
explain("rounded", function(q)
  local found = q.grid and like(q, { tol = steps[q.grid] }, whole(q))
  if found then found.as_it_is = true end
  return found, ("ours rounded to %s: every number is one of its numbers"):format(q.grid), { format = q.grid }
end)

local function others(q)
  local list, kind = {}, names.kind(q.name)
  for _, name in ipairs(q.p.names) do
    local e, of = q.p.tensors[name], names.kind(name)
    local comparable = (of == "weight" or of == "grad") == (kind == "weight" or kind == "grad") and of ~= "tokens" and of ~= "targets"
    if name ~= q.name and comparable and e.value:size() == q.n and e.value ~= q.ours then list[#list + 1] = name end
  end
  return list
end

explain("another", function(q)
  for _, name in ipairs(others(q)) do
    local found = like(q, { from = q.p.tensors[name].value }, whole(q))
    if found then return found, ("%s of the pack"):format(names.short(name)), { other = name } end
  end
end)

explain("sum", function(q)
  for _, name in ipairs(others(q)) do
    for _, share in ipairs { 1, -1 } do
      local found = like(q, { other = q.p.tensors[name].value, share = share }, whole(q))
      if found then
        return found, ("ours %s %s of the pack"):format(share > 0 and "plus" or "less", names.short(name)), { other = name, share = share }
      end
    end
  end
end)

-- ---- the whole ----

-- The indices of each axis at which theirs is off.
local function find_place(q, r)
  local sizes = {}
  for i, axis in ipairs(q.axes) do sizes[i] = axis.size end
  local limit = q.before.worst > q.tol.worst and q.tol.worst or q.tol.rms
  local marks = private.compare_marks(q.ours, q.theirs, sizes, q.before.scale, limit)
  r.where, r.place = {}, place.text(q.axes, marks)
  for i, axis in ipairs(q.axes) do r.where[i] = { axis = axis.axis, size = axis.size, off = marks[i] } end
end

-- Of each axis how many numbers stand before and behind an index; and the last axis as a whole where heads divide it.
local function orders_of(axes, n)
  local list, outer = {}, 1
  for _, axis in ipairs(axes) do
    outer = outer * axis.size
    if axis.size > 1 then list[#list + 1] = { axis = axis.axis, size = axis.size, outer = outer // axis.size, inner = n // outer } end
  end
  local last, before = axes[#axes], axes[#axes - 1]
  if last and last.axis == "channel" then
    list[#list + 1] = { axis = "channel", size = before.size * last.size, outer = n // (before.size * last.size), inner = 1 }
  end
  return list
end

-- The format that theirs was rounded to before it was written in a wider one.
local function grid_of(q, dtype)
  for _, format in ipairs { "bf16", "f16" } do
    local plain = dtype == "bf16" or dtype == "f16" or q.sums.zeros * 2 > q.n
    if not plain and like(q, { from = q.theirs, by = format, tol = 0 }, whole(q)) then return format end
  end
end

return function(p, name, ours, theirs, tol)
  local n = ours.value:size()
  if n ~= theirs.value:size() then return part(p, name, ours, theirs, tol) end
  if n == 0 then return nil end
  local q = { p = p, name = name, ours = ours.value, theirs = theirs.value, shape = ours.shape, n = n, tol = tol,
    heads = place.heads(p) }
  q.axes = place.axes(p, name, ours.shape)
  q.orders = orders_of(q.axes, n)
  q.before = private.compare(q.ours, q.theirs, { period = n })
  q.sums = private.compare_sums(q.ours, q.theirs)
  q.grid = grid_of(q, theirs.dtype)
  local r = { before = q.before.rms, grid = q.grid }
  find_place(q, r)
  if q.before.strange > q.before.strange_expected then
    local most = math.max(q.sums.expected_high, -q.sums.expected_low)
    r.kind, r.strange = "not finite", q.before.strange
    r.phrase = ("%d of %d numbers are NaN or infinite%s"):format(r.strange, n,
      most > 65504 and ("; the largest is %.6g, fp16 ends at 65504"):format(most) or "")
    return r
  end
  for _, e in ipairs(explanations) do
    local found, phrase, more = e.f(q)
    if found and (found.as_it_is or found.rms <= tol.rms and found.rms * 3 <= q.before.rms) then
      r.kind, r.phrase, r.worst, r.rms = e.kind, phrase, found.worst, found.rms
      for key, value in pairs(more or {}) do r[key] = value end
      return r
    end
  end
  return r
end
