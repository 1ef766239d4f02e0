local nearest = require "rwkv.nearest"

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

local function unknown(option, known)
  local hint = nearest.hint(option, known)
  error(("unknown option %s%s there are: %s"):format(option, hint == "" and ";" or hint, table.concat(known, " ")), 0)
end

-- Command-line options for scripts:
--   local o = rwkv.options(arg, { scale = "small", seed = 0, fast = false, stop = {} })
-- reads --scale X --seed N --fast --stop A --stop B over the defaults. A number stays a number, a table is a list of all
-- that are given; an unknown option or a missing value is an error. What is left over stands in o[1], o[2], ...
return function(arguments, defaults)
  check(arguments, defaults)
  local o, i = {}, 1
  for name, value in pairs(defaults) do o[name] = value end
  local function known()
    local names = {}
    for name in pairs(defaults) do names[#names + 1] = "--" .. name:gsub("_", "-") end
    table.sort(names)
    return names
  end
  while arguments[i] do
    local name = arguments[i]:match "^%-%-(.+)$"
    if not name then
      o[#o + 1] = arguments[i]
    else
      name = name:gsub("-", "_")
      local default = defaults[name]
      if default == nil then unknown(arguments[i], known()) end
      if type(default) == "boolean" then
        o[name] = true
      else
        i = i + 1
        local value = arguments[i]
        if value == nil then error(("option --%s needs a value"):format(name), 0) end
        if type(default) == "number" then
          value = tonumber(value) or error(("option --%s: expected a number, found '%s'"):format(name, value), 0)
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
