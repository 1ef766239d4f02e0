-- --check of experiments, and plots/check.sh: committed data is made again in part and compared. Scripts are written here, once as they
-- made their table, and once with a change that is planted in them.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local tsv = require "rwkv.tsv"
local test, equal, has, shell = check.test, check.equal, check.has, check.shell

local home = "runs/tests/check_figures"
shell("rm -rf " .. home)
for _, folder in ipairs { "then", "now", "plots" } do rwkv.mkdir(home .. "/" .. folder) end

local trained = [[
-- Learns to recall.
local rwkv = require "rwkv"
local mqar = require "experiments.tasks.mqar"
local o = rwkv.experiment.options(arg, { dims = 1 })
local slow = rwkv.hook { kind = "decay", name = "slow", params = function(d) return { w0 = { d.A, init = -1 } } end,
  apply = function(x, p) return p.w0:sigmoid() * -0.1 + x * 0 end }
local function task(c, seed)
  return mqar.new { vocab = c.vocab, seq = c.seq, pairs = c.pairs, random_filler = false, seed = seed }
end
rwkv.experiment.run { name = "toy", options = o,
  configs = rwkv.product({ { "model", { { label = "slow", version = "v7", hooks = { decay = slow } }, { label = "v4", version = "v4" } } },
    { "dim", o.dims > 1 and { 16, 24 } or { 16 } }, { "seed", rwkv.seeds(2) } },
    { head_size = 8, vocab = 32, seq = 16, pairs = 2, lr = 3e-3, batch = 16, examples = 512, every = 128, tests = 50 }),
  task = function(c) return task(c, c.seed), task(c, 7) end,
  evaluate = nil,
  prepare = function(model) model:param("head.weight"):set(model:param("head.weight") * 1) end }
]]

