-- Chosen positions: theirs may hold some of those that the pack has.
--   positions.parse("0,7,last", T) -> { 0, 7, T - 1 }, counted from 0
--   positions.chosen(ours, list, B, T) -> of ours, [B,T,..], these positions alone: { value =, shape = [B,#list,..] }
local core = require "rwkv.core"

local positions = {}

function positions.parse(text, T)
  local list, last = {}, -1
  for word in text:gmatch "[^,]+" do
    local t = word == "last" and T - 1 or word:match "^%d+$" and math.tointeger(tonumber(word))
    if not t or t >= T then
      error(("--positions %s: expected positions from 0 to %d, or last, found '%s'"):format(text, T - 1, word), 0)
    end
    if t <= last then error(("--positions %s: %d stands behind %d, expected them in order"):format(text, t, last), 0) end
    list[#list + 1], last = t, t
  end
  if #list == 0 then error(("--positions %s: expected positions such as 0,7,last"):format(text), 0) end
  return list
end

function positions.chosen(ours, list, B, T)
  local parts = {}
  local value = core.no_grad(function()
    local all = ours.value:reshape(B, T, -1)
    for i, t in ipairs(list) do parts[i] = all:slice(2, t + 1, t + 1) end
    return #parts > 1 and core.concat(parts, 2) or parts[1]:keep()
  end)
  local shape = table.move(ours.shape, 1, #ours.shape, 1, {})
  shape[2] = #list
  return { value = value, shape = shape }
end

return positions
