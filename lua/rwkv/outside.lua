-- What a function can reach from outside: its variables, those of the functions that it calls, and what is in their tables.
--   local before = outside.of(f)          -> a snapshot; nil if that is too much to look at
--   local name = outside.restore(before)  -> everything is as it was; the name of something that was not, or nil
-- The libraries are left out, and what is behind userdata.
local core = require "rwkv.core"

local upvalues, restore_upvalues = core.private.upvalues, core.private.restore_upvalues
local outside = {}

local most = 5000 -- values

-- What is not looked at, as a set: the tables of the libraries.
local function libraries()
  local set = { [core] = true, [string] = true, [table] = true, [math] = true, [os] = true, [io] = true, [coroutine] = true,
    [utf8] = true }
  for _, copy in next, core.private.copies or {} do set[copy] = true end
  return set
end

function outside.of(f)
  local before, queue, seen, count, at = { functions = {}, tables = {} }, { f }, libraries(), 0, 1
  seen[f] = true
  while queue[at] do
    local x, values = queue[at], {}
    if type(x) == "function" then
      local of_lua = upvalues(x) -- nil: of C, which no script changes
      values, before.functions[x] = of_lua or values, of_lua
    else
      for k, v in next, x do values[k] = v end
      before.tables[x] = values
    end
    for _, v in next, values do
      count = count + 1
      local kind = type(v)
      if (kind == "function" or kind == "table") and not seen[v] then
        seen[v] = true
        queue[#queue + 1] = v
      end
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
