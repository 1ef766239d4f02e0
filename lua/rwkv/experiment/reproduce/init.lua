-- --check TABLE: is a table that was made before what its script makes now? Of its runs one is made again, as far as its first test
-- (training.lua); what a figure shows is computed again as far as nothing has to be trained for it (rows.lua). One line says what
-- came of it, and there the script ends. Nothing is written.
local answer = require "rwkv.experiment.answer"
local at_caller = require "rwkv.at_caller"
local command = require "rwkv.experiment.command"
local made_before = require "rwkv.experiment.reproduce.table"
local rows_again = require "rwkv.experiment.reproduce.rows"
local training_again = require "rwkv.experiment.reproduce.training"
local visible = require "rwkv.visible"

local reproduce = {}

local asked -- the table
local untrained = false -- whether the script had to do without trained models

-- "mqar_decay agrees: ..; made by 0123456789"
local function finish(result, text, commit)
  answer.write(("%s %s: %s; made by %s\n"):format(visible.line(asked.name:match "^[^.]*"), result, text, commit))
  os.exit(result == "differs" and 1 or 0, true)
end

-- From now on the script answers for this table.
reproduce.ask = at_caller(function(path)
  asked = made_before.open(path, arg and arg[0] or "")
  answer.reserve()
  for _, column in ipairs(asked.drawn and asked.columns or {}) do
    if column == "seconds" then finish("not checked", "it has seconds, which are others every time", asked.commit) end
  end
end)

function reproduce.is_asked() return asked ~= nil end

-- Answers for the runs of the experiment of that name: list, titles: its configurations; run_of(i) makes the run of one. Returns the
-- rows that a script goes on with: none where it is asked for what a figure shows; nil if the table is another experiment's.
function reproduce.runs(name, list, titles, run_of)
  if asked.drawn then
    untrained = true
    return {}
  end
  if not made_before.is_called(asked, name) then return visible.say("%s is not a table of %s, which is left out", asked.path, name) end
  local found = made_before.match(asked, list)
  local was = found.run.tests
  local commit, more = tostring(was[1].commit or asked.commit), ""
  if not found.at then
    finish("differs", ("the script no longer has any of its %d runs; of the first one %s"):format(found.runs, found.nearest), commit)
  end
  if found.gone > 0 then more = ("; the script no longer has %d of %d runs"):format(found.gone, found.runs) end
  if found.lacking > 0 then more = more .. ("; the table lacks %d of %d runs of the script"):format(found.lacking, #list) end
  local title = visible.line(titles[found.at])
  local result, text = training_again(function() return run_of(found.at) end, ("%s: %s"):format(name, title), was)
  finish(result, ("%s %s%s"):format(title, text, more), commit)
end

-- Answers for the rows of a figure, which would be written to NAME.figure.tsv beside the path.
reproduce.figure = at_caller(function(path, columns, rows)
  local name = path:match "([^/]*)%.tsv$" or path
  if not asked.drawn then
    command.refuse("--check %s: here no model is trained; expected %s.figure.tsv", visible.line(asked.path), visible.line(name))
  end
  if not made_before.is_called(asked, name:match "^[^.]*") then
    return visible.say("%s is not %s.figure.tsv, which is left out", asked.path, name)
  end
  local result, text = rows_again(columns, rows, asked, untrained)
  finish(result, text, asked.commit)
end)

return reproduce
