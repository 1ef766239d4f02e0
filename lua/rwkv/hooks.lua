-- Hooks written in Lua: rwkv.hook{...} defines one, rwkv.model{ hooks = { decay = it } } uses it. See lua/pages/hooks.md.
local core = require "rwkv.core"
local over_time = require "rwkv.over_time"
local sorted = require "rwkv.sorted"

local bind_hook, hook_sizes, hooks_in = core.private.bind_hook, core.private.hook_sizes, core.private.hooks_in
local model_info = core.private.model_info

local hooks = {}
local defined = {} -- [kind][name]
local made = setmetatable({}, { __mode = "k" }) -- the hooks there are
local Hook = {} -- methods
local class = { __index = Hook, __name = "hook", __metatable = "hook",
  __tostring = function(h) return ("hook %s \"%s\""):format(h.kind, h.name) end }
core.private.sealed[class] = true

local kinds, taken = {}, {} -- slots of all versions by name, with the part of the block; names of what is built in, by slot
for _, version in ipairs(core.versions()) do
  for _, s in ipairs(core.hook_slots(version)) do
    kinds[s.slot] = s.part
    taken[s.slot] = taken[s.slot] or {}
    taken[s.slot][s.own] = true
    for _, name in ipairs(s.builtin) do taken[s.slot][name] = true end
  end
end

-- A shift can stand in both slots for shifts.
local function kind_of(slot) return slot == "ffn_shift" and "shift" or slot end

-- An error as text, without the place in this file.
local function without_place(message)
  return (tostring(message):gsub("^[^\n:]-rwkv/hooks%.lua:%d+: ", ""))
end

-- ---- definition ----

local fields = { kind = "string", name = "string", params = true, state = true, apply = "function", step = "function" }

-- hook{ kind =, name =, params = table or function(d), state = table or function(d), apply = f } (or step = f for a
-- recurrence) -> the hook, which can from now on also be called by its name.
function hooks.define(q)
  if type(q) ~= "table" then error("rwkv.hook{...} takes a table, found a " .. type(q), 2) end
  for field, value in pairs(q) do
    local want = fields[field]
    if not want then
      error(("rwkv.hook does not know '%s'; it knows: %s"):format(field, table.concat(sorted(fields), ", ")), 2)
    end
    if want ~= true and type(value) ~= want then
      error(("rwkv.hook: %s is a %s, expected a %s"):format(field, type(value), want), 2)
    end
  end
  if not kinds[q.kind] or q.kind == "ffn_shift" then
    error(("rwkv.hook: there is no kind '%s'; there are: %s"):format(q.kind, table.concat(sorted(kinds), ", ")), 2)
  end
  if not q.name then error("rwkv.hook: a name is needed: a checkpoint keeps it", 2) end
  if not q.name:match "^[%w_-]+$" or #q.name > 31 then
    error(("rwkv.hook: name '%s': expected 1 to 31 letters, digits, '_' and '-'"):format(q.name), 2)
  end
  if taken[q.kind][q.name] then
    error(("rwkv.hook: a %s called '%s' is built in; choose another name"):format(q.kind, q.name), 2)
  end
  if q.step and q.kind ~= "recurrence" then error("rwkv.hook: step is for recurrences; give apply", 2) end
  if (q.apply == nil) == (q.step == nil) then error("rwkv.hook: either apply or step is needed", 2) end
  local h = setmetatable({}, class)
  made[h] = true
  for field, value in pairs(q) do h[field] = value end
  defined[q.kind] = defined[q.kind] or {}
  defined[q.kind][q.name] = h
  return h
end

-- The hook of this name that was defined for a slot in Lua; nil if there is none.
function hooks.find(slot, name)
  local of_kind = defined[kind_of(slot)]
  return of_kind and of_kind[name]
end

-- ---- from a hook to what the core binds to a model ----

