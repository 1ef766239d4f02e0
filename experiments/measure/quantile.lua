-- quantile(sorted, q): the q-quantile of a sorted list, between neighbours linearly.
return function(sorted, q)
  local at = 1 + q * (#sorted - 1)
  local below = math.floor(at)
  local above = math.min(below + 1, #sorted)
  return sorted[below] + (at - below) * (sorted[above] - sorted[below])
end
