-- A table of an experiment that was made before: which script and commit made it, the runs in it, and which configuration of the
-- script's list each of them was.
local check = require "rwkv.experiment.check"
local command = require "rwkv.experiment.command"
local configs = require "rwkv.experiment.configs"
local tsv = require "rwkv.tsv"
local visible = require "rwkv.visible"

local made_before = {}

local function fail(path, ...) command.refuse("--check %s: %s", visible.line(path), string.format(...)) end

local function text_of(path)
  local file, why = io.open(path, "rb")
  local text
  if file then
    text, why = file:read "a"
    file:close()
  end
  if not text then fail(path, "expected a table, found: %s", why:gsub("^.*: ", "")) end
  return text
end

-- open(path, script) -> { path =, name = of its file, drawn = whether it is what a figure shows, commit =, rows =, columns = }.
-- script: the one that asks; what another one made is an error.
function made_before.open(path, script)
  local text = text_of(path)
  local words, commit = text:match "^# ([^\n]*) %(commit (%w+%+?)[,)]"
  local by = words and words:match "([^/%s']+%.lua)"
  if not by then
    fail(path, "expected a table of an experiment, whose first line says '# COMMAND (commit ID', found '%s'",
      visible.line(text:match "^[^\n]*":sub(1, 60)))
  end
  local own = script:match "[^/]*$"
  if by ~= own then fail(path, "%s made it, and this is %s", visible.line(by), visible.line(own)) end
  local ok, rows, columns = pcall(tsv.parse, text, path)
  if not ok then command.refuse("--check %s", visible.line(rows)) end
  if #rows == 0 then fail(path, "it has no rows") end
  local name = path:match "[^/]*$"
  return { path = path, name = name, drawn = name:find "%.figure%.tsv$" ~= nil, commit = commit, rows = rows, columns = columns }
end

-- Whether it is a table of that name: NAME.tsv, NAME.quick.tsv, NAME.figure.tsv.
function made_before.is_called(before, name) return before.name:sub(1, #name + 1) == name .. "." end

-- Its runs, { tests = rows, start = where they begin in the table }; what has no test after its start is left out.
local function runs_in(before)
  local list, found, tested = {}, {}, {}
  for i, row in ipairs(before.rows) do
    if row.run == nil then fail(before.path, "row %d has no run: expected the table of all runs", i) end
    local run = found[row.run]
    if not run then
      run = { tests = {}, start = i }
      found[row.run], list[#list + 1] = run, run
    end
    if row.part == "curve" then run.tests[#run.tests + 1] = row end
  end
  for _, run in ipairs(list) do
    if run.tests[2] then tested[#tested + 1] = run end
  end
  if #tested == 0 then fail(before.path, "none of its %d runs was tested after its start", #list) end
  return tested
end

-- Seconds until its first test after the start.
local function cost(run) return tonumber(run.tests[2].seconds) or 0 end

local function cheaper(a, b)
  if cost(a) ~= cost(b) then return cost(a) < cost(b) end
  return a.start < b.start
end

-- ---- which configuration it was ----

-- The columns of the table that are settings of a configuration. One that the table does not have yet tells no run from another.
local function settings_in(before, list)
  local there, columns = {}, {}
  for _, c in ipairs(list) do for name in pairs(c) do there[name] = true end end
  there.examples, there.budget, there.hooks = nil, true, true -- of a row: the examples so far
  for _, column in ipairs(before.columns) do
    if there[column] and (column == "budget" or not check.owned[column]) then columns[#columns + 1] = column end
  end
  return columns
end

-- What a configuration has in a column of a table.
local function value_in(c, column)
  if column == "hooks" then return configs.hooks_text(c) end
  return c[column == "budget" and "examples" or column]
end

local function shown(x) return x == nil and "nothing" or visible.line(x) end

-- In what a configuration is not what a row says: { "lr is 0.003, was 0.001", .. }
local function differences(c, row, columns)
  local list = {}
  for _, column in ipairs(columns) do
    local now, was = value_in(c, column), row[column]
    if column == "hooks" then was = was or "" end -- older tables have nothing for none
    if now ~= was then list[#list + 1] = ("%s is %s, was %s"):format(visible.line(column), shown(now), shown(was)) end
  end
  return list
end

-- match(before, list) -> how its runs and the configurations of the list belong together: { run = the run that is made again, at =
-- where its configuration is in the list, gone = how many runs the list no longer has, runs = of how many, lacking = how many
-- configurations the table lacks }. If the list has none of the runs, `at` is nil and `nearest` says in what the nearest
-- configuration differs from the run.
function made_before.match(before, list)
  local runs, columns = runs_in(before), settings_in(before, list)
  table.sort(runs, cheaper)
  local found, there, missing = { gone = 0, runs = #runs, lacking = 0 }, {}, {}
  for _, run in ipairs(runs) do
    local at
    for i, c in ipairs(list) do
      local differs = differences(c, run.tests[1], columns)
      if #differs == 0 then at, there[i] = at or i, true end
      if run == runs[1] and #differs < #(missing.differs or columns) then missing.differs = differs end
    end
    if at and not found.at then found.run, found.at = run, at end
    if not at then found.gone = found.gone + 1 end
  end
  for i = 1, #list do found.lacking = found.lacking + (there[i] and 0 or 1) end
  if not found.at then found.run, found.nearest = runs[1], table.concat(missing.differs or {}, "; ") end
  return found
end

return made_before
