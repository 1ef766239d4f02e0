-- options(arguments, defaults): the command line of a script.
local head_comment = require "rwkv.head_comment"
local nearest = require "rwkv.nearest"
local sorted = require "rwkv.sorted"
local visible = require "rwkv.visible"

local function check(arguments, defaults)
  if type(arguments) ~= "table" or type(defaults) ~= "table" then
    error(("options: expected the arguments and a table of defaults, found a %s and a %s"):format(type(arguments), type(defaults)), 0)
  end
  for i, word in ipairs(arguments) do
    if type(word) ~= "string" then error(("options: argument %d is a %s, expected text"):format(i, type(word)), 0) end
  end
  for name in pairs(defaults) do
    if type(name) ~= "string" then error(("options: a default is called %s, expected names"):format(tostring(name)), 0) end
  end
end

local function spelt(name) return "--" .. name:gsub("_", "-") end

local function known(defaults)
  local list = {}
  for i, name in ipairs(sorted(defaults)) do list[i] = spelt(name) end
  return list
end

-- --help: the comment at the head of the script, and its options with their defaults and what `about` says of them; of a command the
-- comment has them.
local function print_help(defaults, about)
  local name = arg and arg[0] or ""
  io.write(visible.text(head_comment(name) or ""))
  if name:find "[./]" or name == "" then
    io.write "options and their defaults:\n"
    for _, option in ipairs(sorted(defaults)) do
      local value = defaults[option]
      if type(value) == "table" then value = "(may be given several times)" elseif value == false then value = "" end
      local text = ("  %s %s"):format(spelt(option), visible.line(value))
      io.write(about[option] and ("%-24s %s"):format(text, about[option]) or text:gsub(" $", ""), "\n")
    end
  end
  os.exit(0, true)
end

local function unknown(word, defaults)
  local list = known(defaults)
  local name, value = word:match "^(%-%-[^=]+)=(.*)$"
  for _, option in ipairs(list) do
    if option == name then error(("option %s: its value is a word of its own: %s %s"):format(word, name, value), 0) end
  end
  local hint = nearest.hint(word:gsub("^%-%f[^-]", "--"), list)
  error(("unknown option %s%s there are: %s"):format(word, hint == "" and ";" or hint, table.concat(list, " ")), 0)
end

-- Command-line options for scripts:
--   local o = rwkv.options(arg, { scale = "small", seed = 0, fast = false, stop = {} })
-- reads --scale X --seed N --fast --stop A --stop B over the defaults. A number stays a number, a table is a list of all
-- that are given; an unknown option or a missing value is an error; -h or --help prints what there is, and ends the program.
-- What is left over stands in o[1], o[2], ...
-- about: a table of what --help says of options, or nil.
return function(arguments, defaults, about)
  check(arguments, defaults)
  local o, i = {}, 1
  for name, value in pairs(defaults) do o[name] = value end
  while arguments[i] do
    local word = arguments[i]
    local name = word:match "^%-%-(.+)$"
    if word == "-h" or word == "--help" and defaults.help == nil then print_help(defaults, about or {}) end
    if not name then
      if word:find "^%-%a" then unknown(word, defaults) end
      o[#o + 1] = word
    else
      name = name:gsub("-", "_")
      local default = defaults[name]
      if default == nil then unknown(word, defaults) end
      if type(default) == "boolean" then
        o[name] = true
      else
        i = i + 1
        local value = arguments[i]
        if value == nil then error(("option %s needs a value"):format(word), 0) end
        if type(default) == "number" then
          value = tonumber(value) or error(("option %s: expected a number, found '%s'"):format(word, value), 0)
        end
        if type(default) == "table" then
          if o[name] == default then o[name] = {} end
          table.insert(o[name], value)
        else
          o[name] = value
        end
      end
    end
    i = i + 1
  end
  return o
end
