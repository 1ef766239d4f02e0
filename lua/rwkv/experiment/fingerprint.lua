-- fingerprint(value, left_out) -> text that changes when something changes that decides what the value does: of a function its
-- source text and what it refers to, of a table all that is in it. Modules of the library and of Lua count by name,
-- the table left_out not at all.
local getinfo, getupvalue = debug.getinfo, debug.getupvalue -- the program loads this file before it takes them from scripts

-- Where a Lua function stands, and what it refers to; nothing of a C function.
local function inside(f)
  local at, upvalues, i = getinfo(f, "S"), {}, 1
  if at.what == "C" then return nil end
  while true do
    local name, value = getupvalue(f, i)
    if not name then break end
    upvalues[i], i = value, i + 1
  end
  return at.source, at.linedefined, at.lastlinedefined, upvalues
end

local function lines_of(source, first, last)
  local text, n = {}, 0
  local file = source:match "^@" and io.open(source:sub(2))
  for line in (file and file:read "a" or source):gmatch "[^\n]*" do
    n = n + 1
    if n > last then break end
    if n >= first then text[#text + 1] = line:match "^%s*(.-)%s*$" end
  end
  if file then file:close() end
  return table.concat(text, "\n")
end

-- What is known by its name: Lua's libraries and the library's modules.
local function names()
  local known = { [_G] = "_G" }
  for name, module in pairs(package.loaded) do
    local own = name:match "^rwkv" or _G[name] == module
    if own and (type(module) == "table" or type(module) == "function") then
      known[module] = known[module] and known[module] < name and known[module] or name -- some have two
    end
  end
  return known
end

local describe

-- In a fixed order, since what was met before is not described again. Keys that are neither numbers nor texts are passed
-- over: nothing orders them.
local function of_table(t, seen)
  local keys, parts = {}, {}
  for key in pairs(t) do
    if type(key) == "string" or type(key) == "number" then keys[#keys + 1] = key end
  end
  table.sort(keys, function(a, b)
    if type(a) ~= type(b) then return type(a) == "number" end
    return a < b
  end)
  for i, key in ipairs(keys) do parts[i] = describe(key, seen) .. "=" .. describe(t[key], seen) end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function of_function(f, seen)
  local source, first, last, upvalues = inside(f)
  if not source then return "C" end
  return lines_of(source, first, last) .. of_table(upvalues, seen)
end

function describe(value, seen)
  local kind = type(value)
  if kind == "number" then return ("%.17g"):format(value) end
  if kind == "userdata" or kind == "thread" then return kind end
  if kind ~= "table" and kind ~= "function" then return tostring(value) end
  if not seen[value] then
    seen.count = (seen.count or 0) + 1
    seen[value] = "#" .. seen.count
    if kind == "table" then return of_table(value, seen) end
    return of_function(value, seen)
  end
  return seen[value]
end

return function(value, left_out)
  local seen = names()
  if left_out then seen[left_out] = "-" end
  return describe(value, seen)
end
