-- What float32 and the official half-precision runtimes make of a model: the same computation, rounded where the official
-- inference code rounds. profile.run(model, tokens, "f32" | "bf16" | "fp16") -> { name = value [B,T,..] } under the names of
-- a trace, and logits. v1 to v3 were float32 only; v1 has no inference code, and is rounded as its training code does.
local core = require "rwkv.core"
local blocks = require "rwkv.golden.profile.blocks"
local machine = require "rwkv.golden.profile.machine"
local v1 = require "rwkv.golden.profile.v1"
local progress = require "rwkv.progress"

local profile = {}

-- The profiles that a model has: none of a version that has no official inference code here, or with parts that this code has
-- not, tiny attention, ffnPre, hooks.
function profile.of(model)
  local c = model:config()
  if c.pre_ffn or c.tiny_att_layer or c.hooks or (c.version == "v4" and c.head_qk) then return {} end
  if c.version ~= "v1" and not blocks.time_mix[c.version] then return {} end
  return c.version:find "^v[123]$" and { "f32" } or { "f32", "bf16", "fp16" }
end

function profile.has(model, format)
  for _, name in ipairs(profile.of(model)) do if name == format then return true end end
  return false
end

-- Parameters that stay in float32 in half precision; of v7 none (RWKV-LM's demo keeps w0, the pip package does not).
local function stays(name, version)
  return version ~= "v7" and
    (name:find "time_decay$" or name:find "time_first$" or name:find "time_faaaa$" or name:find "ln_x")
end

-- The weights as the format has them, each rounded when it is asked for: of a large model there is room for one layer's.
--   of(name) -> tensor or nil; under("blocks.0.att.") -> { name = tensor } without the prefix
local function weights_of(m, model)
  local version, parameters = model:config().version, {}
  for name, p in model:parameters() do parameters[name] = p end
  local function of(name)
    local p = parameters[name]
    return p and (stays(name, version) and m.f or m.h)(p)
  end
  local function under(prefix)
    local W = {}
    for name in pairs(parameters) do
      if name:sub(1, #prefix) == prefix then W[name:sub(#prefix + 1)] = of(name) end
    end
    return W
  end
  return of, under
end

-- Embeds the tokens. The first norm is folded into the table when it is loaded; up to v6 before the table is rounded.
local function embed(m, model, of, tokens, seen)
  local ids, c = core.tokens(tokens), model:config()
  local function looked_up(table) return core.no_grad(function() return table:embed(ids) end) end
  if not of "blocks.0.ln0.weight" then return looked_up(of "emb.weight") end
  local function first(name) return c.version == "v7" and of(name) or m.f(model:param(name)) end
  local x = m.norm(looked_up(first "emb.weight"), first "blocks.0.ln0.weight", first "blocks.0.ln0.bias")
  seen["blocks.0.ln0.x"] = x
  return x
end

-- A block: x [B,T,C] -> the same; what is named on the way goes to `seen`, to last longer than the block.
local function block(m, c, under, layer, x, seen, shared)
  local b = ("blocks.%d."):format(layer)
  function shared.see_state(name, states) seen[("state.%d.%s"):format(layer, name)] = blocks.over_time(states):keep() end
  local function part(name, ln, f)
    local W, N = under(b .. name .. "."), under(b .. ln .. ".")
    local function see(what, t) seen[b .. name .. "." .. what] = t:keep() end
    local normed = m.norm(x, N.weight, N.bias)
    if c.version == "v2" then x = normed end
    see("x", normed)
    seen[("state.%d.%s_xx"):format(layer, name)] = normed:keep()
    local out = f(m, c, W, normed, see, shared)
    see("out", out)
    x = m.add(x, out)
  end
  part("att", "ln1", blocks.time_mix[c.version])
  part("ffn", "ln2", blocks.channel_mix)
  seen[b .. "out.x"] = x:keep()
  return x
end

local function forward(m, model, tokens, bar)
  local c, seen, shared, of, under = model:config(), {}, {}, weights_of(m, model)
  c.heads = c.head_size and (c.dim_att or c.dim) // c.head_size
  if c.version == "v1" then return v1(m, c, under "", tokens) end
  local x = embed(m, model, of, tokens, seen)
  for layer = 0, c.layers - 1 do
    bar:update(layer)
    x = core.no_grad(block, m, c, under, layer, x, seen, shared)
    collectgarbage() -- its weights: of a large model there is no room for the next ones beside them
  end
  local y = m.norm(x, of "ln_out.weight", of "ln_out.bias")
  seen["ln_out.y"] = y
  local logits = core.no_grad(m.linear, y, of "head.weight")
  if c.head_qk then
    local q, k = m.linear(y, of "head_q.weight"), m.linear(y, of "head_k.weight")
    logits = m.add_copies(tokens, m.h(q:bmm(k:transpose(2, 3)) / q:size(3)), logits)
  end
  seen.logits = logits
  return seen
end

function profile.run(model, tokens, format)
  local seen
  local bar = progress(format, model:config().layers, "layers")
  core.no_grad(function()
    seen = forward(machine(format), model, tokens, bar)
    for name, t in pairs(seen) do seen[name] = t:keep() end
  end)
  bar:clear()
  return seen
end

return profile
