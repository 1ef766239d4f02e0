-- What rwkv.plot is given, as a figure of plain numbers: { series = { { x =, y =, error =, label = }, ... }, ... }
-- or { matrix = rows, ... }. All is read raw and once: no metamethod of a script runs, and nothing that was checked
-- can be changed afterwards. A point that cannot be drawn has NaN as its y, and is counted in `left_out`.
local nearest = require "rwkv.nearest"
local error, getmetatable, next, rawget, rawlen, type = error, getmetatable, next, rawget, rawlen, type
local concat, format, floor, huge = table.concat, string.format, math.floor, math.huge

local most_lines = 100 -- more in one picture cannot be told apart
local nan = 0 / 0

local function fail(...) error("plot: " .. format(...), 0) end

local function set_of(list)
  local set = {}
  for i = 1, #list do set[list[i]] = true end
  return set
end

local options = { "file", "kind", "logx", "logy", "series", "size", "title", "xlabel", "xrange", "ylabel", "yrange" }
local fields = { "error", "label", "x", "y" }
local kinds = { "lines", "points", "linespoints", "bars", "heatmap", "histogram" }
local is_option, is_field, is_kind = set_of(options), set_of(fields), set_of(kinds)

-- Refuses names that are not known.
local function check_names(t, known, list, what)
  for name in next, t do
    if type(name) == "string" and not known[name] then
      fail("%s does not know '%s'%s", what, name, nearest.listed(name, list))
    end
  end
end

local function is_tensor(x) return type(x) == "userdata" and getmetatable(x) == "rwkv.tensor" end

local function describe(x)
  if is_tensor(x) then return format("a tensor [%s]", concat(x:shape(), ",")) end
  return x == nil and "nothing" or "a " .. type(x)
end

-- ---- numbers ----

-- A list of numbers out of a list or a tensor [n].
local function numbers(value, what)
  if is_tensor(value) and #value:shape() == 1 then return value:tolist() end
  if type(value) ~= "table" then
    fail("%s: expected a list of numbers or a tensor [n], found %s", what, describe(value))
  end
  local out = {}
  for i = 1, rawlen(value) do
    local x = rawget(value, i)
    if type(x) ~= "number" then fail("%s[%d]: expected a number, found %s", what, i, describe(x)) end
    out[i] = x
  end
  return out
end

