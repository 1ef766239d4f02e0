-- A training session in a file: all that a table holds of models, optimizers, generators, states, tensors, tokens and plain
-- values. What is restored goes on bit for bit. See lua/pages/training.md.
--   The file is a checkpoint: of the one model and the one optimizer that most sessions have, names are those of model:save;
-- everything else is called "carried.PATH". Texts: "session" (the table), "session.about" (what belongs to its objects).
local core = require "rwkv.core"
local plain = require "rwkv.plain"
local sorted = require "rwkv.sorted"

local private = core.private
local rng_place, cut_tokens = private.rng_place, private.cut_tokens

-- ---- what a table holds ----

local kinds = { ["rwkv.model"] = "model", ["rwkv.optimizer"] = "optimizer", ["rwkv.rng"] = "generator", ["rwkv.state"] = "state",
  ["rwkv.tensor"] = "tensor", ["rwkv.tokens"] = "tokens" }

local function kind_of(x) return type(x) == "userdata" and kinds[getmetatable(x)] or nil end

-- The text of a table, and its objects by kind: [kind] = list of { path =, value = }.
local function taken_apart(session)
  local objects, taken = {}, {}
  for _, kind in pairs(kinds) do objects[kind] = {} end
  local text = plain.encode(session, function(x, path)
    local kind = kind_of(x)
    if not kind then
      error(("%s is a %s; a session holds models, optimizers, generators, states, tensors, tokens and plain values"):format(path,
        type(x) == "userdata" and tostring(getmetatable(x)) or type(x) == "table" and "table with a metatable" or type(x)), 0)
    end
    if taken[path] then error(("two objects are called %s"):format(path), 0) end
    taken[path] = true
    table.insert(objects[kind], { path = path, value = x })
    return kind
  end)
  return text, objects
end

