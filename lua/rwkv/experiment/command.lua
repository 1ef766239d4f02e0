-- The command line of a script with experiments: what workers are given, what stands at the head of tables, what keys cover.
local check = require "rwkv.experiment.check"
local known = require "rwkv.experiment.known"
local quoted = require "rwkv.quoted"
local ranks = require "rwkv.ranks"

local command = {}

-- What a script is given, without the options that say how to go through the list. `--out` stays, unless `nowhere`.
function command.words(list, nowhere)
  local words, i = {}, 1
  while list and list[i] do
    local name = tostring(list[i]):match "^%-%-(%l+)$"
    local skip = (nowhere or name ~= "out") and check.errands[name]
    if not skip then words[#words + 1] = list[i] end
    i = i + 1 + (skip or 0)
  end
  return words
end

-- The line that runs the script again, or one run of it.
function command.line(name, run)
  local words, first = {}, 0
  while arg and arg[first - 1] do first = first - 1 end
  for i = first, 0 do words[#words + 1] = quoted(arg and arg[i] or "aviary") end
  for _, word in ipairs(command.words(arg)) do words[#words + 1] = quoted(word) end
  if run then words[#words + 1] = "--run " .. quoted(name .. "/" .. run.key) end
  return ranks.launcher() .. table.concat(words, " ")
end

-- The line that goes on with what was stopped: as the program was called, but it forgets nothing.
function command.again()
  local words, first = {}, 0
  while arg and arg[first - 1] do first = first - 1 end
  for i = first, arg and #arg or -1 do
    if arg[i] ~= "--fresh" then words[#words + 1] = quoted(arg[i]) end
  end
  return ranks.launcher() .. table.concat(words, " ")
end

-- What the command line asks for cannot be: an error without a place in the script (at_caller.lua).
function command.refuse(...) error({ mistake = "experiment: " .. string.format(...) }, 0) end

-- For fingerprints: the script's `arg` and its options, each with what is the same in every process that goes through the list.
function command.instead(q)
  local instead, given = {}, known.globals().arg
  if type(given) == "table" then
    instead[given] = command.words(given, true)
    for name, value in next, given do if type(name) == "string" then instead[given][name] = value end end
  end
  if q.options then
    local rest = {}
    for name, value in next, q.options do if not check.errands[name] then rest[name] = value end end
    instead[q.options] = rest
  end
  return instead
end

return command
