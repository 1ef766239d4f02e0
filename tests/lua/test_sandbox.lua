-- The sandbox: what a script may do without --trust, and what ends one that goes on for ever.
local check = require "tests.lua.lib.check"
local test, equal = check.test, check.equal

local directory = os.tmpname()
os.remove(directory)
local program = check.program:sub(1, 1) == "/" and check.program or "$PWD/" .. check.program

local function shell(command, ...) return check.shell(command:format(...)) end

-- Runs code in the sandbox, in the directory of this test; options: of the program.
local function run(code, options)
  local path = directory .. "/script.lua"
  local f = assert(io.open(path, "w"))
  f:write(code)
  f:close()
  return shell("P=%s; cd %s; $P %s script.lua", program, directory, options or "")
end

local function ends(code, options, ...)
  local out, status = run(code, options)
  for _, part in ipairs { ... } do
    assert(out:find(part, 1, true), ("expected '%s' of\n%s\nfound:\n%s"):format(part, code, out:sub(1, 2000)))
  end
  equal(status, 1)
  assert(not out:find("not reached", 1, true), out)
end

local out, status = shell([[set -e
  mkdir -p %s/in %s/beside
  cd %s/in
  echo text >../beside/victim
  ln -s ../beside dirlink
  ln -s ../beside/victim filelink
  ln -s ../beside/nothing dangling
  ln -s loop loop]], directory, directory, directory)
assert(status == 0, out)

-- counted by their own lines
out, status = shell("D=%s; %s --output $D/in tests/lua/lib/attacks.lua $D/in $D/beside", directory, program)
io.write(out)
assert(status == 0)

test("nothing was written beside the output directory", function()
  equal(shell("cd %s && ls; ls beside; cat beside/victim", directory), "beside\nin\nvictim\ntext\n")
end)

test("runs/ is the default, and made when it is needed", function()
  out, status = run [[
    local rwkv = require "rwkv"
    rwkv.write_file("runs/x", "x")
    rwkv.mkdir "runs/deep/er"
    assert(os.remove "runs/x")
    print(pcall(rwkv.write_file, "x", "x"))]]
  local refusal = "x: a script may write only below runs/; start aviary with --output DIR, or with --trust"
  assert(out:find(refusal, 1, true), out)
  equal(status, 0)
  equal(shell("cd %s && find runs", directory), "runs\nruns/deep\nruns/deep/er\n")
  shell("cd %s && rm -r runs && mkdir elsewhere && ln -s elsewhere runs", directory)
  run "require 'rwkv'.write_file('runs/x', 'x')"
  equal(shell("cat %s/elsewhere/x", directory), "x")
  shell("rm -r %s/elsewhere %s/runs", directory, directory)
  run("require 'rwkv'.write_file('new/er/x', 'x')", "--output new/er")
  equal(shell("cat %s/new/er/x", directory), "x")
end)

test("links beside the output directory that lead into it are nobody's to replace; the directory may be a link", function()
  shell("cd %s && mkdir runs disk && echo old >runs/x && ln -s runs/x latest && ln -s disk linked", directory)
  out, status = run [[
    require "rwkv".write_file("runs/new", "new")
    assert(not pcall(os.rename, "runs/new", "latest"))
    assert(not pcall(require "rwkv".write_file, "latest", "new"))
    assert(not pcall(os.remove, "latest"))]]
  equal(out, "")
  out, status = run([[
    io.open("linked/f", "w"):write("f"):close()
    assert(not pcall(os.rename, "linked/f", "linked"))
    assert(not pcall(os.remove, "linked"))]], "--output linked")
  equal(out, "")
  equal(shell("cd %s && ls runs disk && readlink latest linked && cat latest && rm -r runs disk latest linked", directory),
    "disk:\nf\n\nruns:\nnew\nx\nruns/x\ndisk\nold\n")
end)

test("a directory that becomes a link while a file is opened, and back", function()
  shell("cd %s && mkdir -p runs/a runs/b/l outer && ln -s ../../outer runs/a/l", directory)
  local f = assert(io.open(directory .. "/swap.lua", "w"))
  f:write [[while true do os.rename("runs/a", "runs/t") os.rename("runs/b", "runs/a") os.rename("runs/t", "runs/b") end]]
  f:close()
  f = assert(io.open(directory .. "/script.lua", "w"))
  f:write [[
    local rwkv, n = require "rwkv", 0
    local start = rwkv.time()
    while rwkv.time() - start < 1 do
      for _, mode in ipairs { "w", "a", "w+" } do
        local ok, opened = pcall(io.open, "runs/a/l/x", mode)
        if ok and opened then
          n = n + 1
          opened:close()
        end
      end
      pcall(rwkv.write_file, "runs/a/l/y", "y")
      pcall(rwkv.mkdir, "runs/a/l/z")
    end
    print(n > 0)]]
  f:close()
  equal(shell([[P=%s; cd %s; $P --max-seconds 60 swap.lua & $P script.lua; kill $!; ls outer; rm -r runs outer]], program,
    directory), "true\n")
end)

