-- Models with hooks: rwkv.model, rwkv.describe, rwkv.load and rwkv.info. A slot has one hook for all layers, or a list of
-- them by layer.
local at_caller = require "rwkv.at_caller"
local core = require "rwkv.core"
local hooks = require "rwkv.hooks"
local nearest = require "rwkv.nearest"
local progress = require "rwkv.progress"
local sorted = require "rwkv.sorted"

local private = core.private
local hook_sizes, hook_layers, hooks_in, model_info = private.hook_sizes, private.hook_layers, private.hooks_in, private.model_info
local without_place = hooks.without_place

local models = {}

-- ---- which hook stands where ----

-- q but for its hooks, and what only rwkv.describe knows.
local function without_hooks(q)
  local copy = {}
  for name, value in pairs(q) do copy[name] = value end
  copy.hooks, copy.tokens = {}, nil
  return copy
end

local function own_of(version) -- what a version does itself, by slot
  local own = {}
  for _, s in ipairs(core.hook_slots(version)) do own[s.slot] = s.own end
  return own
end

local function by_layer(h) return type(h) == "table" and not hooks.is_hook(h) end

-- The list for a slot with an entry for each layer; where q says nothing the version does it.
local function all_layers(q, slot, list, own)
  local full = {}
  if math.type(q.layers) ~= "integer" or q.layers < 1 then error("hooks by layer: layers must be given, a whole number from 1", 0) end
  if not own then return list end -- the core says that the version has no such slot
  for layer in pairs(list) do
    if math.type(layer) ~= "integer" or layer < 1 or layer > q.layers then
      error(("hooks: %s has an entry for layer %s, expected 1 to %d"):format(slot, tostring(layer), q.layers), 0)
    end
  end
  for layer = 1, q.layers do full[layer] = hooks.resolve(slot, list[layer] == nil and own or list[layer], own) end
  return full
end

-- By slot what q.hooks says, names replaced by the hooks that were written in Lua: one, or a list by layer.
local function chosen_of(q)
  if q.hooks == nil or type(q.version) ~= "string" then return {} end -- the core misses the version
  if type(q.hooks) ~= "table" then error("hooks: expected a table by slot, found a " .. type(q.hooks), 0) end
  local chosen, own = {}, own_of(q.version)
  for slot, h in pairs(q.hooks) do
    if not hooks.is_slot(slot) then
      error(("hooks: there is no slot '%s'%s"):format(tostring(slot), nearest.listed(slot, sorted(hooks.kinds))), 0)
    end
    chosen[slot] = by_layer(h) and all_layers(q, slot, h, own[slot]) or hooks.resolve(slot, h, own[slot])
  end
  return chosen
end

-- Calls f(slot, hook, layer or nil) for each hook from Lua, and puts what it returns in its place.
local function replaced(chosen, f)
  local result = {}
  for slot, h in pairs(chosen) do
    if by_layer(h) then
      result[slot] = {}
      for layer, one in ipairs(h) do result[slot][layer] = hooks.is_hook(one) and f(slot, one, layer) or one end
    else
      result[slot] = hooks.is_hook(h) and f(slot, h) or h
    end
  end
  return result
end

-- The design with nothing in it but what is built in, for which the sizes of the others are told.
local function built_in(q, chosen)
  local design = without_hooks(q)
  for slot, h in pairs(chosen) do
    if type(h) == "string" then design.hooks[slot] = h end
  end
  return design
end

-- chosen as the core takes it: each hook bound once a slot.
local function bound(design, chosen, bind)
  local known = {}
  return replaced(chosen, function(slot, h)
    known[slot] = known[slot] or {}
    known[slot][h] = known[slot][h] or bind(h, slot, design)
    return known[slot][h]
  end)
end

-- q as the core takes it, and which hooks were chosen.
local function prepare(q)
  if type(q) ~= "table" then return q, {} end
  local chosen, result = chosen_of(q), {}
  for name, value in pairs(q) do result[name] = value end
  result.hooks = bound(built_in(q, chosen), chosen, hooks.bind)
  return result, chosen
end

-- ---- making ----

local function initialise(model, q, chosen)
  local values = {}
  local function set(slot, h, layer)
    local d = hook_sizes(without_hooks(q), slot)
    for name, e in pairs(h:initial(d)) do
      local full = ("%s.%s.%s.%s"):format(hooks.kinds[slot], slot, h.name, name)
      if not e.shared then full = ("blocks.%d.%s"):format(layer - 1, full) end
      values[full] = function(shape) return e.init(not e.shared and layer or nil, d, core.rng(q.seed or 0, full), shape) end
    end
  end
  replaced(chosen, function(slot, h, layer)
    for l = layer or 1, layer or q.layers do set(slot, h, l) end
  end)
  for name, t in model:parameters() do
    if values[name] then
      core.no_grad(function()
        local ok, message = pcall(function() t:set(values[name](t:shape())) end)
        if not ok then error(("initial values of %s: %s"):format(name, without_place(message)), 0) end
      end)
    end
  end
  return model
end

