-- What the command line of a script with experiments says: its options, the scale that they ask for, and, as part of the names
-- of tables, what they choose.
local check = require "rwkv.experiment.check"
local core = require "rwkv.core"
local nearest = require "rwkv.nearest"
local options = require "rwkv.options"
local reproduce = require "rwkv.experiment.reproduce"
local sorted = require "rwkv.sorted"

local settings = {}

local function fail(...) error("experiment: " .. string.format(...), 0) end

-- ---- options ----

local without = setmetatable({}, { __mode = "k" }) -- options -> what they are without a command line

-- options(arg, { models = "v4 v7", .. }) -> the script's options and those that every experiment has: --scale quick, small or
-- paper; --jobs N; --list; --collect; --fresh; --out DIR; --check TABLE. without_runs: true of a script that has no runs, so that there
-- is nothing to list.
function settings.options(arguments, mine, without_runs)
  local all = {}
  for name, value in pairs(check.common) do all[name] = value end
  if mine ~= nil and type(mine) ~= "table" then fail("options: the script's are %s, expected a table", check.shown(mine)) end
  for name, value in pairs(mine or {}) do all[name] = value end
  for _, word in ipairs(type(arguments) == "table" and arguments or {}) do
    if word == "--sbatch" or word == "--runs-a-task" then fail("%s goes with --slurm", word) end
  end
  local o = options(arguments, all, check.about)
  if o[1] then fail("'%s' is no option; an option begins with --", o[1]) end
  check.options(o)
  o.jobs = math.tointeger(o.jobs)
  for _, name in ipairs(without_runs and { "list", "collect", "status", "fresh", "run", "devices" } or {}) do
    if o[name] ~= check.common[name] then fail("--%s: this script has no runs; it computes all of its figure at once", name) end
  end
  without[o] = all
  if o.check ~= "" then reproduce.ask(o.check) end
  return o
end

-- ---- scales ----

-- Why a number cannot be that of a setting: one that the trainer knows has its range, of others the sign is as in all scales.
local function problem_of(scales, name, x)
  local lowest = math.huge
  for _, scale in pairs(scales) do
    local values = type(scale) == "table" and scale[name]
    for _, y in ipairs(type(values) == "table" and values or { values }) do
      if type(y) == "number" then lowest = math.min(lowest, y) end
    end
  end
  local fits, problem = check.field(name, x)
  if fits and (math.abs(x) == math.huge or x <= 0 and lowest > 0 or x < 0 and lowest == 0) then
    fits, problem = false, ("%s, expected a finite number%s"):format(x, lowest > 0 and " above 0" or ", 0 or more")
  end
  return not fits and problem
end

-- A value from the command line in the place of one of a scale's: of the same kind, numbers of a list parted by commas.
local function value_like(scales, before, name, text)
  if type(before) == "string" then return text end
  local list = {}
  for word in (text .. ","):gmatch "(.-)," do
    local value = tonumber(word) or fail("--set %s=%s: '%s' is not a number", name, text, word)
    value = math.tointeger(value) or value
    local problem = problem_of(scales, name, value)
    if problem then fail("--set %s=%s: %s is %s", name, text, name, problem) end
    list[#list + 1] = value
  end
  if type(before) == "number" and #list == 1 then return list[1] end
  if type(before) == "table" and type(before[1]) == "number" then return list end
  return fail("--set %s=%s: expected %s", name, text, type(before) == "number" and "one number" or "a setting made of numbers")
end

-- scale(o, { quick = {..}, small = {..}, paper = {..} }) -> the settings that --scale asks for, with those of --set
function settings.scale(o, scales)
  if type(o) ~= "table" or type(scales) ~= "table" then fail "scale: expected options and a table of scales" end
  local names = sorted(scales)
  local s = scales[o.scale] or fail("--scale %s: expected %s%s", o.scale, table.concat(names, ", "), nearest.hint(o.scale, names))
  for word in (o.set or ""):gmatch "%S+" do
    local name, text = word:match "^([%w_]+)=(.+)$"
    if not name then fail("--set: expected NAME=VALUE, found '%s'", word) end
    if s[name] == nil then
      fail("--set %s: this scale has %s%s", word, table.concat(sorted(s), ", "), nearest.hint(name, sorted(s)))
    end
    s[name] = value_like(scales, s[name], name, text)
  end
  return s
end

-- ---- what is chosen ----

-- A text as part of a file's name. What is lost of it stays in some digits.
local function in_name(text)
  local plain = text:gsub("%s+", "+"):gsub("[^%w._,=+-]", "_")
  if plain:gsub("%+", " ") == text then return plain end
  return ("%s-%s"):format(plain, core.private.sha256(text):sub(1, 6))
end

local function shortened(name) -- of a file, which may have 255 bytes
  return #name <= 120 and name or ("%s-%s"):format(name:sub(1, 100), core.private.sha256(name):sub(1, 6))
end

-- What the command line chooses otherwise than the script does by itself, apart from --jobs and the like: "" for nothing, or
-- ".quick.models=v4+v7". Tables have it in their names: no choice takes the place of another.
function settings.chosen(o)
  local parts = { "" }
  for _, name in ipairs(sorted(without[o] or {})) do
    local value, before = o[name], without[o][name]
    if not check.errands[name] and value ~= before then
      local text = tostring(type(value) == "table" and table.concat(value, " ") or value)
      if name == "scale" then table.insert(parts, 2, in_name(text))
      else parts[#parts + 1] = in_name(name:gsub("_", "-") .. (value == true and "" or "=" .. text)) end
    end
  end
  if core.matmul() ~= "full" then parts[#parts + 1] = "matmul=" .. core.matmul() end
  return shortened(table.concat(parts, "."))
end

-- The path of a table: OUT/NAME.tsv, with what is chosen. OUT is --out, or else `folder` or runs/NAME.
function settings.path(o, name, folder)
  if type(o) ~= "table" or type(name) ~= "string" then fail "path: expected options and the name of a table" end
  local out = o.out and o.out ~= "" and o.out or folder or "runs/" .. name
  return ("%s/%s%s.tsv"):format(out, name, settings.chosen(o))
end

return settings
