-- What is kept of a run: its rows, when it is finished, and a checkpoint, while it is not. Both say whose they are, and the
-- rows end with a line that proves them whole. What is damaged or another run's is set aside, and said.
--   PATH.tsv    PATH.checkpoint: model, optimizer, rows so far, a carried state    PATH.safetensors: the trained model
--   PATH.failed: with what error the last process ended that made it
local core = require "rwkv.core"
local models = require "rwkv.models"
local ranks = require "rwkv.ranks"
local tsv = require "rwkv.tsv"
local say = require "rwkv.visible".say

local files = {}

local kind_of_file = core.private.kind_of_file

-- f(open file), or nil if there is none. Raises why it cannot be opened.
local function with_file(path, f)
  local kind = kind_of_file(path)
  if not kind then return nil end
  if kind ~= "file" then error(kind, 0) end
  local file, message = io.open(path, "rb")
  if not file then error(message, 0) end
  local result, problem = f(file)
  file:close()
  if problem then error(problem, 0) end
  return result
end

local function contents(path)
  return with_file(path, function(file) return file:read "a" end)
end

local function is_taken(path) return kind_of_file(path) ~= nil end

-- It gets a name that nothing has: what was set aside before stays.
local function set_aside(path, why)
  if not ranks.writes() then return end
  local aside, n = path .. ".aside", 1
  while is_taken(aside) and n < 1000 do
    n = n + 1
    aside = ("%s.aside%d"):format(path, n)
  end
  local moved = os.rename(path, aside)
  say("%s: %s; %s", path, why, moved and "it is now " .. aside or "it could not be set aside")
end

-- ---- rows ----

local function last_line(text, rows) return ("# whole: %d rows, sha256 %s\n"):format(rows, core.private.sha256(text)) end

-- reasons: why these rows must not be used another time, if there are any.
function files.write(run, columns, rows, reasons)
  local head = { "result of " .. run.digest, #reasons > 0 and "not to be used again: " .. table.concat(reasons, "; ") or nil }
  local text = tsv.text(columns, rows, head)
  core.write_file(run.path .. ".tsv", text .. last_line(text, #rows))
end

-- The rows in the text of a result, and why they must not be used another time; raises what is wrong with them.
local function parse(run, text, path)
  local body, last = text:match "^(.*\n)(# whole: [^\n]*\n)$"
  if not body then error("it is not whole: the last line is missing", 0) end
  local rows = tsv.parse(body, path)
  if last ~= last_line(body, #rows) then error("it is not what was written: the last line does not fit", 0) end
  local digest = body:match "^# result of (%x+)\n"
  if digest ~= run.digest then error("it is the result of another run", 0) end
  if #rows == 0 then error("it has no rows", 0) end
  return rows, body:match "^[^\n]*\n# not to be used again: ([^\n]*)\n"
end

-- The rows of a finished run, and why they must not be used another time; nil if it is not finished. only_look: what is damaged stays
-- where it is.
function files.read(run, only_look)
  local path = run.path .. ".tsv"
  local read, text = pcall(contents, path)
  if read and not text then return nil end
  local ok, rows, reasons = pcall(parse, run, text, path)
  if (not read or not ok) and only_look then return nil end
  if not read or not ok then return set_aside(path, read and rows or text) end
  local model = run.path .. ".safetensors"
  if is_taken(model) then
    for _, row in ipairs(rows) do row.model = model end
  end
  return rows, reasons
end

-- ---- checkpoints ----

-- since: what has come since the last row, { loss = sum, steps =, seconds = of the whole run }; state: a carried one, or nil.
function files.keep(run, model, opt, columns, rows, since, state)
  local carried = {}
  for i, name in ipairs(state and state:names() or {}) do carried[i] = { name = name, value = state:get(name) } end
  model:save(run.path .. ".checkpoint", { optimizer = opt, carried = carried, meta = { ["run.digest"] = run.digest,
    ["run.rows"] = tsv.text(columns, rows), ["run.since"] = ("%a %d %a"):format(since.loss, since.steps, since.seconds) } })
end

-- Of a checkpoint of before, which was written at a row, there is nothing since.
local function since_of(meta, last)
  local loss, steps, seconds = (meta["run.since"] or ("0 0 %a"):format(last.seconds)):match "^(%S+) (%d+) (%S+)$"
  if not loss then error("its meta 'run.since' is not what was written", 0) end
  return { loss = tonumber(loss), steps = math.tointeger(steps), seconds = tonumber(seconds) }
end

local function resume(run, optimizer, path)
  local tensors, meta = core.load_tensors(path, "carried.")
  if meta["run.digest"] ~= run.digest then error("it is of another run", 0) end
  local rows, model = tsv.parse(meta["run.rows"], path), models.load(path)
  if #rows == 0 then error("it has no rows", 0) end
  local opt, since, state = optimizer(model, run.config), since_of(meta, rows[#rows]), nil
  opt:restore(path)
  if rows[#rows].examples + since.steps * run.config.batch ~= opt:steps() * run.config.batch then
    error("its rows do not fit its steps", 0)
  end
  if next(tensors) then
    state = model:state(run.config.batch)
    for _, name in ipairs(state:names()) do state:set(name, tensors["carried." .. name].value) end
  end
  return model, opt, rows, since, state
end

-- Model, optimizer, rows so far, what has come since, and the carried state of a run that was stopped; nothing if there is no use in its
-- checkpoint.
-- It is read in several goes, and another process may replace it or take it away between them: then it counts as it is now.
function files.resume(run, optimizer)
  local path = run.path .. ".checkpoint"
  local function now()
    local read, text = pcall(with_file, path, core.private.contents)
    return text and (read and text or "no file")
  end
  local before = now()
  while before do
    local found, after = table.pack(pcall(resume, run, optimizer, path)), now()
    if after == before and found[1] then return table.unpack(found, 2, found.n) end
    core.end_step()
    if after == before then
      local why = after == "no file" and "it is no file" or tostring(found[2]):gsub("^[^\n:]-files%.lua:%d+: ", "")
      return set_aside(path, why .. ", and the run begins anew")
    end
    before = after
  end
end

function files.has_checkpoint(run) return is_taken(run.path .. ".checkpoint") end

-- ---- failures ----

function files.fail(run, message) core.write_file(run.path .. ".failed", message) end
function files.failure(run)
  local read, text = pcall(contents, run.path .. ".failed")
  return read and text or not read and ("%s.failed: %s"):format(run.path, text) or nil
end

-- ---- what is in the way, what is left over ----

-- Where the model is going to stand may be something that it cannot replace.
function files.make_room(run)
  local path = run.path .. ".safetensors"
  local ok, why = pcall(with_file, path, function(file) return file:read(0) end)
  if not ok then set_aside(path, why) end
end

-- Takes away what a finished run does not need; all: the result and the model as well.
function files.clear(run, all)
  if not ranks.writes() then return end
  for _, ending in ipairs { ".checkpoint", ".progress", ".log", ".failed", all and ".tsv" or nil } do os.remove(run.path .. ending) end
end

return files
