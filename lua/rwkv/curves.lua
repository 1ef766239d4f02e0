-- curves(rows, x or "examples", y or "accuracy") -> { { label =, x =, y =, error = }, ... }, the series of a plot: a curve
-- for each label, in the order in which they come. Rows of one label that differ in their seed give the mean over the
-- seeds, and as error the distance to the farthest.
return function(rows, x, y)
  x, y = x or "examples", y or "accuracy"
  local order, found = {}, {}
  for _, row in ipairs(rows) do
    local curve = found[row.label]
    if not curve then
      curve = { label = row.label, at = {}, values = {} }
      found[row.label], order[#order + 1] = curve, curve
    end
    if not curve.values[row[x]] then
      curve.values[row[x]] = {}
      curve.at[#curve.at + 1] = row[x]
    end
    table.insert(curve.values[row[x]], row[y])
  end
  local series = {}
  for i, curve in ipairs(order) do
    local s, several = { label = curve.label, x = curve.at, y = {}, error = {} }, false
    table.sort(curve.at)
    for k, at in ipairs(curve.at) do
      local values, sum, far = curve.values[at], 0, 0
      for _, v in ipairs(values) do sum = sum + v end
      for _, v in ipairs(values) do far = math.max(far, math.abs(v - sum / #values)) end
      s.y[k], s.error[k] = sum / #values, far
      several = several or #values > 1
    end
    if not several then s.error = nil end
    series[i] = s
  end
  return series
end