test("--trust, and what is trusted", function()
  out, status = run("print(io.popen('echo here'):read 'l', debug.getinfo(1, 'l').currentline)", "--trust")
  equal(out, "here\t1\n")
  equal(load(string.dump(function() return 2 end))(), 2)
  out, status = shell("echo 'io.popen(1)' | %s", program)
  assert(out:find("--trust", 1, true), out)
  out, status = shell("%s -e 'os.execute()'", program)
  assert(out:find("--trust", 1, true), out)
  equal(status, 1)
  local f = assert(io.open(directory .. "/binary", "wb"))
  f:write(string.dump(function() end))
  f:close()
  out, status = shell("%s %s/binary", program, directory)
  assert(out:find("--trust", 1, true), out)
  equal(status, 1)
  equal(select(2, shell("%s --trust %s/binary", program, directory)), 0)
  equal(select(2, shell("%s info v4", program)), 0)
end)

test("only files are replaced", function()
  shell("mkfifo %s/pipe", directory)
  out = run([[
    local rwkv = require "rwkv"
    print(pcall(rwkv.write_file, "pipe", "x"))
    print(pcall(function() rwkv.model { version = "v4", layers = 1, dim = 4, vocab = 3 }:save "pipe" end))]],
    "--trust")
  equal(select(2, out:gsub("false\t", "")), 2)
  equal(select(2, shell("[ -p %s/pipe ] && rm %s/pipe", directory, directory)), 0)
end)

test("options that make no sense", function()
  for _, options in ipairs { "--max-memory x", "--max-memory -1", "--max-memory 5X", "--max-memory 0",
    "--max-seconds 5M", "--max-seconds nan", "--max-seconds inf", "--max-instructions 0", "--max-instructions",
    "--output ''", "--output" } do
    out, status = shell("%s %s", program, options)
    assert(status == 1 and (out:find(options:match "%S+", 1, true) or out:find "usage"), out)
  end
end)

test("time: whatever a script does", function()
  for _, code in ipairs {
    "while true do end",
    "while true do pcall(function() while true do end end) end",
    "local function f() pcall(f) f() end f()",
    "while true do coroutine.wrap(function() while true do pcall(error) end end)() end",
    "xpcall(function() while true do end end, function() while true do end end)",
    [[coroutine.wrap(function()
        local x <close> = setmetatable({}, { __close = function() while true do end end })
        error()
      end)()]],
    "while true do setmetatable({}, { __gc = function() end }) end",
    [[local co = coroutine.create(function() while true do coroutine.yield() end end)
      while true do coroutine.resume(co) end]],
    "for _ in coroutine.wrap(function() while true do coroutine.yield(1) end end) do end",
    "('x'):rep(1e7):gsub('.', pcall)",
    "table.sort({ 1, 2, 3 }, function() while true do end end)",
    "load(function() return ' ' end)",
    "setmetatable(_G, { __index = function() while true do end end }) print(x)",
    [[local rwkv = require 'rwkv'
      while true do pcall(rwkv.no_grad, function() while true do pcall(rwkv.ones, 1) end end) end]],
  } do
    ends(code .. " print 'not reached'", "--max-seconds 0.2", "stopped after 0.2 seconds (--max-seconds)")
  end
  ends("print 'before' while true do end", "--max-seconds 0.2", "before\naviary: script.lua:1: stopped")
  out, status = shell("printf 'while true do end\nprint(7)\n' | %s --max-seconds 0.2", program)
  assert(status == 1 and out:find "stopped after" and not out:find "7\n", out)
end)

test("time: a call that nothing can interrupt", function()
  ends("(''):rep(1e18)", "--max-seconds 0.2", "by force", "--max-seconds")
end)

test("instructions", function()
  for _, code in ipairs {
    "while true do pcall(error) end",
    "while true do coroutine.wrap(function() for i = 1, 500 do end end)() end",
    "local function f(n) if n > 0 then for i = 1, 2 do coroutine.wrap(f)(n - 1) end end end f(40)",
    "coroutine.wrap(function() while true do pcall(error) end end)()",
  } do
    ends(code .. " print 'not reached'", "--max-instructions 1e6", "stopped after 1e+06 instructions",
      "(--max-instructions)")
  end
  out, status = run("for i = 1, 1e5 do end print 'reached'", "--max-instructions 1e6")
  equal(out, "reached\n")
end)