-- What the core writes and reads: { name =, value = }. only: kinds of objects.
local function parts_of(objects, only)
  local parts = {}
  for _, kind in ipairs(only) do
    for _, o in ipairs(objects[kind]) do
      local name, alone = "carried." .. o.path, #objects[kind] == 1
      if kind == "model" and alone then name = "" end
      if kind == "optimizer" then name = alone and "optim." or name .. ".optim." end
      parts[#parts + 1] = { name = name, value = o.value }
    end
  end
  return parts
end

local function by_path(list, f)
  local result = {}
  for _, o in ipairs(list) do result[o.path] = f(o.value) end
  return result
end

-- ---- saving ----

local function place_of(generator) return { rng_place(generator) } end

local function state_about(state)
  local seen = {}
  for b = 1, state:batch() do seen[b] = state:seen(b) end
  return { config = state:config(), seen = seen }
end

-- Of each sequence; nil if there is no padding.
local function lengths_of(tokens)
  local shape = tokens:shape()
  return tokens:size() < shape[1] * shape[2] and tokens:lengths() or nil
end

local function save(path, session)
  if type(session) ~= "table" then error(("expected a table, found a %s"):format(type(session)), 0) end
  local text, objects = taken_apart(session)
  local parts = parts_of(objects, { "model", "optimizer", "tensor", "tokens" })
  for _, o in ipairs(objects.state) do
    for _, name in ipairs(o.value:names()) do
      parts[#parts + 1] = { name = ("carried.%s.%s"):format(o.path, name), value = o.value:get(name) }
    end
  end
  private.write_session(path, parts, { session = text, ["session.about"] = plain.encode { precision = core.precision, matmul = core.matmul(),
    rand = place_of(private.drawing_from()), models = by_path(objects.model, function(m) return m:config() end),
    generators = by_path(objects.generator, place_of), states = by_path(objects.state, state_about),
    lengths = by_path(objects.tokens, lengths_of) } })
end

-- ---- restoring ----

local Marker = {} -- stands for an object in the table of a file
local function marker(kind) return setmetatable({ kind = kind }, Marker) end
local function is_marker(x) return getmetatable(x) == Marker end

local function shown(x)
  return is_marker(x) and "a " .. x.kind or kind_of(x) and "a " .. kind_of(x) or x == nil and "nothing" or "a " .. type(x)
end

-- Raises where the objects of the file and of the table are not the same ones. Tokens and states are made anew.
local function check_alike(saved, now, path)
  local kind = is_marker(saved) and saved.kind
  local want = kind and kind ~= "tokens" and kind ~= "state" or kind_of(now) and kind_of(now) ~= "tokens" and kind_of(now) ~= "state"
  if want and kind ~= kind_of(now) then
    error(("%s is %s in the file, and %s here"):format(path, shown(saved), shown(now)), 0)
  end
  if kind or kind_of(now) then return end
  local a, b = type(saved) == "table" and saved or {}, type(now) == "table" and now or {}
  for _, key in ipairs(sorted(a)) do check_alike(a[key], b[key], plain.path(path, key)) end
  for _, key in ipairs(sorted(b)) do
    if a[key] == nil then check_alike(nil, b[key], plain.path(path, key)) end
  end
end

-- The table as it was saved, put into the one that is there: a script may hold on to tables in it. made: by path, what is new.
local function put(saved, now, path, made)
  if is_marker(saved) then return made[path] or now end
  if type(saved) ~= "table" then return saved end
  local into = type(now) == "table" and now or {}
  for key in pairs(into) do if saved[key] == nil then into[key] = nil end end
  for key, value in pairs(saved) do into[key] = put(value, into[key], plain.path(path, key), made) end
  return into
end

local function same(a, b) return plain.encode(a) == plain.encode(b) end

local function difference(a, b)
  for _, from in ipairs { a, b } do
    for _, name in ipairs(sorted(from)) do
      if not (a[name] ~= nil and b[name] ~= nil and same(a[name], b[name])) then
        return ("its %s is %s, here it is %s"):format(name, a[name] ~= nil and plain.encode(a[name]) or "none",
          b[name] ~= nil and plain.encode(b[name]) or "none")
      end
    end
  end
end

local function check_models(about, objects)
  for _, o in ipairs(objects.model) do
    local saved, config = about.models[o.path] or {}, o.value:config()
    if not same(saved, config) then error(("%s is another model: %s"):format(o.path, difference(saved, config)), 0) end
  end
end

-- The states of a file, by path, each for the first model of the table that it fits.
local function states_in(path, about, objects)
  local made = {}
  for _, at in ipairs(sorted(about.states)) do
    local saved, model = about.states[at], nil
    for _, o in ipairs(objects.model) do
      if not model and same(o.value:config(), saved.config) then model = o.value end
    end
    if not model then error(("the state %s is of no model in the table"):format(at), 0) end
    local state, prefix = model:state(saved.seen), ("carried.%s."):format(at)
    local tensors = core.load_tensors(path, prefix)
    for _, name in ipairs(state:names()) do
      local entry = tensors[prefix .. name] or error(("%s%s is missing"):format(prefix, name), 0)
      state:set(name, entry.value)
    end
    made[at] = state
  end
  return made
end

-- The tokens of a file, by path. lengths: by path, of each sequence; what stands behind them is padding.
local function find_tokens(saved, path, file, lengths, made)
  if is_marker(saved) then
    local name = "carried." .. path
    if saved.kind == "tokens" then
      local tokens = (core.load_tensors(file, name)[name] or error(name .. " is missing", 0)).value
      if kind_of(tokens) ~= "tokens" then error(("%s is a %s, expected tokens"):format(name, kind_of(tokens)), 0) end
      made[path] = lengths[path] and cut_tokens(tokens, lengths[path]) or tokens
    end
  elseif type(saved) == "table" then
    for key, value in pairs(saved) do find_tokens(value, plain.path(path, key), file, lengths, made) end
  end
end

-- What belongs to the objects of a file, as it has to be: files may be damaged.
local function about_in(text, saved)
  local about = plain.decode(text)
  local function good(x, kind) return type(x) == "table" and (not kind or kind(x)) end
  local function place(x) return math.type(x[1]) == "integer" and math.type(x[2]) == "integer" and math.type(x[3]) == "integer" end
  local function state(x) return good(x.config) and good(x.seen) end
  local function each(list, kind)
    for _, x in pairs(good(list) and list or { false }) do if not good(x, kind) then return false end end
    return true
  end
  if not (good(saved) and not is_marker(saved) and good(about) and good(about.rand, place) and each(about.models)
    and each(about.generators, place) and each(about.states, state) and (about.lengths == nil or each(about.lengths))) then
    error("its texts are not those of a session", 0)
  end
  return about
end

local function texts_in(path) return (select(2, core.load_tensors(path, "carried. "))) end -- no tensor is called so

local function restore(path, meta, session)
  if type(session) ~= "table" then error(("expected a table, found a %s"):format(type(session)), 0) end
  if not meta.session or not meta["session.about"] then error("no session: rwkv.save_session has not written it", 0) end
  local saved = plain.decode(meta.session, marker)
  local about = about_in(meta["session.about"], saved)
  if about.precision ~= core.precision then
    error(("the session was saved in %s, this program has %s"):format(tostring(about.precision), core.precision), 0)
  end
  local matmul = about.matmul or "full" -- as they all were at first
  if matmul ~= core.matmul() then
    error(("the session was saved with products in %s, here they are in %s; `aviary --matmul` chooses"):format(matmul, core.matmul()), 0)
  end
  local _, objects = taken_apart(session)
  check_alike(saved, session, "")
  check_models(about, objects)
  for _, o in ipairs(objects.generator) do
    if not about.generators[o.path] then error(("it does not say where the generator %s was"):format(o.path), 0) end
  end
  local made = states_in(path, about, objects)
  find_tokens(saved, "", path, about.lengths or {}, made)
  private.read_session(path, parts_of(objects, { "model", "optimizer", "tensor" }))
  for _, o in ipairs(objects.generator) do rng_place(o.value, table.unpack(about.generators[o.path])) end
  rng_place(private.drawing_from(), table.unpack(about.rand))
  put(saved, session, "", made)
end

-- ---- for scripts ----

-- f, whose errors name the call and the file, and the line that called it.
local function named(call, f)
  return function(path, ...)
    if type(path) ~= "string" then error(("%s: expected a path, found a %s"):format(call, type(path)), 2) end
    local ok, result = pcall(f, path, ...)
    if ok then return result end
    if type(result) ~= "string" then error(result, 0) end
    local message = result:gsub("^[^\n ]-rwkv/%w+%.lua:%d+: ", "")
    if message:sub(1, #path) ~= path then message = ("%s: %s"):format(path, message) end
    error(("%s: %s"):format(call, message), 2)
  end
end

local session = {}

session.save = named("save_session", save)

-- restore(path, table) -> true; false if there is no such file.
session.restore = named("restore_session", function(path, table)
  local there, meta = pcall(texts_in, path)
  if there then restore(path, meta, table) end
  if not there and not tostring(meta):find(path .. ": No such file", 1, true) then error(meta, 0) end
  return there
end)

return session
