-- plots/*.gp draw any table: no text of it is a command, a format or markup, and no number stops a figure.
local rwkv = require "rwkv"
local contents = require "rwkv.contents"
local check = require "tests.lua.lib.check"
local test = check.test

local directory = "runs/test_figures_" .. rwkv.precision
check.shell("rm -rf " .. directory)
rwkv.mkdir(directory)

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

local scripts, figures = {}, {} -- the path of every script; name and ending of every figure with a table in plots/
for path in check.shell("ls plots/*.gp"):gmatch "%S+" do
  scripts[#scripts + 1] = path
  local name = path:match "([%w_]+)%.gp$"
  for _, ending in ipairs { ".figure.tsv", ".tsv" } do
    if contents("plots/" .. name .. ending) then
      figures[#figures + 1] = { name = name, ending = ending }
      break
    end
  end
end

local programs = { "system", "`", "popen", "[\"']%s*<", "[\"']%s*|%s*%a", "%f[%w]shell%f[%W]", "@%a", "[\n;{]%s*!" }

test("no script starts a program", function()
  assert(#scripts >= 20)
  for _, path in ipairs(scripts) do
    local text = contents(path)
    for _, pattern in ipairs(programs) do
      local from = text:find(pattern)
      if from then error(("%s: found '%s', expected no %s"):format(path, text:sub(from):match "[^\n]*", pattern)) end
    end
  end
end)

if select(2, check.shell "gnuplot --version") ~= 0 then
  print "SKIPPED: gnuplot is not installed"
  return
end

local planted = directory .. "/PLANTED"

-- A cell as a table holds it, and as it is drawn.
local hostile = {
  { ("$(touch %s)"):format(planted) },
  { ("'; touch %s; '"):format(planted) },
  { ("a\"'$(touch${IFS}%s)'"):format(planted) },
  { ("`touch %s`"):format(planted) },
  { ("a'.system('touch %s').'"):format(planted) },
  { ("< touch %s"):format(planted) }, { ("|touch %s"):format(planted) },
  { "a \"b\" 'c" }, { "5\" of \\n \\ \\101" }, { "%s %d %% 100% {%T}" }, { "a_{b}^2 @x ~a{.8-} &" },
  { "two  blanks, ü and μ" }, { "@label $1 $data" }, { "a|b" },
  { "\"#comment\"", "#comment" }, { "\"12\"", "12" }, { "\"nan\"", "nan" }, { "\"\\t\\x01\\\"\"", "\\t\\x01\\\"" },
  { ("long_%s"):format(("x"):rep(200)) },
}

local function cells_of(line)
  local cells = {}
  for cell in (line .. "\t"):gmatch "(.-)\t" do cells[#cells + 1] = cell end
  return cells
end

-- The table of a figure: comments, the names of the columns, rows.
local function read(figure)
  local head, names, rows = {}, nil, {}
  for line in contents(("plots/%s%s"):format(figure.name, figure.ending)):gmatch "([^\n]*)\n" do
    if line:find "^#" then head[#head + 1] = line
    elseif not names then names = cells_of(line)
    else rows[#rows + 1] = cells_of(line) end
  end
  return head, names, rows
end

local function place(names, name)
  for i, n in ipairs(names) do if n == name then return i end end
end

local function table_of(head, names, rows)
  local lines = { table.concat(head, "\n"), table.concat(names, "\t") }
  for _, row in ipairs(rows) do lines[#lines + 1] = table.concat(row, "\t") end
  return table.concat(lines, "\n") .. "\n# the end\n"
end

local function draw(path, name)
  return check.shell(("gnuplot -e \"out='%s'; formats='svg'\" plots/%s.gp"):format(path, name))
end

local function escaped(text) return (text:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" })) end

-- A figure's picture of a table that is written beside it. bench_decode draws two tables.
local function picture_of(figure, text)
  local path = ("%s/%s"):format(directory, figure.name)
  write(path .. figure.ending, text)
  if figure.name == "bench_decode" then write(directory .. "/bench_prefill.tsv", contents "plots/bench_prefill.tsv") end
  local out, status = draw(path, figure.name)
  if status ~= 0 then error(("%s: %s"):format(figure.name, out)) end
  return assert(contents(path .. ".svg")), out
end

-- Figures of one model, or of none, in which no label is drawn.
local unnamed = { wkv_stability = true, mqar_goose = true, position_curves = true }

-- Copies of the rows of the first label, under other labels; and in each other column of text.
local function with_hostile_rows(names, rows)
  local label, copies = place(names, "label"), {}
  local function add(row, column, cell)
    row = { table.unpack(row) }
    row[column] = cell
    copies[#copies + 1] = row
  end
  for _, cell in ipairs(hostile) do
    for k = 1, label and math.min(40, #rows) or 0 do
      if rows[k][label] == rows[1][label] then add(rows[k], label, cell[1]) end
    end
    for i in ipairs(names) do
      if not tonumber(rows[1][i]) then add(rows[1], i, cell[1]) end
    end
  end
  table.move(copies, 1, #copies, #rows + 1, rows)
end

test("any text is drawn as it is", function()
  for _, figure in ipairs(figures) do
    local head, names, rows = read(figure)
    head[1] = ("# $(touch %s) `touch %s` \"'\\n %%s a_b"):format(planted, planted)
    with_hostile_rows(names, rows)
    local picture = picture_of(figure, table_of(head, names, rows))
    if contents(planted) then error(figure.name .. " ran a command of its table") end
    assert(picture:find(escaped(head[1]:sub(3)), 1, true), figure.name .. ": the first line of the table is not drawn")
    for _, cell in ipairs(hostile) do
      local text = escaped(cell[2] or cell[1])
      if not unnamed[figure.name] and not picture:find(text, 1, true) then
        error(("%s: expected the label '%s' in the picture"):format(figure.name, text))
      end
    end
  end
end)

test("no number stops a figure, nor a cell that is empty", function()
  for _, figure in ipairs(figures) do
    local head, names, rows = read(figure)
    local whole = #picture_of(figure, table_of(head, names, rows))
    for i in ipairs(names) do
      for _, cell in ipairs { "nan", "-nan", "inf", "-inf", "1e999", "" } do
        local row = { table.unpack(rows[#rows]) }
        row[i] = cell
        table.insert(rows, i % 2 == 0 and #rows or 1, row)
      end
    end
    local picture = picture_of(figure, table_of(head, names, rows))
    assert(#picture > 0.8 * whole, figure.name)
    assert(not picture:find "[ ',=]%-?nan[ ',]" and not picture:find "[ ',=]%-?inf[ ',]", figure.name)
  end
end)

test("a table without rows is an error of one line", function()
  for _, figure in ipairs(figures) do
    local head, names = read(figure)
    local path = ("%s/%s"):format(directory, figure.name)
    write(path .. figure.ending, table_of(head, names, {}))
    local out, status = draw(path, figure.name)
    check.equal(status, 1)
    check.has(out, path .. figure.ending .. ": expected a table with rows, found none")
  end
end)

test("a path is a path", function()
  local text = contents "plots/mqar_init.figure.tsv"
  local root = check.shell("pwd"):match "[^\n]+"
  local paths = { "< touch PLANTED", "|touch PLANTED;", "$(touch PLANTED)", "a;touch PLANTED", "%s \"b\" & ü" }
  for _, name in ipairs(paths) do
    write(("%s/%s.figure.tsv"):format(directory, name), text)
    local script = ('out = "%s"\nformats = "svg"\nload "%s/plots/mqar_init.gp"\n'):format(name:gsub('"', '\\"'), root)
    write(directory .. "/draw.gp", script)
    local out, status = check.shell(("cd %s && gnuplot draw.gp"):format(directory))
    assert(status == 0, out)
    assert(contents(("%s/%s.svg"):format(directory, name)), name)
    assert(not contents(planted), name)
  end
end)

-- What gnuplot prints of a script that has loaded plots/common.gp.
local function printed(script)
  write(directory .. "/print.gp", ("out = 'x'\nload '%s/plots/common.gp'\n%s"):format(check.shell("pwd"):match "[^\n]+", script))
  local text, status = check.shell(("cd %s && gnuplot print.gp"):format(directory))
  assert(status == 0, text)
  return text
end

test("models of one's own look different, from each other and from the others", function()
  local seen, count = {}, 0
  for look in printed [[do for [i = 1:60] { v = sprintf("mine%d", i); print colour(v), point(v), dash(v) }
    do for [i = 1:words(looks) / 4] { v = word(looks, 4 * i - 3); print colour(v), point(v), dash(v) } ]]:gmatch "[^\n]+" do
    assert(not seen[look], look)
    seen[look], count = true, count + 1
  end
  assert(count > 80)
  assert(printed "print colour('a'), colour('b'), colour('a'), colour('c')":match "^(%S+) (%S+) %1 ")
end)

test("a long command and a long note leave the footer in its three lines", function()
  local command = "# ./aviary experiments/mqar_versions.lua --models '" .. ("mine "):rep(100) .. "' (commit 0123456789+, fast kernels, float32)"
  write(directory .. "/long.tsv", command .. "\n# " .. ("a long note "):rep(50) .. "\nlabel\tx\nv7\t1\n")
  local lines = {}
  for line in printed "file = 'long.tsv'\neval read('$data')\nprint made_by($data[1], $data[2])":gmatch "[^\n]+" do
    assert(utf8.len(line) <= 150, line)
    lines[#lines + 1] = line
  end
  assert(#lines == 3 and lines[1]:find("^%./aviary experiments/mqar_versions%.lua .* … .*%(commit 0123456789%+, fast kernels, float32%)$"), lines[1])
  assert(lines[3]:find "…$", lines[3])
end)

check.shell("rm -r " .. directory)
