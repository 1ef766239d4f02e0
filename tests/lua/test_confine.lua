-- The outer wall alone: escapes from a program whose inner wall is torn down, so that scripts have all of Lua, and C.
local check = require "tests.lua.lib.check"
local test, equal = check.test, check.equal

local tree = check.program:match "([^/]+)/aviary$" or "f32"
if tree == "." then tree = "f32" end
local torn, library = "build/torn_" .. tree .. "/aviary", "build/" .. tree .. "/tests/escape.so"
for _, path in ipairs { torn, library } do
  local f = io.open(path)
  if not f then return print(("SKIPPED: %s is not there (`make test` builds it)"):format(path)) end
  f:close()
end
local here = check.shell "pwd":sub(1, -2)
torn, library = here .. "/" .. torn, here .. "/" .. library
local missing = check.shell(torn .. " -e '' --output /tmp"):match "this kernel has no ([^\n]*):"
if missing then return print("SKIPPED: this kernel has no " .. missing) end

local directory = os.tmpname()
os.remove(directory)
local outside, inside = directory .. "/outside", directory .. "/inside"
local out, status = check.shell(([[set -e
  mkdir -p %s/empty %s %s/sockets
  echo text >%s/victim]]):format(outside, inside, directory, outside))
assert(status == 0, out)

local escape = assert(package.loadlib(library, "luaopen_escape"))()
local tcp, udp = escape.listen(directory .. "/sockets")
local pid = check.shell "sleep 600 >/dev/null 2>&1 & echo $!":match "%d+"
local place = ("{ outside = %q, inside = %q, sockets = %q, pid = %s, tcp = %d, udp = %d }"):format(outside, inside,
  directory .. "/sockets", pid, tcp, udp)

-- All there is beside the output directory; ctime shows what changes nothing else.
local function listing()
  return check.shell(([[cd %s && find outside sockets -printf '%%p %%y %%m %%U %%G %%s %%T@ %%C@\n' | sort
    find outside -type f -exec md5sum {} +]]):format(directory))
end

-- Runs code with `outside`, `inside`, `escape`, `place`.
local function run(program, code, more)
  local path = directory .. "/script.lua"
  local f = assert(io.open(path, "w"))
  f:write(([[local outside, inside, place = %q, %q, %s
    local _, escape = pcall(function() return package.loadlib(%q, "luaopen_escape")() end)]]):format(outside, inside, place, library), "\n", code)
  f:close()
  return check.shell(("cd %s && AVIARY_HOME=%s %s --output inside script.lua %s"):format(directory, here, program, more or ""))
end

local function held(code, more)
  local before = listing()
  local found, result = run(torn, code, more)
  equal(listing(), before)
  assert(result == 0, found)
  return found
end

test("Lua alone", function()
  equal(held [[
    local EPERM, EACCES, EXDEV = 1, 13, 18
    local function refused(ok, ...)
      local _, code = ...
      assert(not ok and (code == EPERM or code == EACCES or code == EXDEV), tostring(ok or ...))
    end
    for _, mode in ipairs { "w", "a", "r+", "w+", "a+" } do refused(io.open(outside .. "/victim", mode)) end
    refused(io.open(outside .. "/new", "w"))
    refused(os.remove(outside .. "/victim"))
    refused(os.remove(outside .. "/empty"))
    io.open(inside .. "/mine", "w"):write "mine":close()
    refused(os.rename(outside .. "/victim", outside .. "/new"))
    refused(os.rename(outside .. "/victim", inside .. "/new"))
    refused(os.rename(inside .. "/mine", outside .. "/new"))
    refused(os.rename(inside .. "/mine", outside .. "/victim"))
    assert(not io.tmpfile())
    assert(not os.execute("echo x >" .. outside .. "/victim"))
    assert(not io.popen("echo x >" .. outside .. "/victim", "r"))
    assert(io.open(inside .. "/mine"):read "a" == "mine")
    print "held"]], "held\n")
end)

