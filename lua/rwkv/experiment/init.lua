-- Experiments: many models, each trained from its configuration, one result file each, a table of all. What is finished
-- is not run again, what was stopped goes on, several can run at a time, here or on other machines. See
-- lua/doc/experiments.md.
local at_caller = require "rwkv.at_caller"
local check = require "rwkv.experiment.check"
local core = require "rwkv.core"
local configs = require "rwkv.experiment.configs"
local options = require "rwkv.options"
local progress = require "rwkv.progress"
local trial = require "rwkv.experiment.trial"
local tsv = require "rwkv.tsv"
local visible = require "rwkv.visible"
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

-- A value from the command line in the place of one of a scale's: of the same kind, numbers of a list parted by commas.
local function value_like(before, name, text)
  if type(before) == "string" then return text end
  local list = {}
  for word in (text .. ","):gmatch "(.-)," do
    local value = tonumber(word) or fail("--set %s=%s: '%s' is not a number", name, text, word)
    list[#list + 1] = math.tointeger(value) or value
  end
  if type(before) == "number" and #list == 1 then return list[1] end
  if type(before) == "table" and type(before[1]) == "number" then return list end
  return fail("--set %s=%s: expected %s", name, text, type(before) == "number" and "one number" or "a setting made of numbers")
end

-- scale(o, { quick = {..}, small = {..}, paper = {..} }) -> the settings that --scale asks for, with those of --set
function experiment.scale(o, scales)
  if type(o) ~= "table" or type(scales) ~= "table" then fail "scale: expected options and a table of scales" end
  local s = scales[o.scale] or fail("--scale %s: expected %s", o.scale, table.concat(configs.sorted(scales), ", "))
  for word in (o.set or ""):gmatch "%S+" do
    local name, text = word:match "^([%w_]+)=(.+)$"
    if not name then fail("--set: expected NAME=VALUE, found '%s'", word) end
    if s[name] == nil then fail("--set %s: this scale has %s", word, table.concat(configs.sorted(s), ", ")) end
    s[name] = value_like(s[name], name, text)
  end
  return s
end

-- ---- the list of runs ----

local function list_runs(q, out)
  local runs, tasks, keys = {}, {}, {}
  local titles = configs.titles(q.configs)
  local more = { q.evaluate or false, q.final or false, q.stop or false, q.prepare or false }
  for i, given in ipairs(q.configs) do
    local c = {}
    for name, value in pairs(trial.defaults) do c[name] = value end
    for name, value in pairs(given) do c[name] = value end
    local train, test = q.task(c)
    check.task("training", train, c)
    check.task("test", test, c)
    local key = configs.key(c, train, test, more, q.options)
    if not keys[key] then -- the same twice is one run
      keys[key] = true
      runs[#runs + 1] = { config = c, key = key, path = out .. "/" .. key, train = train, test = test,
        evaluate = q.evaluate or trial.evaluate, final = q.final, stop = q.stop, prepare = q.prepare,
        keep_model = q.keep_models ~= false, title = check.title(q.title, c) or titles[i] }
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

local function say(...) io.stderr:write(visible.text(string.format(...)), "\n") end

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
    run.rows = not message and trial.finished(run) or nil
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

-- ---- the command line of a run ----

local function quoted(text)
  return text:match "^[%w%._/=:,+-]+$" and text or "'" .. text:gsub("'", "'\\''") .. "'"
end

-- What the script was given, without the options that say how to go through the list.
local function script_arguments()
  local list, i, left_out = {}, 1, { ["--list"] = 0, ["--collect"] = 0, ["--fresh"] = 0, ["--jobs"] = 1, ["--run"] = 1 }
  while arg and arg[i] do
    local skip = left_out[arg[i]]
    if not skip then list[#list + 1] = arg[i] end
    i = i + 1 + (skip or 0)
  end
  return list
end

local function command_line(name, run)
  local words, first = {}, 0
  while arg and arg[first - 1] do first = first - 1 end
  for i = first, 0 do words[#words + 1] = quoted(arg and arg[i] or "aviary") end
  for _, word in ipairs(script_arguments()) do words[#words + 1] = quoted(word) end
  if run then words[#words + 1] = "--run " .. quoted(name .. "/" .. run.key) end
  return table.concat(words, " ")
end

-- A table headed by the command that made it. One that is there is not replaced by one without rows.
local function write_table(path, columns, rows, note)
  local there = #rows == 0 and io.open(path)
  if there then
    there:close()
    return say("%s stays as it is: there are no rows to put in its place", path)
  end
  tsv.write(path, columns, rows, { ("%s (commit %s, %s kernels, %s)"):format(command_line(), core.commit, core.backend(),
    core.precision), note })
end

-- The table of all rows, in the order of the configurations.
local function merge(q, out, runs)
  local all, missing = {}, 0
  for _, run in ipairs(runs) do
    run.rows = run.rows or trial.finished(run)
    if not run.rows then missing = missing + 1 end
    for _, row in ipairs(run.rows or {}) do all[#all + 1] = row end
  end
  local path = out .. "/" .. q.name .. ".tsv"
  write_table(path, trial.columns(all), all, q.note)
  return all, path, missing
end

local function run(q)
  check.question(q, trial.defaults)
  local o = q.options or check.common
  local out = q.out or (o.out ~= "" and o.out) or "runs/" .. q.name
  local wanted = o.run ~= "" and o.run
  if wanted and wanted:match "^[^/]*" ~= q.name then return {} end -- a worker's run is of another experiment
  local runs = list_runs(q, out)
  if o.list then
    for _, r in ipairs(runs) do print(command_line(q.name, r)) end
    os.exit(0, true)
  end
  core.mkdir(out)
  if wanted then
    for _, r in ipairs(runs) do
      if q.name .. "/" .. r.key == wanted then
        if not trial.finished(r) then trial.run(r, workers.reporter(r.path)) end
        os.remove(r.path .. ".progress")
        os.exit(0, true)
      end
    end
    fail("--run %s: there is no such run; the list (--list) has changed since", wanted)
  end
  local todo = {}
  for _, r in ipairs(runs) do
    if o.fresh then trial.forget(r) end
    r.rows = trial.finished(r)
    if not r.rows then todo[#todo + 1] = r
    elseif tostring(r.rows[1].commit) ~= core.commit or core.commit:find "%+$" then r.older = true end
  end
  if #todo < #runs then
    local older = 0
    for _, r in ipairs(runs) do older = older + (r.older and 1 or 0) end
    say("%s: %d of %d runs were finished before%s", q.name, #runs - #todo, #runs,
      older > 0 and (", %d of them by another commit or uncommitted changes (--fresh runs them again)"):format(older) or "")
  end
  if not o.collect then
    if o.jobs > 1 and #todo > 1 then run_apart(todo, q.name, script_arguments(), o.jobs) else run_here(todo) end
  end
  local rows, path, missing = merge(q, out, runs)
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

-- run{ name =, configs =, task =, ... } -> rows, path of the table
experiment.run = at_caller(run)

return experiment
