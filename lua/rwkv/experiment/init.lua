-- Experiments: many models, each trained from its configuration, one result file each, a table of all. What is finished
-- is not run again, what was stopped goes on, several can run at a time, here or on other machines. See
-- lua/pages/experiments.md.
local answer = require "rwkv.experiment.answer"
local at_a_time = require "rwkv.experiment.at_a_time"
local at_caller = require "rwkv.at_caller"
local check = require "rwkv.experiment.check"
local command = require "rwkv.experiment.command"
local core = require "rwkv.core"
local configs = require "rwkv.experiment.configs"
local devices = require "rwkv.experiment.devices"
local draws = require "rwkv.experiment.draws"
local estimate = require "rwkv.experiment.estimate"
local files = require "rwkv.experiment.files"
local notice = require "rwkv.experiment.notice"
local lock = require "rwkv.experiment.lock"
local progress = require "rwkv.progress"
local provenance = require "rwkv.provenance"
local ranks = require "rwkv.ranks"
local reproduce = require "rwkv.experiment.reproduce"
local settings = require "rwkv.experiment.settings"
local status = require "rwkv.experiment.status"
local tables = require "rwkv.experiment.tables"
local trial = require "rwkv.experiment.trial"
local say = require "rwkv.visible".say
local workers = require "rwkv.experiment.workers"

local experiment = { options = settings.options, scale = settings.scale, path = settings.path, figure = tables.figure,
  by_layer = check.by_layer }

-- ---- the list of runs ----

-- One run: { config =, key =, digest =, path =, train =, test =, evaluate =, .. }; functions: those that measure; flops: of all
-- of it; instead, uncovered, generators, code, tokens, labels: see configs.identity.
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
  run.flops = trial.flops(c, run.tokens, run.labels)
  return run
end

-- Its configurations with the usual values where they have none, and what messages call them.
local function complete(q)
  local list, titles = {}, configs.titles(q.configs)
  for i, given in ipairs(q.configs) do
    list[i] = check.complete(given, trial.defaults)
    titles[i] = check.title(q.title, list[i]) or titles[i]
  end
  return list, titles
end

