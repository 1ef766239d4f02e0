-- spread(numbers) -> { least =, low =, middle =, high =, most =, count = }: the least, the 10 %, 50 % and 90 % quantile and the most of
-- a list of numbers.
local quantile = require "experiments.measure.quantile"

return function(numbers)
  local sorted = table.move(numbers, 1, #numbers, 1, {})
  table.sort(sorted)
  return { least = sorted[1], low = quantile(sorted, 0.1), middle = quantile(sorted, 0.5), high = quantile(sorted, 0.9),
    most = sorted[#sorted], count = #sorted }
end
