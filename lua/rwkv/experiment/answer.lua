-- The standard output for what an option asks for, alone: what a script prints goes to the error output then.
local command = require "rwkv.experiment.command"
local core = require "rwkv.core"

local answer = {}

local output

function answer.reserve() output = output or core.private.reserve_output() end

function answer.write(text)
  answer.reserve()
  local ok, why = output:write(text)
  if ok then ok, why = output:flush() end
  if not ok then command.refuse("the output could not be written: %s", why) end
end

return answer
