-- aviary golden diff: see lua/commands/golden.lua.
local core = require "rwkv.core"
local compare = require "rwkv.golden.compare"
local file = require "rwkv.file"
local mistakes = require "rwkv.golden.mistakes"
local names = require "rwkv.golden.names"
local options_of = require "rwkv.options"
local pack = require "rwkv.golden.pack"
local progress = require "rwkv.progress"
local report = require "rwkv.golden.report"
local version_of = require "rwkv.golden.version"
local weights_file = require "rwkv.golden.weights_file"

local diff = {}

-- By profile: the tolerance of a tensor whose error the pack does not give; how many times the profile's worst error and rms
-- another implementation in the same arithmetic may have; the least tolerance.
local tolerances = {
  f64 = { default = 1e-10, least = 1e-10 },
  f32 = { default = 1e-4, worst = 10, rms = 6, least = 1e-6 },
  fp16 = { default = 3e-2, worst = 3, rms = 2, least = 2e-3 },
  bf16 = { default = 2e-1, worst = 3, rms = 2, least = 1e-2 },
}

-- The tensors of a file of any format, their names in its order, its metadata.
function diff.read(path)
  local tensors, meta, order = file.tensors(path)
  return tensors, order, meta
end

-- (name, dtype) -> { worst =, rms = }. Weights are only rounded.
local function tolerance_by(p, profile, fixed)
  return function(name, dtype)
    if fixed > 0 then return { worst = fixed, rms = fixed } end
    local kind = profile ~= "" and profile or dtype == "f16" and "fp16" or tolerances[dtype] and dtype or "f64"
    local e, t = (p.errors[kind] or {})[names.short(name)], tolerances[kind]
    if names.kind(name) == "weight" then return { worst = t.least, rms = t.least } end
    if not e then return { worst = t.default, rms = t.default } end
    return { worst = math.max(t.worst * e[1], t.least), rms = math.max(t.rms * e[2], t.least / 4) }
  end
end

