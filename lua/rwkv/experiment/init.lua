-- Experiments: many models, each trained from its configuration, one result file each, a table of all. What is finished
-- is not run again, what was stopped goes on, several can run at a time, here or on other machines. See
-- lua/pages/experiments.md.
local at_caller = require "rwkv.at_caller"
local check = require "rwkv.experiment.check"
local command = require "rwkv.experiment.command"
local core = require "rwkv.core"
local configs = require "rwkv.experiment.configs"
local draws = require "rwkv.experiment.draws"
local files = require "rwkv.experiment.files"
local is_interrupt = require "rwkv.command".is_interrupt
local nearest = require "rwkv.nearest"
local options = require "rwkv.options"
local progress = require "rwkv.progress"
local sorted = require "rwkv.sorted"
local trial = require "rwkv.experiment.trial"
local tsv = require "rwkv.tsv"
local say = require "rwkv.visible".say
local workers = require "rwkv.experiment.workers"

local experiment = {}

local function fail(...) error("experiment: " .. string.format(...), 0) end

-- ---- options ----

-- options(arg, { models = "v4 v7", .. }) -> the script's options and those that every experiment has: --scale quick, small or
-- paper; --jobs N; --list; --collect; --fresh; --out DIR.
function experiment.options(arguments, mine)
  local all = {}
  for name, value in pairs(check.common) do all[name] = value end
  if mine ~= nil and type(mine) ~= "table" then fail("options: the script's are %s, expected a table", check.shown(mine)) end
  for name, value in pairs(mine or {}) do all[name] = value end
  local o = options(arguments, all)
  check.options(o)
  o.jobs = math.tointeger(o.jobs)
  return o
end

-- Of what the entries of a scale's lists are settings.
local settings_of = { dims = "dim", lengths = "seq", depths = "layers" }

