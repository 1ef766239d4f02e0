-- Looks for what is wrong in numbers that were compared (diff.lua).
local core = require "rwkv.core"
local diagnose = require "rwkv.golden.diagnose"
local mistakes = require "rwkv.golden.mistakes"
local formulas = require "rwkv.golden.formulas"
local gradients = require "rwkv.golden.gradients"
local machine = require "rwkv.golden.machine"
local names = require "rwkv.golden.names"
local profile = require "rwkv.golden.profile"
local sorted = require "rwkv.sorted"
local tolerance = require "rwkv.golden.tolerance"
local weights_file = require "rwkv.golden.weights_file"

-- The question that diagnose answers, in an arithmetic.
local function question(p, book, weights, parameters, list, format, tol, o)
  local m = machine(format)
  return { p = p, book = book, machine = m, list = list, tol = tol, parameters = parameters, known = mistakes.of(p.config.version),
    weight = profile.weights(m, weights, p.config.version), seconds = o.seconds }
end

local function forward_off(list)
  for _, e in ipairs(list) do
    local kind = names.kind(e.name)
    local off = e.result.first or e.result.problem
    if off and (kind == "trace" or kind == "state" or kind == "logits") then return e end
  end
  return nil
end

-- The mistakes in numbers that are off. Errors that add up to more than is allowed though each line is right by itself are looked
-- for in all lines before the first tensor that is off.
local function diagnose_float(p, book, weights, parameters, list, tol, o)
  local first = forward_off(list)
  if not first then return { findings = {}, notes = {}, right = {} } end
  local function of_tensor(observation) return tol(observation.name, observation.entry.dtype) end
  local result = diagnose(question(p, book, weights, parameters, list, "f64", of_tensor, o))
  if #result.findings > 0 or #result.notes > 0 then return result end
  return diagnose(question(p, book, weights, parameters, { first }, "f64", of_tensor, o))
end

local function gradients_off(list)
  for _, e in ipairs(list) do
    local kind = names.kind(e.name)
    if (kind == "loss" or kind == "grad") and (e.result.first or e.result.problem) then return true end
  end
  return false
end

-- The mistakes that a run was found to make; nil if something is wrong that nobody knows.
local function made(findings)
  local list, seen = {}, {}
  for _, finding in ipairs(findings) do
    local cause = finding.causes[1]
    if not (cause and cause.exact) then return nil end
    for _, mistake in ipairs(cause.mistakes) do
      if not mistake.view and not seen[mistake.id] then list[#list + 1], seen[mistake.id] = mistake, true end
    end
  end
  return list
end

-- What is found, or nil and why nothing is looked for. tol: function(name, dtype) of the whole comparison
return function(p, list, tol, o)
  local weights = weights_file.of(p, o.weights)
  local book, why = formulas.of(p.config)
  if not weights then
    return nil, ("the pack is without its weights; --weights %s gives them"):format(p.meta["weights.file"] or "FILE")
  elseif not book then
    return nil, ("the model has %s"):format(why)
  end
  local parameters = sorted(weights)
  core.backend "fast"
  if o.against ~= "" then
    local q = question(p, book, weights, parameters, list, o.against, tolerance.here(p, book, weights, o.against), o)
    q.sharp = true
    return diagnose(q)
  end
  local d = diagnose_float(p, book, weights, parameters, list, tol, o)
  local forward = p.targets and gradients_off(list) and made(d.findings)
  if forward then d.gradients, d.gradients_left = gradients.causes(p, book, weights, list, forward) end
  return d
end
