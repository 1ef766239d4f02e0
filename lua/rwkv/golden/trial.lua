-- One computation of a line that was found wrong, with mistakes made, and how far that is from theirs.
local core = require "rwkv.core"
local formulas = require "rwkv.golden.formulas"
local mistakes = require "rwkv.golden.mistakes"

local trial = {}

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

-- The same, or nil where the mistakes cannot be made of these numbers.
function trial.value(q, finding, list, from)
  local ok, value = pcall(with, q, finding, list, from)
  if not ok and tostring(value):find "interrupted$" then error(value, 0) end
  return ok and value or nil
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
function trial.try(q, finding, list, from)
  local value = trial.value(q, finding, list, from)
  if not value then return { mistakes = list, residual = math.huge, rms = math.huge, exact = false, effect = 0, idle = true } end
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

function trial.whole(q, finding)
  return start(q, finding, { fields = q.fields, given = finding.given, p = q.p, observation = finding })
end

-- The same for the first position; nil where theirs has not all positions.
function trial.first_position(q, finding)
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
    observation = { line = finding.line, name = finding.name, entry = entry, stored = finding.stored } }
  return start(q, finding, from)
end

return trial
