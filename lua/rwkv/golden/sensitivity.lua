-- How much each parameter matters: the largest change of a logit, over the largest logit, when the tensor is multiplied by
-- 1.01 ("scaled"), and when each of its numbers becomes 1 % larger or smaller at random ("stirred"). Measured on the
-- first 24 tokens of the first sequence.
local core = require "rwkv.core"
local progress = require "rwkv.progress"
local versions = require "rwkv.versions"

local sensitivity = { least = 1e-4, len = 24 }

-- -> list of { name =, scaled =, stirred =, ok = }
function sensitivity.measure(model, tokens)
  tokens = { table.move(tokens[1], 1, math.min(#tokens[1], sensitivity.len), 1, {}) }
  local function logits() return core.no_grad(function() return (model:forward(tokens)) end) end
  local function size(t) return core.no_grad(function() return t:abs():max():item() end) end
  local version, before, list = model:config().version, logits(), {}
  local function scale_free(name)
    for _, pattern in ipairs(versions.of(version).scale_free) do if name:find(pattern) then return true end end
    return false
  end
  local largest = size(before)
  local function change(p, factor)
    local kept = p:keep()
    p:set(core.no_grad(function() return kept * factor end))
    local moved = size(core.no_grad(function() return logits() - before end)) / largest
    p:set(kept)
    return moved
  end
  local parameters = {}
  for name, p in model:parameters() do parameters[#parameters + 1] = { name, p } end
  local bar = progress("sensitivity", #parameters, "parameters")
  for i, parameter in ipairs(parameters) do
    local name, p = table.unpack(parameter)
    bar:update(i - 1, name)
    if not versions.is_unused(version, name) then
      local signs = core.no_grad(function()
        return core.rng(1, name):tensor("uniform", p:shape()):lt(0.5) * 0.02 + 0.99
      end)
      local e = { name = name, scaled = change(p, 1.01), stirred = change(p, signs) }
      e.ok = e.stirred >= sensitivity.least and (e.scaled >= sensitivity.least or scale_free(name))
      list[#list + 1] = e
    end
  end
  bar:clear()
  return list
end

return sensitivity
