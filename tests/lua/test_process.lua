-- The program as a process: output that cannot be written, what it is started without, its stack, what reaches the terminal.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local test, equal = check.test, check.equal
local program = check.program

local directory = os.tmpname()
os.remove(directory)
rwkv.mkdir(directory)
local sandbox = ("%s --output %s"):format(program, directory)

local function contains(out, ...)
  for _, part in ipairs { ... } do
    assert(out:find(part, 1, true), ("expected '%s' in:\n%s"):format(part, out:sub(1, 4000)))
  end
end

local function script(name, code)
  local path = directory .. "/" .. name
  rwkv.write_file(path, code)
  return "'" .. path .. "'"
end

test("output that cannot be written is an error", function()
  for _, what in ipairs { "-e 'print(1)'", "-e 'io.write(1)'", "-e 'print(1) os.exit()'", "-e 'print(1) os.exit(true, true)'",
    "-e 'print(1) os.exit(0)'", "-e 'print((\"x\"):rep(1e5))'", "help", "help model.md", "--help", "info v4",
    "experiments/parity.lua --scale quick --list", "</dev/null -e 'print(1)'" } do
    for _, to in ipairs { ">/dev/full", ">&-", "</dev/null >&-" } do
      local out, status = check.shell(("%s %s %s"):format(program, what, to))
      assert(status == 1, ("%s %s: status %s"):format(what, to, status))
      contains(out, "output")
    end
  end
  local out, status = check.shell(("echo 'print(1)' | %s >/dev/full"):format(program))
  equal(status, 1)
  contains(out, "could not be written")
  equal(select(2, check.shell(("%s -e '' >/dev/full"):format(program))), 0)
end)

test("without standard input, output or error output no file takes their place", function()
  local code = script("closed.lua", ([[
    local f = io.open(%q, "w")
    print "output"
    io.stderr:write "error output"
    f:write(tostring(io.read "l"))
    f:close()]]):format(directory .. "/closed"))
  for i = 0, 7 do
    local closed = (i & 1 > 0 and "<&- " or "</dev/null ") .. (i & 2 > 0 and ">&- " or ">/dev/null ") ..
      (i & 4 > 0 and "2>&-" or "2>/dev/null")
    local _, status = check.shell(("%s %s %s"):format(sandbox, code, closed))
    equal(status, i & 2 > 0 and 1 or 0)
    equal(io.open(directory .. "/closed"):read "a", "nil")
  end
end)

test("started by its dynamic loader, as by the launcher of `make dist`, it finds its files, float64 and itself", function()
  local loader = check.shell(("ldd %s"):format(program)):match "(/%S*/ld%-%S+)"
  if not loader then return print "SKIPPED: started by its dynamic loader: ldd names none" end
  local here = check.shell("pwd"):gsub("\n", "")
  local real = program:find "^/" and program or here .. "/" .. program
  check.shell(("cd %s && mkdir -p bin share && ln -s '%s' share/aviary"):format(directory, here))
  local function launcher(name, of)
    rwkv.write_file(directory .. "/bin/" .. name, ('#!/bin/sh\nexec %s --argv0 "$0" \'%s\' "$@"\n'):format(loader, of))
    check.shell(("chmod +x %s/bin/%s"):format(directory, name))
  end
  launcher("aviary", real)
  launcher("aviary64", here .. "/build/f64/aviary")
  local start = ("cd %s && bin/aviary --trust "):format(directory)
  equal({ check.shell(start .. "-e 'print(rwkv.precision)'") }, { rwkv.precision .. "\n", 0 })
  equal({ check.shell(start .. "-e 'rwkv.need_double() print(rwkv.precision)'") }, { "float64\n", 0 })
  local out, status = check.shell(start .. ("'%s/tests/lua/lib/grid.lua' --jobs 2 --out grid"):format(here))
  equal(status, 0)
  contains(out, "4 runs")
end)

test("signals that whoever started it has ignored or blocked", function()
  local forever, picture = script("forever.lua", "while true do end"), directory .. "/picture.png"
  local plot = script("plot.lua", ("require 'rwkv'.plot({ 1, 2 }, { file = %q })"):format(picture))
  local starts = { "trap '' ALRM INT CHLD TERM;" }
  if select(2, check.shell "env --block-signal=ALRM true") == 0 then
    starts[2] = "env --block-signal=ALRM,INT,CHLD,TERM"
  else
    print "SKIPPED: this env cannot block signals"
  end
  for _, start in ipairs(starts) do
    local out, status = check.shell(("%s %s --max-seconds 0.2 %s"):format(start, sandbox, forever))
    contains(out, "--max-seconds")
    equal(status, 1)
    out, status = check.shell(("%s %s %s"):format(start, sandbox, plot))
    equal(out, "")
    equal(status, 0)
    assert(os.remove(picture))
    out, status = check.shell(("%s %s --threads 1 tests/lua/lib/grid.lua --jobs 2 --fresh --out %s/grid --examples 128"):format(start,
      sandbox, directory))
    equal(status, 0)
    contains(out, "4 runs")
    out = check.shell(("(%s %s %s) & sleep 0.3; kill -INT $!; wait $!"):format(start:gsub("trap.*;", "trap '' ALRM; exec"), sandbox,
      forever))
    contains(out, "interrupted")
  end
end)

test("a stack that is too small is said; what is asked for is enough for the deepest recursion", function()
  local function run(kilobytes, what)
    return check.shell(("ulimit -s %d; %s %s"):format(kilobytes, sandbox, what))
  end
  local out, status = run(256, "-e 'print(1)'")
  equal(status, 1)
  contains(out, "the stack is limited to 256 KB")
  local enough = tonumber(out:match "expected (%d+)")
  equal(select(2, run(enough - 1, "-e 'print(1)'")), 1)
  equal(run(enough, "-e 'print(1)'"), "1\n")
  out, status = run(enough, "tests/lua/lib/deep.lua " .. directory)
  assert(status == 0, out)
  for _, name in ipairs { "coroutines", "gsub", "hooks", "sort", "pcall" } do contains(out, "\n" .. name .. " ") end
  contains(out, "C stack overflow", "json ends", "training ends")
end)

test("control characters of names, messages and tracebacks do not reach the terminal", function()
  local raw, shown = "\27[31m\127\xc2\x9b", "\\x1b[31m\\x7f\\xc2\\x9b"
  local function is_shown(out, status)
    assert(status ~= 0 and not out:find "[\27\127\x9b]", out)
    contains(out, shown)
  end
  local function run(code, options)
    return check.shell(("%s %s %s"):format(sandbox, options or "", script("x.lua", code:format(raw))))
  end
  for _, code in ipairs { "error(%q)", "error(setmetatable({}, { __tostring = function() return %q end }))",
    "load('error(1)', '=' .. %q)()", "error(select(2, load('=', '@' .. %q)))", "load('x()', '@' .. %q)()",
    "io.open('/' .. %q, 'w')", "require 'rwkv'.load(%q)", "require 'rwkv'.load_tensors(%q)", "require(%q)" } do
    is_shown(run(code))
  end
  for _, limit in ipairs { "--max-seconds 0.1", "--max-instructions 1e5" } do
    is_shown(run("load('while true do end', '=' .. %q)()", limit))
  end
  for _, what in ipairs { "'%s'", "'%s/x.lua'", "--backend '%s' -e ''", "--output '/dev/null/%s' -e 'io.open(1, \"w\")'",
    "info '%s'", "verify '%s' x", "golden diff '%s' x" } do
    is_shown(check.shell(program .. " " .. what:format(raw)))
  end
end)

check.shell("rm -r " .. directory)
