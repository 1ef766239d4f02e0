-- Which known mistakes give the numbers that were found wrong: one, or two together. The lines between them and theirs that is
-- given are computed with the mistakes made; that is a few lines where much of theirs is there, and all of them where only the
-- logits are. For those, pairs are told apart by the first position alone, which costs a fraction of a run.
local choose = require "rwkv.golden.choose"
local compare = require "rwkv.golden.compare"
local core = require "rwkv.core"
local narrow = require "rwkv.golden.narrow"
local progress = require "rwkv.progress"
local trial = require "rwkv.golden.trial"

local try, whole, first_position = trial.try, trial.whole, trial.first_position

local few = 60 -- lines in between: that many are computed for every pair

-- Whether a mistake can have to do with the lines in between.
local function concerns(mistake, keys)
  if mistake.change or mistake.weight or mistake.view and not mistake.edits then return true end
  for key in pairs(mistake.edits or {}) do if keys[key] then return true end end
  return false
end

-- The mistakes that may be behind a finding; with other_shape, those that may stand beside one of handing over.
local function candidates(q, finding, other_shape)
  local keys, list = {}, {}
  for _, line in ipairs(finding.inside) do keys[line.key] = true end
  for _, mistake in ipairs(q.known) do
    local blind = mistake.sees and mistake.sees(q.sizes)
    local of_other = mistake.names and not finding.name:find(mistake.names)
    local shapeless = not finding.fits and not mistake.view and not other_shape -- only handing over changes a shape
    if not blind and not of_other and not shapeless and concerns(mistake, keys) then list[#list + 1] = mistake end
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

-- What came of each mistake at the first position, by mistake, of those that can be judged there.
local function tried_at_first(q, finding, list, first)
  local by = {}
  for _, mistake in ipairs(list) do
    if not (mistake.view or mistake.whole or mistake.tokens) then by[mistake] = try(q, finding, { mistake }, first) end
  end
  return by
end

local function right_at(q, finding, first)
  return q.apart(first.p, first.observation, first.clean) <= finding.tol.worst
end

-- Pairs of which each does something by itself.
local function pairs_in_full(q, finding, all, singles)
  local active = {}
  for _, s in ipairs(singles) do if not s.idle then active[#active + 1] = s.mistakes[1] end end
  return exact_pairs(q, finding, all, product(active, active), "pairs")
end

-- Pairs that the first position allows. by: tried_at_first
local function pairs_by_first(q, finding, all, list, first, by)
  -- unlike: nobody can tell there what they do in all; late: do nothing there; alone: give it
  local unlike, late, early, alone = {}, {}, {}, {}
  for _, mistake in ipairs(list) do
    local s = by[mistake]
    table.insert(not s and unlike or s.idle and late or early, mistake)
    if s and s.exact and not s.idle then alone[#alone + 1] = mistake end
  end
  local found, cut
  if right_at(q, finding, first) then
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

-- Those that could be the only mistake, by the first position.
local function possible(q, finding, list, first, by)
  local right, kept = right_at(q, finding, first), {}
  for _, mistake in ipairs(list) do
    local s = by[mistake]
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
  local by = first and tried_at_first(q, finding, list, first)
  local found, singles = singles_of(q, finding, from, first and possible(q, finding, list, first, by) or list)
  if #found > 0 then return found end
  if not finding.fits then
    local as_many = finding.entry.value:size() == from.clean:size()
    local pairs_there = as_many and product(list, candidates(q, finding, true)) or {}
    found, finding.cut = exact_pairs(q, finding, from, pairs_there, "pairs")
  elseif finding.worst < math.huge then -- otherwise theirs is NaN: two mistakes make no more of that than one
    if first then found, finding.cut = pairs_by_first(q, finding, from, list, first, by)
    else found, finding.cut = pairs_in_full(q, finding, from, singles) end
  end
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
    end
    by_key[finding.line.key] = before or finding
  end
  choose(findings, right, function(o, list)
    local made = {}
    for _, mistake in ipairs(list) do if not mistake.view then made[#made + 1] = mistake end end -- each tensor is handed over by itself
    if #made == 0 then return false end
    local result = try(q, o, made, whole(q, o))
    return not result.exact and not (result.idle and not o.off)
  end)
  local narrowed = {}
  for _, finding in ipairs(findings) do
    if #finding.causes == 0 and finding.fits and not narrowed[finding.line.key] then
      narrowed[finding.line.key] = true
      finding.pattern = compare.pattern(q.p, finding.name, finding.expected, finding.entry, finding.tol)
      if finding.worst < math.huge then finding.narrowed = narrow(q, finding, whole(q, finding), first_position(q, finding)) end
      narrowed[finding.line.key] = finding.narrowed and #finding.narrowed > 0 and "operand" or "nothing"
    end
    -- Where no operand does it either, what is right may have been computed otherwise, by other code.
    if finding.refuted and narrowed[finding.line.key] == "nothing" then finding.causes, finding.contradicted = best_of(finding.refuted), true end
  end
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
    if o.rms > o.tol.own / 10 then
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
