-- Statistics of a list of numbers.
local statistics = {}

function statistics.mean(list)
  local sum = 0
  for _, x in ipairs(list) do sum = sum + x end
  return sum / #list
end

-- The mean, the lowest, the highest, how many; nan of all three where one number is nan; nothing of no numbers.
function statistics.summary(list)
  if #list == 0 then return end
  local mean, low, high = statistics.mean(list), math.huge, -math.huge
  if mean ~= mean then return mean, mean, mean, #list end
  for _, x in ipairs(list) do low, high = math.min(low, x), math.max(high, x) end
  return mean, low, high, #list
end

-- Of an even number of them the mean of the two in the middle.
function statistics.median(list)
  list = table.move(list, 1, #list, 1, {})
  table.sort(list)
  return (list[(#list + 1) // 2] + list[#list // 2 + 1]) / 2
end

return statistics
