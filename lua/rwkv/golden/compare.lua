-- Two tensors, number by number.
local names = require "rwkv.golden.names"
local positions = require "rwkv.golden.positions"

local compare = {}

local function numbers(e)
  if not e.list then
    local value = getmetatable(e.value) == "rwkv.tokens" and e.value:tensor() or e.value -- of tokens
    e.list = value:reshape(-1):tolist()
  end
  return e.list
end

local function text(shape) return "[" .. table.concat(shape, ",") .. "]" end

local function squeezed(shape)
  local parts = {}
  for _, n in ipairs(shape) do if n ~= 1 then parts[#parts + 1] = n end end
  return text(parts)
end

-- Whether a tensor of the pack runs over positions: [B,T,..].
local function over_positions(p, name, e)
  local kind = names.kind(name)
  return (kind == "trace" or kind == "logits") and #e.shape >= 2 and e.shape[1] == #p.tokens and e.shape[2] == #p.tokens[1]
end

-- Of ours what theirs has: all of it, or chosen positions.
local function chosen(p, name, ours, theirs)
  if not theirs.positions or not over_positions(p, name, ours) then return ours end
  return positions.chosen(ours, theirs.positions, #p.tokens, #p.tokens[1])
end

-- Which of our numbers each of theirs answers to: (offset, count of ours, how often they are repeated), or a problem.
local function fit(p, name, ours, theirs)
  if theirs.problem then return nil, theirs.problem end
  local n, m = #numbers(ours), #numbers(theirs)
  if n == m and squeezed(ours.shape) == squeezed(theirs.shape) then return 0, n, 1 end
  local T = p.tokens and #p.tokens[1] or 1
  if over_positions(p, name, ours) and #p.tokens == 1 and m * T == n then return n - m, m, 1, "the last position only" end
  if names.kind(name) == "trace" and not over_positions(p, name, ours) and m > n and m % n == 0 then return 0, n, m // n end
  return nil, ("has shape %s, expected %s"):format(text(theirs.shape), text(ours.shape))
end

-- |found - expected| over the number's size, or its tensor's largest if that is more (but that within 1e-3 and 1). NaN is
-- infinitely wrong.
local function error_of(found, expected, scale)
  local e = math.abs(found - expected)
  if e ~= e then return found ~= found and expected ~= expected and 0 or math.huge end
  if e == 0 or found == expected then return 0 end
  return e / math.max(scale, math.abs(expected))
end

local function scale_of(list)
  local most = 1e-3
  for i = 1, #list do
    local size = math.abs(list[i])
    if size > most and size < math.huge then most = size end
  end
  return math.min(most, 1)
end

-- The worst error of theirs against ours and the root of their mean square; -1 if they cannot be compared.
function compare.errors(p, name, ours, theirs)
  ours = chosen(p, name, ours, theirs)
  local offset, n, repeats = fit(p, name, ours, theirs)
  if not offset then return -1, -1 end
  local a, b, worst, squares = numbers(ours), numbers(theirs), 0, 0
  local scale, count = scale_of(a), n * repeats
  for i = 0, count - 1 do
    local e = error_of(b[i + 1], a[offset + i % n + 1], scale)
    if e > worst then worst = e end
    squares = squares + e * e
  end
  return worst, math.sqrt(squares / math.max(count, 1))
end

-- In full: { name =, worst =, rms =, problem =, note =, positions = { [0] = largest error at each }, last = the last one
-- compared, first = { sequence =, position =, index =, found =, expected =, error = } }; first: of the first position at which
-- an error is above tol.worst, there the worst; if there is none but all together are above tol.rms, the worst of all.
function compare.tensors(p, name, ours, theirs, tol)
  local over, list = over_positions(p, name, ours), theirs.positions
  ours = chosen(p, name, ours, theirs)
  local offset, n, repeats, note = fit(p, name, ours, theirs)
  local r = { name = name, worst = 0, rms = 0, note = note or theirs.note, tol = tol }
  if not offset then
    r.problem, r.worst, r.rms = n, math.huge, math.huge
    return r
  end
  local a, b = numbers(ours), numbers(theirs)
  local scale, B, T = scale_of(a), #p.tokens, list and #list or #p.tokens[1]
  local row = over and #a // (B * T) or #a -- numbers of one position
  local function position(at)
    local t = at // row % T
    return list and list[t + 1] or t
  end
  local first_position, best, first, worst, squares = math.huge, 0, nil, 0, 0
  r.positions = over and {} or nil
  for i = 0, n * repeats - 1 do
    local at = offset + i % n
    local e = error_of(b[i + 1], a[at + 1], scale)
    local t = over and position(at) or 0
    squares = squares + e * e
    if e > r.worst then r.worst, worst = e, i end
    if over then r.positions[t], r.last = math.max(r.positions[t] or 0, e), math.max(r.last or 0, t) end
    if not (e <= tol.worst) and (t < first_position or t == first_position and e > best) then
      first_position, best, first = t, e, i
    end
  end
  r.rms = math.sqrt(squares / math.max(n * repeats, 1))
  if not first and r.rms > tol.rms then first, r.together = worst, true end
  if first then
    local at = offset + first % n
    r.first = { found = b[first + 1], expected = a[at + 1], error = error_of(b[first + 1], a[at + 1], scale),
      position = over and position(at) or nil, sequence = over and at // row // T or nil,
      index = compare.index(ours.shape, at, over and 3 or 1) }
  end
  return r
end

-- The indices of a flat place from an axis (from 1) on, counted from 0: "[1,0,7]".
function compare.index(shape, at, axis)
  local list = {}
  for i = #shape, axis, -1 do
    table.insert(list, 1, at % shape[i])
    at = at // shape[i]
  end
  return text(list)
end

return compare