local of_models = setmetatable({}, { __mode = "k" }) -- what was chosen for each, by slot

function models.hooks_of(model) return of_models[model] end

local core_model, core_describe, core_load = private.model, private.describe, private.load

-- A model of hundreds of megabytes takes its time: after two seconds this says how far it is.
local function told()
  local start, bar = core.time(), nil
  return function(done, all)
    if core.time() - start < 2 then return end
    bar = bar or progress("model", all, "numbers", done)
    bar:update(done)
  end, function() if bar then bar:clear() end end
end

models.model = at_caller(function(q)
  local full, chosen = prepare(q)
  local tell, done = told()
  local ok, model = pcall(core_model, full, tell)
  done()
  if not ok then error(model, 0) end
  of_models[model] = chosen
  return initialise(model, q, chosen)
end)

-- What the hooks say that they do for a token besides their matrices, each in the layers in which it is at work.
local function flops_of(q, full, chosen)
  local total = 0
  for slot, h in pairs(chosen) do
    local d = hook_sizes(without_hooks(q), slot)
    for _, layer in ipairs(hook_layers(full, slot)) do
      local one = by_layer(h) and h[layer] or h
      local n = hooks.is_hook(one) and one.flops and one.flops(d, q.tokens or 0) or 0
      if type(n) ~= "number" or n < 0 or n ~= n then
        error(("hook %s \"%s\": flops returned %s, expected a number from 0"):format(slot, one.name, tostring(n)), 0)
      end
      total = total + n
    end
  end
  return total
end

models.describe = at_caller(function(q)
  local full, chosen = prepare(q)
  local d = core_describe(full)
  d.flops_per_token = d.flops_per_token + flops_of(q, full, chosen)
  return d
end)

-- ---- files ----

-- The path and options of load: weights = "packed" (they stay as the file has them) or "expanded"; head_size.
local function load_options(call, path, options)
  if type(path) ~= "string" then error(("%s: expected the path of a file, found a %s"):format(call, type(path)), 0) end
  if type(options or {}) ~= "table" then error(("%s: options are a table, not a %s"):format(call, type(options)), 0) end
  for name, value in pairs(options or {}) do
    local known = name == "head_size" or name == "weights" and call == "load"
    if not known then
      local all = { "head_size", call == "load" and "weights" or nil }
      error(("%s: there is no option '%s'%s"):format(call, tostring(name), nearest.listed(name, all)), 0)
    end
    if name == "weights" and value ~= "packed" and value ~= "expanded" then
      error(("load: weights are 'packed' or 'expanded', not '%s'"):format(tostring(value)), 0)
    end
  end
  return options ~= nil and options.weights == "packed", options and options.head_size
end

-- hooks_in(path) -> what a file with hooks says of itself, as rwkv.model takes it: { version =, layers =, .., hooks = { slot =
-- name, or a list of names by layer } }; nil for a file without.
function models.hooks_in(path)
  local q = hooks_in(path)
  for slot, names in pairs(q and q.hooks or {}) do
    if names:find(",", 1, true) then
      local list = {}
      for name in names:gmatch "[^,]+" do list[#list + 1] = name end
      q.hooks[slot] = list
    end
  end
  return q
end

-- The hook of this name that a file asks for; the name itself where it is built in.
local function named(path, slot, name, own)
  if name == own or own == nil or hooks.is_built_in(slot, name) then return name end
  return hooks.find(slot, name)
    or error(("%s: it has the %s hook \"%s\", which is not built-in: define it before you load the file"):format(path, slot, name), 0)
end

-- The hooks that a file names, as the core takes them and as they were chosen; nil for a file without.
local function hooks_of(path)
  local q = models.hooks_in(path)
  if not q then return end
  local chosen, own = {}, own_of(q.version)
  for slot, names in pairs(q.hooks) do
    if type(names) == "table" then
      chosen[slot] = {}
      for layer, name in ipairs(names) do chosen[slot][layer] = named(path, slot, name, own[slot]) end
    else
      chosen[slot] = named(path, slot, names, own[slot])
    end
  end
  local for_core = bound(built_in(q, chosen), chosen, function(...)
    local ok, result = pcall(hooks.bind, ...)
    if not ok then error(("%s: %s"):format(path, without_place(result)), 0) end
    return result
  end)
  for slot, h in pairs(for_core) do
    if type(h) == "string" then for_core[slot] = nil end -- the core finds what is built in, and misses the rest by name
    for layer, one in ipairs(type(h) == "table" and h or {}) do h[layer] = one ~= own[slot] and one end
  end
  return for_core, chosen
end

-- load(path, options): the hooks of a file that are not built in must have been defined before.
models.load = at_caller(function(path, options)
  local packed, head_size = load_options("load", path, options)
  local for_core, chosen = hooks_of(path)
  local model = core_load(path, for_core, packed, head_size)
  of_models[model] = chosen
  return model
end)

-- info(path, { head_size = }) -> what a model's file is; its numbers are not read.
function models.info(path, options)
  local _, head_size = load_options("info", path, options)
  return model_info(path, (hooks_of(path)), head_size)
end

return models
