-- Which known mistakes give the numbers that were found wrong: one, or two together. The lines between them and theirs that is
-- given are computed with the mistakes made; that is a few lines where much of theirs is there, and all of them where only the
-- logits are. For those, pairs are told apart by the first position alone, which costs a fraction of a run.
local choose = require "rwkv.golden.choose"
local compare = require "rwkv.golden.compare"
local core = require "rwkv.core"
local mistakes = require "rwkv.golden.mistakes"
local formulas = require "rwkv.golden.formulas"
local narrow = require "rwkv.golden.narrow"
local progress = require "rwkv.progress"

local few = 60 -- lines in between: that many are computed for every pair

-- ---- one computation ----

-- The first line that mistakes touch: what stands before it is as it was.
local function first_touched(q, list)
  local first = math.huge
  for _, mistake in ipairs(list) do
    if mistake.weight or mistake.change or mistake.tokens then return 0 end
    for key in pairs(mistake.edits or {}) do first = math.min(first, q.book.first[key] or math.huge) end
  end
  return first
end

-- What a list of mistakes makes of a finding's line; from: { fields =, given =, values = of a run without mistakes }.
local function with(q, finding, list, from)
  local env, first = mistakes.env(q.book, from.fields, list), first_touched(q, list)
  env.given = from.given
  local lines = formulas.inside(q.book, env, finding.line)
  return core.no_grad(function()
    for _, line in ipairs(lines) do
      local before = line.at < first and from.values and from.values[line.name]
      env.values[line.name] = before or formulas.line(env, line)
    end
    local value = env.values[finding.line.name]
    for _, mistake in ipairs(list) do
      if mistake.view then value = mistake.view(value, env.c, finding.line) end
    end
    return value
  end)
end

-- How much a value has changed at most, and whether that is more than rounding.
local function change(a, b)
  if a:size() ~= b:size() or #a:shape() ~= #b:shape() then return math.huge, true end
  local off, largest = core.no_grad(function()
    return (a - b:reshape(a:shape())):abs():max():item(), a:abs():max():item()
  end)
  return off, not (off <= 1e-13 * math.max(1, largest))
end

-- { mistakes, residual =, rms = how far it is from theirs, exact = whether that is within tolerance, effect = what it changes,
--   idle = whether that is nothing }
local function try(q, finding, list, from)
  local ok, value = pcall(with, q, finding, list, from)
  if not ok and tostring(value):find "interrupted$" then error(value, 0) end
  if not ok then return { mistakes = list, residual = math.huge, rms = math.huge, exact = false, effect = 0, idle = true } end
  local o = from.observation
  local worst, rms = q.apart(from.p, o, value)
  local exact = worst <= finding.tol.worst and rms <= finding.tol.rms
  local effect, any = change(value, from.clean)
  return { mistakes = list, residual = worst, rms = rms, exact = exact, effect = effect, idle = not any }
end

-- The run without mistakes, whose values others begin with.
local function start(q, finding, from)
  local env = mistakes.env(q.book, from.fields, {})
  env.given = from.given
  from.clean, from.values = formulas.value(q.book, env, finding.line), env.values
  return from
end

local function whole(q, finding)
  return start(q, finding, { fields = q.fields, given = finding.given, p = q.p, observation = finding })
end

-- The same for the first position; nil where theirs has not all positions.
local function first_position(q, finding)
  local T, shape = #q.p.tokens[1], finding.entry.shape
  if finding.last or T < 2 or shape[1] ~= #q.p.tokens or shape[2] ~= T then return nil end
  local tokens = {}
  for b, row in ipairs(q.p.tokens) do tokens[b] = { row[1] } end
  local function first(t)
    if t == nil or t:dim() < 3 then return t end
    return core.no_grad(function() return t:slice(2, 1, 1):keep() end)
  end
  local given = setmetatable({}, { __index = function(cut, name)
    local t = first(finding.given[name])
    rawset(cut, name, t)
    return t
  end })
  local fields = { machine = q.machine, tokens = tokens, weight = q.weight }
  local entry = { shape = { shape[1], 1, table.unpack(shape, 3) }, dtype = finding.entry.dtype }
  entry.value = core.no_grad(function() return finding.entry.value:reshape(shape[1], T, -1):slice(2, 1, 1):keep() end)
  local from = { fields = fields, given = given, p = { tokens = tokens, config = q.p.config, tensors = q.p.tensors },
    observation = { line = finding.line, name = finding.name, entry = entry } }
  return start(q, finding, from)
