-- Runs of a list, several at a time, each in a process of its own: this program again, with the same options and script,
-- and `--run NAME/KEY`. A worker writes how far it is to PATH.progress, what it says to PATH.log, its result as any run.
local contents = require "rwkv.contents"
local core = require "rwkv.core"
local notice = require "rwkv.experiment.notice"

local spawn, wait, may_spawn, tell = core.private.spawn, core.private.wait_worker, core.private.may_spawn, core.private.tell_workers

local workers = {}

-- Whether workers can be started without being asked for.
function workers.may_begin() return may_spawn and may_spawn() or false end

-- The bar of a worker: a file, rewritten now and then.
function workers.reporter(path)
  local shown = -math.huge
  return { update = function(_, done)
    if core.time() - shown < 1 then return end
    shown = core.time()
    core.write_file(path .. ".progress", ("%d"):format(done))
  end }
end

-- The examples that a worker has seen.
local function progress_of(run)
  return tonumber(contents(run.path .. ".progress") or "") or 0
end

local function last_lines(path)
  return (contents(path) or ""):sub(-600)
end

-- What a worker leaves beside its result when it has ended: its log, if it failed.
local function tidy(run, failed)
  os.remove(run.path .. ".progress")
  if not failed then os.remove(run.path .. ".log") end
end

local patience = 20 -- seconds that workers have for a step and a checkpoint before they are killed, which happens as this program ends

-- Tells workers to end, and waits for them. active: the runs by process.
local function dismiss(active)
  tell()
  local last = core.time() + patience
  while next(active) and core.time() < last do
    local pid = wait(0.5)
    if pid and active[pid] then
      tidy(active[pid])
      active[pid] = nil
    end
  end
end

local function how_it_ended(status)
  return status > 128 and ("killed by signal %d"):format(status - 128) or ("exit status %d"):format(status)
end

local function run_all(runs, name, arguments, jobs, devices, on, active)
  local place_of, free, next_run, threads = {}, {}, 1, math.max(1, core.threads() // jobs)
  local told = false
  runs = { table.unpack(runs) }
  for place = jobs, 1, -1 do free[#free + 1] = place end
  while next_run <= #runs or next(active) do
    if notice.heard() and not told then
      told = true
      tell()
    end
    if told and not next(active) then notice.stop() end
    while #free > 0 and next_run <= #runs and not told do
      local run, list, place = runs[next_run], { table.unpack(arguments) }, table.remove(free)
      list[#list + 1], list[#list + 2] = "--run", name .. "/" .. run.key
      local pid = spawn(list, run.path .. ".log", threads, devices[(place - 1) % math.max(#devices, 1) + 1])
      active[pid], place_of[pid], next_run = run, place, next_run + 1
    end
    local pid, status = wait(0.5)
    if pid and active[pid] then
      local run = active[pid]
      active[pid], free[#free + 1] = nil, place_of[pid]
      local stopped = notice.ended(status) or told and status ~= 0
      local failed = not stopped and status ~= 0 and ("%s: %s"):format(how_it_ended(status), last_lines(run.path .. ".log"))
      tidy(run, failed)
      if stopped then runs[#runs + 1] = run else on.ended(run, failed or nil) end
    end
    local seen = {}
    for _, run in pairs(active) do seen[run] = progress_of(run) end
    on.moved(seen)
  end
end

-- Runs them `jobs` at a time, place by place: one on the first of the devices, one on the second, .., one on the first again; devices:
-- a list, empty for the program's own. moved(runs at work, seen), ended(run, message or nil) are told what happens. A worker that had a
-- notice of its own is started again; a notice of this program is handed on, and raised when all have ended. Of an error, Ctrl-C among them,
-- they are told as of a notice.
function workers.run_all(runs, name, arguments, jobs, devices, on)
  if not spawn then error("--jobs: only the program aviary can start workers; use --jobs 1 in another Lua", 0) end
  local active = {}
  local ok, message = pcall(run_all, runs, name, arguments, jobs, devices, on, active)
  if ok then return end
  dismiss(active)
  error(message, 0)
end

return workers
