-- Hooks written in Lua: rwkv.hook{...} defines one, rwkv.model{ hooks = { decay = it } } uses it (models.lua). See
-- lua/pages/hooks.md.
local at_caller = require "rwkv.at_caller"
local core = require "rwkv.core"
local over_time = require "rwkv.over_time"
local nearest = require "rwkv.nearest"
local sorted = require "rwkv.sorted"

local bind_hook, hook_sizes = core.private.bind_hook, core.private.hook_sizes

local hooks = {}
local defined = {} -- [kind][name]
local made = setmetatable({}, { __mode = "k" }) -- the hooks there are
local Hook = {} -- methods
local class = { __index = Hook, __name = "hook", __metatable = "hook",
  __tostring = function(h) return ("hook %s \"%s\""):format(h.kind, h.name) end }
core.private.sealed[class] = true

-- Slots of all versions by name, with the part of the block; by slot the names that hooks cannot have, and those of what is
-- built in for every version.
local kinds, taken, built_in = {}, {}, {}
for _, version in ipairs(core.versions()) do
  for _, s in ipairs(core.hook_slots(version)) do
    kinds[s.slot] = s.part
    taken[s.slot], built_in[s.slot] = taken[s.slot] or {}, built_in[s.slot] or {}
    taken[s.slot][s.own] = true
    for _, name in ipairs(s.builtin) do taken[s.slot][name], built_in[s.slot][name] = true, true end
  end
end

-- A shift can stand in both slots for shifts.
local function kind_of(slot) return slot == "ffn_shift" and "shift" or slot end

-- An error as text, without the place in this file.
local function without_place(message)
  return (tostring(message):gsub("^[^\n:]-rwkv/[%w_]+%.lua:%d+: ", ""))
end

-- ---- definition ----

local fields = { kind = "string", name = "string", params = true, state = true, apply = "function", step = "function",
  flops = "function" }

-- hook{ kind =, name =, params = table or function(d), state = table or function(d), apply = f (or step = f for a
-- recurrence), flops = function(d, tokens) } -> the hook, which can from now on also be called by its name.
function hooks.define(q)
  if type(q) ~= "table" then error("rwkv.hook{...} takes a table, found a " .. type(q), 2) end
  for field, value in pairs(q) do
    local want = fields[field]
    if not want then
      error(("rwkv.hook does not know '%s'%s"):format(field, nearest.listed(field, sorted(fields))), 2)
    end
    if want ~= true and type(value) ~= want then
      error(("rwkv.hook: %s is a %s, expected a %s"):format(field, type(value), want), 2)
    end
  end
  if not kinds[q.kind] or q.kind == "ffn_shift" then
    error(("rwkv.hook: there is no kind '%s'%s"):format(q.kind, nearest.listed(q.kind, sorted(kinds))), 2)
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

-- The names that scripts' hooks cannot have: those of the library's own.
function hooks.reserve(h) taken[h.kind][h.name] = true end

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
    error(("hook %s \"%s\" has no %s '%s'%s"):format(h.kind, h.name, what, tostring(name), nearest.listed(name, names)), 3)
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
      error(("%s: there is no option '%s'%s"):format(name, option, nearest.listed(option, sorted(known))), 0)
    end
  end
end

-- The number that an option is, finite, from `low` on if there is one; nil if it is not given.
local function number(name, option, x, low)
  if x == nil then return end
  if type(x) ~= "number" or not (x >= (low or x) and math.abs(x) < math.huge) then
    local found = type(x) ~= "number" and "a " .. type(x) or x ~= x and "nan" or tostring(x)
    error(("%s: %s is %s, expected a finite number%s"):format(name, option, found, low and (", at least %d"):format(low) or ""), 0)
  end
  return x
end

local plain = { zero = 0, zeros = 0, one = 1, ones = 1 }

local function parameter(name, e)
  local shape = sizes_of(name, e)
  known_options(name, e, { init = true, gain = true, lr = true, shared = true })
  local init, gain = e.init, number(name, "gain", e.gain, 0)
  if init == nil then init = #shape > 1 and "orthogonal" or 0 end
  if type(init) == "string" and plain[init] then init = plain[init] end
  if type(init) == "number" then init, gain = "fill", number(name, "init", init) end
  if type(init) == "function" then init = "fill" end -- set by the caller afterwards
  return { name = name, shape = shape, init = init, gain = gain or 1, lr = number(name, "lr", e.lr, 0) or 1,
    shared = e.shared }
