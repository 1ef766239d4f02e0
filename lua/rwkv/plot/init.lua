-- plot(data, options) or plot{ data, options }: a picture by gnuplot, in a file or as characters. See lua/pages/plot.md.
local core = require "rwkv.core"
local run_gnuplot, check_writable = core.private.run_gnuplot, core.check_writable
local read, write = require "rwkv.plot.data", require "rwkv.plot.script"
local draw_text = require "rwkv.plot.text"

local function fail(...) error("plot: " .. string.format(...), 0) end

-- By the end of the file name: terminal, pixels a unit of its size, that unit, font size.
local formats = {
  png = { "pngcairo", 1, "", 12 },
  svg = { "svg", 1, "", 13, " background '#ffffff'" },
  pdf = { "pdfcairo", 96, "in", 12, " fontscale 0.75 linewidth 0.85" },
}

local function run(script)
  local done, message = run_gnuplot(script) -- or the output
  if done then return message end
  message = message:gsub("^%s+", ""):gsub("%s+$", "")
  if message:find("not installed", 1, true) then fail "gnuplot is not installed (Debian: apt-get install gnuplot-nox)" end
  if message:find("terminal type", 1, true) then
    fail("this gnuplot cannot draw %s", script:match "set terminal (%S+)")
  end
  fail("%s", message)
end

-- Whole or not at all. gnuplot gives the picture back and writes no file.
local function to_file(figure)
  local path = figure.file
  local f = formats[(path:match "%.(%a+)$" or ""):lower()]
  if not f then fail("file: expected a name that ends in .png, .svg or .pdf, found '%s'", path) end
  if path:find "%c" then fail("file: the name holds a control character") end
  check_writable(path)
  local width, height = figure.width or 900, figure.height or 540
  local size = ("size %.9g%s,%.9g%s"):format(width / f[2], f[3], height / f[2], f[3])
  local terminal = ("%s noenhanced %s font 'sans,%d'%s"):format(f[1], size, f[4], f[5] or "")
  core.write_file(path, run(write(figure, terminal, true, 45 / height)))
end

local function to_terminal(figure)
  local columns, lines = core.terminal_size()
  local width = figure.width or math.max(40, math.min(columns or 80, 120))
  local height = figure.height or math.max(12, math.min((lines or 24) - 2, 30))
  if figure.kind == "heatmap" then return io.write(draw_text(figure, width, height), "\n") end
  local coloured = columns and not os.getenv "NO_COLOR" and os.getenv "TERM" ~= "dumb"
  local terminal = ("dumb noenhanced size %d,%d %s"):format(width, height, coloured and "ansi256" or "mono")
  local drawn, empty_line = run(write(figure, terminal, false, 2 / height)), "^[ \f\27%[%d;m]*\n"
  while drawn:match(empty_line) do drawn = drawn:gsub(empty_line, "") end
  io.write((drawn:gsub("%s*$", "")), "\n")
end

local function draw(data, options)
  local figure = read(data, options)
  if figure.file then to_file(figure) else to_terminal(figure) end
  if figure.left_out > 0 then
    io.stderr:write(("plot: %d of %d points left out: NaN, infinite%s\n"):format(figure.left_out, figure.points,
      (figure.logx or figure.logy) and ", or not above 0 on a logarithmic axis" or ""))
  end
end

return function(data, options)
  local ok, message = pcall(draw, data, options)
  if ok then return end
  if type(message) == "string" then message = message:gsub("^[^:\n]*rwkv/plot[%w_/]*%.lua:%d+: ", "") end
  error(message, 2)
end
