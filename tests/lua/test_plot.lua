-- rwkv.plot: what it reads, what it refuses, what gnuplot is told, what comes out.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local test, equal, fails = check.test, check.equal, check.fails

local nan, directory = 0 / 0, os.tmpname()
os.remove(directory)
rwkv.mkdir(directory)

local function contents(path)
  local file = io.open(path, "rb")
  local text = file and file:read "a"
  if file then file:close() end
  return text
end

-- plot with capabilities of the test's: what gnuplot would be told, and where it would write, stand in the second result.
local source = package.searchpath("rwkv.plot", package.path)

local function recorded(run, may_write)
  local log = { checked = {}, written = {} }
  local core = setmetatable({
    write_file = function(path, text) log.written[path] = text end,
    check_writable = function(path)
      log.checked[#log.checked + 1] = path
      if may_write and not may_write(path) then error("may not write " .. path) end
    end,
    private = { run_gnuplot = function(script)
      log.script = script
      if run then return run(script) end
      return true, script:find "terminal dumb" and "" or "drawn"
    end } }, { __index = rwkv })
  local world = setmetatable({ require = function(name) return name == "rwkv.core" and core or require(name) end },
    { __index = _G })
  return assert(loadfile(source, "t", world))(), log
end

local function script_of(...)
  local plot, log = recorded()
  plot(...)
  return log.script
end

local function rows(script, name)
  return script:match("%$" .. name .. " << EOD\n(.-)\nEOD")
end


-- ---- what is drawn ----

test("lists, rows, tensors, series become the same kind of data", function()
  equal(rows(script_of { 5, 6 }, "s1"), "1 5 5 5\n2 6 6 6\n")
  equal(rows(script_of { { 10, 5 }, { 20, 6 } }, "s1"), "10 5 5 5\n20 6 6 6\n")
  equal(rows(script_of({ { 1, 5 } }, {}), "s1"), "1 5 5 5\n")
  equal(rows(script_of { { 5, 6 } }, "s1"), "1 5 5 5\n2 6 6 6\n") -- a list in one table with the options
  equal(rows(script_of(rwkv.tensor { 5, 6 }), "s1"), "1 5 5 5\n2 6 6 6\n")
  equal(rows(script_of { rwkv.tensor { 5, 6 } * 2, title = "computed" }, "s1"), "1 10 10 10\n2 12 12 12\n")
  local script = script_of(rwkv.tensor { { 1, 2 }, { 3, 4 } })
  equal(rows(script, "s2"), "1 3 3 3\n2 4 4 4\n")
  script = script_of { rwkv.tensor { 1, 2 }, rwkv.tensor { 7 } }
  equal(rows(script, "s2"), "1 7 7 7\n")
  script = script_of { series = { { x = { 1, 2 }, y = rwkv.tensor { 3, 4 }, error = { 0, 0.5 }, label = "a" } } }
  equal(rows(script, "s1"), "1 3 3 3\n2 4 3.5 4.5\n")
  assert(script:find('title "a"', 1, true))
end)

test("gaps stay gaps; a point between two of them is drawn", function()
  local script = script_of { 1, nan, 3, math.huge, 5, 6 }
  equal(rows(script, "s1"), "1 1 1 1\n\n3 3 3 3\n\n5 5 5 5\n6 6 6 6\n")
  equal(rows(script, "s1_dots"), "1 1 1 1\n3 3 3 3")
  equal(rows(script_of({ -1, 0, 5, 6 }, { logy = true }), "s1"), "3 5 5 5\n4 6 6 6\n")
end)

test("bars and histograms are boxes", function()
  local script = script_of { kind = "bars",
    series = { { x = { "a", "b'c" }, y = { 1, 2 } }, { x = { "b'c" }, y = { 3 } } } }
  equal(rows(script, "s2"), "2.2 3 2 2.4 0 3 0")
  assert(script:find([[set xtics ("a" 1, "b\0047c" 2)]], 1, true), script)
  script = script_of({ 0, 0, 1, 1, 1, nan }, { kind = "histogram" })
  local counted = 0
  for height in rows(script, "s1"):gmatch "%S+ (%S+) [^\n]*" do counted = counted + height end
  equal(counted, 5)
  script = script_of(rwkv.zeros(2, 3, 4), { kind = "histogram" })
  assert(rows(script, "s1"):find " 24 ", script)
  script = script_of({ 1, 10, 100, 1000 }, { kind = "histogram", logx = true, logy = true })
  assert(rows(script, "s1"):find " 0.5 1 0$" and script:find "set logscale y", script)
end)

test("heat maps: rows from the top, colours on both sides of 0", function()
  local plot, log = recorded()
  plot(rwkv.tensor { { 1, -2 }, { 3, 4 } }, { kind = "heatmap", file = directory .. "/h.svg" })
  equal(rows(log.script, "cells"), "1 -2\n3 4")
  for _, part in ipairs { "set yrange [2.5:0.5]\n", "set cbrange [-4:4]\n" } do
    assert(log.script:find(part, 1, true), log.script)
  end
  plot({ { 1, 2 }, { 3, nan } }, { kind = "heatmap", file = directory .. "/h.svg" })
  equal(rows(log.script, "cells"), "1 2\n3 NaN")
  assert(not log.script:find("cbrange [-", 1, true))
end)

test("the look is that of plots/common.gp", function()
  local common = contents "plots/common.gp"
  local plot, log = recorded()
  plot { 1, 2, file = directory .. "/a.png" }
  local script = log.script
  local same = 0 -- lines of the one that stand in the other
  for line in common:gmatch "[^\n]+" do
    if script:find(line .. "\n", 1, true) then same = same + 1 end
  end
  assert(same >= 4, script)
  local n = 0
  for v, colour, point, dash in common:match 'looks = "(.-)"':gmatch "(%S+) +(#%x+) +(%d+) +(%d+)" do
    script = script_of { series = { { y = { 1, 2 }, label = v } }, kind = "linespoints", file = directory .. "/a.png" }
    for _, part in ipairs { colour, "pt " .. point .. " ", "dt " .. dash .. " " } do
      assert(script:find(part, 1, true), v .. ": " .. part)
    end
    n = n + 1
  end
  assert(n >= 20)
  script = script_of { series = { { y = { 1, 2 }, label = "mine" }, { y = { 1, 2 }, label = "v4" } } }
  local mine, v4 = script:match "lc rgb '(#%x+)' title \"mine\"", script:match "lc rgb '(#%x+)' title \"v4\""
  assert(mine ~= v4, script)
  local series, looks = {}, {} -- of a hundred no two are alike
  for i = 1, 100 do series[i] = { y = { 1, 2 }, label = "mine" .. i } end
  for look in script_of { series = series, kind = "linespoints" }:gmatch "linespoints ([^\n]-) title" do
    assert(not looks[look], look)
    looks[look] = true
  end
  assert(next(looks))
end)

-- ---- what is refused ----

test("errors name the thing, what was expected, what was found", function()
  local function refused(arguments, ...)
    local parts = { ... }
    fails(function() rwkv.plot(table.unpack(arguments, 1, 2)) end, "plot: ", table.unpack(parts))
  end
  refused({}, "tensor or a table", "nothing")
  refused({ {} }, "nothing to draw")
  refused({ { series = {} } }, "nothing to draw")
  refused({ { nan, nan } }, "nothing to draw", "none of the 2 points")
  refused({ { 0, -1 }, { logy = true } }, "nothing to draw", "logarithmic")
  refused({ { 1, "x" } }, "y[2]", "number", "string")
  refused({ { { 1, 2 }, { 1, 2, 3 } } }, "row 2", "{x, y}", "3 entries")
  refused({ { { 1, 2 }, 3 } }, "row 2", "number")
  refused({ { 1, 2, colour = "red" } }, "'colour'", "kind", "yrange")
  refused({ { series = { { y = { 1 }, name = "a" } } } }, "series 1", "'name'", "label")
  refused({ { series = { { x = { 1, 2 }, y = { 1 } } } } }, "series 1: x has 2", "y has 1")
  refused({ { series = { { y = { 1, 2 }, error = { 1 } } } } }, "error has 1", "y has 2")
  refused({ { series = { { y = { 1 }, error = { -1 } } } } }, "error[1]", "at least 0")
  refused({ { series = { { x = { 1 } } } } }, "no y")
  refused({ { 1, 2, series = { { y = { 1 } } } } }, "found both")
  refused({ { 1, 2 }, { kind = "pie" } }, "kind", "histogram", "'pie'")
  refused({ { 1, 2 }, { xrange = { 1, 1 } } }, "xrange")
  refused({ { 1, 2 }, { xrange = { "a" } } }, "xrange", "string")
  refused({ { 1, 2 }, { yrange = { 0, 1 }, logy = true } }, "yrange", "above 0")
  refused({ { 1, 2 }, { size = { 5, 5 } } }, "size", "{5, 5}")
  refused({ { 1, 2 }, { title = {} } }, "title", "text", "table")
  refused({ { 1, 2 }, { file = "a.jpg" } }, ".png", "a.jpg")
  refused({ { 1, 2 }, { file = "a\n.png" } }, "file")
  refused({ { 1, title = "x" }, {} }, "'title'", "options")
  refused({ rwkv.zeros(2, 2, 2) }, "[2,2,2]", "[m,n]")
  refused({ rwkv.zeros(200, 2) }, "200 lines", "heatmap")
  refused({ { { 1, 2 }, { 3 } }, { kind = "heatmap" } }, "row 2 has 1", "row 1 has 2")
  local ended = rwkv.ones(2) * 2
  rwkv.end_step()
  local _ = rwkv.ones(1) * 1
  fails(function() rwkv.plot(ended) end, "step that is over")
  local ok, message = pcall(function() rwkv.plot {} end)
  assert(not ok and message:find "^[^:]*test_plot.lua:%d+: plot: ", message)
end)

-- ---- scripts cannot get through to gnuplot ----

local hostile = "'; system('touch " .. directory .. "/pwned'); '`touch " .. directory .. "/pwned`\n" ..
  "!touch " .. directory .. "/pwned\nEOD\n@m {/Symbol a} 100% %s \\"

test("texts stand in quotes that they cannot leave", function()
  local plot, log = recorded()
  plot { series = { { x = { hostile, "b" }, y = { 1, 2 }, label = hostile } }, title = hostile, xlabel = hostile,
    ylabel = hostile, kind = "bars", file = directory .. "/a.png" }
  local bare = log.script:gsub("%$s1 << EOD\n[%d%. \n]+\nEOD\n", ""):gsub('"[^"\n]*"', "")
  for _, word in ipairs { "touch", "`", "@", "!", "EOD", "Symbol" } do
    assert(not bare:find(word, 1, true), word .. " in\n" .. bare)
  end
end)

test("metamethods of what is given do not run", function()
  local trap = setmetatable({ 1, 2, title = "t" }, { __index = error, __len = error, __pairs = error })
  script_of(trap)
  local y = setmetatable({ 1, 2 }, { __index = error, __len = error })
  local series = setmetatable({ setmetatable({ y = y }, { __index = error }) }, { __index = error, __len = error })
  script_of { series = series }
end)

test("where scripts may not write, nothing is written", function()
  local plot, log = recorded(nil, function() return false end)
  fails(function() plot { 1, 2, file = directory .. "/no.png" } end, "may not write", directory .. "/no.png")
  equal(log.script, nil)
  equal(log.checked, { directory .. "/no.png" })
  equal(next(log.written), nil)
  plot, log = recorded(nil, function(path) return path:find "yes" end)
  plot { 1, 2, file = directory .. "/yes.png" }
  equal({ #log.checked, log.written[directory .. "/yes.png"] }, { 1, "drawn" })
end)

test("what gnuplot says is passed on, and no file is left", function()
  local plot, log = recorded(function() return nil, "gnuplot: line 5: something is wrong\n" end)
  fails(function() plot { 1, 2, file = directory .. "/failed.png" } end, "line 5: something is wrong")
  equal(next(log.written), nil)
  plot = recorded(function() return nil, "gnuplot is not installed" end)
  fails(function() plot { 1, 2, file = directory .. "/failed.png" } end, "not installed", "gnuplot-nox")
end)

-- ---- gnuplot itself ----

if select(2, check.shell "gnuplot --version") ~= 0 then
  print "SKIPPED: gnuplot is not installed"
  os.execute("rm -r " .. directory)
  return
end

test("files of every kind", function()
  for ending, begins in pairs { png = "^\137PNG", svg = "^<%?xml", pdf = "^%%PDF" } do
    local path = directory .. "/it's a plot." .. ending
    local ok, message = pcall(rwkv.plot, { 1, 2, 3, title = hostile, xlabel = "x", file = path })
    if not ok and message:find "cannot draw" then
      print(("SKIPPED: gnuplot has no terminal for .%s"):format(ending))
    else
      assert(ok, message)
      assert(contents(path):find(begins), path)
    end
  end
  assert(not check.shell("ls " .. directory):find "tmp")
  equal(contents(directory .. "/pwned"), nil)
end)

test("texts are drawn as they are", function()
  local quotes, marks = [["a" \ 7 `b` $c @d]], [[100% %s {e}_f^g é — ü]]
  for _, text in ipairs { quotes, marks, "a'1", "''a''''2'", "'", "''", "a''''; b" } do
    rwkv.plot { 1, 2, title = text, xlabel = text, file = directory .. "/t.svg" }
    local svg, n = contents(directory .. "/t.svg"):gsub("&#(%d+);", function(code) return string.char(code) end), 0
    for found in svg:gmatch "<text>(.-)</text>" do
      if found:gsub("<.->", "") == text then n = n + 1 end
    end
    assert(n == 2, text .. " is not twice in the picture:\n" .. svg:match "<text>.*")
  end
  rwkv.plot { series = { { x = { "50%", "'%g'" }, y = { 1, 2 } } }, kind = "bars", file = directory .. "/t.svg" }
  local svg = contents(directory .. "/t.svg")
  assert(svg:find("50%<", 1, true) and svg:find("'%g'<", 1, true), svg)
end)

test("every kind of plot, as a file and as characters", function()
  local lines, path = {}, directory .. "/printed"
  local function plot(...)
    io.output(path)
    rwkv.plot(...)
    io.close(io.output())
    io.output(io.stdout)
    local text = contents(path)
    if text ~= "" then lines[#lines + 1] = text end
  end
  local series = { { y = { 1, 2, 4 }, error = { 0, 1, 0.5 }, label = hostile },
    { x = { 1, 2 }, y = { 3, 1 }, label = "v7" } }
  for _, kind in ipairs { "lines", "points", "linespoints", "bars", "histogram" } do
    for _, file in ipairs { false, directory .. "/k.png", directory .. "/k.svg" } do
      plot { series = series, kind = kind, logy = true, file = file or nil, size = file and { 300, 200 } or { 70, 15 },
        title = "title of it", xlabel = "the x axis" }
      plot { 7, kind = kind, file = file or nil }
    end
  end
  plot(rwkv.rng(1):tensor("normal", 30, 200), { kind = "heatmap", size = { 60, 20 }, title = "title of it" })
  plot(rwkv.rng(1):tensor("normal", 30, 200), { kind = "heatmap", file = directory .. "/k.png", yrange = { 1, 5 } })
  equal(#lines, 11)
  for i, text in ipairs(lines) do
    for line in text:gmatch "[^\n]+" do assert(utf8.len(line) <= 80, line) end
    assert(i % 2 == 0 or text:find "title of it", text)
  end
  equal(contents(directory .. "/pwned"), nil)
end)

test("a name that begins with | or ~ is the name of a file", function()
  local code = [[local rwkv = require "rwkv"
    rwkv.plot{ 1, 2, file = "|touch pwned;.png" }
    rwkv.plot{ 1, 2, file = "~x.svg" }]]
  local script = directory .. "/s.lua"
  rwkv.write_file(script, code)
  local here = check.shell "pwd":match "[^\n]+"
  local out, status = check.shell(("cd %s && %s --trust s.lua"):format(directory,
    check.program:match "^/" and check.program or here .. "/" .. check.program))
  equal(out, "")
  equal(status, 0)
  local files = check.shell("ls " .. directory)
  assert(files:find("|touch pwned;.png", 1, true) and files:find("~x.svg", 1, true) and not files:find "pwned\n", files)
end)

os.execute("rm -r " .. directory)
