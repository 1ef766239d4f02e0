-- The models that the figures compare, by name. Put your own here: a row below and its hook above it, and every experiment
-- knows it:  aviary experiments/mqar_versions.lua --models "v7 mine"
local rwkv = require "rwkv"

local models, order = {}, {}

-- label: its name in tables and figures; version and hooks as rwkv.model takes them
local function add(label, version, hooks)
  if not label:find "^[%w._-]+$" then error(("models: the name '%s' has other characters than letters, digits, . _ -"):format(label), 2) end
  models[label] = { label = label, version = version, hooks = hooks }
  order[#order + 1] = label
end

for _, version in ipairs(rwkv.versions()) do add(version, version) end

-- Learning rates up to 2: the transition can have negative eigenvalues.
add("v7-doubled", "v7", { iclr = "doubled" })

-- Without the bonus, by which the current token reaches the output past the state.
add("v7-no-bonus", "v7", { bonus = "none" })

-- Other ways to mix over time, inside the blocks of RWKV-7; channel mixing without its token shift, as theirs has none.
for _, mixer in ipairs { "attention", "linear_attention", "retnet", "gla", "deltanet", "deltanet_negative",
  "gated_deltanet", "mamba" } do
  add(mixer, "v7", { time_mix = mixer, ffn_shift = "none" })
end

-- pick("v4 v7 mamba", { channel_mix = "none" }) -> list of { label =, version =, hooks = }, these hooks added to each
local function pick(names, more)
  local list = {}
  for name in names:gmatch "%S+" do
    local m = models[name]
    if not m then error(("there is no model '%s'; there are: %s"):format(name, table.concat(order, " ")), 0) end
    local hooks = {}
    for slot, hook in pairs(m.hooks or {}) do hooks[slot] = hook end
    for slot, hook in pairs(more or {}) do hooks[slot] = hook end
    if hooks.channel_mix then hooks.ffn_shift = nil end -- a part of what is replaced
    list[#list + 1] = { label = m.label, version = m.version, hooks = next(hooks) and hooks }
  end
  return list
end

-- To prepare a fresh model: embeddings from N(0, c.embedding^2), where c.embedding is not 0, instead of the official ones, which
-- are within ±1e-4.
local function embed(model, c)
  if c.embedding == 0 then return end
  local emb = model:param "emb.weight"
  local values = rwkv.rng(c.seed, "embedding"):tensor("normal", emb:shape())
  emb:set(rwkv.no_grad(function() return values * c.embedding end))
end

return { pick = pick, add = add, names = order, embed = embed }