-- A value from the command line in the place of one of a scale's: of the same kind, numbers of a list parted by commas.
local function value_like(before, name, text)
  if type(before) == "string" then return text end
  local list = {}
  for word in (text .. ","):gmatch "(.-)," do
    local value = tonumber(word) or fail("--set %s=%s: '%s' is not a number", name, text, word)
    local fits, problem = check.field(settings_of[name] or name, value)
    if not fits then fail("--set %s=%s: %s is %s", name, text, settings_of[name] or name, problem) end
    list[#list + 1] = math.tointeger(value) or value
  end
  if type(before) == "number" and #list == 1 then return list[1] end
  if type(before) == "table" and type(before[1]) == "number" then return list end
  return fail("--set %s=%s: expected %s", name, text, type(before) == "number" and "one number" or "a setting made of numbers")
end

-- scale(o, { quick = {..}, small = {..}, paper = {..} }) -> the settings that --scale asks for, with those of --set
function experiment.scale(o, scales)
  if type(o) ~= "table" or type(scales) ~= "table" then fail "scale: expected options and a table of scales" end
  local s = scales[o.scale] or fail("--scale %s: expected %s", o.scale, table.concat(sorted(scales), ", "))
  for word in (o.set or ""):gmatch "%S+" do
    local name, text = word:match "^([%w_]+)=(.+)$"
    if not name then fail("--set: expected NAME=VALUE, found '%s'", word) end
    if s[name] == nil then
      local hint = nearest.hint(name, sorted(s))
      fail("--set %s: there is no setting '%s'%s this scale has %s", word, name, hint == "" and ";" or hint, table.concat(sorted(s), ", "))
    end
    s[name] = value_like(s[name], name, text)
  end
  return s
end

-- ---- the list of runs ----

-- One run: { config =, key =, digest =, path =, train =, test =, evaluate =, .. }; functions: those that measure;
-- instead, uncovered, generators, code: see configs.identity.
local function new_run(q, c, out, title)
  draws.place(c.seed, "task", 0)
  local train, test = q.task(c)
  local functions = { q.evaluate or false, q.final or false, q.stop or false, q.prepare or false }
  local instead = command.instead(q)
  local run = configs.identity(c, train, test, functions, instead)
  run.config, run.train, run.test, run.functions, run.instead = c, train, test, functions, instead
  run.path, run.title = out .. "/" .. run.key, title
  run.evaluate, run.final, run.stop, run.prepare = q.evaluate or trial.evaluate, q.final, q.stop, q.prepare
  run.keep_model = q.keep_models ~= false
  return run
end

local function list_runs(q, out)
  local runs, keys, titles = {}, {}, configs.titles(q.configs)
  for i, given in ipairs(q.configs) do
    local c = {}
    for name, value in pairs(trial.defaults) do c[name] = value end
    for name, value in pairs(given) do c[name] = value end
    local run = new_run(q, c, out, check.title(q.title, c) or titles[i])
    if not keys[run.key] then -- the same twice is one run
      keys[run.key] = true
      runs[#runs + 1] = run
    end
  end
  return runs
end

-- What a run is to the bar of all: about its arithmetic.
local function weight(run)
  local c = run.config
  return c.examples * (c.seq or 1) * c.layers * c.dim ^ 2
end

local function summary(rows)
  local last = rows[1]
  for _, row in ipairs(rows) do if row.part ~= "final" then last = row end end
  local function number(x) return type(x) == "number" and (x == x and ("%.3f"):format(x) or "nan") or "-" end
  return ("accuracy %s, loss %s"):format(number(last.accuracy), number(last.loss))
end

-- ---- running ----

local function total_weight(runs)
  local total = 0
  for _, run in ipairs(runs) do total = total + weight(run) end
  return total
end

local function run_here(todo)
  local total, done, start = total_weight(todo), 0, core.time()
  for i, run in ipairs(todo) do
    local c = run.config
    local title = #todo > 1 and ("%d/%d %s"):format(i, #todo, run.title) or run.title
    local bar = progress(title, c.examples, "examples")
    local within = { update = function(_, seen, note) -- the bar of this run, with the time left of all
      local now = done + weight(run) * seen / c.examples
      local left = (core.time() - start) * (total - now) / now
      bar:update(seen, #todo > 1 and ("%s; all runs: %.0f min left"):format(note, left / 60) or note)
    end }
    run.rows = trial.run(run, within)
    done = done + weight(run)
    local last = run.rows[#run.rows]
    bar:finish(("%s, %d parameters, state %d floats"):format(summary(run.rows), last.parameters, last.state_floats))
  end
end

local function run_apart(todo, name, arguments, jobs)
  local total, done, ended, failures = total_weight(todo), 0, 0, {}
  local bar = progress(name, total, "operations")
  local on = {}
  function on.moved(seen)
    local now = done
    for run, examples in pairs(seen) do now = now + weight(run) * examples / run.config.examples end
    bar:update(now, ("%d of %d runs"):format(ended, #todo))
  end
  function on.ended(run, message)
    ended, done = ended + 1, done + weight(run)
    run.rows = not message and files.read(run) or nil
    if run.rows then return bar:say(("%s: %s (%.0f s)"):format(run.title, summary(run.rows), run.rows[#run.rows].seconds)) end
    failures[#failures + 1] = run.title
    bar:say(("%s FAILED: %s"):format(run.title, message or "no result was written"))
  end
  workers.run_all(todo, name, arguments, jobs, on)
  bar:finish(("%d runs"):format(ended - #failures))
  if #failures > 0 then
    fail("%d of %d runs failed: %s; what is finished is kept", #failures, #todo, table.concat(failures, "; "))
  end
end

-- ---- tables ----

-- A table headed by the command that made it. One that is there is not replaced by one without rows.
local function write_table(path, columns, rows, note)
  local there = #rows == 0 and io.open(path)
  if there then
    there:close()
    return say("%s stays as it is: there are no rows to put in its place", path)
  end
  tsv.write(path, columns, rows, { ("%s (commit %s, %s kernels, %s)"):format(command.line(), core.commit, core.backend(),
    core.precision), note })
end

-- The table of all rows, in the order of the configurations.
local function merge(q, out, runs)
  local all, missing, path = {}, 0, out .. "/" .. q.name .. ".tsv"
  for _, run in ipairs(runs) do
    run.rows = run.rows or files.read(run)
    if not run.rows then missing = missing + 1 end
    for _, row in ipairs(run.rows or {}) do all[#all + 1] = row end
  end
  write_table(path, trial.columns(all), all, q.note)
  return all, path, missing
end

-- ---- one experiment of a script ----

-- What cannot be covered by keys, said once.
local function say_uncovered(name, runs)
  local said, list = {}, {}
  for _, run in ipairs(runs) do
    for _, text in ipairs(run.uncovered) do
      if not said[text] then list[#list + 1] = text end
      said[text] = true
    end
  end
  if #list > 0 then
    say("%s: hooks, tasks or measuring functions use what the key of a run cannot cover: %s. Results are not kept for another time",
      name, table.concat(list, ", "))
  end
end

-- Rows that are not there yet: whoever looks at them ends the program by `stop`.
local function unfinished(stop)
  return setmetatable({}, { __index = stop, __len = stop, __pairs = stop })
end

-- The rows of an experiment whose runs were finished before; what looks at them when they are not ends by `stop`.
local function rows_before(q, out, runs, stop)
  local all = {}
  for _, run in ipairs(runs) do
    local rows = files.read(run)
    if not rows then return unfinished(stop), out .. "/" .. q.name .. ".tsv" end
    for _, row in ipairs(rows) do all[#all + 1] = row end
  end
  return all, out .. "/" .. q.name .. ".tsv"
end

local lines -- the standard output of --list

local function list(q, out, runs)
  say_uncovered(q.name, runs)
  lines = lines or core.private.reserve_output()
  local commands = {}
  for i, run in ipairs(runs) do commands[i] = command.line(q.name, run) .. "\n" end
  local ok, why = lines:write(table.concat(commands))
  if ok then ok, why = lines:flush() end
  if not ok then fail("the output could not be written: %s", why) end
  return rows_before(q, out, runs, function()
    say("%s is not finished: runs that depend on its rows are listed when it is", q.name)
    os.exit(0, true)
  end)
end

-- --run NAME/KEY: this one run, if it is of this experiment. Of others the rows are there, if the script asks for them.
local function run_one(q, out, runs, wanted)
  if wanted:match "^[^/]*" ~= q.name then
    return rows_before(q, out, runs, function() fail("--run %s: %s, of which it needs the rows, is not finished", wanted, q.name) end)
  end
  core.mkdir(out)
  for _, run in ipairs(runs) do
    if q.name .. "/" .. run.key == wanted then
      local rows, reasons = files.read(run)
      if not rows or reasons then trial.run(run, workers.reporter(run.path)) end
      os.remove(run.path .. ".progress")
      os.exit(0, true)
    end
  end
  fail("--run %s: there is no such run; the list (--list) has changed since", wanted)
end

-- Reads what is finished; returns what is to be done.
local function sort_out(q, o, out, runs)
  local todo, older = {}, 0
  core.private.sweep(out)
  say_uncovered(q.name, runs)
  for _, run in ipairs(runs) do
    local rows, reasons = files.read(run)
    if o.fresh or (reasons and not o.collect) then
      files.clear(run, true)
      rows = nil
    end
    run.rows = rows
    if not rows then
      todo[#todo + 1] = run
    else
      files.clear(run)
      if tostring(rows[1].commit) ~= core.commit or core.commit:find "%+$" then older = older + 1 end
    end
  end
  if #todo < #runs then
    say("%s: %d of %d runs were finished before%s", q.name, #runs - #todo, #runs,
      older > 0 and (", %d of them by another commit or uncommitted changes (--fresh runs them again)"):format(older) or "")
  end
  return todo
end

local function run(q)
  check.question(q, trial.defaults)
  local o = q.options or check.common
  local out = q.out or (o.out ~= "" and o.out) or "runs/" .. q.name
  local runs = list_runs(q, out)
  if o.list then return list(q, out, runs) end
  if o.run ~= "" then return run_one(q, out, runs, o.run) end
  core.mkdir(out)
  local todo = sort_out(q, o, out, runs)
  if not o.collect and #todo > 0 then
    if o.jobs > 1 then run_apart(todo, q.name, command.words(arg), o.jobs) else run_here(todo) end
  end
  local rows, path, missing = merge(q, out, runs)
  core.private.sweep(out)
  if missing > 0 then say("%s: %d of %d runs are not finished", path, missing, #runs) end
  return rows, path
end

-- figure(path, columns, rows, note): beside the table of all rows, NAME.tsv, the few that a figure shows, NAME.figure.tsv,
-- headed by the command that made it.
function experiment.figure(path, columns, rows, note)
  if type(path) ~= "string" then
    fail("figure: path is %s, expected text; run{...} returns none where --run asks for a run of another experiment", check.shown(path))
  end
  core.mkdir(path:match "^(.*)/" or ".")
  write_table((path:gsub("%.tsv$", ".figure.tsv")), columns, rows, note)
end

-- Passes on what f returned; after Ctrl-C says what is to be done.
local function told(q, ok, ...)
  if ok then return ... end
  if is_interrupt((...)) then
    if core.is_terminal() then io.stderr:write "\r\27[K" end
    say("%s: stopped; the same command goes on from the last test of each run", q.name)
  end
  error((...), 0)
end

-- run{ name =, configs =, task =, ... } -> rows, path of the table
experiment.run = at_caller(function(q)
  return told(q, pcall(draws.keep, {}, function() return run(q) end))
end)

return experiment
