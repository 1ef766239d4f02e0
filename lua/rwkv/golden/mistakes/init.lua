-- Known mistakes: what goes wrong in other implementations, each as something the reference can be made to do. The
-- reference is run with the mistake, and its numbers are compared with theirs.
local core = require "rwkv.core"
local models = require "rwkv.models"
local pack = require "rwkv.golden.pack"
local run = require "rwkv.golden.run"

local mistakes = {}

local all = {}
for _, name in ipairs { "every", "v7", "v5_v6", "v4", "v2_v3", "v1" } do
  table.move(require("rwkv.golden.mistakes." .. name), 1, 1000, #all + 1, all)
end

-- Those that can be made in a version.
function mistakes.of(version)
  local list = {}
  for _, e in ipairs(all) do if version:find(e.of) then list[#list + 1] = e end end
  return list
end

-- The state of a hook under the version's name.
local states = { ["recurrence.S"] = "att_kv", ["recurrence.a"] = "att_aa", ["recurrence.b"] = "att_bb",
  ["recurrence.m"] = "att_pp" }

local function official(name)
  local head, layer, state = name:match "^(.*state%.)(%d+)%.(%l+%.%a)$"
  return head and states[state] and head .. layer .. "." .. states[state] or name
end

-- The reference's numbers for a pack with a mistake made: { name = { value =, shape = } }, without gradients.
-- weights: { name = tensor }, those of the pack.
function mistakes.numbers(p, weights, mistake)
  local design, map = { init = "uniform" }, {} -- quickly made; then come the pack's weights
  for name, value in pairs(p.config) do design[name] = value end
  for name, value in pairs(weights) do map[name] = value end
  if mistake.hooks then
    design.hooks = mistake.hooks(function(d, name)
      local full = ("blocks.%d.%s"):format(d.layer - 1, name)
      return map[full] or error(("no weight %s in %s"):format(full, p.path), 0)
    end)
  end
  if mistake.weights then
    core.no_grad(function()
      mistake.weights(map, design)
      for name, t in pairs(map) do
        if t ~= weights[name] then map[name] = t:keep() end
      end
    end)
  end
  local model = models.model(design)
  for name, t in pairs(map) do map[name] = { value = t } end
  pack.fill(model, { tensors = map })
  for name, e in pairs(map) do map[name] = e.value end
  local numbers = {}
  for _, e in ipairs(run(model, p.tokens, { targets = p.targets, gradients = false })) do numbers[official(e.name)] = e end
  if mistake.view then mistake.view(numbers) end
  return numbers
end

return mistakes
