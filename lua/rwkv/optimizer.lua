-- rwkv.adamw: an optimizer of a model, or of tensors and models in a table; groups of parameters by name, schedules that are
-- functions, and what there is to see of it all. See lua/pages/training.md.
local at_caller = require "rwkv.at_caller"
local class_of = require "rwkv.class_of"
local core = require "rwkv.core"
local sorted = require "rwkv.sorted"

local private = core.private
local make, set_rate, core_rates = private.optimizer, private.set_rate, private.rates
local core_step = private.optimizer_step

local schedules = setmetatable({}, { __mode = "k" }) -- optimizer -> { [group] = function }; 0: its own

-- ---- making ----

-- What is optimized as a list of { name =, value = }, in a fixed order.
local function sources_of(what)
  local alone = class_of(what)
  if alone == "rwkv.model" then return { { name = "", value = what } } end
  if alone == "rwkv.tensor" then return { { name = "1", value = what } } end
  if alone ~= "table" then
    error(("adamw: expected a model, a tensor or a table of them, found a %s"):format(alone), 0)
  end
  local list = {}
  for i, key in ipairs(sorted(what)) do
    if type(key) ~= "string" and type(key) ~= "number" then
      error(("adamw: a %s as a key: a table of tensors has names, or is a list"):format(type(key)), 0)
    end
    local kind = class_of(what[key])
    if kind ~= "rwkv.tensor" and kind ~= "rwkv.model" then
      error(("adamw: '%s' is a %s, expected a tensor or a model"):format(key, kind), 0)
    end
    list[i] = { name = tostring(key), value = what[key] }
  end
  if #list == 0 then error("adamw: an empty table: there is nothing to train", 0) end
  return list
end