local drawn = [[
local rwkv = require "rwkv"
local o = rwkv.experiment.options(arg)
local function sum(x) return x:sum():item() end
local rows = {}
for i, label in ipairs { "square", "root" } do
  for x = 1, 40 do
    local t = rwkv.ones(3) * x
    rows[#rows + 1] = { part = "a", label = label, x = x / 10, y = sum(i == 1 and t * t or t:sqrt()), error = 1e-8 * x * (x + 1) }
  end
end
print "this is no answer"
rwkv.experiment.figure(rwkv.experiment.path(o, "drawn"), { "part", "label", "x", "y", "error" }, rows, "sums")
]]

local function write(folder, name, source) rwkv.write_file(("%s/%s/%s.lua"):format(home, folder, name), source) end

-- The source with a change; it must be there once.
local function planted(source, before, after)
  local at, to = source:find(before, 1, true)
  assert(at and not source:find(before, to, true), before)
  return source:sub(1, at - 1) .. after .. source:sub(to + 1)
end

local function asked(source, name, options, program_options)
  write("now", name, source)
  return shell(("%s --trust --threads 1 %s %s/now/%s.lua %s 2>/dev/null"):format(check.program, program_options or "", home, name,
    options))
end

local function made(name, source, options)
  write("then", name, source)
  local text, status = shell(("%s --trust --threads 1 %s/then/%s.lua --out %s/then %s"):format(check.program, home, name, home,
    options or ""))
  if status ~= 0 then error(text) end
end

made("toy", trained)
made("drawn", drawn)
local table_of_toy = home .. "/then/toy.tsv"
local check_toy = "--check " .. table_of_toy
local check_drawn = ("--check %s/then/drawn.figure.tsv"):format(home)

test("an untouched script agrees, in one line, and writes nothing", function()
  local before = shell(("ls -lR --time-style=full-iso %s/then"):format(home))
  local text, status = asked(trained, "toy", check_toy)
  equal(status, 0)
  assert(text:find("^toy agrees: %S+ seed %d after 128 examples: loss [%d.]+ %(was [%d.]+, allowed %S+%), test_loss .*, accuracy .*; "
    .. "made by %S+\n$"), text)
  equal(shell(("ls -lR --time-style=full-iso %s/then"):format(home)), before)
  equal(select(2, shell "ls runs/toy"), 2)
end)

test("so it does with other roundings", function()
  local text, status = asked(trained, "toy", check_toy, "--backend reference")
  equal(status, 0)
  has(text, "toy agrees: ")
end)

-- The options that ask for a copy of the table, whose rows are those of which `change` returns true.
local function copy(kind, change)
  local rows, columns = tsv.read(table_of_toy)
  local left, path = {}, ("%s/then/toy.%s.tsv"):format(home, kind)
  for _, row in ipairs(rows) do if change(row) then left[#left + 1] = row end end
  tsv.write(path, columns, left, { io.open(table_of_toy):read "l":sub(3) })
  return "--check " .. path
end

local function is_slow(row) return row.label == "slow" end

test("a planted change of a hook, the data, the start or a measurement is found", function()
  local check_slow = copy("slow", is_slow)
  for _, change in ipairs {
    { "* -0.1", "* -0.11" },
    { "task(c, c.seed)", "task(c, c.seed + 1)" },
    { "task(c, 7)", "task(c, 8)" },
    { 'param("head.weight") * 1)', 'param("head.weight") * 1.05)' },
    { "evaluate = nil", "evaluate = function() return { accuracy = 0.5 } end" },
    { "random_filler = false", "random_filler = true" },
  } do
    local text, status = asked(planted(trained, change[1], change[2]), "toy", check_slow)
    if status ~= 1 then error(("%s: %s"):format(change[2], text)) end
    has(text, "toy differs: slow seed ", " examples: ", "(was ", ", allowed ", "made by ")
  end
  local text, status = asked(planted(trained, "* 1) end", "* 1) end, title = function(c) return 'run ' .. c.seed end"), "toy", check_slow)
  equal(status, 0)
  has(text, "toy agrees: run ")
end)

test("a trainer with another learning rate than it is told is found", function()
  made("toy", planted(trained, "lr = 3e-3", "lr = 3.3e-3"))
  local check_faster = copy("faster", function(row)
    row.lr = 3e-3
    return true
  end)
  made("toy", trained, "--fresh")
  local text, status = asked(trained, "toy", check_faster)
  equal(status, 1)
  has(text, "toy differs: ", " after 128 examples: loss ")
end)

test("a run in which roundings decide says nothing", function()
  local wild = planted(planted(trained, "* -0.1 + x * 0", "* 0 + (x * 1e6):sin() * 4 - 4.1"), '("head.weight") * 1', '("head.weight") * 30')
  made("toy", wild)
  local check_wild = copy("wild", function(row)
    if row.examples > 0 then row.loss = row.loss * 1.0001 end
    return is_slow(row)
  end)
  made("toy", trained, "--fresh")
  local text, status = asked(wild, "toy", check_wild)
  if status ~= 0 then error(text) end
  has(text, "toy not checked: ", "roundings decide too much of it;", "made by ")
end)

test("a table of another experiment is left out, and that is said", function()
  local path = home .. "/then/other.tsv"
  rwkv.write_file(path, rwkv.read_file(table_of_toy))
  local text, status = shell(("%s --trust --threads 1 %s/now/toy.lua --check %s 2>&1"):format(check.program, home, path))
  equal(status, 0)
  has(text, "other.tsv is not a table of toy, which is left out")
end)

test("a setting that is another now: the script no longer has the run", function()
  local text, status = asked(planted(trained, "lr = 3e-3", "lr = 4e-3"), "toy", check_toy)
  equal(status, 1)
  has(text, "toy differs: the script no longer has any of its 4 runs; of the first one lr is 0.004, was 0.003; made by ")
  text, status = asked(planted(trained, 'label = "slow", version', 'label = "other", version'), "toy", check_toy)
  equal(status, 0)
  has(text, "toy agrees: v4 seed ", "; the script no longer has 2 of 4 runs; the table lacks 2 of 4 runs of the script")
  text, status = asked(trained, "toy", check_toy .. " --dims 2")
  equal(status, 0)
  has(text, "; the table lacks 4 of 8 runs of the script; made by ")
end)

test("a size that is another now is told as it is", function()
  local text, status = asked(planted(trained, "function(d) return {", "function(d) return { w1 = { d.A },"), "toy", copy("slow", is_slow))
  equal(status, 1)
  has(text, "toy differs: slow seed", "parameters is ", ", was ")
end)

test("what a figure shows without training is computed again", function()
  local text, status = asked(drawn, "drawn", check_drawn)
  equal(status, 0)
  has(text, "drawn agrees: 80 of 80 rows; made by ")
  assert(not text:find "no answer" and not io.open "runs/drawn", text)
  equal(select(2, asked(planted(drawn, "1e-8 * x", "1.001e-8 * x"), "drawn", check_drawn)), 0) -- a rounding error
  text, status = asked(planted(drawn, "t * t", "t * t * 1.02"), "drawn", check_drawn)
  equal(status, 1)
  has(text, "drawn differs: 32 of 80 rows, first part a, label square, x 0.9: y 247.86 (was 243)")
  text, status = asked(planted(drawn, "x = 1, 40", "x = 1, 41"), "drawn", check_drawn)
  equal(status, 1)
  has(text, "drawn differs: 2 of 82 rows, first part a, label square, x 4.1: y 5043 (was not there)")
  text, status = asked(planted(drawn, "x = 1, 40", "x = 1, 39"), "drawn", check_drawn)
  equal(status, 1)
  has(text, "drawn differs: 2 of 80 rows, first part a, label square, x 4: y not there (was 4800)")
  text, status = asked(planted(drawn, '"x", "y"', '"x", "z", "y"'), "drawn", check_drawn)
  equal(status, 1)
  has(text, "drawn differs: column z is new")
end)

test("a figure of trained models has no rows without them; times are others every time", function()
  local script = trained:gsub("rwkv.experiment.run {", "local rows, path = %0")
    .. 'rwkv.experiment.figure(path, { "label", "examples", "mean" }, rwkv.summary(rows, { by = { "label", "examples" } }))'
  made("toy", script)
  local text, status = asked(script, "toy", ("--check %s/then/toy.figure.tsv"):format(home))
  equal(status, 0)
  has(text, "toy not checked: its rows need trained models")
  local timed = planted(planted(drawn, '"y", "error"', '"seconds"'), "y = sum", "seconds = sum")
  made("drawn", timed, "--scale x")
  text, status = asked(timed, "drawn", ("--check %s/then/drawn.x.figure.tsv"):format(home))
  equal(status, 0)
  has(text, "drawn not checked: it has seconds")
end)

test("what is wrong is named", function()
  local function refused(options, ...)
    write("now", "toy", trained)
    local text, status = shell(("%s --trust %s/now/toy.lua %s"):format(check.program, home, options))
    equal(status, 1)
    has(text, ...)
    assert(not text:find "traceback", text)
  end
  refused("--check runs/nothing.tsv", "--check runs/nothing.tsv: expected a table, found: No such file")
  refused("--check runs", "--check runs: expected a table, found: Is a directory")
  refused("--check README.md", "--check README.md: expected a table of an experiment", "found '# Aviary'")
  refused("--check plots/parity.tsv", "--check plots/parity.tsv: parity.lua made it, and this is toy.lua")
  refused(check_toy .. " --jobs 2", "--check and --jobs")
  refused(check_toy .. " --list", "--check and --list")
  refused(check_toy .. " --out x", "--check and --out")
  refused("--check", "option --check needs a value")
  local cut = home .. "/then/toy.cut.tsv"
  rwkv.write_file(cut, io.open(table_of_toy):read "a":sub(1, -20))
  refused("--check " .. cut, cut .. ": line ", "the file is cut")
  rwkv.write_file(cut, "# aviary toy.lua (commit 0123456789, x)\nlabel\texamples\n")
  refused("--check " .. cut, cut .. ": it has no rows")
  rwkv.write_file(cut, "# aviary toy.lua (commit 0123456789, x)\nlabel\texamples\nv7\t3\n")
  refused("--check " .. cut, cut .. ": row 1 has no run")
  rwkv.write_file(cut, "# aviary toy.lua (commit 0123456789, x)\nlabel\texamples\tpart\trun\nv7\t0\tcurve\ta\n")
  refused("--check " .. cut, cut .. ": none of its 1 runs was tested after its start")
end)

test("all figures: a line each, one that differs or fails makes the status 1", function()
  write("plots", "aviary", [[#!/bin/sh
case $3 in
  *same.lua) echo "same agrees: it does; made by 0123456789" ;;
  *other.lua) echo "other differs: it does; made by $(git -C "$HOME_OF" rev-parse --short=10 HEAD)"; exit 1 ;;
  *broken.lua) echo "aviary: there is an error" >&2; exit 1 ;;
esac
]])
  local root = shell "pwd":gsub("\n", "")
  local at = home .. "/plots"
  shell(("cd %s && mv aviary.lua aviary && chmod +x aviary && mkdir experiments plots && cp %s/plots/check.sh plots"):format(at, root))
  for _, name in ipairs { "same", "other", "broken", "bare" } do
    rwkv.write_file(("%s/experiments/%s.lua"):format(at, name), "")
    if name ~= "bare" then rwkv.write_file(("%s/plots/%s.tsv"):format(at, name), "") end
  end
  local function all(names) return shell(("cd %s && HOME_OF=%s sh plots/check.sh 2 %s"):format(at, root, names)) end
  local text, status = all "same bare"
  equal(status, 0)
  has(text, "2 figures, 2 at a time", "same agrees: it does; made by 0123456789, ? commits ago",
    "bare not checked: there is no data of it in plots/")
  text, status = all "same other broken"
  equal(status, 1)
  has(text, "same agrees", "broken failed: aviary: there is an error", "not all of them agree")
  if select(2, shell "git rev-parse HEAD") == 0 then has(text, "other differs: it does", ", 0 commits ago") end
end)
shell("rm -rf " .. home)
