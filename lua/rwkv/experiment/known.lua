-- What fingerprints know by name: the functions and tables of Lua and of Aviary, as they were before a script came; and what
-- it has changed in its own.
local core = require "rwkv.core"
local private = core.private

-- Both worlds (lua/program/library.c): the script's globals, as they are and as they were; the library's, which never
-- change. A stock Lua has one world; what it is when this file is loaded counts as unchanged.
local globals = private.globals or _G
local world = private.world or setmetatable({}, { __index = globals })
local before = private.before or {}
if not private.before then
  for name, value in pairs(globals) do
    before[name] = value
    if type(value) == "table" and value ~= globals then
      world[name] = {}
      for k, v in pairs(value) do world[name][k] = v end
    end
  end
end

local names = setmetatable({ [globals] = "_G" }, { __mode = "k" }) -- of functions, tables, open files
local changeable = {} -- list of { name =, table =, as it was =: the value of a key }

-- What depends on more than a script's code and values: the clock, files, other code, the kernels and threads at work.
local unsteady = {}
for name in ([[io io.open io.lines io.read io.stdin io.input io.popen io.tmpfile os os.time os.clock os.date os.getenv os.execute
  os.tmpname os.remove os.rename load loadfile dofile require collectgarbage debug package rwkv.load rwkv.load_tensors
  rwkv.read_file rwkv.unzip rwkv.info rwkv.convert rwkv.hooks_in rwkv.verify rwkv.tsv.read rwkv.file.bytes rwkv.file.entries rwkv.file.tensors
  rwkv.file.model rwkv.file.verify rwkv.state_file.load rwkv.text.command.model rwkv.text.command.load_state
  rwkv.text.command.exists rwkv.golden.pack.read rwkv.golden.theirs rwkv.golden.rename.rules rwkv.golden.diff.compare
  rwkv.golden.weights_file.describe rwkv.golden.weights_file.of rwkv.experiment.files.read rwkv.digest.file rwkv.digest.single rwkv.tokenizer rwkv.text.vocab.find
  rwkv.time rwkv.tape_bytes rwkv.machine_rates rwkv.terminal_size
  rwkv.is_terminal rwkv.threads rwkv.backend rwkv.matmul rwkv.device rwkv.devices rwkv.progress]]):gmatch "%S+" do
  unsteady[name] = true
end

-- Entries of a table in the order of their names: what has several gets the same one in every process.
local function in_order(t)
  local list = {}
  for name in next, t do list[#list + 1] = name end
  table.sort(list, function(a, b) return tostring(a) < tostring(b) end)
  local i = 0
  return function()
    i = i + 1
    return list[i], t[list[i]]
  end
end

local function name_functions(t, prefix)
  for name, value in in_order(t) do
    local kind = type(value)
    if (kind == "function" or kind == "userdata") and not names[value] then names[value] = prefix .. tostring(name) end
  end
end

-- Lua's own functions are C; others that stand among them are a script's, and count by what they are.
local function is_own(f) return type(f) == "function" and not private.inspect(f) end

for name in ("coroutine debug io math os package string table utf8"):gmatch "%a+" do
  local mine, was = before[name], world[name]
  if type(mine) == "table" then
    names[mine] = name
    changeable[#changeable + 1] = name ~= "package" and { name = name, table = mine, was = function(key)
      local value = was[key]
      if type(value) ~= "function" or is_own(value) then return value end
    end } or nil
  end
  if type(was) == "table" then
    names[was] = name
    for key, value in in_order(was) do
      if is_own(value) or type(value) == "userdata" then names[value] = names[value] or name .. "." .. tostring(key) end
    end
  end
end
for _, from in ipairs { before, world } do
  for name, value in in_order(from) do if is_own(value) then names[value] = names[value] or name end end
end
names[world] = "_G of the library"

-- Whether a table is no object: it has no metatable, or one by which it can be called.
local function is_plain(t)
  local meta = private.metatable(t)
  return meta == nil or rawget(meta, "__call") ~= nil
end

-- A module of the library, the tables in it, and what scripts have of them.
local visited = {}
local function name_module(t, name)
  if visited[t] then return end
  visited[t] = true
  names[t] = names[t] or name
  local copies = private.copies or {}
  local copy = copies[t]
  if copy and not names[copy] then
    names[copy] = name
    if is_plain(copy) then
      changeable[#changeable + 1] = { name = name, table = copy, was = function(key)
        local value = t[key]
        return copies[value] or value
      end }
    end
  end
  name_functions(t, name .. ".")
  for key, value in in_order(t) do
    if type(value) == "table" and type(key) == "string" and key ~= "private" and is_plain(value) then
      name_module(value, name .. "." .. key)
    end
  end
end

local known = {}

function known.globals() return globals end -- not a field: what stands in modules counts by name

local function size(t)
  local n = 0
  for _ in next, t do n = n + 1 end
  return n
end

-- The library grows as its modules are loaded, and what scripts have of it as they ask: then it is looked through anew.
local loaded, copied = 0, 0
function known.refresh()
  local modules = private.loaded or package.loaded
  local now_loaded, now_copied = size(modules), size(private.copies or {})
  if now_loaded == loaded and now_copied == copied then return end
  loaded, copied, visited = now_loaded, now_copied, {}
  name_module(core, "rwkv")
  for name, module in in_order(modules) do
    if name:find "^rwkv" and type(module) == "table" and is_plain(module) then name_module(module, name)
    elseif name:find "^rwkv" and type(module) == "function" then names[module] = names[module] or name end
  end
  for class in pairs(private.sealed) do names[class] = "a class of Aviary" end
end

function known.name(value) return names[value] end
function known.unsteady(name) return unsteady[name] or name:find "^debug%." ~= nil end
function known.is_globals(t) return t == globals end

-- An iterator over a list of { name, value } in the order of the names.
local function each(list)
  table.sort(list, function(a, b) return a[1] < b[1] end)
  local i = 0
  return function()
    i = i + 1
    if list[i] then return list[i][1], list[i][2] end
  end
end

-- What a script made or changed among its globals.
function known.new_globals()
  local list = {}
  for name, value in next, globals do
    if value ~= before[name] then list[#list + 1] = { tostring(name), value } end
  end
  return each(list)
end

-- What it changed in tables of Lua and Aviary, and its methods of tensors.
function known.changes()
  local list = {}
  for _, c in ipairs(changeable) do
    for key, value in next, c.table do
      if value ~= c.was(key) then list[#list + 1] = { c.name .. "." .. tostring(key), value } end
    end
  end
  for name, value in next, private.added_methods or {} do list[#list + 1] = { "tensor:" .. tostring(name), value } end
  return each(list)
end

return known