end

local function part(name, e)
  local shape = sizes_of(name, e)
  known_options(name, e, { start = true })
  return { name = name, shape = shape, start = number(name, "start", e.start) or 0 }
end

local function state_of(h, d)
  local state = type(h.state) == "function" and h.state(d) or h.state
  if not state and h.kind == "recurrence" then
    state = { S = { d.H, d.N, d.N } }
  end
  return state or {}
end

-- The hook for a model of this design, as the core has it.
function hooks.bind(h, slot, design)
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

-- Numbers of a part of the state after so many tokens.
local function numbers_of(name, e, tokens)
  local n = 1
  for i, size in ipairs(sizes_of(name, e)) do
    if size == "tokens" then size = tokens end
    if not math.tointeger(size) or size < 0 then
      error(("%s: size %d is %s, expected a whole number"):format(name, i, tostring(size)), 0)
    end
    n = n * math.tointeger(size)
  end
  return n
end

local size_names = { layers = true, vocab = true, C = true, A = true, F = true, H = true, N = true }

-- The sizes that state_size is given, as a table that says what a hook misses in it.
local function checked_sizes(d)
  if type(d) ~= "table" then error(("state_size: expected a table of sizes { C =, A =, H =, N =, .. }, found a %s"):format(type(d)), 0) end
  local sizes = {}
  for name, value in pairs(d) do
    if size_names[name] and not (math.tointeger(value) and value >= 1) then
      error(("state_size: %s is %s, expected a whole number from 1"):format(name, tostring(value)), 0)
    end
    sizes[name] = value
  end
  return setmetatable(sizes, { __index = function(_, name)
    if size_names[name] then error(("there is no %s among the sizes"):format(name), 0) end
  end })
end

-- state_size(d, tokens or 0): numbers of state that one layer keeps for a sequence. d as a hook is given it: { C =, A =,
-- H =, N =, layers =, .. }.
Hook.state_size = at_caller(function(self, d, tokens)
  if not made[self] then error(("state_size: expected a hook, found a %s"):format(type(self)), 0) end
  local sizes = checked_sizes(d)
  if tokens ~= nil and not (math.tointeger(tokens) and tokens >= 0) then
    error(("state_size: tokens: expected a whole number from 0, found %s"):format(tostring(tokens)), 0)
  end
  local total = 0
  local ok, message = pcall(function()
    for name, e in pairs(state_of(self, sizes)) do total = total + numbers_of(name, e, tokens or 0) end
  end)
  if not ok then error(("state_size: hook %s \"%s\": %s"):format(self.kind, self.name, without_place(message)), 0) end
  return total
end)

-- Initial values that are functions, init(layer, d, rng, shape) -> a number, a nested list or a tensor; by the name of the
-- parameter within the hook.
function Hook:initial(d)
  local params, list = type(self.params) == "function" and self.params(d) or self.params or {}, {}
  for name, e in pairs(params) do
    if type(e.init) == "function" then list[name] = e end
  end
  return list
end

-- ---- what a slot can have ----

hooks.kinds, hooks.without_place = kinds, without_place

function hooks.is_slot(slot) return kinds[slot] ~= nil end
function hooks.is_hook(h) return made[h] == true end
function hooks.is_built_in(slot, name) return built_in[slot][name] == true end

-- What can be written for a slot of a version, whose own is called `own` (nil: it has no such slot): the hook, or the name of
-- what is built in.
function hooks.resolve(slot, h, own)
  if type(h) == "string" and h ~= own and not built_in[slot][h] then
    local found = hooks.find(slot, h)
    if not found then
      local known = sorted(built_in[slot])
      table.insert(known, 1, own)
      for name in pairs(defined[kind_of(slot)] or {}) do known[#known + 1] = name end
      error(("hooks: there is no %s '%s'%s"):format(slot, h, nearest.listed(h, known)), 0)
    end
    return found
  end
  if type(h) ~= "string" and not (made[h] and h.kind == kind_of(slot)) then
    error(("hooks: %s is %s, expected a name or a hook of kind %s made by rwkv.hook{...}, or a list of them by layer"):format(slot,
      made[h] and tostring(h) or "a " .. type(h), kind_of(slot)), 0)
  end
  return h
end

return hooks
