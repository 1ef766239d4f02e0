-- Configurations: flat tables of plain values, and `hooks`. Making lists of them, and naming them.
local at_caller = require "rwkv.at_caller"
local check = require "rwkv.experiment.check"
local core = require "rwkv.core"
local draws = require "rwkv.experiment.draws"
local fingerprint = require "rwkv.experiment.fingerprint"
local hooks = require "rwkv.hooks"
local sorted = require "rwkv.sorted"
local visible = require "rwkv.visible"

local configs = {}

local function fail(...) error(string.format(...), 0) end

-- ---- products ----

-- Puts a setting into a configuration; hooks slot by slot.
local function put(c, name, value)
  if name ~= "hooks" then
    c[name] = value
    return
  end
  local merged = {}
  for _, from in ipairs { c.hooks or {}, value } do
    for slot, hook in pairs(from) do merged[slot] = hook end
  end
  c.hooks = merged
end

-- Fails unless name and value can stand in a configuration.
local function check_setting(where, name, value)
  local kind = type(value)
  if type(name) ~= "string" then fail("product: %s: %s stands where a name is expected", where, check.shown(name)) end
  if name == "hooks" then
    if kind ~= "table" or #value > 0 then fail("product: %s: hooks is %s, expected a table by slot", where, check.shown(value)) end
  elseif kind ~= "string" and kind ~= "number" and kind ~= "boolean" then
    fail("product: %s: %s is %s, expected text, a number or a boolean", where, visible.line(name), check.shown(value))
  end
end

local function check_axis(axis, i)
  local name, values = type(axis) == "table" and axis[1], type(axis) == "table" and axis[2]
  if type(name) ~= "string" or not check.is_list(values) or #axis ~= 2 or not check.is_list(axis) then
    fail("product: axis %d is not { name, list of values }", i)
  end
  for k, value in ipairs(values) do
    local where = ("axis %d (%s), value %d"):format(i, visible.line(name), k)
    if type(value) ~= "table" then
      check_setting(where, name, value)
    elseif name == "hooks" and not value.hooks then
      fail("product: %s: expected { hooks = { slot = .. }, .. }", where)
    else
      for field, x in pairs(value) do check_setting(where, field, x) end
    end
  end
end