-- All numbers of a tensor of any shape, or of a list. (reshape would begin a new step.)
local function flat(value, what)
  if not is_tensor(value) then return numbers(value, what) end
  local out = {}
  local function take(x)
    if type(x) == "number" then out[#out + 1] = x else for i = 1, #x do take(x[i]) end end
  end
  take(value:tolist())
  return out
end

local function text_option(value, what)
  if value == nil then return nil end
  if type(value) == "number" then return format("%.14g", value) end
  if type(value) ~= "string" then fail("%s: expected a text, found %s", what, describe(value)) end
  return value
end

-- { low, high }, either of which may be missing
local function range_option(value, what, positive)
  if value == nil then return {} end
  if type(value) ~= "table" then fail("%s: expected {low, high}, found %s", what, describe(value)) end
  local range = { low = rawget(value, 1), high = rawget(value, 2) }
  for _, limit in next, range do
    if type(limit) ~= "number" or limit ~= limit or limit == huge or limit == -huge then
      fail("%s: expected {low, high} as numbers, found %s", what, describe(limit))
    end
    if positive and limit <= 0 then fail("%s: a logarithmic axis needs limits above 0, found %g", what, limit) end
  end
  if range.low and range.high and range.low == range.high then
    fail("%s: from %g to %g there is nothing", what, range.low, range.high)
  end
  return range
end

local function size_option(value)
  if value == nil then return nil, nil end
  local list = numbers(value, "size")
  local width, height = list[1], list[2]
  if #list ~= 2 or not (width >= 20 and width <= 10000 and height >= 8 and height <= 10000) then
    fail("size: expected {width, height}, pixels in a file (characters in a terminal), at least {20, 8}, found {%s}",
      concat(list, ", "))
  end
  return floor(width), floor(height)
end

-- ---- series ----

-- Positions 1.. of texts, one for each text, in the order in which they come; several series share them.
local function positions_of(texts, what, figure)
  local x, names = {}, figure.names
  for i = 1, rawlen(texts) do
    local name = text_option(rawget(texts, i), format("%s[%d]", what, i)) or ""
    if not names[name] then
      figure.names[#names + 1] = name
      names[name] = #names
    end
    x[i] = names[name]
  end
  return x
end

local function count_up(n)
  local x = {}
  for i = 1, n do x[i] = i end
  return x
end

local function series_of(figure, x, y, err, label, what)
  local s = { y = numbers(y, what .. "y"), label = text_option(label, what .. "label") }
  if x == nil then
    s.x = count_up(#s.y)
  elseif figure.kind == "bars" and type(x) == "table" and type(rawget(x, 1)) == "string" then
    s.x = positions_of(x, what .. "x", figure)
  else
    s.x = numbers(x, what .. "x")
  end
  if #s.x ~= #s.y then fail("%sx has %d numbers, y has %d: expected the same", what, #s.x, #s.y) end
  if err ~= nil then
    s.error = numbers(err, what .. "error")
    if #s.error ~= #s.y then fail("%serror has %d numbers, y has %d: expected the same", what, #s.error, #s.y) end
    for i = 1, #s.error do
      if s.error[i] < 0 then fail("%serror[%d]: expected at least 0, found %g", what, i, s.error[i]) end
    end
  end
  figure.series[#figure.series + 1] = s
end

local function read_series(figure, list)
  if type(list) ~= "table" then fail("series: expected a list, found %s", describe(list)) end
  for i = 1, rawlen(list) do
    local s, what = rawget(list, i), format("series %d: ", i)
    if type(s) ~= "table" then fail("%sexpected { x =, y =, label =, error = }, found %s", what, describe(s)) end
    check_names(s, is_field, fields, format("series %d", i))
    local y = rawget(s, "y")
    if y == nil then fail("%sit has no y", what) end
    if figure.kind == "histogram" then y = flat(y, what .. "y") end
    series_of(figure, rawget(s, "x"), y, rawget(s, "error"), rawget(s, "label"), what)
  end
end

local function read_tensor(figure, t)
  local shape = t:shape()
  if figure.kind == "histogram" then return series_of(figure, nil, flat(t, ""), nil, nil, "") end
  if #shape == 1 then return series_of(figure, nil, t, nil, nil, "") end
  if #shape ~= 2 then fail("expected a tensor [n] or [m,n], found %s", describe(t)) end
  if shape[1] > most_lines then
    fail("%s would be %d lines, expected at most %d; there is kind = \"heatmap\"", describe(t), shape[1], most_lines)
  end
  local rows = t:tolist()
  for i = 1, #rows do series_of(figure, nil, rows[i], nil, shape[1] > 1 and i or nil, "") end
end

local function read_list(figure, list)
  local first = rawget(list, 1)
  if type(first) == "number" then return series_of(figure, nil, list, nil, nil, "") end
  if is_tensor(first) then
    for i = 1, rawlen(list) do read_tensor(figure, rawget(list, i)) end
    return
  end
  local x, y = {}, {}
  for i = 1, rawlen(list) do
    local row, what = rawget(list, i), format("row %d", i)
    if type(row) ~= "table" then fail("%s: expected {x, y}, found %s", what, describe(row)) end
    if rawlen(row) ~= 2 then fail("%s: expected {x, y}, found %d entries", what, rawlen(row)) end
    x[i], y[i] = rawget(row, 1), rawget(row, 2)
  end
  return series_of(figure, x, y, nil, nil, "")
end

-- ---- what can be drawn ----

local function is_finite(x) return x == x and x ~= huge and x ~= -huge end

local function leave_out(figure)
  local o, points, left_out = figure, 0, 0
  for i = 1, #figure.series do
    local s = figure.series[i]
    points = points + #s.y
    for k = 1, #s.y do
      local x, y = s.x[k], s.y[k]
      if not is_finite(x) or not is_finite(y) or o.logx and x <= 0 or o.logy and y <= 0 then
        left_out = left_out + 1
        s.y[k] = nan
      end
      if s.error and not is_finite(s.error[k]) then s.error[k] = 0 end
    end
  end
  return points, left_out
end

local function read_matrix(figure, value)
  if is_tensor(value) then
    if #value:shape() ~= 2 then fail("heatmap: expected a tensor [m,n], found %s", describe(value)) end
    value = value:tolist()
  end
  local rows, points, left_out, low, high = {}, 0, 0, huge, -huge
  for i = 1, rawlen(value) do
    rows[i] = numbers(rawget(value, i), format("row %d", i))
    if #rows[i] ~= #rows[1] then
      fail("heatmap: row %d has %d numbers, row 1 has %d: expected the same", i, #rows[i], #rows[1])
    end
    for k = 1, #rows[i] do
      local z = rows[i][k]
      points = points + 1
      if is_finite(z) then
        low, high = z < low and z or low, z > high and z or high
      else
        left_out = left_out + 1
        rows[i][k] = nan
      end
    end
  end
  figure.matrix, figure.low, figure.high = rows, low, high
  return points, left_out
end

-- The data and the options out of the arguments: (data, options), or one table with both.
local function split(data, given)
  if is_tensor(data) then return data, given or {} end
  if type(data) ~= "table" then fail("expected a tensor or a table, found %s", describe(data)) end
  if given == nil then
    local only = rawlen(data) == 1 and rawget(data, 1)
    return (type(only) == "table" or is_tensor(only)) and only or data, data
  end
  if type(given) ~= "table" then fail("the options: expected a table, found %s", describe(given)) end
  for name in next, data do
    if type(name) == "string" then fail("'%s' stands among the data, expected it in the options", name) end
  end
  return data, given
end

return function(arguments, given)
  local data, o = split(arguments, given)
  check_names(o, is_option, options, "it")
  local function option(name) return rawget(o, name) end
  local figure = { series = {}, names = {}, kind = option "kind" or "lines", file = text_option(option "file", "file"),
    logx = option "logx" and true, logy = option "logy" and true }
  if not is_kind[figure.kind] then
    fail("kind: expected one of %s, found %s", concat(kinds, ", "),
      type(figure.kind) == "string" and "'" .. figure.kind .. "'" or describe(figure.kind))
  end
  figure.title, figure.xlabel = text_option(option "title", "title"), text_option(option "xlabel", "xlabel")
  figure.ylabel = text_option(option "ylabel", "ylabel")
  figure.xrange = range_option(option "xrange", "xrange", figure.logx)
  figure.yrange = range_option(option "yrange", "yrange", figure.logy)
  figure.width, figure.height = size_option(option "size")
  if figure.logx and figure.kind == "bars" or (figure.logx or figure.logy) and figure.kind == "heatmap" then
    fail("%s have no logarithmic %s axis", figure.kind, figure.logx and "x" or "y")
  end

  local list = option "series"
  local points
  if list ~= nil and (is_tensor(data) or rawlen(data) > 0) then fail "expected data or series, found both" end
  if figure.kind == "heatmap" then
    if list ~= nil then fail "heatmap: expected a tensor [m,n] or a list of rows, found series" end
    points, figure.left_out = read_matrix(figure, data)
  else
    if list ~= nil then read_series(figure, list)
    elseif is_tensor(data) then read_tensor(figure, data)
    elseif rawlen(data) > 0 then read_list(figure, data) end
    points, figure.left_out = leave_out(figure)
  end
  figure.points = points
  if points == 0 then fail "nothing to draw: there is no point" end
  if figure.left_out == points then
    fail("nothing to draw: none of the %d points can be drawn (NaN, infinite%s)", points,
      (figure.logx or figure.logy) and ", or not above 0 on a logarithmic axis" or "")
  end
  return figure
end
