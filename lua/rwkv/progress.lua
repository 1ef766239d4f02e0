-- Progress of long work, on the error output: a bar with rate and time left on a terminal, a line now
-- and then in a log.
--   local bar = rwkv.progress("v7", total, "tok");  bar:update(done, "loss 1.2");  bar:finish("text")
local core = require "rwkv.core"
local visible = require "rwkv.visible"

local Progress = {} -- methods
local class = { __index = Progress, __metatable = "progress" }
core.private.sealed[class] = true

local function duration(seconds)
  if seconds ~= seconds or seconds == math.huge then return "?" end
  seconds = math.floor(seconds + 0.5)
  if seconds < 60 then return ("%ds"):format(seconds) end
  if seconds < 3600 then return ("%dm%02ds"):format(seconds // 60, seconds % 60) end
  return ("%dh%02dm"):format(seconds // 3600, seconds // 60 % 60)
end

local function quantity(x)
  if x >= 1e6 then return ("%.1fM"):format(x / 1e6) end
  if x >= 1e3 then return ("%.1fk"):format(x / 1e3) end
  return ("%.0f"):format(x)
end

function Progress:line(done, note, seconds_left)
  local elapsed = core.time() - self.start
  local rate = elapsed > 0 and (done - self.from) / elapsed or 0
  local left = seconds_left or rate > 0 and (self.total - done) / rate or math.huge
  local part = seconds_left and elapsed / (elapsed + seconds_left) or self.total > 0 and done / self.total or 1
  local filled = math.floor(20 * math.min(1, part))
  return ("%-10s [%s%s] %3.0f%%  %s %s/s  %s left  %s"):format(self.name, ("#"):rep(filled),
    ("."):rep(20 - filled), 100 * part, quantity(rate), self.unit, duration(left), visible.line(note or ""))
end

-- seconds_left: where the caller knows better than by the rate so far.
function Progress:update(done, note, seconds_left)
  local now = core.time()
  local every = core.is_terminal() and 0.1 or 10
  if now - self.shown < every then return end
  self.shown = now
  if core.is_terminal() then
    io.stderr:write("\r\27[K", self:line(done, note, seconds_left))
  else
    io.stderr:write(self:line(done, note, seconds_left), "\n")
  end
  io.stderr:flush()
end

-- A line that stays, above the bar.
function Progress:say(text)
  io.stderr:write(core.is_terminal() and "\r\27[K" or "", visible.text(text), "\n")
  self.shown = -math.huge
end

-- Takes the bar away and says nothing.
function Progress.clear()
  if core.is_terminal() then io.stderr:write "\r\27[K" end
end

function Progress:finish(text)
  if core.is_terminal() then io.stderr:write "\r\27[K" end
  io.stderr:write(("%-10s %s (%s)\n"):format(self.name, visible.line(text or "done"), duration(core.time() - self.start)))
end

-- total and done count anything: tokens, steps, examples. from: what was done before (a resumed run).
return function(name, total, unit, from)
  local now = core.time()
  return setmetatable({ name = visible.line(name), total = total, unit = visible.line(unit or ""), from = from or 0,
    start = now, shown = now }, class)
end
