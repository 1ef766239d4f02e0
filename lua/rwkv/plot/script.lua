-- A figure (see data.lua) as a script for gnuplot. It holds numbers that are formatted here, and a script's texts only
-- as `quote` writes them.
local boxes = require "rwkv.plot.boxes"
local versions = require "rwkv.versions"
local of_bars, of_histogram = boxes.of_bars, boxes.of_histogram
local byte, concat, format, gsub = string.byte, table.concat, string.format, string.gsub
local floor, huge, log, max, min, utf8_length = math.floor, math.huge, math.log, math.max, math.min, utf8.len

-- The look of plots/common.gp, in a file of one picture.
local look = [[
set border 3 lc rgb "#404040"
set tics nomirror out scale 0.6 textcolor rgb "#202020"
set grid ytics lc rgb "#e4e4e4" lt 1 lw 0.7
set style fill solid 0.9 noborder
]]

-- Okabe and Ito's colours, which colour-blind readers can tell apart; then the same ones dashed.
local colours = { "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#777777", "#000000" }
local points = { 7, 13, 9, 5, 6, 11, 12, 4 }
-- A series named after a model looks as it does in the figures of plots/: colour, point, dash.
local looks = {
  ["v7-doubled"] = { "#E69F00", 12, 1 },
  ["v7-no-bonus"] = { "#8c3d00", 13, 2 }, attention = { "#303030", 4, 1 }, linear_attention = { "#808080", 1, 3 },
  retnet = { "#a6a14e", 2, 4 }, gla = { "#86b300", 3, 2 }, deltanet = { "#CC79A7", 5, 1 },
  deltanet_negative = { "#d81b60", 4, 4 }, gated_deltanet = { "#882255", 6, 1 }, deltaproduct = { "#7a1fa2", 9, 1 },
  mamba = { "#6a5acd", 8, 2 }, rosa = { "#7f7f00", 6, 2 }, rosa_4bit = { "#b5b35c", 11, 4 }, ["hybrid-first"] = { "#b83280", 7, 4 }, ["hybrid-middle"] = { "#8a6d00", 5, 2 },
  ["hybrid-last"] = { "#4338ca", 13, 3 }, ["hybrid-nope"] = { "#0f9d9d", 9, 2 },
}
local function look_of(name) return versions.of(name).look or looks[name] end
-- Heat maps: from light to dark; for values of both signs blue and orange away from white at 0.
local one_sided = "set palette defined (0 '#f5f7f2', 0.3 '#a8d5ec', 0.65 '#0072B2', 1 '#00263d')"
local two_sided = "set palette defined (-1 '#003f63', -0.6 '#0072B2', 0 '#ffffff', 0.6 '#D55E00', 1 '#6b2f00')"

-- In double quotes, all but letters, digits and a few more as octal codes: nothing can end the string or be
-- substituted. (In single quotes gnuplot 5.4 misreads two quotes after two quotes.) A code that begins with 0 has four
-- digits.
local function octal(c)
  local code = byte(c)
  return format(code < 64 and "\\0%03o" or "\\%o", code)
end

local function quote(text) return '"' .. gsub(text, "[^%w /._-]", octal) .. '"' end

-- Text to be drawn is one line of UTF-8.
local function drawn(text)
  if not utf8_length(text) then text = gsub(text, "[\x80-\xff]", "?") end
  return quote((gsub(text, "%c", " ")))
end

local function number(x) return x == x and format("%.12g", x) or "NaN" end