test("memory", function()
  for _, code in ipairs {
    "local s = 'x' while true do s = s .. s end",
    "local t = {} while true do t[#t + 1] = {} end",
    "local x = ('x'):rep(1e9)",
    "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1e6) .. i end",
    [[local function f() return f() + 1 end
      local t = {}
      while true do
        t[#t + 1] = coroutine.create(f)
        coroutine.resume(t[#t])
      end]],
  } do
    ends(code .. " print 'not reached'", "--max-memory 64M", "not enough memory", "--max-memory")
  end
  for _, code in ipairs {
    "rwkv.zeros(1e5, 1e5)",
    "local t = {} while true do t[#t + 1] = rwkv.zeros(1000) end",
    "local x = rwkv.ones(1000) while true do x = x + 1 end",
    "local x = rwkv.ones(1, 4) * 1 while true do x = rwkv.concat({ x, x }, 1) end",
    "rwkv.model { version = 'v7', layers = 12, dim = 768, vocab = 65536 }",
    "local t = {} while true do t[#t + 1] = v4() end",
    "local t, m = {}, v4() while true do t[#t + 1] = rwkv.adamw(m, {}) end",
    "local t, m = {}, v4() while true do t[#t + 1] = m:state(99) end",
    "local t, s = {}, v4():state(99) while true do t[#t + 1] = s:copy() end",
  } do
    ends([[local rwkv = require "rwkv"
      local function v4() return rwkv.model { version = "v4", layers = 1, dim = 128, vocab = 99 } end
      ]] .. code .. " print 'not reached'", "--max-memory 64M", "memory", "64M", "--max-memory")
  end
end)

test("a script that runs into the limit can go on", function()
  out, status = run([[
    local rwkv = require "rwkv"
    local m = rwkv.model { version = "v4", layers = 1, dim = 8, vocab = 5 }
    local o = rwkv.adamw(m, {})
    for i = 1, 8 do
      assert(not pcall(rwkv.zeros, 1e4, 1e4))
      assert(not pcall(rwkv.model, { version = "v7", layers = 99, dim = 768, vocab = 65536 }))
      assert(not pcall(string.rep, "x", 1e9))
      assert(not pcall(function() local x = rwkv.ones(1e6) for _ = 1, 1e4 do x = x * 1 end end))
      assert(not pcall(m.state, m, 1 << 24))
      rwkv.end_step()
      m:loss({ 1, 2 }, { 2, 3 }):backward()
      o:step()
    end
    for i = 1, 200 do local x = rwkv.zeros(1e6) end -- 64 of them are more than the limit: garbage is found in time
    print "fine"]], "--max-memory 256M")
  equal(out, "fine\n")
end)

test("every call with ever less memory", function()
  out, status = shell("D=%s; %s --output $D/in --max-memory 32M tests/lua/lib/starve.lua $D/in", directory, program)
  equal(out, "fine\n")
  equal(status, 0)
end)

test("without a limit absurd sizes are refused too", function()
  out, status = run [[
    local rwkv = require "rwkv"
    for _, f in ipairs { rwkv.zeros, rwkv.ones } do
      print(pcall(f, 1 << 20, 1 << 20, 60))
      print(pcall(f, 2147483647, 2147483647, 2147483647))
    end
    print(pcall(string.rep, "x", 1 << 45))
    print(pcall(rwkv.model, { version = "v7", layers = 65536, dim = 1 << 20, vocab = 1 << 24 }))]]
  equal(select(2, out:gsub("false\t", "")), 6)
  equal(status, 0)
end)

test("error objects that are no text", function()
  for code, text in pairs { ["error()"] = "aviary: nil", ["error {}"] = "aviary: table: ", ["error(7)"] = "aviary: 7",
    ["error(setmetatable({}, { __tostring = function() return 'mine' end }))"] = "aviary: mine",
    ["error(setmetatable({}, { __tostring = function() error {} end }))"] = "aviary: ",
    ["error(setmetatable({}, { __name = 5, __tostring = function() return {} end }))"] = "aviary: " } do
    ends(code, "", text)
    assert(not run(code):find "null")
  end
end)

test("nothing that looks into functions can be reached: not through the library's core, nor its fingerprints", function()
  local said = run [[
    local core, print_ = require "rwkv.core", print
    assert(core.function_inside == nil)
    local f = require "rwkv.experiment.fingerprint"
    assert(type(f { print_ }) == "string")
    for _, name in ipairs { "getupvalue", "getinfo", "upvalueid", "getlocal", "getregistry", "sethook" } do
      assert(not pcall(debug[name], f, 1), name)
    end
    print "nothing found"]]
  assert(said:find "nothing found", said)
end)

test("Ctrl-C, in a coroutine too", function()
  for _, code in ipairs {
    "while true do end",
    "coroutine.wrap(function() coroutine.wrap(function() while true do end end)() end)()",
    "coroutine.wrap(function() while true do coroutine.wrap(function() coroutine.yield() end)() end end)()",
    "for _ in coroutine.wrap(function() while true do coroutine.yield(1) end end) do end",
  } do
    local f = assert(io.open(directory .. "/script.lua", "w"))
    f:write("require 'rwkv'.write_file('runs/ready', '') " .. code)
    f:close()
    out, status = shell([[P=%s; cd %s; rm -rf runs; $P script.lua & until [ -e runs/ready ]; do sleep 0.02; done
      kill -INT $!; wait $!]], program, directory)
    assert(status == 130 and out:find("script.lua:1: interrupted", 1, true), out)
  end
  out = shell([[(echo 'while true do end'; sleep 1; echo 'print(6 * 7)') | %s & sleep 0.5; kill -INT $!; wait $!]],
    program)
  assert(out:find "interrupted" and out:find "42", out)
end)

shell("rm -r %s", directory)
