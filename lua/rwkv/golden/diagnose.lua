-- What is wrong in somebody else's numbers. Each tensor of theirs is held against what the lines give from those of theirs that
-- it is computed with: a mistake shows where it is made, not in what follows from it, and several show one by one. Where only
-- the logits are there, all lines lie in between.
--   diagnose(q) -> { findings =, notes =, right = what is right given their own inputs }
--   q = { p = pack, book =, machine =, weight = function(name) -> tensor, list = what was compared (diff.lua), known = mistakes,
--     tol = function(observation, value, env) -> the tolerance here, seconds = for the search of pairs,
--     sharp = whether what is within tolerance may still be found wrong, where a mistake gives it much better }
-- A finding: { line =, item = of the list, worst = how far off, tol =, inside = the lines in between, borders = names of theirs that it was
--   computed from, causes = { { mistakes =, residual =, exact = } } (explain.lua), narrowed = what is known where there is none }
-- A note is a finding from which their other numbers do not follow: it was written otherwise than it was used; or a state in
-- another layout, which is no mistake.
local compare = require "rwkv.golden.compare"
local core = require "rwkv.core"
local mistakes = require "rwkv.golden.mistakes"
local explain = require "rwkv.golden.explain"
local formulas = require "rwkv.golden.formulas"
local names = require "rwkv.golden.names"
local progress = require "rwkv.progress"

local half = { bf16 = true, f16 = true }

local function copy(map)
  local new = {}
  for key, value in pairs(map) do new[key] = value end
  return new
end

-- What of theirs can be judged, in the order of computation: { line =, name =, item = of the list, entry =, last = whether it is the
-- state at the end, stored = the half precision in which theirs stands, where an arithmetic is judged }.
local function observed(book, list, sharp)
  local found = {}
  for _, e in ipairs(list) do
    local kind, line = names.kind(e.name), book.named[names.short(e.name)]
    if line and (kind == "trace" or kind == "state" or kind == "logits") then
      found[#found + 1] = { line = line, name = e.name, item = e, entry = e.entry, last = kind == "state",
        stored = sharp and half[e.entry.dtype] and e.entry.dtype or nil }
    end
  end
  table.sort(found, function(a, b)
    if a.line.at ~= b.line.at then return a.line.at < b.line.at end
    return not a.last and b.last
  end)
  return found
end

-- How far a value of a line is from theirs: worst, root of the mean square, huge if shapes forbid it; what is compared; whether
-- shapes allow it.
local function apart(p, o, value)
  local part, shape = value, value:shape()
  if o.stored then part = core.no_grad(function() return part:round(o.stored) end) end
  if o.last and #shape > 2 then
    part = core.no_grad(function() return part:slice(2, -1, -1):keep() end)
    shape = part:shape()
    table.remove(shape, 2)
  end
  if #o.entry.shape > #shape and o.entry.value:size() == part:size() then shape = o.entry.shape end -- lines have 4 axes at most
  local expected = { value = part, shape = shape }
  local worst, rms = compare.errors(p, o.name, expected, o.entry)
  if worst < 0 then return math.huge, math.huge, expected, false end
  return worst, rms, expected, true
end

-- Theirs in the shape of the line's value, for what follows; nil where it is not all of it.
local function as_given(o, value)
  if o.last or not o.fits then return nil end
  if o.stored then -- stored in fewer digits than it was used with: not what the rest was computed from
    local kept = core.no_grad(function() return (value:round(o.stored) - value):abs():max():item() == 0 end)
    if not kept then return nil end
  end
  local theirs = getmetatable(o.entry.value) == "rwkv.tokens" and o.entry.value:tensor() or o.entry.value
  if value:size() ~= theirs:size() then return nil end
  return core.no_grad(function() return theirs:reshape(value:shape()):keep() end)
end

local function measure(q, book, env, o)
  local value = formulas.value(book, env, o.line)
  o.inside, o.borders = formulas.inside(book, env, o.line)
  o.tol = q.tol(o, value, env)
  o.worst, o.rms, o.expected, o.fits = apart(q.p, o, value)
  o.off = o.worst > o.tol.worst or o.rms > o.tol.rms
  return value
end

-- Whether an observation is right if a tensor of theirs that was found wrong is set aside: then it was written otherwise than
-- it was used, and what was computed stands in its place from here on.
local function set_aside(q, book, env, finding, o)
  local name, uses = finding.line.name, false
  for _, border in ipairs(o.borders) do uses = uses or border == name end
  if not uses then return false end
  local trial = mistakes.env(book, q.fields, {})
  trial.given = copy(env.given)
  trial.given[name] = nil
  trial.values[name] = env.values[name]
  local other = { line = o.line, name = o.name, entry = o.entry, last = o.last, stored = o.stored }
  local value = measure(q, book, trial, other)
  if other.off then return false end
  for key in pairs(env.values) do
    if book.named[key].at > finding.line.at then env.values[key] = nil end -- made of what is set aside
  end
  env.given[name], env.values[o.line.name] = nil, value
  for key, x in pairs(other) do o[key] = x end
  return true
end

return function(q)
  local book = q.book
  q.fields = { machine = q.machine, tokens = q.p.tokens, weight = q.weight }
  q.apart = apart
  q.sizes = formulas.env(book, q.fields).c
  local env, seen = mistakes.env(book, q.fields, {}), observed(book, q.list, q.sharp)
  local findings, notes, right = {}, {}, {}
  local bar = progress("lines", #seen, "tensors")
  for i, o in ipairs(seen) do
    bar:update(i - 1, o.item.theirs)
    local value = measure(q, book, env, o)
    for j = #findings, 1, -1 do
      if not o.off then break end
      if set_aside(q, book, env, findings[j], o) then table.insert(notes, 1, table.remove(findings, j)) end
    end
    if o.off then
      findings[#findings + 1] = o
    else
      right[#right + 1] = o
    end
    o.given = env.given -- what comes later is no operand of this
    if not o.last then env.given[o.line.name] = as_given(o, value) end
  end
  bar:clear()
  explain.causes(q, findings, notes, right)
  if q.sharp then explain.sharper(q, findings, right) end
  for i = #findings, 1, -1 do -- how a state is laid out is everybody's own affair
    local cause = findings[i].causes[1]
    if cause and #cause.mistakes == 1 and cause.mistakes[1].layout then table.insert(notes, 1, table.remove(findings, i)) end
  end
  return { findings = findings, notes = notes, right = right }
end
