-- What commands share: how they are helped, how they end.
local head_comment = require "rwkv.head_comment"
local visible = require "rwkv.visible"

local command = {}

command.interrupted = 130 -- the status of a program that Ctrl-C ended

function command.is_interrupt(message) return type(message) == "string" and message:match "interrupted$" ~= nil end

-- The value of f(...), or true in its place and nothing if Ctrl-C ended it.
function command.until_interrupt(f, ...)
  local ok, message = pcall(f, ...)
  if ok then return false, message end
  if command.is_interrupt(message) then return true end
  error(message, 0)
end

-- Whether a word asks what the command takes.
function command.asks_help(word) return word == "-h" or word == "--help" end

-- What is said of an error: texts and objects that have one are for whoever called, others are errors of ours.
local function text_of(e)
  local class = getmetatable(e)
  if type(e) == "string" then return e end
  return type(class) == "table" and class.__tostring and tostring(e) or debug.traceback(tostring(e))
end

-- Runs the command f(arguments) -> status, called `name` in messages, and ends the program with this status, 0 if there is none. What is wrong is said in
-- a line, and the status is then `failure`, or 1. hint: what is said after Ctrl-C.
function command.run(name, f, failure, hint)
  if command.asks_help(arg[1]) then
    io.write(head_comment(name:match "^%S+"))
    os.exit(0, true)
  end
  local ok, result = xpcall(f, text_of, table.move(arg, 1, #arg, 1, {}))
  if ok then os.exit(result or 0, true) end
  local message, interrupted = result:gsub("^[^\n ]+%.lua:%d+: ", ""), command.is_interrupt(result)
  io.stdout:flush()
  visible.say("%s: %s%s", name, (message:gsub("^" .. name .. ": ", "")), interrupted and hint or "")
  os.exit(interrupted and command.interrupted or failure or 1, true)
end

return command
