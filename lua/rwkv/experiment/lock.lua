-- Who makes a run: PATH.lock beside it names the host, its boot, the process and when it began, and how far it is. So two programs that
-- come to one run do not both make it, on one machine or on several. A lock whose process is gone is stale, and so is one of another
-- host that has not been written for ten minutes; it is taken over.
--   Nothing depends on locks but time: results are whole files with the same numbers whoever makes them. So a file system whose
-- exclusive files are none, or clocks that disagree, cost work and no more.
local contents = require "rwkv.contents"
local core = require "rwkv.core"
local ranks = require "rwkv.ranks"

local lock = {}

local beat_seconds, stale_seconds = 10, 600

-- ---- processes ----

local function first_line(path) return (contents(path) or ""):match "^[^\n]*" end

-- The process id and the start of a process, in ticks since the boot; nothing if there is none, or it has ended. id: or "self".
local function process(id)
  local own, state, rest = (contents(("/proc/%s/stat"):format(id)) or ""):match "^(%d+) .*%) (%a) (.*)$"
  if not own or state == "Z" or state == "X" then return nil end
  local n = 3 -- the state is the third field, the start the 22nd
  for word in rest:gmatch "%S+" do
    n = n + 1
    if n == 22 then return own, word end
  end
end

local mine -- of this process
local function me()
  if not mine then
    local id, start = process "self"
    mine = { host = first_line "/proc/sys/kernel/hostname", boot = first_line "/proc/sys/kernel/random/boot_id", process = id or "0",
      start = start or "0" }
  end
  return mine
end

-- ---- the file ----

local fields = { "host", "boot", "process", "start", "begun", "beat", "examples" }

local function text_of(t)
  local lines = {}
  for i, name in ipairs(fields) do lines[i] = ("%s %s\n"):format(name, t[name]) end
  return table.concat(lines)
end

-- What stands in a lock; nil if it is none.
local function parse(text)
  local t = {}
  for name, value in (text or ""):gmatch "(%l+) ([^\n]*)\n" do t[name] = value end
  t.begun, t.beat, t.examples = tonumber(t.begun), tonumber(t.beat), tonumber(t.examples)
  for _, name in ipairs(fields) do if not t[name] then return nil end end
  return t
end

local function is_mine(t)
  for _, name in ipairs { "host", "boot", "process", "start" } do if t[name] ~= me()[name] then return false end end
  return true
end

local function is_stale(t)
  if not t then return true end
  if t.host == me().host and t.boot == me().boot then
    local _, start = process(t.process)
    return start ~= t.start
  end
  return math.abs(os.time() - t.beat) > stale_seconds
end

-- ---- locks ----

-- Who makes the run: { host =, process =, begun = and beat = times, examples =, stale = whether it is gone }; nil if nobody says so.
function lock.holder(path)
  local text = contents(path .. ".lock")
  if not text then return nil end
  local t = parse(text)
  local stale = is_stale(t)
  t = t or { host = "?", process = "?", begun = 0, beat = 0, examples = 0 }
  t.stale = stale
  return t
end

-- Takes a stale lock away, unless another process has: what it moved aside in its place is put back.
local function take_away(path, text)
  local aside = ("%s.%s.%s.stale"):format(path, me().host:gsub("[^%w.-]", "_"), me().process)
  if not os.rename(path, aside) then return end
  if contents(aside) ~= text then return os.rename(aside, path) end
  os.remove(aside)
end

local held = {} -- path -> true

local function take(path)
  local file, now = path .. ".lock", os.time()
  local own = { begun = now, beat = now, examples = 0 }
  for name, value in pairs(me()) do own[name] = value end
  for _ = 1, 3 do
    local claimed = core.private.claim(file, text_of(own))
    local text = not claimed and contents(file)
    local t = text and parse(text)
    if claimed or t and is_mine(t) then
      held[path] = true
      return true
    end
    if text and not is_stale(t) then return false, t end
    if text then take_away(file, text) end
  end
  local text = contents(file)
  local kind = core.private.kind_of_file(file)
  if kind and (kind ~= "file" or not text or is_stale(parse(text))) then
    error(("%s: expected a file that says who makes the run, and that can be taken away; remove it"):format(file), 0)
  end
  return false, parse(text) or { host = "?", process = "?", begun = now, beat = now, examples = 0 }
end

-- Whether the run is this process's to make, from here on until release; else who makes it. Of programs that compute together rank 0
-- takes it for all.
function lock.take(path)
  local taken, holder
  if ranks.writes() then taken, holder = take(path) end
  return ranks.decided(taken), holder
end

local beaten = {} -- path -> time

-- Says now and then that the process lives, and how far it is.
function lock.beat(path, examples)
  local now = core.time()
  if now - (beaten[path] or -math.huge) < beat_seconds then return end
  beaten[path] = now
  local t = parse(contents(path .. ".lock"))
  if not t or not is_mine(t) then return end -- another has taken it over
  t.beat, t.examples = os.time(), examples
  core.write_file(path .. ".lock", text_of(t))
end

-- Takes a stale lock away, of a run that is finished.
function lock.clear(path)
  if not ranks.writes() then return end
  local holder = lock.holder(path)
  if holder and holder.stale then os.remove(path .. ".lock") end
end

function lock.release(path)
  local t = parse(contents(path .. ".lock"))
  if t and is_mine(t) then os.remove(path .. ".lock") end
  beaten[path], held[path] = nil, nil
end

function lock.release_all()
  for path in pairs(held) do lock.release(path) end
end

return lock
