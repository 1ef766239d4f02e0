-- Rows that a figure shows, made again: are they those of then? Where no model is trained there is no chaos; what differs are
-- roundings, and rounding errors themselves, where a figure shows these. So a number may be off by a hundredth of itself or, where it
-- is small, by a thousandth of the largest of its column.
local distance = require "rwkv.experiment.reproduce.distance"
local visible = require "rwkv.visible"

local of_itself, of_largest = 1e-2, 1e-3

local function cell(x) return type(x) == "number" and ("%.6g"):format(x) or tostring(x or "") end

-- What a row is known by: its first columns.
local function key(row, columns, count)
  local parts = {}
  for i = 1, count do parts[i] = ("%s %s"):format(columns[i], cell(row[columns[i]])) end
  return table.concat(parts, ", ")
end

-- How many of the columns it takes to tell all rows apart.
local function columns_of_key(columns, rows)
  for count = 1, #columns do
    local there, different = {}, true
    for _, row in ipairs(rows) do
      local k = key(row, columns, count)
      different, there[k] = different and not there[k], true
    end
    if different then return count end
  end
  return #columns
end

local function by_key(columns, count, rows)
  local list, order = {}, {}
  for i, row in ipairs(rows) do
    order[i] = key(row, columns, count)
    list[order[i]] = row
  end
  return list, order
end

-- The first of the columns in which the rows are not alike; what a row lacks counts as 0.
local function difference(columns, first, now, was, largest)
  for i = first, #columns do
    local name = columns[i]
    local a, b = now[name], was[name]
    if type(a or b) == "number" then a, b = a or 0, b or 0 end
    if distance(a, b) > of_itself and distance(a, b, largest[name]) > of_largest then return name, a, b end
  end
end

local function largest_in(columns, rows)
  local largest = {}
  for _, name in ipairs(columns) do
    largest[name] = 0
    for _, row in ipairs(rows) do
      local x = type(row[name]) == "number" and math.abs(row[name]) or 0
      if x < math.huge then largest[name] = math.max(largest[name], x) end
    end
  end
  return largest
end

-- Columns that only one of two lists has.
local function other_columns(now, was)
  local there = {}
  for _, name in ipairs(was) do there[name] = "gone" end
  for _, name in ipairs(now) do there[name] = not there[name] and "new" or nil end
  for _, name in ipairs(now) do if there[name] then return name, there[name] end end
  for _, name in ipairs(was) do if there[name] then return name, there[name] end end
end

-- again(columns, rows, before, untrained) -> "agrees", "differs" or "not checked", and in words why. before: the table; untrained:
-- whether models were left out on which its other rows depend.
return function(columns, rows, before, untrained)
  if #rows == 0 then return "not checked", "its rows need trained models" end
  local name, how = other_columns(columns, before.columns)
  if name then return "differs", ("column %s is %s"):format(visible.line(name), how) end
  local count, largest = columns_of_key(columns, before.rows), largest_in(columns, before.rows)
  local now, order = by_key(columns, count, rows)
  local was, all = by_key(columns, count, before.rows)
  for _, k in ipairs(untrained and {} or all) do
    if not now[k] then order[#order + 1] = k end
  end
  local bad, first = 0, nil
  for _, k in ipairs(order) do
    local column, a, b = difference(columns, count + 1, now[k] or {}, was[k] or {}, largest)
    if column then
      bad = bad + 1
      first = first or ("%s: %s %s (was %s)"):format(k, column, now[k] and cell(a) or "not there", was[k] and cell(b) or "not there")
    end
  end
  if bad > 0 then return "differs", visible.line(("%d of %d rows, first %s"):format(bad, #order, first)) end
  return "agrees", ("%d of %d rows%s"):format(#order, #all, #order < #all and ", the others need trained models" or "")
end