-- product({ { "model", { { label =, version = }, .. } }, { "lr", { 1e-3, 3e-3 } }, .. }, settings) -> list of configurations:
-- every combination, the last axis running fastest. A value that is a table is merged into the configuration, and so are
-- the settings, hooks slot by slot; settings that are lists (and `seeds`) are for axes.
configs.product = at_caller(function(axes, settings)
  if not check.is_list(axes) then fail("product: axes is %s, expected a list of { name, list of values }", check.shown(axes)) end
  if settings ~= nil and type(settings) ~= "table" then fail("product: settings is %s, expected a table", check.shown(settings)) end
  for i, axis in ipairs(axes) do check_axis(axis, i) end
  local base = {}
  for name, value in pairs(settings or {}) do
    if name ~= "seeds" and (name == "hooks" or not check.is_list(value)) then
      check_setting("settings", name, value)
      put(base, name, value)
    end
  end
  local list = { base }
  for _, axis in ipairs(axes) do
    local longer = {}
    for _, c in ipairs(list) do
      for _, value in ipairs(axis[2]) do
        local copy = {}
        for k, v in pairs(c) do put(copy, k, v) end
        for k, v in pairs(type(value) == "table" and value or { [axis[1]] = value }) do put(copy, k, v) end
        longer[#longer + 1] = copy
      end
    end
    list = longer
  end
  return list
end)

-- seeds(3) -> { 0, 1, 2 }
configs.seeds = at_caller(function(count)
  if math.type(count) == nil or count % 1 ~= 0 or count < 0 or count > 1e6 then
    fail("seeds: expected a whole number from 1 to 1000000, found %s", check.shown(count))
  end
  if count == 0 then fail "seeds: expected 1 or more, found 0: there is nothing to run" end
  local list = {}
  for i = 1, count do list[i] = i - 1 end
  return list
end)

-- ---- names ----

local function is_by_layer(h) return type(h) == "table" and getmetatable(h) ~= "hook" end

-- A hook's name; by layer "v7,attention,v7", or where not every layer has one "3:mine".
local function hook_text(h)
  if not is_by_layer(h) then return type(h) == "table" and h.name or tostring(h) end
  local names, whole = {}, check.is_list(h)
  for i, layer in ipairs(sorted(h)) do names[i] = (whole and "" or tostring(layer) .. ":") .. hook_text(h[layer]) end
  return table.concat(names, ",")
end

function configs.hooks_text(c)
  local parts = {}
  for _, slot in ipairs(sorted(c.hooks or {})) do
    parts[#parts + 1] = slot .. "=" .. hook_text(c.hooks[slot])
  end
  return table.concat(parts, " ")
end

-- What a measuring function may read, and a hook or a task may not.
local clocks = {}
for name in ("os.time os.clock os.date rwkv.time rwkv.tape_bytes rwkv.progress collectgarbage"):gmatch "%S+" do clocks[name] = true end

-- A hook with its code, where it has some; by layer a table of them.
local function with_code(slot, h)
  if not is_by_layer(h) then return type(h) == "table" and h or hooks.find(slot, h) or h end
  local list = {}
  for layer, one in pairs(h) do list[layer] = with_code(slot, one) end
  return list
end

local function hooks_of(c)
  local list = {}
  for _, slot in ipairs(sorted(c.hooks or {})) do
    list[#list + 1] = slot
    list[#list + 1] = with_code(slot, c.hooks[slot])
  end
  return list
end

-- The settings, the code of hooks, tasks and of the functions in `more`, and the values that they use, as they are now: text, what
-- it cannot cover, the generators of random numbers in it.
local function described(c, train, test, more, instead)
  local settings = {}
  for name, value in pairs(c) do if name ~= "hooks" then settings[name] = value end end
  local made, uncovered, generators = fingerprint({ settings, hooks_of(c), train, test }, instead)
  local measured, problems, more_generators = fingerprint(more, instead)
  for _, text in ipairs(problems) do if not clocks[text] then uncovered[#uncovered + 1] = text end end
  return made .. "\n" .. measured, uncovered, table.move(more_generators, 1, #more_generators, #generators + 1, generators)
end

-- A digest of that: it stays the same while a run goes on.
function configs.code(...) return core.private.sha256((described(...))) end

local function rows_text(...)
  local lines = {}
  for _, tokens in ipairs { ... } do
    for _, row in ipairs(tokens:tolist()) do lines[#lines + 1] = table.concat(row, " ") end
  end
  return table.concat(lines, "\n")
end

-- How many tokens of an example are scored, on average.
function configs.labels(targets)
  local scored, rows = 0, targets:tolist()
  for _, row in ipairs(rows) do
    for _, target in ipairs(row) do scored = scored + (target >= 0 and 1 or 0) end
  end
  return scored / #rows
end

-- What a run is known by: everything that decides its numbers. That is its configuration, the code of its hooks and tasks and
-- the values that they use, the first examples, what measures it (the functions in `more`), the kernels, the precision and in what products are. Not
-- Aviary's commit, which stands in every row. instead: see fingerprint.lua.
-- Returns { key = a file name, digest =, uncovered = list of what it cannot cover, generators = those that draw, code =, tokens = of
-- an example, labels = how many of them are scored in the first ones }.
function configs.identity(c, train, test, more, instead)
  local parts, tokens, targets = { core.backend(), core.precision }, nil, nil
  if core.matmul() ~= "full" then parts[#parts + 1] = core.matmul() end
  local _, _, used = described(c, train, test, more, instead)
  draws.keep(used, function()
    tokens, targets = check.task("training", train, c)
    parts[#parts + 1] = rows_text(tokens, targets)
    parts[#parts + 1] = rows_text(check.task("test", test, c))
  end)
  local text, uncovered, generators = described(c, train, test, more, instead) -- a task may make itself when it is first asked
  parts[#parts + 1] = text
  local digest = core.private.sha256(table.concat(parts, "\n"))
  return { key = ("%s-%s"):format(c.label:gsub("[^%w._-]", "_"):sub(1, 60), digest:sub(1, 20)), digest = digest,
    uncovered = uncovered, generators = generators, code = core.private.sha256(text), tokens = tokens:shape()[2],
    labels = configs.labels(targets) }
end

-- What tells a run from the others of its list: the label and the fields that are not the same everywhere.
function configs.titles(list)
  local differs, titles = {}, {}
  for _, c in ipairs(list) do
    for _, there in ipairs { c, list[1] } do
      for name in pairs(there) do
        if c[name] ~= list[1][name] then differs[name] = true end
      end
    end
  end
  for _, name in ipairs { "label", "version", "hooks" } do differs[name] = nil end
  local names = sorted(differs)
  for i, c in ipairs(list) do
    local parts = { c.label }
    for _, name in ipairs(names) do
      local value = c[name]
      if value ~= nil then
        parts[#parts + 1] = ("%s %s"):format(name, math.type(value) == "float" and ("%.4g"):format(value) or tostring(value))
      end
    end
    titles[i] = table.concat(parts, " ")
  end
  return titles
end

return configs
