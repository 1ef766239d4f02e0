-- What a function can reach from outside: its variables, those of the functions that it calls, and what is in their tables.
--   local before = outside.of(f)          -> a snapshot; nil if that is too much to look at
--   local name = outside.restore(before)  -> everything is as it was; the name of something that was not, or nil
-- The libraries are left out, and what is behind userdata.
local core = require "rwkv.core"

local upvalues, restore_upvalues = core.private.upvalues, core.private.restore_upvalues
local outside = {}

local most = 5000 -- values

local libraries = { [core] = true, [string] = true, [table] = true, [math] = true, [os] = true, [io] = true,
  [coroutine] = true, [utf8] = true }

local function is_library(t)
  if libraries[t] then return true end
  for _, copy in pairs(core.private.copies or {}) do if copy == t then return true end end
  return false
end

function outside.of(f)
  local before, queue, seen, count = { functions = {}, tables = {} }, { f }, { [f] = true }, 0
  local function reach(value)
    local kind = type(value)
    if (kind == "function" or kind == "table" and not is_library(value)) and not seen[value] then
      seen[value] = true
      queue[#queue + 1] = value
    end
  end
  local at = 1
  while queue[at] do
    local x = queue[at]
    local values = {}
    if type(x) == "function" then values = upvalues(x)
    else for k, v in next, x do values[k] = v end end
    before[type(x) == "function" and "functions" or "tables"][x] = values
    for _, v in next, values do
      count = count + 1
      reach(v)
    end
    if count > most then return nil end
    at = at + 1
  end
  return before
end

function outside.restore(before)
  local changed
  for f, values in next, before.functions do changed = restore_upvalues(f, values) or changed end
  for t, values in next, before.tables do
    for k, v in next, t do
      if not rawequal(values[k], v) then
        changed = tostring(k)
        rawset(t, k, values[k])
      end
    end
    for k, v in next, values do
      if rawget(t, k) == nil then
        changed = tostring(k)
        rawset(t, k, v)
      end
    end
  end
  return changed
end

return outside
