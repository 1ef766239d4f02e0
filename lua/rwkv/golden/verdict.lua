-- What a diagnosis says, in words: the causes in the order of computation, what each explains, how sure that is; where there is
-- no known cause, the line that is wrong.
local names = require "rwkv.golden.names"

local verdict = {}

local function number(x) return ("%.2e"):format(x) end
local function short(finding) return names.short(finding.name) .. (finding.last and " (at the end)" or "") end

local function list_of(words, most)
  return table.concat(words, " ", 1, math.min(#words, most)) .. (#words > most and (" and %d more"):format(#words - most) or "")
end

-- ---- causes ----

local function ids(cause)
  local list = {}
  for i, mistake in ipairs(cause.mistakes) do list[i] = mistake.id end
  return list
end

local function titles(cause)
  local list = {}
  for i, mistake in ipairs(cause.mistakes) do list[i] = mistake.title end
  return table.concat(list, "; and ")
end

local function named(cause) return "[" .. table.concat(ids(cause), "] [") .. "]" end

-- Findings by what causes them, in the order of computation: list of { causes =, findings = }.
local function by_cause(findings)
  local groups, found = {}, {}
  for _, finding in ipairs(findings) do
    local keys = {}
    for i, cause in ipairs(finding.causes or {}) do keys[i] = table.concat(ids(cause), "+") end
    table.sort(keys)
    local key = #keys > 0 and table.concat(keys, "|") or finding.line.key
    if not found[key] then
      found[key] = { causes = finding.causes or {}, findings = {} }
      groups[#groups + 1] = found[key]
    end
    table.insert(found[key].findings, finding)
  end
  return groups
end

local function explained(group)
  local list, worst, without = {}, 0, 0
  for i, finding in ipairs(group.findings) do
    list[i] = short(finding)
    worst, without = math.max(worst, finding.causes[1].residual), math.max(without, finding.worst)
  end
  return list, worst, without
end

local function computed_from(finding)
  if #finding.borders == 0 then return "from the pack's weights and tokens" end
  return "from their own " .. list_of(finding.borders, 6)
end

local function add_known(out, group)
  local tensors, worst, without = explained(group)
  local first = group.findings[1]
  for _, cause in ipairs(group.causes) do
    out("cause: " .. titles(cause))
    local sure = cause.exact and ("with it theirs is given to %s, without it they are %s apart"):format(number(worst), number(without))
      or ("with it they are %s apart, without it %s: it is part of what is wrong"):format(number(cause.residual), number(without))
    out(("  %s computed %s: %s"):format(named(cause), computed_from(first), sure))
  end
  out(("  explains %s"):format(list_of(tensors, 8)))
  if #group.causes > 1 then out "  the numbers given do not tell these apart" end
  if first.contradicted then out "  with it something would be off that agrees: that was made without it" end
end

-- ---- where there is none ----

local function shown(line)
  return ("    %s = %s%s"):format(line.name, line.text, line.tag and ("  [%s]"):format(line.tag) or "")
end

local function add_unknown(out, group, r)
  local finding, tensors = group.findings[1], {}
  for i, f in ipairs(group.findings) do tensors[i] = short(f) end
  out(("cause: none of the known mistakes gives %s"):format(list_of(tensors, 8)))
  if not finding.fits then return end -- its shape has been said
  if finding.cut then out "  the search of pairs ended before all were tried; --seconds gives it longer" end
  local inside = finding.inside
  if #inside <= 12 then
    out(("  computed %s it would be %s away: the fault is in %s"):format(computed_from(finding), number(finding.worst),
      #inside == 1 and "this line" or "one of these lines"))
    for _, line in ipairs(inside) do out(shown(line)) end
  end
  local narrowed = finding.narrowed or {}
  for i = 1, math.min(3, #narrowed) do
    local e = narrowed[i]
    local operand = e.operand:gsub("^@", "")
    out(("  theirs comes out, to %s, if in %s%s %s is %s"):format(number(e.residual), e.line.name,
      e.everywhere and e.line.layer and " (and so in all layers)" or "", operand, e.by))
  end
  local pattern = finding.pattern
  if pattern and pattern.phrase then out("  theirs: " .. pattern.phrase) end
  if pattern and pattern.place and pattern.place ~= "everywhere" then out("  off: " .. pattern.place) end
  if #inside > 12 and not r.no_intermediates then
    out(("  %d lines lie between it and what it was computed from, %s .. %s: more of trace.* says where"):format(#inside,
      inside[1].name, inside[#inside].name))
  end
  if #inside > 12 and r.no_intermediates then out "  write trace.* to see where: the intermediates under the names of the pack" end
end

local function add_notes(out, notes)
  for _, note in ipairs(notes) do
    local cause = note.causes and note.causes[1]
    local layout = cause and cause.mistakes[1].layout
    if not layout then out(("note: %s is not what their other numbers were computed with%s"):format(short(note),
      cause and (": %s [%s]"):format(titles(cause), ids(cause)[1]) or "")) end
  end
end

local function add_gradients(out, causes, left)
  for _, cause in ipairs(causes) do
    out("cause: " .. cause.title)
    out(("  [%s] with it loss and gradients are given to %s, without it they are %s apart"):format(cause.id, number(cause.residual),
      number(cause.without)))
    out(("  explains %s"):format(list_of(cause.explains, 8)))
    for _, other in ipairs(cause.others or {}) do out(("  or, as well: %s [%s]"):format(other.title, other.id)) end
  end
  if #left > 0 then out("cause: none of the known mistakes gives " .. list_of(left, 8)) end
end

-- ---- the whole ----

function verdict.add(out, r)
  if r.no_causes then out("causes are not looked for: " .. r.no_causes) end
  if r.half then
    out(("what is off is stored in %s and within what that would cost; in float32 it is a mistake"):format(r.half))
  end
  local d = r.diagnosis
  if not d then return end
  local groups = by_cause(d.findings)
  if #groups > 1 then out(("%d things are wrong, in the order of computation"):format(#groups)) end
  for _, group in ipairs(groups) do
    if #group.causes > 0 then add_known(out, group) else add_unknown(out, group, r) end
  end
  add_notes(out, d.notes)
  if d.gradients then add_gradients(out, d.gradients, d.gradients_left) end
end

-- The cause of a tensor, on one line; nil if it is none of those that were found wrong.
function verdict.of_tensor(r, e)
  for _, finding in ipairs(r.diagnosis and r.diagnosis.findings or {}) do
    if finding.item == e then
      local list = {}
      for i, cause in ipairs(finding.causes or {}) do list[i] = ("%s %s"):format(titles(cause), named(cause)) end
      return #list > 0 and table.concat(list, "; or ") or nil
    end
  end
  return nil
end

return verdict