-- The names of all parameters, as the core makes them of the sources.
local function names_of(sources)
  local names = {}
  for _, source in ipairs(sources) do
    if class_of(source.value) ~= "rwkv.model" then
      names[#names + 1] = source.name
    else
      for name in source.value:parameters() do
        names[#names + 1] = (source.name == "" and "" or source.name .. ".") .. name
      end
    end
  end
  return names
end

-- The group of each name, the first whose pattern it matches, or 0; every group has some.
local function assign(names, groups)
  if type(groups) ~= "table" then error(("adamw: groups: expected a list, found a %s"):format(type(groups)), 0) end
  local of, matched, taken = {}, {}, {}
  for key in pairs(groups) do
    if math.type(key) ~= "integer" or key < 1 or key > #groups then
      error(("adamw: groups is a list { { match = .. }, .. }, found the key '%s'"):format(tostring(key)), 0)
    end
  end
  for g, group in ipairs(groups) do
    if type(group) ~= "table" then error(("adamw: group %d is a %s, expected { match = .. }"):format(g, type(group)), 0) end
    if type(group.match) ~= "string" then
      error(("adamw: group %d: match is a %s, expected a pattern of names"):format(g, type(group.match)), 0)
    end
    for i, name in ipairs(names) do
      local ok, found = pcall(string.find, name, group.match)
      if not ok then error(("adamw: group %d: match '%s': %s"):format(g, group.match, found), 0) end
      if found then
        matched[g] = true
        if not of[i] then of[i], taken[g] = g, true end
      end
    end
    if not taken[g] then
      error(("adamw: group %d: '%s' matches %s"):format(g, group.match, matched[g] and "only what is in groups before it"
        or "no name; the first ones are: " .. table.concat(names, ", ", 1, math.min(4, #names))), 0)
    end
  end
  for i = 1, #names do of[i] = of[i] or 0 end
  return of
end

local function functions_of(options)
  local list = {}
  for g = 0, #(options.groups or {}) do
    local lr = g == 0 and options.lr or g > 0 and options.groups[g].lr
    if type(lr) == "function" then list[g] = lr end
  end
  return next(list) ~= nil and list or nil
end

-- adamw(model, tensor or table of them, options) -> the optimizer
local function adamw(what, options)
  if options == nil then options = {} end
  if type(options) ~= "table" then error(("adamw: options are a table, not a %s"):format(type(options)), 0) end
  local sources, of = sources_of(what), {}
  local groups = options.groups
  if groups then of = assign(names_of(sources), groups) end
  if not groups then for i = 1, #names_of(sources) do of[i] = 0 end end
  local opt = make(sources, options, of, groups and #groups or 0)
  schedules[opt] = functions_of(options)
  return opt
end

-- ---- rates ----

-- What a function gives for the next step.
local function asked(opt, g, f)
  local n = opt:steps() + 1
  local rate = f(n)
  if type(rate) ~= "number" or not (rate >= 0 and rate <= 1e6) then
    error(("%slr(%d) returned %s, expected a number from 0 to 1e6"):format(g > 0 and ("group %d: "):format(g) or "", n,
      type(rate) == "number" and tostring(rate) or "a " .. type(rate)), 0)
  end
  return rate
end

-- The rates of all groups in the next step: [1] is the optimizer's own.
local function rates_of(opt)
  local functions, list = schedules[opt] or {}, {}
  for i, group in ipairs(core_rates(opt)) do
    local f = not group.set and functions[i - 1]
    list[i] = f and asked(opt, i - 1, f) or not group.set and not group.own and list[1] or group.rate
  end
  return list
end

local function step(opt) return core_step(opt, opt ~= nil and schedules[opt] and rates_of(opt) or nil) end

-- rate(opt) -> that of the next step; rate(opt, x) sets it from there on. group: one with a rate of its own.
local function rate(opt, x, group)
  group = group or 0
  local last = #core_rates(opt) - 1
  if math.type(group) ~= "integer" or group < 0 or group > last then
    error(("rate: there is no group %s; there are 0 to %d"):format(tostring(group), last), 0)
  end
  if x ~= nil then
    if type(x) ~= "number" or not (x >= 0 and x <= 1e6) then
      error(("rate: expected a number from 0 to 1e6, found %s"):format(type(x) == "number" and x or "a " .. type(x)), 0)
    end
    set_rate(opt, x, group)
  end
  return rates_of(opt)[group + 1]
end

-- ---- what there is to see ----

local columns = { "name", "group", "multiple", "rate", "weight_decay", "frozen" }

local function cell(row, name)
  local x = row[name]
  if name == "group" then return x == 0 and "-" or tostring(x) end
  if name == "frozen" then return x and "frozen" or "" end
  return type(x) == "number" and ("%.4g"):format(x) or tostring(x)
end

local Groups = { __name = "groups", __metatable = "groups" }
private.sealed[Groups] = true

function Groups.__tostring(rows)
  local widths, lines = {}, {}
  local function line(text)
    local parts = {}
    for i, name in ipairs(columns) do parts[i] = text(name) .. (" "):rep(widths[i] - #text(name)) end
    lines[#lines + 1] = (table.concat(parts, "  "):gsub(" +$", ""))
  end
  for i, name in ipairs(columns) do
    widths[i] = #name
    for _, row in ipairs(rows) do widths[i] = math.max(widths[i], #cell(row, name)) end
  end
  line(function(name) return name end)
  for _, row in ipairs(rows) do line(function(name) return cell(row, name) end) end
  return table.concat(lines, "\n")
end

-- groups(opt) -> a row a parameter: its name, group (0: none), multiple of the rate, rate in the next step with it, weight decay,
-- frozen, and how many steps have moved it. Prints as a table.
local function groups(opt)
  local rates, rows = rates_of(opt), private.optimized(opt)
  for _, row in ipairs(rows) do row.rate = rates[row.group + 1] * row.multiple end
  return setmetatable(rows, Groups)
end

return { adamw = at_caller(adamw), step = step, rate = rate, groups = groups } -- these three are methods (init.lua)
