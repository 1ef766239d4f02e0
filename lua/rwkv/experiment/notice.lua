-- The notice that a process is going to be taken down: SIGTERM, SIGUSR1 or SIGUSR2. A run that hears it writes a checkpoint, and the
-- program ends with the status 75, which says: the same command goes on from here.
local core = require "rwkv.core"
local ranks = require "rwkv.ranks"

local private = core.private
local function nothing() end

local notice = { status = 75 } -- EX_TEMPFAIL of sysexits.h: try again

notice.heard = private.noticed or nothing -- () -> the name of the first signal, or nothing
-- attend(true): from here on a notice is an error as Ctrl-C is; attend(false): it waits until somebody looks. Programs that compute
-- together end together, after a step.
notice.attend = not ranks.apart and private.attend or nothing

-- Whether a process that ended with this status had a notice: it heard it, or was not listening yet.
local unheard = { [128 + 10] = true, [128 + 12] = true, [128 + 15] = true } -- SIGUSR1, SIGUSR2, SIGTERM
function notice.ended(status) return status == notice.status or unheard[status] == true end

local heed = private.heed or nothing
local ended = setmetatable({}, { __tostring = function() return "taken down" end })

-- Raised where a run has written what it has.
function notice.stop() error(ended, 0) end

-- What f(...) returns, a measurement that a notice ends: by an error, or, where the script has caught that one, afterwards.
function notice.during(f, ...)
  notice.attend(true)
  local result = table.pack(f(...))
  notice.attend(false)
  if not ranks.apart and notice.heard() then notice.stop() end
  return table.unpack(result, 1, result.n)
end

-- Whether an error is that of a notice.
function notice.is(problem)
  return problem == ended or type(problem) == "string" and problem:find "interrupted$" ~= nil and notice.heard() ~= nil
end

-- pcall(f, ...) while notices are heard.
function notice.call(f, ...)
  heed(true)
  local result = table.pack(pcall(f, ...))
  heed(false)
  return table.unpack(result, 1, result.n)
end

return notice
