-- Rows of results: the best of a sweep, and a row a group of runs.
local at_caller = require "rwkv.at_caller"
local check = require "rwkv.experiment.check"
local nearest = require "rwkv.nearest"
local sorted = require "rwkv.sorted"
local statistics = require "rwkv.statistics"
local visible = require "rwkv.visible"

local results = {}

local function fail(...) error(string.format(...), 0) end

-- Fails unless q has the options in `known`, each of its kind: "text", "list" of names, "boolean"; those in `needed` must be there.
local function check_options(what, q, known, needed)
  if type(q) ~= "table" then fail("%s: the options are %s, expected a table", what, check.shown(q)) end
  for name, value in pairs(q) do
    local kind, fits = known[name], nil
    if not kind then
      fail("%s: there is no option '%s'%s", what, visible.line(name), nearest.listed(name, sorted(known)))
    end
    if kind == "text" then fits = type(value) == "string" end
    if kind == "boolean" then fits = type(value) == "boolean" end
    if kind == "list" then
      fits = check.is_list(value)
      for _, word in ipairs(fits and value or {}) do fits = fits and type(word) == "string" end
    end
    if not fits then
      fail("%s: %s is %s, expected a %s", what, name, check.shown(value), kind == "list" and "list of names" or kind)
    end
  end
  for _, name in ipairs(needed) do
    if q[name] == nil then fail("%s: %s is missing", what, name) end
  end
end

-- The rows of one part, each with a run.
local function rows_of(what, rows, part)
  if not check.is_list(rows) then fail("%s: rows is %s, expected a list of rows", what, check.shown(rows)) end
  local found = {}
  for i, row in ipairs(rows) do
    if type(row) ~= "table" then fail("%s: row %d is %s, expected a table", what, i, check.shown(row)) end
    if row.part == part then
      if row.run == nil or row.run ~= row.run then fail("%s: row %d has no run", what, i) end
      found[#found + 1] = row
    end
  end
  return found
end

local function number_in(what, row, name)
  local x = row[name]
  if type(x) == "number" then return x end
  fail("%s: %s of run %s is %s, expected a number", what, visible.line(name), visible.line(row.run), check.shown(x))
end

-- What rows have in common that agree in the columns `by`.
local function group_of(row, by)
  local parts = {}
  for i, name in ipairs(by) do
    local x = row[name]
    parts[i] = type(x) == "number" and ("%.17g"):format(x) or ("%s %d %s"):format(type(x), #tostring(x), tostring(x))
  end
  return table.concat(parts, " ")
end

-- A column in the last rows of runs, where it has numbers, and these rows.
local function numbers_of(what, last, name)
  local numbers, rows = {}, {}
  for _, run in ipairs(sorted(last)) do
    if last[run][name] ~= nil then
      numbers[#numbers + 1], rows[#rows + 1] = number_in(what, last[run], name), last[run]
    end
  end
  return numbers, rows
end

-- Mean, lowest, highest and number of them; nothing where there are none.
local function over_runs(what, last, name) return statistics.summary((numbers_of(what, last, name))) end

-- best(rows, { over = "lr", by = { "label", "dim" }, value = "accuracy", lowest = false }) -> the rows of the runs with the
-- best value of `over`, for every group of rows that agree in `by`: where the mean over runs (seeds) of the last value of
-- the curve is highest, or lowest. This is how the papers treat the learning rate. A mean that is no number is the worst.
results.best = at_caller(function(rows, q)
  check_options("best", q, { over = "text", by = "list", value = "text", lowest = "boolean" }, { "over", "by" })
  local groups, order, value, sign = {}, {}, q.value or "accuracy", q.lowest and -1 or 1
  for _, row in ipairs(rows_of("best", rows, "curve")) do
    local g, over = group_of(row, q.by), row[q.over]
    if over == nil or over ~= over then
      fail("best: %s of run %s is %s, expected a value", visible.line(q.over), visible.line(row.run), check.shown(over))
    end
    if not groups[g] then groups[g], order[#order + 1] = {}, g end
    groups[g][over] = groups[g][over] or {}
    groups[g][over][row.run] = row -- rows of a run come in order: the last one stays
  end
  local winner, chosen = {}, {}
  for g, group in pairs(groups) do
    local top
    for _, over in ipairs(sorted(group)) do
      local mean = over_runs("best", group[over], value)
      local score = mean and (mean == mean and sign * mean or -math.huge)
      if score and (not top or score > top) then winner[g], top = over, score end
    end
    if not top then fail("best: there is no %s in a row of part curve", visible.line(value)) end
  end
  for _, g in ipairs(order) do -- as they first come
    for _, row in ipairs(rows) do
      if group_of(row, q.by) == g and row[q.over] == winner[g] then chosen[#chosen + 1] = row end
    end
  end
  return chosen
end)

-- summary(rows, { by = { "label", "dim" }, value = "accuracy", part = "curve", also = { "loss" }, keep = { "lr" }, each = false })
-- -> a row for every group of runs that agree in `by`: mean, median, low and high over its runs of the last value of their
-- curves (or, with part = "final", of what was measured at the end), runs how many there are; parameters and state as counted;
-- of the columns in `also` the mean, if there are numbers; those in `keep` as they are in the first. With each = true a row for
-- every run follows, which has its seed and its value in place of these.
results.summary = at_caller(function(rows, q)
  check_options("summary", q, { by = "list", value = "text", part = "text", also = "list", keep = "list", each = "boolean" },
    { "by" })
  local value, groups, order = q.value or "accuracy", {}, {}
  for _, row in ipairs(rows_of("summary", rows, q.part or "curve")) do
    local id = group_of(row, q.by)
    local g = groups[id]
    if not g then
      g = { first = row, last = {} }
      groups[id], order[#order + 1] = g, g
    end
    g.last[row.run] = row
  end
  local list = {}
  local function add(row, first)
    for _, names in ipairs { q.by, q.keep or {}, { "parameters", "state_floats", "state_bytes", "commit" } } do
      for _, name in ipairs(names) do row[name] = first[name] end
    end
    list[#list + 1] = row
  end
  for _, g in ipairs(order) do
    local numbers, rows_with = numbers_of("summary", g.last, value)
    local r = {}
    r.mean, r.low, r.high, r.runs = statistics.summary(numbers)
    r.median = r.mean and (r.mean == r.mean and statistics.median(numbers) or r.mean)
    for _, name in ipairs(q.also or {}) do r[name] = over_runs("summary", g.last, name) end
    add(r, g.first)
    if q.each then
      local seeds = {}
      for i, number in ipairs(numbers) do seeds[i] = { number = number, row = rows_with[i] } end
      table.sort(seeds, function(a, b) return (tonumber(a.row.seed) or 0) < (tonumber(b.row.seed) or 0) end)
      for _, x in ipairs(seeds) do add({ seed = x.row.seed, value = x.number }, x.row) end
    end
  end
  return list
end)

return results