local function list_runs(q, out)
  local runs, keys, list, titles = {}, {}, complete(q)
  for i, c in ipairs(list) do
    local run = new_run(q, c, out, titles[i])
    if not keys[run.key] then -- the same twice is one run
      keys[run.key] = true
      runs[#runs + 1] = run
    end
  end
  return runs
end

local function summary(rows)
  local last = rows[1]
  for _, row in ipairs(rows) do if row.part ~= "final" then last = row end end
  local function number(x) return type(x) == "number" and (x == x and ("%.3f"):format(x) or "nan") or "-" end
  return ("accuracy %s, loss %s"):format(number(last.accuracy), number(last.loss))
end

-- ---- running ----

-- "; all runs: 12 min left", as soon as something is known
local function time_left(seconds)
  if not seconds then return "" end
  return ("; all runs: %s left"):format(seconds < 100 and ("%.0f s"):format(seconds) or ("%.0f min"):format(seconds / 60))
end

-- What make(run) returns, where this process may make the run, or the rows that another has made meanwhile; nil and who makes it
-- else. Rows that cannot be used another time are everybody's own.
local function make_or_take(run, make)
  if #run.uncovered > 0 then return make(run) end
  local mine, holder = lock.take(run.path)
  if not mine then return nil, holder end
  local rows, reasons = files.read(run)
  if not ranks.decided(rows and not reasons) then rows = make(run)
  elseif not rows then rows = files.read(run) end
  lock.release(run.path)
  return rows
end

-- Makes the runs, in their order but for those that others make; waits for these.
local function make_all(todo, make)
  local said
  while #todo > 0 do
    local others, holder = {}, nil
    for _, run in ipairs(todo) do
      local by
      run.rows, by = make_or_take(run, make)
      if not run.rows then others[#others + 1], holder = run, by end
    end
    if #others == #todo then
      local text = holder and ("%d %s made by others, the last one by process %s on %s; waiting"):format(#others, #others == 1 and "run is" or "runs are",
        holder.process, holder.host)
      if text and text ~= said then say("%s", text) end
      said = text
      core.private.pause(1)
      if ranks.decided(notice.heard()) then notice.stop() end
    end
    todo = others
  end
end

local function run_here(todo, finished)
  local expected, made = estimate(todo, finished), 0
  make_all(todo, function(run)
    local c, i = run.config, made + 1
    made = i
    local bar = progress(#todo > 1 and ("%d/%d %s"):format(i, #todo, run.title) or run.title, c.examples, "examples")
    local within = { update = function(_, seen, note) -- the bar of this run, with the time left of all
      expected:moved(run, seen)
      bar:update(seen, #todo > 1 and note .. time_left(expected:left()) or note)
    end }
    local rows = trial.run(run, within)
    expected:ended(run)
    local last = rows[#rows]
    bar:finish(("%s, %d parameters, state %d floats"):format(summary(rows), last.parameters, last.state_floats))
    return rows
  end)
end

local function run_apart(todo, finished, name, arguments, jobs, on_devices)
  local total, done, ended, failures, expected = 0, 0, 0, {}, estimate(todo, finished)
  for _, run in ipairs(todo) do total = total + run.flops / 1e9 end
  local bar = progress(name, total, "GFLOP")
  local on = {}
  function on.moved(seen)
    local now = done
    for run, examples in pairs(seen) do
      expected:moved(run, examples)
      now = now + run.flops / 1e9 * examples / run.config.examples
    end
    bar:update(now, ("%d of %d runs"):format(ended, #todo), expected:left(jobs))
  end
  function on.ended(run, message)
    expected:ended(run)
    ended, done = ended + 1, done + run.flops / 1e9
    run.rows = not message and files.read(run) or nil
    if run.rows then return bar:say(("%s: %s (%.0f s)"):format(run.title, summary(run.rows), run.rows[#run.rows].seconds)) end
    failures[#failures + 1] = run.title
    bar:say(("%s FAILED: %s"):format(run.title, message or "no result was written"))
  end
  workers.run_all(at_a_time.in_order(todo), name, arguments, jobs, on_devices, on)
  bar:finish(("%d runs"):format(ended - #failures))
  if #failures > 0 then
    command.refuse("%d of %d runs failed: %s; what is finished is kept", #failures, #todo, table.concat(failures, "; "))
  end
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

-- The table of all rows.
local function path_of(q, out) return ("%s/%s%s.tsv"):format(out, q.name, settings.chosen(q.options)) end

-- Rows that are not there yet: whoever looks at them ends the program by `stop`.
local function unfinished(stop)
  return setmetatable({}, { __index = stop, __len = stop, __pairs = stop })
end

-- The rows of an experiment whose runs were finished before; what looks at them when they are not ends by `stop`.
local function rows_before(q, out, runs, stop)
  local all, path = {}, path_of(q, out)
  for _, run in ipairs(runs) do
    local rows = files.read(run, true)
    if not rows then return unfinished(stop), path end
    for _, row in ipairs(rows) do all[#all + 1] = row end
  end
  return all, path
end

local function list(q, o, out, runs)
  say_uncovered(q.name, runs)
  local commands = {}
  for _, run in ipairs(runs) do
    if not o.unfinished or not files.read(run, true) then commands[#commands + 1] = command.line(q.name, run) .. "\n" end
  end
  answer.write(table.concat(commands))
  return rows_before(q, out, runs, function()
    say("%s is not finished; if other runs depend on its rows, they are listed when it is", q.name)
    os.exit(0, true)
  end)
end

-- Calls f, in which runs are made. What ends it on the way, Ctrl-C or a notice, is said.
local function while_noticing(q, f)
  local ok, message = notice.call(f)
  lock.release_all()
  if ok then return end
  local noticed = notice.is(message)
  if noticed or type(message) == "string" and message:find "interrupted$" then
    if core.is_terminal() then io.stderr:write "\r\27[K" end
    say("%s: stopped%s; the same command goes on from here:\n  %s", q.name, noticed and " by " .. (notice.heard() or "a notice to another rank") or "", command.again())
  end
  if noticed then os.exit(notice.status, true) end
  error(message, 0)
end

-- --run NAME/KEY: this one run, if it is of this experiment. Of others the rows are there, if the script asks for them.
local function run_one(q, out, runs, wanted)
  if wanted:match "^[^/]*" ~= q.name then
    return rows_before(q, out, runs, function() command.refuse("--run %s: %s, of which it needs the rows, is not finished", wanted, q.name) end)
  end
  core.mkdir(out)
  for _, run in ipairs(runs) do
    if q.name .. "/" .. run.key == wanted then
      local rows, reasons = files.read(run)
      if not rows or reasons then
        while_noticing(q, function()
          make_all({ run }, function() return trial.run(run, workers.reporter(run.path)) end)
        end)
      end
      os.remove(run.path .. ".progress")
      os.exit(0, true)
    end
  end
  command.refuse("--run %s: there is no such run; the list (--list) has changed since", wanted)
end

-- --check TABLE: the script ends here, if it is a table of this experiment.
local function compare(q, o, out)
  local all, titles = complete(q)
  local rows = reproduce.runs(q.name, all, titles, function(i) return new_run(q, all[i], out, titles[i]) end)
  local function stop() command.refuse("--check %s: expected a table of %s, whose rows the script needs", o.check, q.name) end
  return rows or unfinished(stop), path_of(q, out)
end

-- Whether rows are of this program, as it is, and of these files.
local function is_of_now(row)
  return tostring(row.commit) == provenance.commit() and row.sources == provenance.digest() and not core.commit:find "%+$"
end

-- Reads what is finished; returns what is to be done, and the others. Tidies up, unless the runs are only collected.
local function sort_out(q, o, out, runs)
  local todo, finished, older = {}, {}, 0
  if not o.collect then core.private.sweep(out) end
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
      if not o.collect then
        files.clear(run)
        lock.clear(run.path)
      end
      finished[#finished + 1] = run
      if not is_of_now(rows[1]) then older = older + 1 end
    end
  end
  if #finished > 0 then
    say("%s: %d of %d runs were finished before%s", q.name, #finished, #runs,
      older > 0 and (", %d of them by another commit or other files (--fresh runs them again)"):format(older) or "")
  end
  return todo, finished
end

-- How many runs are made at a time; said if it is not what was asked for.
local function jobs_of(q, o, todo)
  if ranks.apart then return 1 end
  if o.jobs > 0 then return o.jobs end
  if core.device() or not workers.may_begin() then return 1 end
  local jobs = at_a_time.choose(q, todo, core.threads(), os.clock())
  if jobs > 1 then
    say("%s: the models are small: %d runs at a time, each in a process of its own (--jobs 1: one after the other, in this one)",
      q.name, jobs)
  end
  return jobs
end

local function train(q, o, todo, finished)
  while_noticing(q, function()
    local jobs = jobs_of(q, o, todo)
    if jobs == 1 then return run_here(todo, finished) end
    run_apart(todo, finished, q.name, command.words(arg), jobs, devices.list(o.devices))
  end)
end

local function run(q)
  check.question(q, trial.defaults)
  local o = q.options or check.common
  local out = q.out or (o.out ~= "" and o.out) or "runs/" .. q.name
  if o.check ~= "" then return compare(q, o, out) end
  local runs = list_runs(q, out)
  if o.list or o.status then tables.only_asked() end
  if o.list then return list(q, o, out, runs) end
  if o.status then
    answer.write(status(q.name, runs))
    return rows_before(q, out, runs, function() os.exit(0, true) end)
  end
  if o.run ~= "" then return run_one(q, out, runs, o.run) end
  if not o.collect then core.mkdir(out) end
  local todo, finished
  if ranks.writes() then todo, finished = sort_out(q, o, out, runs) end
  ranks.agree(0) -- what was to be forgotten is
  if not todo then todo, finished = sort_out(q, o, out, runs) end
  local path = path_of(q, out)
  if o.collect and #todo == #runs then
    command.refuse("--collect: none of the %d runs of %s is finished in %s; without --collect they are made", #runs, q.name, out)
  end
  if not o.collect and #todo > 0 then train(q, o, todo, finished) end
  local rows, missing = tables.merge(path, runs, q.note)
  core.private.sweep(out)
  if missing > 0 then say("%s: %d of %d runs are not finished", path, missing, #runs) end
  return rows, path
end

-- run{ name =, configs =, task =, ... } -> rows, path of the table
experiment.run = at_caller(function(q)
  return draws.keep({}, function() return run(q) end)
end)

return experiment
