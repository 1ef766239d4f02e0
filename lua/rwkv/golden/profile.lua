-- What float32 and the official half-precision runtimes make of a model: the same lines, rounded where the official inference
-- code rounds. profile.run(model, tokens, "f32" | "bf16" | "fp16") -> { name = value [B,T,..] } under the names of a trace, and
-- logits. v1 to v3 were float32 only; v1 has no inference code, and is rounded as its training code does.
local core = require "rwkv.core"
local formulas = require "rwkv.golden.formulas"
local machine = require "rwkv.golden.machine"
local progress = require "rwkv.progress"
local versions = require "rwkv.versions"

local profile = {}

-- The profiles that a model has: none of one with parts that the lines have not, tiny attention, ffnPre, hooks.
function profile.of(model)
  local c = model:config()
  if not formulas.of(c) then return {} end
  return versions.of(c.version).half and { "f32", "bf16", "fp16" } or { "f32" }
end

function profile.has(model, format)
  for _, name in ipairs(profile.of(model)) do if name == format then return true end end
  return false
end

-- The parameters as the arithmetic holds them; those of a layer are rounded once, and forgotten with it: of a large model there
-- is no room for all.
function profile.weights(m, parameters, version)
  local held, of = {}, nil
  return function(name)
    local layer = name:match "^blocks%.%d+%."
    if layer ~= of then held, of = {}, layer end
    local p = parameters[name]
    if m.exact then return p end
    if p and not held[name] then held[name] = core.no_grad(function() return m.weight(name, p, version) end) end
    return held[name]
  end
end

function profile.run(model, tokens, format)
  local c, m, parameters = model:config(), machine(format), {}
  for name, p in model:parameters() do parameters[name] = p end
  local bar, book = progress(format, c.layers, "layers"), formulas.of(c)
  local env = formulas.env(book, { machine = m, tokens = tokens, weight = profile.weights(m, parameters, c.version) })
  local layer
  local values = formulas.run(book, env, function(line)
    if line.layer == layer then return end
    layer = line.layer
    if layer then bar:update(layer) end
    collectgarbage() -- the weights of the layer before: of a large model there is no room for the next ones beside them
  end)
  bar:clear()
  return values
end

return profile