-- Tables that say what is not in them: a name that was never declared is a slip of the pen.
local function strict(h, what, declared)
  local names = {}
  for i, e in ipairs(declared) do names[i], names[e.name] = e.name, true end
  local function unknown(name)
    error(("hook %s \"%s\" has no %s '%s'; it has: %s"):format(h.kind, h.name, what, tostring(name),
      #names > 0 and table.concat(names, ", ") or "none"), 3)
  end
  return {
    __index = function(_, name) if not names[name] then unknown(name) end end,
    __newindex = function(t, name, value) if names[name] then rawset(t, name, value) else unknown(name) end end,
    __metatable = what .. " by name",
  }
end

-- The function that the core calls: apply(inputs.., s if there is a state, p, d).
local function with_names(h, apply, params, state)
  local of_params, of_state, has_state = strict(h, "parameter", params), strict(h, "state", state), #state > 0
  return function(...)
    local n = select("#", ...)
    local p = select(n - 1, ...)
    setmetatable(p, of_params)
    if has_state then setmetatable(select(n - 2, ...), of_state) end
    return apply(...)
  end
end

local function listed(what, d, entry)
  local list = {}
  if type(what) == "function" then
    what = what(d)
    if type(what) ~= "table" then error(("the function returned a %s, expected a table"):format(type(what)), 0) end
  end
  for _, name in ipairs(sorted(what or {})) do list[#list + 1] = entry(name, what[name]) end
  return list
end

local function sizes_of(name, e)
  if type(e) ~= "table" then error(("%s is a %s, expected a table of sizes"):format(name, type(e)), 0) end
  local shape, last = {}, 0
  for i in pairs(e) do if math.type(i) == "integer" and i > last then last = i end end
  for i = 1, last do
    if e[i] == nil then error(("%s: size %d is nil"):format(name, i), 0) end
    shape[i] = e[i]
  end
  return shape
end

local function known_options(name, e, known)
  for option in pairs(e) do
    if type(option) == "string" and not known[option] then
      error(("%s: there is no option '%s'; there are: %s"):format(name, option, table.concat(sorted(known), ", ")), 0)
    end
  end
end

local plain = { zero = 0, zeros = 0, one = 1, ones = 1 }

local function parameter(name, e)
  local shape = sizes_of(name, e)
  known_options(name, e, { init = true, gain = true, lr = true })
  local init, gain = e.init, e.gain
  if init == nil then init = #shape > 1 and "orthogonal" or 0 end
  if type(init) == "string" and plain[init] then init = plain[init] end
  if type(init) == "number" then init, gain = "fill", init end
  if type(init) == "function" then init = "fill" end -- set by the caller afterwards
  return { name = name, shape = shape, init = init, gain = gain or 1, lr = e.lr or 1 }
end

local function part(name, e)
  local shape = sizes_of(name, e)
  known_options(name, e, { start = true })
  return { name = name, shape = shape, start = e.start or 0 }
end

local function state_of(h, d)
  local state = type(h.state) == "function" and h.state(d) or h.state
  if not state and h.kind == "recurrence" then
    state = { S = { d.H, d.N, d.N } }
  end
  return state or {}
end

local function bind(h, slot, design)
  local d = hook_sizes(design, slot)
  local ok, result = pcall(function()
    local params, state = listed(h.params, d, parameter), listed(state_of(h, d), d, part)
    return bind_hook { slot = slot, name = h.name, origin = h.apply or h.step, params = params, state = state,
      apply = with_names(h, h.apply or over_time(h, strict), params, state) }
  end)
  if not ok then
    error(("hook %s \"%s\": %s"):format(slot, h.name, without_place(result)), 0)
  end
  return result
end

-- state_size(d, tokens or 0): numbers of state that one layer keeps for a sequence. d as a hook is given it: { C =, A =,
-- H =, N =, layers =, .. }.
function Hook:state_size(d, tokens)
  local total = 0
  for _, e in pairs(state_of(self, d)) do
    local n = 1
    for _, size in ipairs(e) do n = n * (size == "tokens" and (tokens or 0) or size) end
    total = total + n
  end
  return total
end

-- ---- models ----

local function without_hooks(q)
  local copy = {}
  for name, value in pairs(q) do copy[name] = value end
  copy.hooks, copy.tokens = {}, nil
  return copy
end

-- q with its hooks bound to its sizes, and the list of those that come from Lua.
local function prepare(q)
  if type(q) ~= "table" or q.hooks == nil then return q, {} end
  if type(q.hooks) ~= "table" then error("hooks: expected a table by slot, found a " .. type(q.hooks), 0) end
  local design, chosen = without_hooks(q), {}
  for slot, h in pairs(q.hooks) do
    local kind = kind_of(slot)
    if not kinds[slot] then
      error(("hooks: there is no slot '%s'; there are: %s"):format(tostring(slot), table.concat(sorted(kinds), ", ")), 0)
    end
    if type(h) == "string" and not taken[slot][h] then
      local known = sorted(taken[slot])
      for name in pairs(defined[kind] or {}) do known[#known + 1] = name end
      h = defined[kind] and defined[kind][h]
        or error(("hooks: there is no %s '%s'; there are: %s"):format(slot, h, table.concat(known, ", ")), 0)
    end
    local is_hook = made[h]
    if type(h) ~= "string" and not (is_hook and h.kind == kind) then
      error(("hooks: %s is %s, expected a name or a hook of kind %s made by rwkv.hook{...}"):format(slot,
        is_hook and tostring(h) or "a " .. type(h), kind), 0)
    end
    if type(h) == "string" then design.hooks[slot] = h else chosen[slot] = h end
  end
  local result = {}
  for name, value in pairs(q) do result[name] = value end
  result.hooks = {}
  for slot, name in pairs(design.hooks) do result.hooks[slot] = name end
  for slot, h in pairs(chosen) do result.hooks[slot] = bind(h, slot, design) end
  return result, chosen
end

-- Initial values that are functions: init(layer, d, rng, shape) -> a number, a nested list or a tensor.
local function initialise(model, q, chosen)
  local values = {}
  for slot, h in pairs(chosen) do
    local d = hook_sizes(without_hooks(q), slot)
    local params = type(h.params) == "function" and h.params(d) or h.params or {}
    for name, e in pairs(params) do
      for layer = 0, type(e.init) == "function" and d.layers - 1 or -1 do
        local full = ("blocks.%d.%s.%s.%s.%s"):format(layer, kinds[slot], slot, h.name, name)
        values[full] = function(shape) return e.init(layer, d, core.rng(q.seed or 0, full), shape) end
      end
    end
  end
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

local of_models = setmetatable({}, { __mode = "k" }) -- those written in Lua, by slot

function hooks.of(model) return of_models[model] end

local core_model, core_describe, core_load = core.model, core.describe, core.load

local function passing_errors(f)
  return function(...)
    local results = table.pack(pcall(f, ...))
    if not results[1] then
      local message = results[2] -- the core names this file: the caller's line is wanted
      if type(message) ~= "string" then error(message, 0) end
      message = without_place(message)
      error(message, message:match "^[^\n ]+:%d+: " and 0 or 2)
    end
    return table.unpack(results, 2, results.n)
  end
end

hooks.model = passing_errors(function(q)
  local bound, chosen = prepare(q)
  local model = core_model(bound)
  of_models[model] = chosen
  return initialise(model, q, chosen)
end)

hooks.describe = passing_errors(function(q) return core_describe((prepare(q))) end)

-- The options of load: weights = "packed" (they stay as the file has them) or "expanded"; head_size.
local function load_options(call, options)
  if type(options or {}) ~= "table" then error(("%s: options are a table, not a %s"):format(call, type(options)), 0) end
  for name, value in pairs(options or {}) do
    local known = name == "head_size" or name == "weights" and call == "load"
    if not known then error(("%s: there is no option '%s'; there are: head_size%s"):format(call, tostring(name),
      call == "load" and ", weights" or ""), 0) end
    if name == "weights" and value ~= "packed" and value ~= "expanded" then
      error(("load: weights are 'packed' or 'expanded', not '%s'"):format(tostring(value)), 0)
    end
  end
  return options ~= nil and options.weights == "packed", options and options.head_size
end

-- bind for the model in a file, whose name stands before what is wrong.
local function bind_for(path, ...)
  local ok, result = pcall(bind, ...)
  if not ok then error(("%s: %s"):format(path, without_place(result)), 0) end
  return result
end

-- The hooks that a file names: bound for its sizes, by slot, and as they were defined; nil for a file without.
local function hooks_of(path)
  local q = hooks_in(path)
  if not q then return end
  local design, bound, chosen = without_hooks(q), {}, {}
  for slot, name in pairs(q.hooks) do
    local h = not taken[slot][name] and defined[kind_of(slot)] and defined[kind_of(slot)][name]
    if h then
      bound[slot], chosen[slot] = bind_for(path, h, slot, design), h
    elseif taken[slot][name] then
      design.hooks[slot] = name
    end
  end
  return bound, chosen
end

-- load(path, options): the hooks of a file that are not built in must have been defined before.
hooks.load = passing_errors(function(path, options)
  local packed, head_size = load_options("load", options)
  local bound, chosen = hooks_of(path)
  local model = core_load(path, bound, packed, head_size)
  of_models[model] = chosen
  return model
end)

-- info(path, { head_size = }) -> what a model's file is; its numbers are not read.
hooks.info = passing_errors(function(path, options)
  local _, head_size = load_options("info", options)
  return model_info(path, (hooks_of(path)), head_size)
end)

return hooks