end

-- ---- searching ----

-- Whether a mistake can have to do with the lines in between.
local function concerns(mistake, keys)
  if mistake.change or mistake.weight or mistake.view and not mistake.edits then return true end
  for key in pairs(mistake.edits or {}) do if keys[key] then return true end end
  return false
end

local function candidates(q, finding)
  local keys, list = {}, {}
  for _, line in ipairs(finding.inside) do keys[line.key] = true end
  for _, mistake in ipairs(q.known) do
    local blind = mistake.sees and mistake.sees(q.sizes)
    local of_other = mistake.names and not finding.name:find(mistake.names)
    if not blind and not of_other and concerns(mistake, keys) then list[#list + 1] = mistake end
  end
  return list
end

-- Only the best, and what does as well.
local function best_of(found)
  table.sort(found, function(a, b)
    if a.exact ~= b.exact then return a.exact end
    if #a.mistakes ~= #b.mistakes then return #a.mistakes < #b.mistakes end
    return a.rms < b.rms
  end)
  local first = found[1]
  local limit = first and 10 * math.max(first.rms, 1e-12)
  for i = #found, 2, -1 do
    local f = found[i]
    if f.rms > limit or f.exact ~= first.exact or #f.mistakes ~= #first.mistakes then table.remove(found, i) end
  end
  return found
end

-- A search that shows how far it is, and ends in time: all pairs together have q.seconds.
local function clock(q, name, total)
  local bar, done, self = progress(name, total, "runs"), 0, { cut = false }
  function self.over(note)
    bar:update(done, note)
    done = done + 1
    self.cut = self.cut or core.time() > q.until_time
    return self.cut
  end
  function self.clear()
    collectgarbage()
    bar:clear()
  end
  return self
end

local function exact_pairs(q, finding, from, list, name)
  local found, watch = {}, clock(q, name, #list)
  for _, pair in ipairs(list) do
    if watch.over(pair[1].id) then break end
    local result = try(q, finding, pair, from)
    if result.exact then found[#found + 1] = result end
  end
  watch.clear()
  return found, watch.cut
end

local function product(a, b, accept)
  local list = {}
  for i, x in ipairs(a) do
    for j, y in ipairs(b) do
      if x ~= y and (a ~= b or i < j) and (not accept or accept(x, y)) then list[#list + 1] = { x, y } end
    end
  end
  return list
end

-- Whether two could be all that is wrong: what one leaves, the other must be able to change.
local function together(a, b) return a.residual <= 100 * b.effect or b.residual <= 100 * a.effect end

local function pairs_of(q, finding, all, list, first)
  if not first then
    local active = {}
    for _, mistake in ipairs(list) do
      if not try(q, finding, { mistake }, all).idle then active[#active + 1] = mistake end
    end
    return exact_pairs(q, finding, all, product(active, active), "pairs")
  end
  -- unlike: at the first position nobody can tell what they do in all; late: do nothing there; alone: give it
  local unlike, late, early, alone, by = {}, {}, {}, {}, {}
  local right_at_first = q.apart(first.p, first.observation, first.clean) <= finding.tol.worst
  for _, mistake in ipairs(list) do
    if mistake.view or mistake.whole or mistake.tokens then
      unlike[#unlike + 1] = mistake
    else
      local s = try(q, finding, { mistake }, first)
      by[mistake] = s
      table.insert(s.idle and late or early, mistake)
      if s.exact and not s.idle then alone[#alone + 1] = mistake end
    end
  end
  local found, cut
  if right_at_first then
    found, cut = exact_pairs(q, finding, all, product(late, late), "pairs")
  else
    local likely = product(alone, late)
    local pairs_there = product(early, early, function(a, b) return together(by[a], by[b]) end)
    for _, pair in ipairs(exact_pairs(q, finding, first, pairs_there, "pairs, first position")) do
      likely[#likely + 1] = pair.mistakes
    end
    found, cut = exact_pairs(q, finding, all, likely, "pairs")
  end
  if #found == 0 then found, cut = exact_pairs(q, finding, all, product(unlike, list), "pairs") end
  return found, cut
end

-- What may be judged by the first position alone: those that could be the only mistake. at_first: first_position's
local function possible(q, finding, list, at_first)
  if not at_first then return list end
  local right = q.apart(at_first.p, at_first.observation, at_first.clean) <= finding.tol.worst
  local kept = {}
  for _, mistake in ipairs(list) do
    local s = not (mistake.view or mistake.whole or mistake.tokens) and try(q, finding, { mistake }, at_first)
    if not s or s.idle and right or s.exact and not s.idle then kept[#kept + 1] = mistake end
  end
  return kept
end

local function singles_of(q, finding, from, list)
  local singles, found = {}, {}
  local bar = progress("causes", #list, "mistakes")
  for i, mistake in ipairs(list) do
    bar:update(i - 1, mistake.id)
    singles[i] = try(q, finding, { mistake }, from)
    if not singles[i].idle and singles[i].exact then found[#found + 1] = singles[i] end
    if #finding.inside > few then collectgarbage() end -- of a large model there is no room for two
  end
  bar:clear()
  return found, singles
end

local function search(q, finding)
  local from, list = whole(q, finding), candidates(q, finding)
  local first = #finding.inside > few and first_position(q, finding) or nil
  local found, singles = singles_of(q, finding, from, possible(q, finding, list, first))
  if #found > 0 then return found end
  found, finding.cut = pairs_of(q, finding, from, list, first)
  if #found > 0 then return best_of(found) end
  if first then singles = select(2, singles_of(q, finding, from, list)) end
  for _, s in ipairs(singles) do
    if not s.idle and s.rms < finding.rms / 100 then found[#found + 1] = s end
  end
  return best_of(found)
end

-- Whether what explained the same line of another layer explains this one too: then that, and of several only what does both.
local function known_already(q, finding, before)
  local from, both = whole(q, finding), {}
  for _, cause in ipairs(before.causes) do
    local result = try(q, finding, cause.mistakes, from)
    if result.exact and not result.idle then both[#both + 1] = result end
  end
  if #both == 0 then return false end
  finding.causes = both
  if #both < #before.causes then
    local kept = {}
    for _, cause in ipairs(before.causes) do
      for _, other in ipairs(both) do if other.mistakes == cause.mistakes then kept[#kept + 1] = cause end end
    end
    before.causes = kept
  end
  return true
end

local explain = {}

-- Gives every finding its causes, or what is known without.
function explain.causes(q, findings, notes, right)
  q.until_time = core.time() + q.seconds
  local by_key = {}
  for _, finding in ipairs(findings) do
    local before = by_key[finding.line.key]
    local hopeless = before and #before.causes == 0 -- in the layer before nothing was found either
    if hopeless then
      finding.causes = {}
    elseif not (before and known_already(q, finding, before)) then
      finding.causes = search(q, finding)
      if #finding.causes == 0 then
        finding.pattern = compare.pattern(q.p, finding.name, finding.expected, finding.entry, finding.tol)
      end
      if #finding.causes == 0 and not before then
        finding.narrowed = narrow(q, finding, with, whole(q, finding), first_position(q, finding))
      end
    end
    by_key[finding.line.key] = before or finding
  end
  choose(findings, right, function(o, list)
    local result = try(q, o, list, whole(q, o))
    return not result.exact and not (result.idle and not o.off)
  end)
  for _, note in ipairs(notes) do
    local from, found = whole(q, note), {}
    for _, mistake in ipairs(q.known) do
      local result = mistake.view and try(q, note, { mistake }, from)
      if result and result.exact and not result.idle then found[#found + 1] = result end
    end
    note.causes = best_of(found)
  end
end

-- Rounding hides small mistakes. What is within tolerance is a finding all the same if a mistake gives it with a fifth of the
-- error, and the error is no rounding here and there.
function explain.sharper(q, findings, right)
  for i = #right, 1, -1 do
    local o, found = right[i], {}
    if o.rms > o.tol.own / 10 and o.comparable then
      local from = whole(q, o)
      for _, mistake in ipairs(candidates(q, o)) do
        local result = try(q, o, { mistake }, from)
        if not result.idle and result.rms < o.rms / 5 then found[#found + 1] = result end
      end
    end
    if #found > 0 then
      o.causes = best_of(found)
      findings[#findings + 1] = table.remove(right, i)
    end
  end
  table.sort(findings, function(a, b) return a.line.at < b.line.at end)
end

return explain
