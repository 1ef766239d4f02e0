-- aviary golden diff: see lua/commands/golden.lua.
local core = require "rwkv.core"
local compare = require "rwkv.golden.compare"
local look = require "rwkv.golden.look"
local names = require "rwkv.golden.names"
local options_of = require "rwkv.options"
local pack = require "rwkv.golden.pack"
local progress = require "rwkv.progress"
local report = require "rwkv.golden.report"
local theirs_of = require "rwkv.golden.theirs"
local tolerance = require "rwkv.golden.tolerance"
local version_of = require "rwkv.golden.version"

local diff = {}

local arithmetics = { f32 = true, bf16 = true, fp16 = true, ["bf16-weights"] = true, ["fp16-weights"] = true }

-- How many tensors are off, and which first.
local function count_off(result)
  result.first, result.off = nil, 0
  for _, e in ipairs(result.list) do
    if e.result.first or e.result.problem then result.first, result.off = result.first or e, result.off + 1 end
  end
end

-- ---- against an arithmetic ----

-- What the lines give from theirs, in the arithmetic, decides for all that they compute.
local function judge_against(p, result, o)
  local why
  result.diagnosis, why = look(p, result.list, nil, o)
  if why then error(("--against %s: %s"):format(o.against, why), 0) end
  for _, right in ipairs(result.diagnosis.right) do
    local r = right.item.result
    r.first, r.problem, r.worst, r.rms, r.tol = nil, nil, right.worst, right.rms, right.tol
  end
  for _, finding in ipairs(result.diagnosis.findings) do
    local tol = { worst = math.min(finding.tol.worst, finding.worst / 2), rms = finding.tol.rms }
    finding.item.result = compare.tensors(p, finding.name, finding.expected, finding.entry, tol)
  end
  count_off(result)
end

-- Numbers of other tokens say nothing.
local function check_origin(p, list, theirs)
  for _, e in ipairs(list) do
    if e.name == "tokens" and compare.errors(p, e.name, p.tensors.tokens, e.entry) ~= 0 then
      error(("%s: its tokens are not those of %s: it was made of another pack"):format(theirs, p.path), 0)
    end
  end
end

-- The half precision that all of theirs that is off is stored in, and would be right for; nil if there is none.
local function half_of(p, list)
  local format
  for _, e in ipairs(list) do
    local dtype = e.entry.dtype
    if e.result.first or e.result.problem then
      if e.result.problem or dtype ~= "bf16" and dtype ~= "f16" or format and dtype ~= format then return nil end
      format = dtype
      local tol = tolerance.by(p, "", math.huge)(e.name, dtype)
      if e.result.worst > tol.worst or e.result.rms > tol.rms then return nil end
    end
  end
  return format
end

-- A state in another layout is right.
local function pass_layout(result, note)
  local cause = note.causes and note.causes[1]
  if not (cause and cause.mistakes[1].layout) then return end
  local r = note.item.result
  r.first, r.problem, r.worst = nil, nil, cause.residual
  r.note = "is transposed; how a state is laid out is no mistake"
  count_off(result)
end

-- ---- the whole ----

-- theirs: a path, or a list of them. options: { tol = math.huge, profile = "", against = "", seconds = 60, rename = "", positions = "",
-- skip = "", only = "", weights = "", no_causes = false }
function diff.compare(reference, theirs, o)
  core.backend "reference"
  local p = pack.read(reference)
  local paths = type(theirs) == "table" and theirs or { theirs }
  theirs = table.concat(paths, " ")
  if o.against ~= "" and not arithmetics[o.against] then
    error(("--against %s: expected f32, bf16, fp16, bf16-weights or fp16-weights"):format(o.against), 0)
  end
  if not (o.tol >= 0) then error(("--tol %g: expected 0 or more"):format(o.tol), 0) end
  if not (o.seconds >= 0) then error(("--seconds %g: expected 0 or more"):format(o.seconds), 0) end
  if o.against ~= "" and o.profile ~= "" then error("--against and --profile exclude each other", 0) end
  if o.profile ~= "" and not tolerance.profiles[o.profile] then
    error(("--profile %s: expected f64, f32, bf16 or fp16"):format(o.profile), 0)
  end
  for _, format in ipairs { o.profile, (o.against:match "^%w+") } do
    if format ~= "" and format ~= "f64" and next(p.errors) and not p.errors[format] then
      error(("%s: %s knew no %s: the pack says nothing of it"):format(reference, p.config.version, format), 0)
    end
  end
  local list, unknown, order, meta = theirs_of(p, paths, o)
  local other, sign = version_of(meta, order, p.config.version)
  if other then
    error(("%s: expected numbers of %s, as in %s, found a file of %s (%s)"):format(theirs, p.config.version, reference, other, sign), 0)
  end
  local tol = tolerance.by(p, o.against ~= "" and o.against:match "^%w+" or o.profile, o.tol)
  local result = { reference = reference, theirs = theirs, version = p.config.version, profile = o.profile, list = list,
    unknown = unknown, fixed = o.tol < math.huge and o.tol or nil, against = o.against ~= "" and o.against or nil }
  if #list == 0 then
    if (o.only ~= "" or o.skip ~= "") and #order > 0 then
      error(("--only and --skip leave nothing of %s; it has: %s"):format(theirs, table.concat(order, " ", 1, math.min(#order, 8))), 0)
    end
    error(("%s has no tensor under a name of the pack; it has: %s"):format(theirs, table.concat(order, " ", 1, math.min(#order, 8))), 0)
  end
  check_origin(p, list, theirs)
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
  end
  bar:clear()
  count_off(result)
  if o.against ~= "" then
    judge_against(p, result, o)
  elseif result.first and names.kind(result.first.name) == "weight" then
    result.no_causes = ("%s is not the pack's: what was computed with other weights says nothing"):format(result.first.theirs)
  elseif result.first and not o.no_causes then
    result.diagnosis, result.no_causes = look(p, list, tol, o)
  end
  if result.first and o.profile == "f32" then result.half = half_of(p, list) end
  for _, note in ipairs(result.diagnosis and result.diagnosis.notes or {}) do pass_layout(result, note) end
  return result
end

function diff.command(arguments)
  local o = options_of(arguments, { tol = math.huge, profile = "", rename = "", positions = "", skip = "", only = "", weights = "",
    no_causes = false, tap = "", junit = "", against = "", seconds = 60 })
  if #o < 2 then error("usage: aviary golden diff PACK THEIRS .. [OPTIONS]", 0) end
  local result = diff.compare(o[1], table.move(o, 2, #o, 1, {}), o)
  if o.tap ~= "" then report.write(o.tap, report.tap(result)) end
  if o.junit ~= "" then report.write(o.junit, report.junit(result)) end
  if o.tap ~= "-" and o.junit ~= "-" then io.write(report.text(result)) end
  return result.first and 1 or 0
end

return diff
