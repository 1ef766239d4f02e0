-- Experiments: many models, each trained from its configuration, one result file each, a table of all. What is finished
-- is not run again, what was stopped goes on, several can run at a time, here or on other machines. See
-- lua/doc/experiments.md.
local core = require "rwkv.core"
local configs = require "rwkv.experiment.configs"
local options = require "rwkv.options"
local progress = require "rwkv.progress"
local trial = require "rwkv.experiment.trial"
local tsv = require "rwkv.tsv"
local workers = require "rwkv.experiment.workers"

local experiment = {}

local function fail(...) error("experiment: " .. string.format(...), 0) end

-- ---- options ----

local common = { scale = "small", set = "", jobs = 1, list = false, collect = false, fresh = false, run = "", out = "" }

-- options(arg, { models = "v4 v7", .. }) -> the script's options and those that every experiment has: --scale quick, small or
-- paper; --jobs N; --list; --collect; --fresh; --out DIR.
function experiment.options(arguments, mine)
  local all = {}
  for name, value in pairs(common) do all[name] = value end
  for name, value in pairs(mine or {}) do all[name] = value end
  local o = options(arguments, all)
  if o.jobs < 1 or o.jobs > 64 or o.jobs % 1 ~= 0 then fail("--jobs %g: expected 1 to 64", o.jobs) end
  if o.fresh and o.collect then fail "--fresh and --collect: one forgets what is finished, the other puts it together" end
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
  local s = scales[o.scale] or fail("--scale %s: expected %s", o.scale, table.concat(configs.sorted(scales), ", "))
  for word in (o.set or ""):gmatch "%S+" do
    local name, text = word:match "^([%w_]+)=(.+)$"
    if not name then fail("--set: expected NAME=VALUE, found '%s'", word) end
    if s[name] == nil then fail("--set %s: this scale has %s", word, table.concat(configs.sorted(s), ", ")) end
    s[name] = value_like(s[name], name, text)
  end
  return s
end

-- ---- checking ----

local fields = { name = "string", configs = "table", task = "function", options = "table", out = "string",
  evaluate = "function", final = "function", stop = "function", prepare = "function", note = "string",
  keep_models = "boolean", title = "function" }

local function check_task(name, task)
  local has = (type(task) == "table" or type(task) == "userdata") and task.batch
  if not has then fail("the %s task is a %s, expected one with :batch(first, count)", name, type(task)) end
end

local function check_config(c, i)
  if type(c) ~= "table" then fail("configuration %d is a %s, expected a table", i, type(c)) end
  for _, name in ipairs(trial.required) do
    if c[name] == nil then fail("configuration %d (%s) has no %s", i, tostring(c.label), name) end
  end
  for name, value in pairs(c) do
    local kind = type(value)
    if type(name) ~= "string" or (kind == "table" and name ~= "hooks") or kind == "function" or kind == "userdata" then
      fail("configuration %d: %s is a %s; only plain values and hooks can stand there", i, tostring(name), kind)
    end
  end
  if c.schedule ~= "constant" and c.schedule ~= "cosine" then
    fail("configuration %d: schedule %s, expected constant or cosine", i, tostring(c.schedule))
  end
end

local function check(q)
  if type(q) ~= "table" then fail("expected a table, found a %s", type(q)) end
  for name, value in pairs(q) do
    local want = fields[name]
    if not want then fail("there is no field '%s'; there are: %s", tostring(name), table.concat(configs.sorted(fields), ", ")) end
    if type(value) ~= want then fail("%s is a %s, expected a %s", name, type(value), want) end
  end
  for _, name in ipairs { "name", "configs", "task" } do
    if q[name] == nil then fail("%s is missing", name) end
  end
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
    check_config(c, i)
    local train, test = q.task(c)
    check_task("training", train)
    check_task("test", test)
    local key = configs.key(c, train, test, more, q.options)
    if not keys[key] then -- the same twice is one run
      keys[key] = true
      runs[#runs + 1] = { config = c, key = key, path = out .. "/" .. key, train = train, test = test,
        evaluate = q.evaluate or trial.evaluate, final = q.final, stop = q.stop, prepare = q.prepare,
        keep_model = q.keep_models ~= false, title = q.title and q.title(c) or titles[i] }
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
  return ("accuracy %s, loss %s"):format(last.accuracy and ("%.3f"):format(last.accuracy) or "-",
    tonumber(last.loss) and ("%.3f"):format(last.loss) or "-")
end

local function say(...) io.stderr:write(string.format(...), "\n") end

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

-- The table of all rows, in the order of the configurations.
local function merge(q, out, runs)
  local all, missing = {}, 0
  for _, run in ipairs(runs) do
    run.rows = run.rows or trial.finished(run)
    if not run.rows then missing = missing + 1 end
    for _, row in ipairs(run.rows or {}) do all[#all + 1] = row end
  end
  local path = out .. "/" .. q.name .. ".tsv"
  tsv.write(path, trial.columns(all), all, { ("%s (commit %s, %s kernels, %s)"):format(command_line(q.name), core.commit,
    core.backend(), core.precision), q.note })
  return all, path, missing
end

local function run(q)
  check(q)
  local o = q.options or common
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
  core.mkdir(path:match "^(.*)/" or ".")
  tsv.write((path:gsub("%.tsv$", ".figure.tsv")), columns, rows, { ("%s (commit %s, %s kernels, %s)"):format(command_line(), core.commit, core.backend(),
    core.precision), note })
end

-- run{ name =, configs =, task =, ... } -> rows, path of the table
function experiment.run(q)
  local results = table.pack(pcall(run, q))
  if results[1] then return results[2], results[3] end
  local message = results[2]
  error(message, type(message) == "string" and not message:match "^[^\n ]+:%d+: " and 2 or 0)
end

return experiment
