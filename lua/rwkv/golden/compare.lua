-- Two tensors, number by number. The numbers are compared in C: see ref/io/compare.h.
local measure = require "rwkv.core".private.compare
local names = require "rwkv.golden.names"
local positions = require "rwkv.golden.positions"

local compare = { pattern = require "rwkv.golden.pattern" }

-- How many numbers an entry { value = tensor or tokens, shape = } has.
local function size(e) return e.value:size() end

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

-- Which of our numbers each of theirs answers to, as `measure` takes it, and what is to be said of it; or nil and a problem.
local function fit(p, name, ours, theirs)
  if theirs.problem then return nil, theirs.problem end
  local n, m = size(ours), size(theirs)
  if n == m and squeezed(ours.shape) == squeezed(theirs.shape) then return { period = n } end
  local T = p.tokens and #p.tokens[1] or 1
  if over_positions(p, name, ours) and #p.tokens == 1 and m * T == n then
    return { offset = n - m, period = m }, "the last position only"
  end
  if names.kind(name) == "trace" and not over_positions(p, name, ours) and m > n and m % n == 0 then return { period = n } end
  return nil, ("has shape %s, expected %s"):format(text(theirs.shape), text(ours.shape))
end

-- An error is |found - expected| over the number's size, or its tensor's largest if that is more (but that within 1e-3 and 1).
-- NaN is infinitely wrong where none is expected.

-- The worst error of theirs against ours and the root of their mean square; -1 if they cannot be compared.
function compare.errors(p, name, ours, theirs)
  ours = chosen(p, name, ours, theirs)
  local how = fit(p, name, ours, theirs)
  if not how then return -1, -1 end
  local d = measure(ours.value, theirs.value, how)
  return d.worst, d.rms
end

-- In full: { name =, worst =, rms =, problem =, note =, positions = { [0] = largest error at each }, last = the last one
-- compared, first = { sequence =, position =, index =, found =, expected =, error = }, strange = how many are NaN or infinite };
-- first: of the first position at which an error is above tol.worst, there the worst; if there is none but all together are
-- above tol.rms, the worst of all.
function compare.tensors(p, name, ours, theirs, tol)
  local over, list = over_positions(p, name, ours), theirs.positions
  ours = chosen(p, name, ours, theirs)
  local how, note = fit(p, name, ours, theirs)
  if not how then return { name = name, worst = math.huge, rms = math.huge, problem = note, tol = tol } end
  local B, T = #p.tokens, list and #list or #p.tokens[1]
  local row = over and size(ours) // (B * T) or 1 -- numbers of one position
  how.tol = tol.worst
  if over then how.positions, how.row = T, row end
  local d = measure(ours.value, theirs.value, how)
  local function position(t) return list and list[t + 1] or t end
  local r = { name = name, worst = d.worst, rms = d.rms, note = note or theirs.note, tol = tol, strange = d.strange }
  if d.positions then
    r.positions, r.last = {}, d.last and position(d.last)
    for t, e in pairs(d.positions) do r.positions[position(t)] = e end
  end
  local first = d.first
  if not first and r.rms > tol.rms then first, r.together = d.at, true end
  if first then
    r.first = { found = first.found, expected = first.expected, error = first.error,
      position = over and position(first.at // row % T) or nil, sequence = over and first.at // row // T or nil,
      index = compare.index(ours.shape, first.at, over and 3 or 1) }
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
