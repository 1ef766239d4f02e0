-- Configurations: flat tables of plain values, and `hooks`. Making lists of them, naming them, choosing among results.
local core = require "rwkv.core"
local draws = require "rwkv.experiment.draws"
local fingerprint = require "rwkv.experiment.fingerprint"
local hooks = require "rwkv.hooks"

local configs = {}

function configs.sorted(t)
  local names = {}
  for name in pairs(t) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- product({ { "model", { { label =, version = }, .. } }, { "lr", { 1e-3, 3e-3 } }, .. }, settings) -> list of configurations:
-- every combination, the last axis running fastest. A value that is a table is merged into the configuration, and so are
-- the settings that are plain values; those in lists (and `seeds`) are for axes.
function configs.product(axes, settings)
  local base = {}
  for name, value in pairs(settings or {}) do
    if type(value) ~= "table" and name ~= "seeds" then base[name] = value end
  end
  local list = { base }
  for i, axis in ipairs(axes) do
    local name, values = axis[1], axis[2]
    if type(name) ~= "string" or type(values) ~= "table" then
      error(("product: axis %d is not { name, list of values }"):format(i), 2)
    end
    local longer = {}
    for _, c in ipairs(list) do
      for _, value in ipairs(values) do
        local copy = {}
        for k, v in pairs(c) do copy[k] = v end
        if type(value) == "table" then for k, v in pairs(value) do copy[k] = v end else copy[name] = value end
        longer[#longer + 1] = copy
      end
    end
    list = longer
  end
  return list
end

-- seeds(3) -> { 0, 1, 2 }
function configs.seeds(count)
  local list = {}
  for i = 1, count do list[i] = i - 1 end
  return list
end

-- ---- names ----

function configs.hooks_text(c)
  local parts = {}
  for _, slot in ipairs(configs.sorted(c.hooks or {})) do
    local h = c.hooks[slot]
    parts[#parts + 1] = slot .. "=" .. (type(h) == "table" and h.name or h)
  end
  return table.concat(parts, " ")
end

-- What a measuring function may read, and a hook or a task may not.
local clocks = {}
for name in ("os.time os.clock os.date rwkv.time rwkv.tape_bytes collectgarbage"):gmatch "%S+" do clocks[name] = true end

local function hooks_of(c)
  local list = {}
  for _, slot in ipairs(configs.sorted(c.hooks or {})) do
    local h = c.hooks[slot]
    list[#list + 1] = slot
    list[#list + 1] = type(h) == "table" and h or hooks.find(slot, h) or h
  end
  return list
end

-- What the hooks and the functions in `more` are, as they are now: it stays the same while a run goes on.
function configs.code(c, more, passed_over)
  return core.private.sha256((fingerprint({ hooks_of(c), more }, passed_over)))
end

-- What a run is known by: everything that decides its numbers. That is its configuration, the code of its hooks and tasks and
-- the values that they use, the first examples, what measures it (the functions in `more`), the kernels and the precision. Not
-- Aviary's commit, which stands in every row, nor the common options of the command line (passed_over).
-- Returns { key = a file name, digest =, uncovered = list of what it cannot cover, generators = those that draw, code = }.
function configs.identity(c, train, test, more, passed_over)
  local settings, parts = {}, { core.backend(), core.precision }
  for name, value in pairs(c) do if name ~= "hooks" then settings[name] = value end end
  local made, uncovered, generators = fingerprint({ settings, hooks_of(c), train, test }, passed_over)
  local measured, problems, more_generators = fingerprint(more, passed_over)
  parts[#parts + 1], parts[#parts + 2] = made, measured
  for _, text in ipairs(problems) do if not clocks[text] then uncovered[#uncovered + 1] = text end end
  table.move(more_generators, 1, #more_generators, #generators + 1, generators)
  draws.keep(generators, function()
    for _, task in ipairs { train, test } do
      for _, tokens in ipairs { task:batch(1, math.min(2, c.batch)) } do
        for _, row in ipairs(tokens:tolist()) do parts[#parts + 1] = table.concat(row, " ") end
      end
    end
  end)
  local digest = core.private.sha256(table.concat(parts, "\n"))
  return { key = ("%s-%s"):format(c.label:gsub("[^%w._-]", "_"):sub(1, 60), digest:sub(1, 20)), digest = digest,
    uncovered = uncovered, generators = generators, code = configs.code(c, more, passed_over) }
end

-- What tells a run from the others of its list: the label and the fields that are not the same everywhere.
function configs.titles(list)
  local differs, titles = {}, {}
  for _, c in ipairs(list) do
    for name, value in pairs(c) do
      if type(value) ~= "table" and value ~= list[1][name] then differs[name] = true end
    end
  end
  for _, name in ipairs { "label", "version", "hooks" } do differs[name] = nil end
  local names = configs.sorted(differs)
  for i, c in ipairs(list) do
    local parts = { c.label }
    for _, name in ipairs(names) do
      local value = c[name]
      if value ~= nil then
        parts[#parts + 1] = ("%s %s"):format(name, math.type(value) == "float" and ("%.4g"):format(value) or tostring(value))
      end
    end
    titles[i] = table.concat(parts, " ")
  end
  return titles
end

-- ---- choosing ----

-- What rows have in common that agree in the columns `by`.
local function group_of(row, by)
  local parts = {}
  for i, name in ipairs(by) do parts[i] = tostring(row[name]) end
  return table.concat(parts, "\0")
end

-- best(rows, { over = "lr", by = { "label", "dim" }, value = "accuracy", lowest = false }) -> the rows of the runs with the
-- best value of `over`, for every group of rows that agree in `by`: where the mean over runs (seeds) of the last value of
-- the curve is highest, or lowest. This is how the papers treat the learning rate.
function configs.best(rows, q)
  local groups, order, value, sign = {}, {}, q.value or "accuracy", q.lowest and -1 or 1
  for _, row in ipairs(rows) do
    if row.part == "curve" then
      local g = group_of(row, q.by)
      if not groups[g] then groups[g], order[#order + 1] = {}, g end
      groups[g][row[q.over]] = groups[g][row[q.over]] or {}
      groups[g][row[q.over]][row.run] = row[value] -- rows of a run come in order: the last one stays
    end
  end
  local winner, chosen = {}, {}
  for g, group in pairs(groups) do
    local top = -math.huge
    for _, over in ipairs(configs.sorted(group)) do
      local sum, n = 0, 0
      for _, x in pairs(group[over]) do sum, n = sum + x, n + 1 end
      if sign * sum / n > top then winner[g], top = over, sign * sum / n end
    end
  end
  for _, g in ipairs(order) do -- as they first come
    for _, row in ipairs(rows) do
      if group_of(row, q.by) == g and row[q.over] == winner[g] then chosen[#chosen + 1] = row end
    end
  end
  return chosen
end

-- Mean, lowest, highest and number of a column in the last rows of runs; nothing where there are no numbers.
local function over_runs(last, name)
  local sum, n, low, high = 0, 0, math.huge, -math.huge
  for _, run in ipairs(configs.sorted(last)) do
    local x = last[run][name]
    if x then sum, n, low, high = sum + x, n + 1, math.min(low, x), math.max(high, x) end
  end
  if n > 0 then return sum / n, low, high, n end
end

-- summary(rows, { by = { "label", "dim" }, value = "accuracy", part = "curve", also = { "loss" }, keep = { "lr" } }) -> a row for
-- every group of runs that agree in `by`: mean, low and high over its runs of the last value of their curves (or, with part =
-- "final", of what was measured at the end), runs how many there are; parameters and state as counted; of the columns in
-- `also` the mean, if there are numbers; those in `keep` as they are in the first.
function configs.summary(rows, q)
  local value, part, groups, order = q.value or "accuracy", q.part or "curve", {}, {}
  for _, row in ipairs(rows) do
    if row.part == part then
      local id = group_of(row, q.by)
      local g = groups[id]
      if not g then
        g = { first = row, last = {} }
        groups[id], order[#order + 1] = g, g
      end
      g.last[row.run] = row
    end
  end
  local list = {}
  for i, g in ipairs(order) do
    local r = {}
    r.mean, r.low, r.high, r.runs = over_runs(g.last, value)
    for _, name in ipairs(q.also or {}) do r[name] = over_runs(g.last, name) end
    for _, names in ipairs { q.by, q.keep or {}, { "parameters", "state_floats", "state_bytes", "commit" } } do
      for _, name in ipairs(names) do r[name] = g.first[name] end
    end
    list[i] = r
  end
  return list
end

return configs