-- Sets colour, point and dash of every series; those that are no version take the colours that are left. As
-- characters, line and point are told apart by their number.
local function give_styles(series, to_file)
  local taken, k = {}, 0
  for i = 1, #series do
    local v = series[i].label and look_of(series[i].label)
    if v then
      series[i].colour, series[i].point, series[i].dash = v[1], v[2], v[3]
      taken[v[1]] = true
    end
  end
  for i = 1, #series do
    if not series[i].colour then
      repeat k = k + 1 until k > #colours or not taken[colours[k]]
      local j, dash, shift = (k - 1) % #colours, (k - 1) // #colours % 4, (k - 1) // (4 * #colours) -- no two are alike
      series[i].colour, series[i].point, series[i].dash = colours[j + 1], points[(j + shift) % #points + 1], dash + 1
    end
    series[i].line = to_file and "" or "lt " .. i
    if not to_file then series[i].point = i end
  end
end

-- The end of the axis that boxes and bands stand on: 0, or a power of ten below what is drawn.
local function ground_of(figure)
  if not figure.logy then return 0 end
  local low = huge
  for i = 1, #figure.series do
    local s = figure.series[i]
    for k = 1, #(s.boxes or s.y) do
      local y = s.boxes and s.boxes[k][3] or s.y[k]
      if y > 0 then low = min(low, y) end
    end
  end
  if figure.kind == "histogram" then return 0.5 end
  return 10.0 ^ (floor(log(low, 10) * (1 + 1e-12)) - (figure.kind == "bars" and 1 or 0))
end

-- ---- data ----

local function block(out, name, lines)
  out[#out + 1] = format("$%s << EOD\n%s\nEOD", name, concat(lines, "\n"))
end

local function box_lines(s, ground)
  local lines = {}
  for k = 1, #s.boxes do
    local b = s.boxes[k]
    if b[3] == b[3] and b[3] ~= 0 then
      lines[#lines + 1] = concat({ number((b[1] + b[2]) / 2), number(b[3]), number(b[1]), number(b[2]), number(ground),
        number(b[3]), number(s.error and s.error[k] or 0) }, " ")
    end
  end
  return lines
end

-- Rows x, y, low, high; an empty line where the line has a gap. A point between two gaps is no line: it goes to `dots`.
local function point_lines(s, ground)
  local lines, dots, run = {}, {}, 0
  for k = 1, #s.y + 1 do
    local y = s.y[k]
    if y and y == y then
      local e = s.error and s.error[k] or 0
      lines[#lines + 1] = concat({ number(s.x[k]), number(y), number(ground > 0 and max(y - e, ground) or y - e),
        number(y + e) }, " ")
      run = run + 1
    else
      if run == 1 then dots[#dots + 1] = lines[#lines] end
      if run > 0 then lines[#lines + 1] = "" end
      run = 0
    end
  end
  return lines, dots
end

-- ---- the plot command ----

local function draw_boxes(out, plots, s, name, title, to_file, overlap, ground)
  local lines = box_lines(s, ground)
  if #lines == 0 then return end
  block(out, name, lines)
  local fill = not to_file and "fs empty" or overlap and "fs transparent solid 0.5 noborder" or ""
  plots[#plots + 1] = format("$%s using 1:2:3:4:5:6 with boxxyerror %s %s lc rgb '%s' %s", name, fill, s.line, s.colour,
    title)
  if s.error then
    plots[#plots + 1] = format("$%s using 1:($2 - $7):(0):(2 * $7) with vectors nohead lw 1.5 lc rgb '#303030' notitle",
      name)
  end
end

local function draw_points(out, plots, s, name, title, to_file, kind, ground)
  local lines, dots = point_lines(s, ground)
  if #lines == 0 then return end
  block(out, name, lines)
  local function add(columns, with, key)
    plots[#plots + 1] = format("$%s using %s with %s %s lc rgb '%s' %s", name, columns, with, s.line, s.colour, key)
  end
  if s.error and to_file and kind ~= "points" then
    add("1:3:4", "filledcurves fs transparent solid 0.18 noborder", "notitle")
  elseif s.error then
    add("1:3:(0):($4 - $3)", "vectors nohead lw 1.4", "notitle")
  end
  if kind == "lines" then
    add("1:2", format("lines lw 2.2 dt %d", s.dash), title)
  else
    local dash = kind == "linespoints" and format("lw 2.2 dt %d", s.dash) or "lw 1.6"
    add("1:2", format("%s %s pt %d ps 1.1", kind, dash, s.point), title)
  end
  if kind ~= "points" and #dots > 0 then
    name = name .. "_dots"
    block(out, name, dots)
    add("1:2", "points pt 7 ps 0.9", "notitle")
  end
end

local function draw_series(out, figure, to_file)
  local kind, plots, labelled = figure.kind, {}, false
  if kind == "histogram" then of_histogram(figure) elseif kind == "bars" then of_bars(figure) end
  local ground = ground_of(figure)
  give_styles(figure.series, to_file)
  for i = 1, #figure.series do
    local s, name = figure.series[i], format("s%d", i)
    local title = s.label and "title " .. drawn(s.label) or "notitle"
    labelled = labelled or s.label
    if s.boxes then
      draw_boxes(out, plots, s, name, title, to_file, kind == "histogram" and #figure.series > 1, ground)
    else
      draw_points(out, plots, s, name, title, to_file, kind, figure.logy and ground or 0)
    end
  end
  if #plots == 0 then -- bars of height 0 only
    block(out, "empty", { "0 0" })
    plots[1] = "$empty using 1:2 with dots notitle"
  end
  out[#out + 1] = labelled and "set key above left Left reverse samplen 2 spacing 1.15 noopaque" or "unset key"
  out[#out + 1] = "plot " .. concat(plots, ", \\\n  ")
end

local function draw_matrix(out, figure)
  local m, lines = figure.matrix, {}
  local rows, columns = #m, #m[1]
  for i = 1, rows do
    local cells = {}
    for k = 1, columns do cells[k] = number(m[i][k]) end
    lines[i] = concat(cells, " ")
  end
  block(out, "cells", lines)
  local low, high = figure.low, figure.high
  if low < 0 and high > 0 then
    high = max(-low, high)
    low = -high
    out[#out + 1] = two_sided
  else
    out[#out + 1] = one_sided
  end
  if high > low then out[#out + 1] = format("set cbrange [%s:%s]", number(low), number(high)) end
  if figure.left_out > 0 then -- what is left out is seen as a grey hole
    out[#out + 1] = "set object 1 rectangle from graph 0,0 to graph 1,1 behind fc rgb '#c8c8c8'"
  end
  out[#out + 1] = "set border 15\nunset grid\nunset key\nset rmargin at screen 0.875"
  out[#out + 1] = "set colorbox user origin screen 0.9, graph 0 size 0.02, graph 1"
  if max(rows, columns) <= 4 * min(rows, columns) then out[#out + 1] = "set size ratio -1" end
  if columns <= 20 then out[#out + 1] = "set xtics 1" end
  if rows <= 20 then out[#out + 1] = "set ytics 1" end
  out[#out + 1] = format("plot $cells matrix using ($1 + 1):($2 + 1):3 with image %s",
    rows * columns <= 10000 and "pixels" or "")
end

-- ---- axes ----

local function range(out, axis, wanted, low, high)
  low, high = wanted.low or low, wanted.high or high
  if low or high then
    out[#out + 1] = format("set %srange [%s:%s]", axis, low and number(low) or "*", high and number(high) or "*")
  end
end

local function are_few_whole(series)
  local low, high = huge, -huge
  for i = 1, #series do
    local x = series[i].x
    for k = 1, #x do
      if x[k] ~= floor(x[k]) then return false end
      low, high = min(low, x[k]), max(high, x[k])
    end
  end
  return high - low <= 20
end

local function axes(out, figure)
  local kind, lowest = figure.kind, huge
  if figure.xlabel then out[#out + 1] = "set xlabel " .. drawn(figure.xlabel) end
  local ylabel = figure.ylabel or kind == "histogram" and "count"
  if ylabel then out[#out + 1] = "set ylabel " .. drawn(ylabel) end
  if figure.logx then out[#out + 1] = "set logscale x" end
  if figure.logy then out[#out + 1] = "set logscale y" end
  if kind == "heatmap" then
    range(out, "x", figure.xrange, 0.5, #figure.matrix[1] + 0.5)
    return range(out, "y", { low = figure.yrange.high, high = figure.yrange.low }, #figure.matrix + 0.5, 0.5)
  end
  for i = 1, #figure.series do
    local s = figure.series[i]
    for k = 1, #s.y do
      if s.y[k] == s.y[k] then lowest = min(lowest, s.y[k] - (s.error and s.error[k] or 0)) end
    end
  end
  local ground = (kind == "histogram" or kind == "bars" and lowest >= 0) and not figure.logy and 0
  range(out, "y", figure.yrange, ground or kind == "histogram" and 0.5 or nil)
  if #figure.names > 0 then
    local tics = {}
    for i = 1, #figure.names do tics[i] = drawn((gsub(figure.names[i], "%%", "%%%%"))) .. " " .. i end -- a format
    out[#out + 1] = "set xtics (" .. concat(tics, ", ") .. ") scale 0"
    range(out, "x", figure.xrange, 0.4, #figure.names + 0.6)
  else
    if kind == "bars" and are_few_whole(figure.series) then out[#out + 1] = "set xtics 1" end
    range(out, "x", figure.xrange)
  end
end

-- terminal: what `set terminal` is to be given; to_file: a picture, not characters; above: the part of the height that a
-- title takes. The result goes to gnuplot's standard output.
return function(figure, terminal, to_file, above)
  local out = { "set encoding utf8", "set terminal " .. terminal, look }
  if not to_file then out[#out + 1] = "unset grid" end
  out[#out + 1] = "set rmargin 3\nset format '%h'"
  if figure.title then -- above the key, where gnuplot's own titles cannot stand
    out[#out + 1] = format("set size 1,%.4f\nset label 1 %s at screen 0.5,%.4f center font ',15'", 1 - above,
      drawn(figure.title), 1 - 0.6 * above)
  end
  axes(out, figure)
  if figure.kind == "heatmap" then draw_matrix(out, figure) else draw_series(out, figure, to_file) end
  out[#out + 1] = "unset output\n"
  return concat(out, "\n")
end
