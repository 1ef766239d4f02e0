-- fingerprint(values, instead) -> text that changes when something changes that decides what the values do; a list of what
-- it cannot cover; the generators of random numbers among all that. instead: {table = the one that counts in its place}. Of a
-- function it has the code and what that reads: the fields of tables, if it reads only some by name, or all that is in them; of
-- a table every entry and its metatable; of tensors, tokens, models, states, generators and open files the contents. Lua's
-- libraries and Aviary's count by name, and by what a script changed in them.
local core = require "rwkv.core"
local models = require "rwkv.models"
local known = require "rwkv.experiment.known"

local inspect, contents, metatable_of = core.private.inspect, core.private.contents, core.private.metatable

local describe -- (f, value, uses): f is the fingerprint in the making

local function add(f, ...)
  for i = 1, select("#", ...) do f.parts[#f.parts + 1] = select(i, ...) end
end

local function problem(f, text)
  if not f.problems[text] then
    f.problems[text] = true
    f.problems[#f.problems + 1] = text
  end
end

-- Whether it was met before; a number for it, in the order of meeting.
local function met(f, thing)
  if f.seen[thing] then
    add(f, "#", f.seen[thing])
    return true
  end
  f.count = f.count + 1
  f.seen[thing] = f.count
  return false
end

-- ---- tables ----

local order = { number = 1, string = 2, boolean = 3 }

-- How many entries 1, 2, .. there are, without a gap; of the rest the keys that have an order, in order, and the others.
local function keys_of(t)
  local plain, others, n = {}, {}, 0
  while rawget(t, n + 1) ~= nil do n = n + 1 end
  for key in next, t do
    local list = order[type(key)] and plain or others
    if math.type(key) ~= "integer" or key < 1 or key > n then list[#list + 1] = key end
  end
  table.sort(plain, function(a, b)
    local x, y = order[type(a)], order[type(b)]
    if x ~= y then return x < y end
    if x == order.boolean then return not a and b end
    return a < b
  end)
  return n, plain, others
end

-- What an entry is, apart from all that was met before. In it entries without an order are only counted.
local function alone(f, key, value)
  local other = { parts = {}, problems = f.problems, generators = {}, seen = {}, count = 0, instead = f.instead, alone = true }
  describe(other, key)
  describe(other, value)
  return table.concat(other.parts, " ")
end

-- Entries under tables, functions and objects, ordered by all that they are.
local function unordered(f, t, keys)
  local text = {}
  for _, key in ipairs(keys) do text[key] = alone(f, key, rawget(t, key)) end
  table.sort(keys, function(a, b) return text[a] < text[b] end)
  for i, key in ipairs(keys) do
    if text[key] == text[keys[i - 1]] or text[key] == text[keys[i + 1]] then
      add(f, text[key])
      problem(f, "a table with keys that look alike")
    else
      describe(f, key)
      describe(f, rawget(t, key))
    end
  end
end

local function entries(f, t)
  local n, plain, others = keys_of(t)
  add(f, "{", n)
  for i = 1, n do describe(f, rawget(t, i)) end
  for _, key in ipairs(plain) do
    describe(f, key)
    describe(f, rawget(t, key))
  end
  if f.alone then add(f, #others) else unordered(f, t, others) end
  add(f, "}")
end

-- Only the fields that are read of it.
local function fields(f, t, uses)
  local names, missing = {}, false
  for name in pairs(uses) do names[#names + 1] = name end
  table.sort(names)
  add(f, "fields", "{")
  for _, name in ipairs(names) do
    local value = rawget(t, name)
    missing = missing or value == nil
    describe(f, name)
    describe(f, value, uses[name] ~= true and uses[name] or nil)
  end
  if missing then describe(f, metatable_of(t)) end
  add(f, "}")
end

local function of_table(f, t, uses)
  local name = known.name(t)
  t = f.instead[t] or t
  if name then
    add(f, "=", name)
    if type(uses) == "table" then return fields(f, t, uses) end
    if known.unsteady(name) then problem(f, "all of " .. name) end
    if known.is_globals(t) and not met(f, t) then
      for key, v in known.new_globals() do
        describe(f, key)
        describe(f, v)
      end
    end
    return
  end
  if type(uses) == "table" and not f.seen[t] then return fields(f, t, uses) end
  if met(f, t) then return end
  entries(f, t)
  local meta = metatable_of(t)
  if meta then
    add(f, "meta")
    describe(f, meta)
  end
end

-- ---- functions ----

-- Whether the value is known by its name, which is then all of it.
local function is_known(f, value)
  local name = known.name(value)
  if not name then return false end
  add(f, "=", name)
  if known.unsteady(name) then problem(f, name) end
  return true
end

local function of_function(f, value)
  if is_known(f, value) or met(f, value) then return end
  local code, upvalues = inspect(value)
  if not code then
    add(f, "C")
    return problem(f, "a function of C that is not Lua's or Aviary's (an iterator, say)")
  end
  add(f, "code", #code, code)
  for _, u in ipairs(upvalues) do
    add(f, "variable")
    met(f, u.id) -- functions may share it
    describe(f, u.value, u.uses == nil and {} or u.uses)
  end
end

-- ---- objects ----

local objects = {}

objects["rwkv.model"] = function(f, model)
  describe(f, model:config())
  describe(f, models.hooks_of(model))
  for name, t in model:parameters() do
    describe(f, name)
    describe(f, t)
  end
end

objects["rwkv.state"] = function(f, state)
  for _, name in ipairs(state:names()) do
    describe(f, name)
    describe(f, state:get(name))
  end
end

local function of_object(f, value)
  if is_known(f, value) or met(f, value) then return end
  local digest, meta = contents(value), metatable_of(value)
  local class = meta and rawget(meta, "__name") or "userdata"
  add(f, class)
  if digest then
    add(f, digest)
    if class == "rwkv.rng" then f.generators[#f.generators + 1] = value end
  elseif objects[class] then
    objects[class](f, value)
  else
    problem(f, "an object: " .. (class == "FILE*" and "an open file" or tostring(class)))
  end
end

-- ---- values ----

local of = { table = of_table, ["function"] = of_function, userdata = of_object }

function describe(f, value, uses)
  local kind = math.type(value) or type(value)
  if kind == "integer" then add(f, ("%d"):format(value))
  elseif kind == "float" then add(f, ("%a"):format(value))
  elseif kind == "string" then add(f, '"', #value, value)
  elseif kind == "thread" then
    add(f, kind)
    problem(f, "a coroutine")
  elseif of[kind] then of[kind](f, value, uses)
  else add(f, tostring(value)) end
end

return function(values, instead)
  if type(values) ~= "table" then error(("fingerprint: expected a list of values, found a %s"):format(type(values)), 2) end
  local f = { parts = {}, problems = {}, generators = {}, seen = {}, count = 0, instead = instead or {} }
  known.refresh()
  for _, value in ipairs(values) do describe(f, value) end
  for name, value in known.changes() do
    add(f, name)
    describe(f, value)
  end
  return table.concat(f.parts, " "), f.problems, f.generators
end
