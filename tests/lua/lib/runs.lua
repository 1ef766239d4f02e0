-- What the tests of experiments share: the numbers of tables, and programs that are killed.
local rwkv = require "rwkv"
local tsv = require "rwkv.tsv"
local check = require "tests.lua.lib.check"
local shell = check.shell

local runs = {}

-- The rows of a table without times.
function runs.numbers(path)
  local rows = tsv.read(path) or error(path .. " is not there")
  for _, row in ipairs(rows) do row.seconds = nil end
  return rows
end

function runs.same(a, b)
  check.equal(#a, #b)
  for i, row in ipairs(a) do
    for _, names in ipairs { row, b[i] } do
      for name in pairs(names) do
        if b[i][name] ~= row[name] then error(("row %d, %s: %s and %s"):format(i, name, row[name], b[i][name])) end
      end
    end
  end
end

-- The names in a folder, hidden ones too.
function runs.names(folder) return (shell("ls -A " .. folder)) end

-- Two folders in which the same experiments were run: the same names, equal tables, models of the same bytes.
function runs.same_folder(a, b)
  check.equal(runs.names(b), runs.names(a))
  for name in runs.names(a):gmatch "[^\n]+" do
    local one, other = a .. "/" .. name, b .. "/" .. name
    if name:find "%.tsv$" then runs.same(runs.numbers(one), runs.numbers(other)) end
    if name:find "%.safetensors$" then check.equal(select(2, shell(("cmp %s %s"):format(one, other))), 0) end
  end
end

-- Runs a command and sends it a signal after so many seconds, if it has not ended. Returns its output and its exit status.
function runs.stopped(command, signal, seconds)
  return shell(("timeout --foreground -s %s %.3f %s"):format(signal, seconds, command))
end

-- The same, with the status of the command itself.
function runs.told(command, signal, seconds)
  return shell(("%s & pid=$!; sleep %.3f; kill -s %s $pid 2>/dev/null; wait $pid"):format(command, seconds, signal))
end

-- The same as soon as it has said "in WORD" in so many lines.
function runs.told_at(command, signal, word, lines)
  return shell(([[said=$(mktemp); (exec %s) >$said 2>&1 & pid=$!
    until [ "$(grep -cx "in %s" $said)" -ge %d ] || ! kill -0 $pid 2>/dev/null; do sleep 0.01; done
    kill -s %s $pid 2>/dev/null; wait $pid; status=$?; cat $said; rm $said; exit $status]]):format(command, word, lines, signal))
end

-- The same as soon as there is a checkpoint in the folder.
function runs.stopped_at_checkpoint(command, signal, folder)
  return shell(([[%s & pid=$!
    while kill -0 $pid 2>/dev/null; do
      set -- %s/*.checkpoint
      [ -e "$1" ] && kill -s %s $pid && break
      sleep 0.01
    done
    wait $pid]]):format(command, folder, signal))
end

-- Seconds that a command takes.
function runs.duration(command)
  local start = rwkv.time()
  local text, status = shell(command)
  if status ~= 0 then error(text) end
  return rwkv.time() - start
end

return runs
