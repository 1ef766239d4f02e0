-- The tables of an experiment: all rows, and the few that a figure shows. Each is headed by the command that made it, by the
-- commit, and by the files that are not the commit's.
local arithmetic = require "rwkv.arithmetic"
local check = require "rwkv.experiment.check"
local command = require "rwkv.experiment.command"
local core = require "rwkv.core"
local files = require "rwkv.experiment.files"
local provenance = require "rwkv.provenance"
local reproduce = require "rwkv.experiment.reproduce"
local trial = require "rwkv.experiment.trial"
local tsv = require "rwkv.tsv"
local say = require "rwkv.visible".say

local tables = {}

-- One that is there is not replaced by one without rows.
local function write(path, columns, rows, note)
  local there = #rows == 0 and io.open(path)
  if there then
    there:close()
    return say("%s stays as it is: there are no rows to put in its place", path)
  end
  local head = { ("%s (commit %s, %s)"):format(command.line(), provenance.commit(), arithmetic.text()) }
  local changed = provenance.text()
  head[#head + 1] = note
  head[#head + 1] = changed and "not of the commit: " .. changed or nil
  tsv.write(path, columns, rows, head)
end

-- merge(path, runs, note) -> the rows of all runs in the order of the configurations, how many runs are not finished
function tables.merge(path, runs, note)
  local all, missing = {}, 0
  for _, run in ipairs(runs) do
    run.rows = run.rows or files.read(run)
    if not run.rows then missing = missing + 1 end
    for _, row in ipairs(run.rows or {}) do all[#all + 1] = row end
  end
  if missing < #runs then write(path, trial.columns(all), all, note) end
  return all, missing
end

local asked = false

-- From now on the script is only asked about its runs: no table of a figure is written.
function tables.only_asked() asked = true end

-- figure(path, columns, rows, note): beside the table of all rows, NAME.tsv, the few that a figure shows, NAME.figure.tsv.
function tables.figure(path, columns, rows, note)
  if type(path) ~= "string" then
    error(("experiment: figure: path is %s, expected text; run{...} returns none where --run asks for a run of another experiment")
      :format(check.shown(path)), 0)
  end
  if reproduce.is_asked() then return reproduce.figure(path, columns, rows) end
  if asked then return end
  core.mkdir(path:match "^(.*)/" or ".")
  write((path:gsub("%.tsv$", ".figure.tsv")), columns, rows, note)
end

return tables
