-- --devices 0,1: which devices the workers of an experiment share; worker i has device i of the list, and again from its begin.
local core = require "rwkv.core"
local found = require "rwkv.devices"

local devices = {}

local function fail(text, ...) error(("experiment: --devices %s: " .. select(1, ...)):format(text, select(2, ...)), 0) end

-- The numbers in the list; none if there is no list.
function devices.list(text)
  local list, there = {}, {}
  if text == "" then return list end
  for word in (text .. ","):gmatch "(.-)," do
    local number = word:find "^%d%d?%d?$" and math.tointeger(tonumber(word))
    if not number then fail(text, "expected whole numbers from 0 with commas between, found '%s'", word) end
    if there[number] then fail(text, "%d stands there twice", number) end
    there[number] = true
    list[#list + 1] = number
  end
  return list
end

-- Fails unless so many workers can share the devices in the list.
function devices.check(text, jobs)
  local list = devices.list(text)
  if #list == 0 then return end
  if not core.device() then fail(text, "the backend %s has none; --backend cuda, before the script, has", core.backend()) end
  if jobs < 2 then fail(text, "workers share devices, and there are none without --jobs; --device, before the script, chooses one") end
  if #list > jobs then fail(text, "--jobs %d leaves %d of them without work", jobs, #list - jobs) end
  local count = #found()
  for _, number in ipairs(list) do
    if number >= count then fail(text, "there is no device %d: there %s %d, counted from 0", number, count == 1 and "is" or "are", count) end
  end
end

return devices
