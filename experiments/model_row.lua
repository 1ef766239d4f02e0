-- What may stand in a row of experiments/models.lua: a name for files, a version, and hooks of slots that it has.
local rwkv = require "rwkv"
local nearest = require "rwkv.nearest"
local hooks_by_name = require "rwkv.hooks"

local function fail(...) error("models: " .. string.format(...), 0) end

local function check_name(slot, name)
  if hooks_by_name.find(slot.slot, name) or name == slot.own then return end
  local known = { slot.own }
  for i, builtin in ipairs(slot.builtin) do
    if builtin == name then return end
    known[i + 1] = builtin
  end
  fail("there is no %s '%s'%s", slot.slot, name, nearest.listed(name, known))
end

-- A name, a hook, a list or table of them by layer, or a function(layers) that returns one.
local function check_hook(slot, hook, layer)
  if type(hook) == "string" then return check_name(slot, hook) end
  if type(hook) == "function" and not layer or type(hook) == "table" and getmetatable(hook) == "hook" then return end
  if type(hook) ~= "table" or layer then
    fail("%s%s is a %s, expected a name or a hook", slot.slot, layer and " of layer " .. tostring(layer) or "", type(hook))
  end
  for at, one in pairs(hook) do
    if math.type(at) ~= "integer" or at < 1 then fail("%s: layer %s: layers are counted from 1", slot.slot, tostring(at)) end
    check_hook(slot, one, at)
  end
end

return function(label, version, hooks)
  if type(label) ~= "string" or not label:find "^[%w._-]+$" then
    fail("the name '%s' has other characters than letters, digits, . _ -", tostring(label))
  end
  local known, slots, names = {}, {}, {}
  for _, v in ipairs(rwkv.versions()) do known[v] = true end
  if not known[version] then fail("%s: there is no version '%s'%s", label, tostring(version), nearest.listed(version, rwkv.versions())) end
  if hooks ~= nil and type(hooks) ~= "table" then fail("%s: hooks is a %s, expected a table by slot", label, type(hooks)) end
  for i, s in ipairs(rwkv.hook_slots(version)) do slots[s.slot], names[i] = s, s.slot end
  for slot, hook in pairs(hooks or {}) do
    if not slots[slot] then fail("%s: %s has no slot '%s'%s", label, version, tostring(slot), nearest.listed(slot, names)) end
    check_hook(slots[slot], hook)
  end
end