-- What of theirs can be compared: list of { name =, theirs = name, entry = } in the order of computation, and the rest.
local function matched(p, tensors, order, renamed, o)
  local by_ours, unknown, list = {}, {}, {}
  for _, name in ipairs(order) do
    if not names.any(o.skip, name) and (o.only == "" or names.any(o.only, name)) then
      local ours = names.find(p, name, tensors[name].shape, renamed)
      if ours then
        by_ours[ours] = by_ours[ours] or {}
        table.insert(by_ours[ours], name)
      else
        unknown[#unknown + 1] = name
      end
    end
  end
  for _, ours in ipairs(p.names) do
    for _, theirs in ipairs(by_ours[ours] or {}) do
      list[#list + 1] = { name = ours, theirs = theirs, entry = tensors[theirs] }
    end
  end
  return list, unknown
end

-- ---- causes ----

-- What mistakes can be judged by: all that a forward run gives, or of that what is off.
local function evidence(list, only_off)
  local chosen, worst = {}, 0
  for _, e in ipairs(list) do
    local kind = names.kind(e.name)
    local forward = kind == "trace" or kind == "state" or kind == "logits" or kind == "loss"
    if forward and not e.result.problem and (e.result.first or not only_off) then
      chosen[#chosen + 1] = e
      worst = math.max(worst, e.result.first and e.result.worst or 0)
    end
  end
  return chosen, worst
end

-- How far the numbers of a run are from theirs, at worst, and whether all are within tolerance.
local function residual(p, numbers, list)
  local worst, ok, compared = 0, true, 0
  for _, e in ipairs(list) do
    local ours = numbers[e.name]
    local d, rms = -1, -1
    if ours then d, rms = compare.errors(p, e.name, ours, e.entry) end
    if d >= 0 then
      worst, ok, compared = math.max(worst, d), ok and d <= e.result.tol.worst and rms <= e.result.tol.rms, compared + 1
    end
  end
  return compared > 0 and worst or math.huge, ok and compared > 0
end

-- Only the best, and what does as well.
local function best_of(found)
  table.sort(found, function(a, b)
    if a.exact ~= b.exact then return a.exact end
    return a.residual < b.residual
  end)
  local limit = found[1] and 10 * math.max(found[1].residual, 1e-12)
  for i = #found, 2, -1 do
    if found[i].residual > limit or found[1].exact ~= found[i].exact then table.remove(found, i) end
  end
  return found
end

-- The mistakes that explain their numbers: { id =, title =, residual =, exact = whether all is within tolerance then }; how
-- far the numbers are off without; whether only what is off is explained, and the rest is somebody else's.
-- weights: those of the pack, { name = tensor }.
function diff.causes(p, weights, list)
  local all, without = evidence(list, false)
  local off = evidence(list, true)
  if #off == 0 then return nil, 0, false end -- nothing that a run could explain
  local whole, part, known = {}, {}, mistakes.of(p.config.version)
  local bar = progress("causes", #known, "mistakes")
  for i, mistake in ipairs(known) do
    bar:update(i - 1, mistake.id)
    local ok, numbers = pcall(mistakes.numbers, p, weights, mistake)
    if not ok and tostring(numbers):find "interrupted$" then error(numbers, 0) end
    collectgarbage() -- the model that made it: of a large one there is no room for another
    for _, case in ipairs(ok and { { whole, all }, { part, off } } or {}) do
      local d, exact = residual(p, numbers, case[2])
      if exact or d < without / 100 then
        table.insert(case[1], { id = mistake.id, title = mistake.title, residual = d, exact = exact })
      end
    end
  end
  bar:clear()
  if #whole > 0 then return best_of(whole), without, false end
  return best_of(part), without, #off < #all
end

-- The profile, if one has more tolerance, by which nothing would be off: the numbers may be of this arithmetic.
local function forgiving(p, list)
  for _, profile in ipairs { "f32", "fp16", "bf16" } do
    local tol, all = tolerance_by(p, profile, 0), p.errors[profile] ~= nil
    for _, e in ipairs(list) do
      local t = tol(e.name, e.entry.dtype)
      all = all and not e.result.problem and e.result.worst <= t.worst and e.result.rms <= t.rms
    end
    if all then return profile end
  end
  return nil
end

-- ---- the whole ----

-- options: { tol = 0, profile = "", rename = "", skip = "", only = "", weights = "", no_causes = false }
function diff.compare(reference, theirs, o)
  core.backend "reference"
  local p = pack.read(reference)
  local tensors, order, meta = diff.read(theirs)
  if o.profile ~= "" and not tolerances[o.profile] then
    error(("--profile %s: expected f64, f32, bf16 or fp16"):format(o.profile), 0)
  end
  local other, sign = version_of(meta, order, p.config.version)
  if other then
    error(("%s: expected numbers of %s, as in %s, found a file of %s (%s)"):format(theirs, p.config.version, reference, other, sign), 0)
  end
  local tol = tolerance_by(p, o.profile, o.tol)
  local list, unknown = matched(p, tensors, order, names.renamed(o.rename), o)
  local result = { reference = reference, theirs = theirs, version = p.config.version, profile = o.profile, list = list,
    unknown = unknown, fixed = o.tol > 0 and o.tol or nil }
  if #list == 0 then
    error(("%s has no tensor under a name of the pack; it has: %s"):format(theirs, table.concat(order, " ", 1, math.min(#order, 8))), 0)
  end
  local computed = false
  result.no_intermediates = true
  for _, e in ipairs(list) do if names.kind(e.name) == "trace" then result.no_intermediates = false end end
  for _, e in ipairs(list) do computed = computed or names.kind(e.name) ~= "weight" and e.name ~= "tokens" and e.name ~= "targets" end
  if not computed then
    error(("%s has weights of the pack, but nothing that was computed with them, such as logits"):format(theirs), 0)
  end
  local bar = progress("diff", #list, "tensors")
  for i, e in ipairs(list) do
    bar:update(i - 1, e.theirs)
    e.result = compare.tensors(p, e.name, p.tensors[e.name], e.entry, tol(e.name, e.entry.dtype))
    local off = e.result.first ~= nil or e.result.problem ~= nil
    if off and not result.first then result.first = e end
    result.off = (result.off or 0) + (off and 1 or 0)
  end
  bar:clear()
  if result.first and o.tol == 0 then result.forgiving = forgiving(p, list) end
  if result.first and not o.no_causes then
    local weights = weights_file.of(p, o.weights)
    if weights then
      result.causes, result.without, result.partly = diff.causes(p, weights, list)
    else
      result.weights_missing = p.meta["weights.file"] or "FILE"
    end
  end
  return result
end

function diff.command(arguments)
  local o = options_of(arguments, { tol = 0, profile = "", rename = "", skip = "", only = "", weights = "", no_causes = false,
    tap = "", junit = "" })
  if #o ~= 2 then error("usage: aviary golden diff REFERENCE THEIRS [OPTIONS]", 0) end
  local result = diff.compare(o[1], o[2], o)
  if o.tap ~= "" then report.write(o.tap, report.tap(result)) end
  if o.junit ~= "" then report.write(o.junit, report.junit(result)) end
  if o.tap ~= "-" and o.junit ~= "-" then io.write(report.text(result)) end
  return result.first and 1 or 0
end

return diff
