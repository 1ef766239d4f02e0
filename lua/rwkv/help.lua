-- help(x): what the pages say about x: a function of rwkv, an object, or a name such as "model:forward",
-- "tensor:linear", "rwkv.adamw", "linear", a slot, "decay", a version, "v7", an equation, "v7.3". help() lists the pages.
local core = require "rwkv.core"
local nearest = require "rwkv.nearest"
local notes = require "rwkv.notes"
local pages = require "rwkv.pages"

local most_entries = 12

local function print(...) io.write(table.concat({ ... }, "\t"), "\n") end -- where a script's io.output goes

local function width() return math.max(40, math.min(core.terminal_size() or 80, 100)) end

local function print_wrapped(text, indent)
  local margin, line, length = (" "):rep(indent), {}, indent
  local function flush()
    if #line > 0 then print(margin .. table.concat(line, " ")) end
    line, length = {}, indent
  end
  for word in text:gmatch "%S+" do
    local n = utf8.len(word) or #word
    if length + n > width() then flush() end
    line[#line + 1], length = word, length + n + 1
  end
  flush()
end

local function sorted_names(t, before)
  local names = {}
  for name, value in pairs(t) do
    if type(value) == "function" then names[#names + 1] = before .. name end
  end
  table.sort(names)
  return names
end

local function print_entry(e)
  if e.body then
    print_wrapped(e.head, 0)
    print_wrapped(e.body, 4)
  else
    print_wrapped(e.head, 0)
  end
  print(("    [%s: %s]"):format(e.page, e.heading))
end

local function print_entries(list)
  for i = 1, math.min(#list, most_entries) do
    if i > 1 then print() end
    print_entry(list[i])
  end
  if #list > most_entries then print(("\n.. and %d more"):format(#list - most_entries)) end
end

local function print_methods(class, methods)
  print_wrapped(("Methods of %s %s: %s."):format(class:find "^[aeiou]" and "an" or "a", class,
    table.concat(sorted_names(methods, ""), ", ")), 0)
  print(("help \"%s:%s\" explains one."):format(class, sorted_names(methods, "")[1]))
end

local function print_pages()
  print "help \"model:forward\", help \"linear\", help(rwkv.adamw), help(an object), help \"model.md\""
  print "help \"v7\", help \"v7.3\", help \"decay\": a version, an equation, a slot\n"
  for _, name in ipairs(pages.names) do
    print(("  %-12s %s"):format(name, pages.read(name):match "^#%s*(.-)\n"))
  end
  print()
  print_wrapped("Functions of rwkv: " .. table.concat(sorted_names(require "rwkv", ""), ", ") .. ".", 0)
end

-- The names under which a function can be called.
local function names_of(f)
  local names = {}
  for name, value in pairs(require "rwkv") do
    if value == f then names[#names + 1] = "rwkv." .. name end
  end
  for class, methods in pairs(core.classes()) do
    for name, value in pairs(methods) do
      if value == f then names[#names + 1] = class .. ":" .. name end
    end
  end
  return names
end

local function help_function(f)
  local found, seen = {}, {}
  for _, name in ipairs(names_of(f)) do
    for _, e in ipairs(pages.find(name)) do
      if not seen[e] then found[#found + 1] = e end
      seen[e] = true
    end
  end
  if #found == 0 then return print "help: this function is not one of rwkv's" end
  print_entries(found)
end

local function help_version(section, name)
  io.write((section.text:gsub("%s*$", "\n")))
  print(("    [PAPER_NOTES.md; pages: %s; sizes, parameters and slots: aviary info %s]"):format(table.concat(pages.naming(name), ", "), name))
end

-- ", did you mean 'model:forward'?" for a name that the pages do not know, or "".
local function meant(name)
  local object, word = (pages.canonical(name) or name):match "^(.-[.:]?)([%w_]*)$"
  local near = nearest(word or "", pages.words(object ~= "" and object or nil))
  return near and (", did you mean '%s%s'?"):format(object, near) or ""
end

local function help_name(name)
  if name:find "%.md$" then
    local known = (" " .. table.concat(pages.names, " ") .. " PAPER_NOTES.md "):find(" " .. name .. " ", 1, true)
    if not known then
      return print(("help: no page %s; there are: %s"):format(name, table.concat(pages.names, ", ")))
    end
    return io.write(pages.read(name))
  end
  local found, class, section = pages.find(name), core.classes()[name], notes.version(name)
  local equations = notes.equations(name)
  if section then -- "v5.2" is an equation and a version
    print_entries(equations)
    local is_version = #equations == 0
    for _, version in ipairs(core.versions()) do is_version = is_version or version == name end
    return is_version and help_version(section, name)
  end
  table.move(equations, 1, #equations, #found + 1, found)
  print_entries(found)
  if class then
    if #found > 0 then print() end
    print_methods(name, class)
  elseif #found == 0 then
    local hint = meant(name)
    print(("help: the pages do not know '%s'%s"):format(name, hint ~= "" and hint or "; help() lists what there is"))
  end
end

return function(...)
  local x = ...
  if select("#", ...) == 0 or x == nil or rawequal(x, require "rwkv") then return print_pages() end
  if type(x) == "string" then return help_name(x) end
  if type(x) == "function" then return help_function(x) end
  local class = type(x) == "userdata" and getmetatable(x)
  local methods = type(class) == "string" and core.classes()[class:match "^rwkv%.(.*)"]
  if methods then return print_methods(class:match "^rwkv%.(.*)", methods) end
  error(("help: expected a name, a function or an object of rwkv, found a %s"):format(type(x)), 2)
end
