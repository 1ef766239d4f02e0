-- curves(rows, x or "examples", y or "accuracy") -> { { label =, x =, y =, error = }, ... }, the series of a plot: a curve
-- for each label, in the order in which they come. Rows of one label that differ in their seed give the mean over the
-- seeds, and as error the distance to the farthest. Rows without x or y are left out.
local at_caller = require "rwkv.at_caller"
local check = require "rwkv.experiment.check"
local mean = require "rwkv.statistics".mean

local function fail(...) error("curves: " .. string.format(...), 0) end

-- The rows that have x and y, both numbers.
local function points(rows, x, y)
  if not check.is_list(rows) then fail("rows is %s, expected a list of rows", check.shown(rows)) end
  for _, name in ipairs { x, y } do
    if type(name) ~= "string" then fail("a column is called %s, expected its name", check.shown(name)) end
  end
  local found = {}
  for i, row in ipairs(rows) do
    if type(row) ~= "table" then fail("row %d is %s, expected a table", i, check.shown(row)) end
    if row[x] ~= nil and row[y] ~= nil then
      if type(row.label) ~= "string" then fail("label of row %d is %s, expected text", i, check.shown(row.label)) end
      if type(row[x]) ~= "number" or row[x] ~= row[x] then fail("%s of row %d is %s, expected a number", x, i, check.shown(row[x])) end
      if type(row[y]) ~= "number" then fail("%s of row %d is %s, expected a number", y, i, check.shown(row[y])) end
      found[#found + 1] = row
    end
  end
  if #rows > 0 and #found == 0 then fail("no row has both %s and %s", x, y) end
  return found
end

return at_caller(function(rows, x, y)
  x, y = x or "examples", y or "accuracy"
  local order, found = {}, {}
  for _, row in ipairs(points(rows, x, y)) do
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
      local values, far = curve.values[at], 0
      local middle = mean(values)
      for _, v in ipairs(values) do far = math.max(far, math.abs(v - middle)) end
      s.y[k], s.error[k] = middle, far
      several = several or #values > 1
    end
    if not several then s.error = nil end
    series[i] = s
  end
  return series
end)
