-- The models that the figures compare, by name. Your own go into a file of yours, a hook and a row each (`models.add`), and every
-- experiment knows them:  aviary experiments/mqar_versions.lua --models-file mine.lua --models "v7 mine"
local rwkv = require "rwkv"
local nearest = require "rwkv.nearest"
local check_row = require "experiments.model_row"

local models, order = {}, {}

-- label: its name in tables and figures; version and hooks as rwkv.model takes them. Of a hook that is not the same in all layers
-- a list by layer, from 1; where the number of layers is the experiment's, a function(layers) that returns it.
local function add(label, version, hooks)
  local ok, problem = pcall(check_row, label, version, hooks)
  if not ok then error(problem, 2) end
  if models[label] then error(("models: there is a '%s' already; give yours another name"):format(label), 2) end
  models[label] = { label = label, version = version, hooks = hooks }
  order[#order + 1] = label
end

-- ---- the rows ----

for _, version in ipairs(rwkv.versions()) do add(version, version) end

-- Learning rates up to 2: the transition can have negative eigenvalues.
add("v7-doubled", "v7", { iclr = "doubled" })

-- Without the bonus, by which the current token reaches the output past the state.
add("v7-no-bonus", "v7", { bonus = "none" })

-- Other ways to mix over time, inside the blocks of RWKV-7; channel mixing without its token shift, as theirs has none.
for _, mixer in ipairs { "attention", "linear_attention", "retnet", "gla", "deltanet", "deltanet_negative",
  "gated_deltanet", "mamba", "rosa", "rosa_4bit" } do
  add(mixer, "v7", { time_mix = mixer, ffn_shift = "none" })
end

add("deltaproduct", "v7", { time_mix = require "experiments.mixers.deltaproduct", ffn_shift = "none" })

-- Hybrids: RWKV-7, and attention in one layer of it.
local function in_one(mixer, layer_of)
  return function(layers)
    local list = {}
    for i = 1, layers do list[i] = i == layer_of(layers) and mixer or "v7" end
    return list
  end
end
local function first() return 1 end
local function middle(layers) return (layers + 1) // 2 end
local function last(layers) return layers end

-- Attention without positions (NoPE, arXiv:2305.19466): where a token stands it has to learn from the layers of RWKV before it.
local unplaced = rwkv.hook { kind = "time_mix", name = "attention_nope", params = rwkv.mixers.attention.params,
  flops = rwkv.mixers.attention.flops,
  state = function(d) return { keys = { "tokens", d.A }, values = { "tokens", d.A } } end,
  apply = function(x, s, p, d)
    local y
    y, s.keys, s.values = rwkv.attention(x:linear(p["query.weight"]), x:linear(p["key.weight"]), x:linear(p["value.weight"]), d.H,
      s.keys, s.values)
    return y:linear(p["output.weight"])
  end }

add("hybrid-first", "v7", { time_mix = in_one("attention", first) })
add("hybrid-middle", "v7", { time_mix = in_one("attention", middle) })
add("hybrid-last", "v7", { time_mix = in_one("attention", last) })
add("hybrid-nope", "v7", { time_mix = in_one(unplaced, middle) })

-- ---- for experiments ----

-- The options of an experiment, its own and those of all, and --models-file FILE, a file of Lua that adds models. without_runs: as of
-- rwkv.experiment.options.
local function options(arguments, mine, without_runs)
  local all = { models_file = "" }
  for name, value in pairs(mine or {}) do all[name] = value end
  local o = rwkv.experiment.options(arguments, all, without_runs)
  if o.seeds and not (o.seeds >= 0 and math.tointeger(o.seeds)) then
    error(("--seeds %s: expected a whole number, 0 or more"):format(o.seeds), 0)
  end
  if o.models_file ~= "" then
    local chunk, problem = loadfile(o.models_file)
    if not chunk then error(("--models-file %s: %s"):format(o.models_file, problem), 0) end
    local ok, wrong = pcall(chunk)
    if not ok then error(("--models-file %s: %s"):format(o.models_file, tostring(wrong)), 0) end
  end
  return o
end

-- One version by its name, as --version gives it.
local function version(name)
  for _, v in ipairs(rwkv.versions()) do if v == name then return v end end
  error(("there is no version '%s'%s"):format(name, nearest.listed(name, rwkv.versions())), 0)
end

-- pick("v4 v7 mamba", { channel_mix = "none" }) -> list of { label =, version =, hooks = }, these hooks added to each
local function pick(names, more)
  local list = {}
  for name in names:gmatch "%S+" do
    local m = models[name]
    if not m then error(("there is no model '%s'%s"):format(name, nearest.listed(name, order)), 0) end
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

return { options = options, pick = pick, version = version, add = add, names = order, embed = embed }
