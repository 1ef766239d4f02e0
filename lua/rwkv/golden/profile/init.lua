-- What float32 and the official half-precision runtimes make of a model: the same computation, rounded where the official
-- inference code rounds. profile.run(model, tokens, "f32" | "bf16" | "fp16") -> { name = value [B,T,..] } under the names of
-- a trace, and logits. v1 to v3 were float32 only; v1 has no inference code, and is rounded as its training code does.
local core = require "rwkv.core"
local blocks = require "rwkv.golden.profile.blocks"
local machine = require "rwkv.golden.profile.machine"
local v1 = require "rwkv.golden.profile.v1"

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

-- { name = weight } of a layer's part, "blocks.0.att."
local function under(weights, prefix)
  local W = {}
  for name, t in pairs(weights) do
    if name:sub(1, #prefix) == prefix then W[name:sub(#prefix + 1)] = t end
  end
  return W
end

local function forward(m, model, tokens)
  local c, weights, seen = model:config(), {}, {}
  c.heads = c.head_size and (c.dim_att or c.dim) // c.head_size
  for name, p in model:parameters() do weights[name] = (stays(name, c.version) and m.f or m.h)(p:keep()) end
  if c.version == "v1" then return v1(m, c, weights, tokens) end
  local function norm(name, x) return m.norm(x, weights[name .. ".weight"], weights[name .. ".bias"]) end
  local x = weights["emb.weight"]:embed(core.tokens(tokens))
  if weights["blocks.0.ln0.weight"] then -- folded into the table when it is loaded; up to v6 before the table is rounded
    local function first(name) return c.version == "v7" and weights[name] or m.f(model:param(name):keep()) end
    x = m.norm(first "emb.weight":embed(core.tokens(tokens)), first "blocks.0.ln0.weight", first "blocks.0.ln0.bias")
    seen["blocks.0.ln0.x"] = x
  end
  local shared = {}
  for layer = 0, c.layers - 1 do
    local b = ("blocks.%d."):format(layer)
    function shared.see_state(name, states) seen[("state.%d.%s"):format(layer, name)] = blocks.over_time(states) end
    local function see_in(part) return function(name, t) seen[b .. part .. "." .. name] = t end end
    local function part(name, ln, f)
      local see, normed = see_in(name), norm(b .. ln, x)
      if c.version == "v2" then x = normed end
      see("x", normed)
      seen[("state.%d.%s_xx"):format(layer, name)] = normed
      local out = f(m, c, under(weights, b .. name .. "."), normed, see, shared)
      see("out", out)
      x = m.add(x, out)
    end
    part("att", "ln1", blocks.time_mix[c.version])
    part("ffn", "ln2", blocks.channel_mix)
    seen[b .. "out.x"] = x
  end
  local y = norm("ln_out", x)
  seen["ln_out.y"] = y
  local logits = m.linear(y, weights["head.weight"])
  if weights["head_q.weight"] then
    local q, k = m.linear(y, weights["head_q.weight"]), m.linear(y, weights["head_k.weight"])
    logits = m.add_copies(tokens, m.h(q:bmm(k:transpose(2, 3)) / q:size(3)), logits)
  end
  seen.logits = logits
  return seen
end

function profile.run(model, tokens, format)
  local seen
  core.no_grad(function()
    seen = forward(machine(format), model, tokens)
    for name, t in pairs(seen) do seen[name] = t:keep() end
  end)
  return seen
end

return profile