test("system calls: all fail", function()
  local found = held [[
    io.open(inside .. "/mine", "w"):close()
    for _, name in ipairs(escape.names) do
      print(name .. ": " .. escape.attempt(name, place))
    end]]
  local expected = { EPERM = true, EACCES = true, EXDEV = true, ENOSYS = true }
  local count = 0
  for name, result in found:gmatch "([^\n]+): (%S+)\n" do
    count = count + 1
    assert(expected[result], name .. ": " .. result)
  end
  equal(count, #escape.names)
  equal(escape.heard(), 0)
end)

test("the same without walls: what they are tried on is real", function()
  local others = {} -- what asks for privileges, a new kernel, or a file system that has it
  for name in ([[create without a name, setxattr, setxattrat, fsetxattr, fchmodat2, FS_IOC_SETFLAGS, ptrace, process_vm_readv,
    /proc/PID/mem, /proc/PARENT/mem, /proc/self/oom_score_adj, unshare, clone, mount, io_uring_setup, TIOCSTI, semget, semctl,
    pidfd_send_signal,]]):gmatch "%s*([^\n,]+)," do others[#others + 1] = ("[%q] = 1"):format(name) end
  local found, result = run(torn .. " --trust", "local others = { " .. table.concat(others, ", ") .. " }" .. [[
    for _, name in ipairs(escape.names) do
      os.execute(("cd %s && rm -rf * && mkdir empty && echo text >victim && cd %s && rm -rf * && touch mine"):format(outside, inside))
      if not others[name] then assert(escape.attempt(name, place) == "done", name) end
    end]])
  equal(found, "")
  equal(result, 0)
  equal(escape.heard(), 4)
  equal(check.shell(("cd %s && echo text >victim && mkdir -p empty && ls"):format(outside)), "empty\nvictim\n")
end)

test("what the dynamic loader runs is held as well", function()
  equal(held [[
    local loader = io.open("/bin/sh", "rb"):read "a":match "(/lib[%w_./-]*ld[%w_.-]+)"
    print(escape.run(loader, "/bin/sh", "-c", "echo x >inside/mine")) -- it can be run
    print(escape.run(loader, "/bin/sh", "-c", "echo x >" .. outside .. "/victim") ~= 0)
    print(escape.run(loader, "/bin/sh", "-c", "/bin/sh -c :") ~= 0)]]:gsub("\n[^\n]*Permission denied", ""),
    "0\ntrue\ntrue\n")
end)

test("what was left open by whoever started the program is closed if it can be written", function()
  local found = held("print(escape.write(3), escape.write(4), escape.write(5)) print(io.open('/proc/self/fd/5'):read 'l')",
    "3>>outside/victim 4<>outside/victim 5<outside/victim")
  equal(found, "EBADF\tEBADF\tEBADF\ntext\n")
end)

test("what must work: writing beneath the output directory, gnuplot, float64, threads, workers", function()
  local found, result = run(torn, [[
    local rwkv = require "rwkv"
    for _, mode in ipairs { "w", "a", "r+", "w+" } do io.open(inside .. "/a", mode):write "text":close() end
    rwkv.mkdir "inside/deep/er"
    rwkv.write_file("inside/deep/b", "b")
    assert(os.rename(inside .. "/a", inside .. "/deep/c") and os.remove(inside .. "/deep/c"))
    assert(io.open("inside/deep/b"):read "a" == "b")
    rwkv.plot({ 1, 2, 4 }, { file = "inside/picture.png" })
    assert(io.open("inside/picture.png", "rb"):read(4) == "\137PNG")
    rwkv.need_double()
    print(rwkv.precision)]])
  equal(found, "float64\n")
  equal(result, 0)
  found, result = check.shell(("cd %s && AVIARY_HOME=%s %s --output inside --threads 1 %s/tests/lua/lib/grid.lua --jobs 2 --out inside/grid")
    :format(directory, here, torn, here))
  equal(result, 0)
  assert(found:find "4 runs", found)
end)

test("every thread is held", function()
  local found = held([[
    local rwkv = require "rwkv"
    rwkv.backend "fast"
    rwkv.threads(2)
    local model = rwkv.model { version = "v7", layers = 2, dim = 128, head_size = 64, vocab = 512 }
    local optimizer, tokens = rwkv.adamw(model, {}), {}
    for i = 1, 256 do tokens[i] = i end
    for _ = 1, 2 do
      model:loss({ tokens, tokens }, { tokens, tokens }):backward()
      optimizer:step()
    end
    local count = 0
    for _, id in ipairs(escape.threads()) do
      local status = io.open("/proc/self/task/" .. id .. "/status"):read "a"
      assert(status:match "Seccomp:%s*2\n" and status:match "NoNewPrivs:%s*1\n", status)
      count = count + 1
    end
    print(count)]])
  assert(tonumber(found) >= 2, found)
end)

check.shell(("kill %s; rm -r %s"):format(pid, directory))
