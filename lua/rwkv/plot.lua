-- plot(data, options) or plot{ data, options }: a picture by gnuplot, in a file or as characters. See lua/doc/plot.md.
--
-- The program calls this file with two capabilities that scripts do not have: run_gnuplot(script) -> true and its output,
-- or nil and a message; check_writable(path), which raises where scripts may not write. So that no script can get at them or
-- change what they are asked, all that is used is held in locals from the start, strings are never used as objects,
-- and what scripts give is read raw (plot/data.lua) and quoted (plot/script.lua).
local run_gnuplot, check_writable = ...
local read, write = require "rwkv.plot.data", require "rwkv.plot.script"
local draw_text = require "rwkv.plot.text"
local terminal_size = require "rwkv.core".terminal_size
local error, pcall, print, setmetatable, type = error, pcall, print, setmetatable, type
local find, format, gsub, lower, match = string.find, string.format, string.gsub, string.lower, string.match
local max, min, getenv, remove, rename = math.max, math.min, os.getenv, os.remove, os.rename
local stderr, write_to = io.stderr, io.stderr.write

-- Without the program: gnuplot through the shell, its script in a file.
local function standalone()
  local open, popen, tmpname = io.open, io.popen, os.tmpname
  local function contents(path)
    local file = open(path, "rb")
    local text = file and file:read "a" or ""
    if file then file:close() end
    return text
  end
  return function(script)
    local path = tmpname()
    local errors = path .. ".err"
    local file = open(path, "wb")
    file:write(script)
    file:close()
    local started, pipe = pcall(popen, format("gnuplot -d '%s' 2>'%s'", path, errors), "r")
    local output = started and pipe and pipe:read "a"
    local good = output and pipe:close()
    local message = contents(errors)
    remove(path)
    remove(errors)
    if not started or not pipe then return false, "this Lua cannot start programs (io.popen): " .. pipe end
    return good, good and output or message
  end
end

if type(run_gnuplot) ~= "function" then -- `require` gave the name and the path of this module
  run_gnuplot, check_writable = standalone(), function() end
end

local function fail(...) error("plot: " .. format(...), 0) end

-- By the end of the file name: terminal, pixels a unit of its size, that unit, font size.
local formats = {
  png = { "pngcairo", 1, "", 12 },
  svg = { "svg", 1, "", 13, " background '#ffffff'" },
  pdf = { "pdfcairo", 96, "in", 12, " fontscale 0.75 linewidth 0.85" },
}

local function run(script)
  local done, message = run_gnuplot(script) -- or the output
  if done then return message end
  message = gsub(gsub(message or "", "^%s+", ""), "%s+$", "")
  if find(message, "not found", 1, true) then fail "gnuplot is not installed (Debian: apt-get install gnuplot-nox)" end
  local terminal = match(script, "set terminal (%S+)")
  if find(message, "terminal type", 1, true) then fail("this gnuplot cannot draw %s", terminal) end
  fail("gnuplot: %s", message)
end

-- Whole or not at all: gnuplot writes beside the file, which then takes its place.
local function to_file(figure)
  local path = figure.file
  local f = formats[lower(match(path, "%.(%a+)$") or "")]
  if not f then fail("file: expected a name that ends in .png, .svg or .pdf, found '%s'", path) end
  if find(path, "%c") then fail("file: the name holds a control character") end
  if not match(path, "^/") then path = "./" .. path end -- for gnuplot '|' begins a command and '~' is a home
  local temporary = path .. ".tmp" .. match(format("%p", {}), "%x+$")
  check_writable(path)
  check_writable(temporary)
  local _ <close> = setmetatable({}, { __close = function() remove(temporary) end })
  local width, height = figure.width or 900, figure.height or 540
  local size = format("size %.9g%s,%.9g%s", width / f[2], f[3], height / f[2], f[3])
  run(write(figure, format("%s noenhanced %s font 'sans,%d'%s", f[1], size, f[4], f[5] or ""), temporary, 45 / height))
  local done, message = rename(temporary, path)
  if not done then fail("%s", message) end
end

local function to_terminal(figure)
  local columns, lines = terminal_size()
  local width = figure.width or max(40, min(columns or 80, 120))
  local height = figure.height or max(12, min((lines or 24) - 2, 30))
  if figure.kind == "heatmap" then return print(draw_text(figure, width, height)) end
  local coloured = columns and not getenv "NO_COLOR" and getenv "TERM" ~= "dumb"
  local terminal = format("dumb noenhanced size %d,%d %s", width, height, coloured and "ansi256" or "mono")
  local drawn, empty_line = run(write(figure, terminal, nil, 2 / height)), "^[ \f\27%[%d;m]*\n"
  while match(drawn, empty_line) do drawn = gsub(drawn, empty_line, "") end
  print((gsub(drawn, "%s*$", "")))
end

local function draw(data, options)
  local figure = read(data, options)
  if figure.file then to_file(figure) else to_terminal(figure) end
  if figure.left_out > 0 then
    write_to(stderr, format("plot: %d of %d points left out: NaN, infinite%s\n", figure.left_out, figure.points,
      (figure.logx or figure.logy) and ", or not above 0 on a logarithmic axis" or ""))
  end
end

return function(data, options)
  local ok, message = pcall(draw, data, options)
  if ok then return end
  if type(message) == "string" then message = gsub(message, "^[^:\n]*rwkv/plot[%w_/]*%.lua:%d+: ", "") end
  error(message, 2)
end
