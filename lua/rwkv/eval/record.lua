-- What is kept of an evaluation: tables that say at their heads what they are of, so that one that was stopped goes on, and
-- numbers of two models, texts or settings never stand in one table.
local core = require "rwkv.core"
local tsv = require "rwkv.tsv"
local visible = require "rwkv.visible"

local record = {}

-- facts: a list of { name, value, same = true if results under another value are other results }.
function record.comments(facts)
  local lines = {}
  for i, fact in ipairs(facts) do lines[i] = ("%s: %s"):format(fact[1], visible.line(fact[2])) end
  return lines
end

local function comment_of(text, name)
  for line in text:gmatch "[^\n]+" do
    local found, value = line:match "^# ([^:]+): (.*)$"
    if found == name then return value end
  end
end

-- Raises unless the head in this text is of the same evaluation.
function record.check(facts, text, path)
  for _, fact in ipairs(facts) do
    local found, expected = comment_of(text, fact[1]), visible.line(fact[2])
    if fact.same and found ~= expected then
      error(("%s is of another evaluation: %s is %s there and %s now; --out DIR takes another directory, --again begins anew")
        :format(path, fact[1], found or "missing", expected), 0)
    end
  end
end

-- The rows of an evaluation that was stopped, or ended, before; none if there is no such file.
function record.read(path, facts)
  local file = io.open(path, "rb")
  if not file then return {} end
  local text = file:read "a"
  file:close()
  if not text then error(("%s: expected a file"):format(path), 0) end
  record.check(facts, text, path)
  return (tsv.parse(text, path))
end

function record.write(path, facts, columns, rows) tsv.write(path, columns, rows, record.comments(facts)) end

-- f(), and save() whether it ends or is interrupted.
function record.saving(save, f)
  local ok, why = pcall(f)
  save()
  if not ok then error(why, 0) end
end

-- Saves, but not all the time: so much work is lost if the program is killed.
function record.saver(save)
  local last, seconds = core.time(), 10
  return function()
    if core.time() - last < seconds then return end
    save()
    last = core.time()
  end
end

return record
