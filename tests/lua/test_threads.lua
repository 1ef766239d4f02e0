-- Threads of our own and those of OpenMP (make THREADS=): a program with each stands beside this one. They give the same
-- bits, hear the same variables, and the libraries for products start no threads beside them.
local check = require "tests.lua.lib.check"
local test, equal = check.test, check.equal

-- What a script prints that a program runs, with the environment and options given.
local function run(threading, script, environment, options)
  local command = "env -u OMP_NUM_THREADS -u OMP_PROC_BIND -u OMP_PLACES -u OMP_THREAD_LIMIT %s %s.%s --backend fast %s -e '%s'"
  local out, status = check.shell(command:format(environment or "", check.program, threading, options or "--trust",
    script:gsub("'", "'\\''")))
  equal(status, 0)
  return out
end

local trained = [[
  local model = rwkv.model{ version = "v7", layers = 2, dim = 64, head_size = 32, vocab = 300, seed = 1 }
  local opt, rng = rwkv.adamw(model, { lr = 1e-3 }), rwkv.rng(1)
  for step = 1, 3 do
    local rows = {}
    for b = 1, 8 do rows[b] = {} for t = 1, 32 do rows[b][t] = rng:integer(0, 299) end end
    local loss = model:loss(rows, rows)
    loss:backward()
    opt:step()
    opt:zero_grad()
    print(("%a"):format(loss:item()))
  end
  local state, sum = model:state(1), 0
  for token = 1, 8 do
    for i, x in ipairs(model:forward({ { token } }, state):slice(-1, 1, 20):tolist()[1][1]) do sum = sum + i * x end
  end
  print(("%a"):format(sum))
]]

-- The processors that each thread of the process may run on, after work for all of them.
local places = trained .. [[
  local id, list = io.open "/proc/self/stat":read "n", {}
  for line in io.popen("cat /proc/" .. id .. "/task/*/status"):lines() do
    list[#list + 1] = line:match "^Cpus_allowed_list:%s*(%S+)"
  end
  print("threads", #list, table.concat(list, " "))
]]

local count = "print(rwkv.threads(), rwkv.threading)"
local file = io.popen "env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc"
local processors = file:read "n"
file:close()

local kinds = {}
for _, threading in ipairs { "pthreads", "openmp" } do
  if io.open(check.program .. "." .. threading) then kinds[#kinds + 1] = threading
  else print(("SKIPPED: %s.%s is not built"):format(check.program, threading)) end
end

local expected
for _, threading in ipairs(kinds) do
  test(threading .. ": the same bits with any number of threads, behind the walls of a script, too", function()
    for _, n in ipairs { 1, 2, 7 } do
      for _, wall in ipairs { "--trust", "" } do
        local out = run(threading, trained, nil, ("%s --threads %d"):format(wall, n))
        expected = expected or out
        equal(out, expected)
      end
    end
  end)

  test(threading .. ": what OMP_ variables say of the number of threads", function()
    local function found(environment) return run(threading, count, environment) end
    local function said(n) return ("%d\t%s\n"):format(n, threading) end
    equal(found "", said(processors))
    equal(found "OMP_NUM_THREADS=1", said(1))
    equal(found "OMP_NUM_THREADS=1,2", said(1))
    equal(found "OMP_NUM_THREADS=200", said(processors))
    equal(found "OMP_THREAD_LIMIT=1", said(1))
    equal(found "OMP_PROC_BIND=true", said(processors)) -- the first thread is tied to one processor then
    equal(found "OMP_PLACES=cores", said(processors))
    equal(found("OMP_NUM_THREADS=1"), run(threading, count, "OMP_NUM_THREADS=2", "--trust --threads 1"))
  end)

  test(threading .. ": there are as many threads as were asked for, wherever products are computed", function()
    for _, n in ipairs { 1, 3 } do
      for _, environment in ipairs { "", "OMP_NUM_THREADS=5", "OMP_NUM_THREADS=5,4 OMP_MAX_ACTIVE_LEVELS=2", "OPENBLAS_NUM_THREADS=4" } do
        equal(tonumber(run(threading, places, environment, "--trust --threads " .. n):match "threads\t(%d+)"), n)
      end
    end
  end)

  test(threading .. ": under OMP_PROC_BIND the other threads are tied, the first one and what it starts are not", function()
    if processors < 2 then
      print "SKIPPED: there is one processor"
      return
    end
    local free = run(threading, places, "", "--trust --threads 1"):match "threads\t1\t(%S+)\n"
    for _, environment in ipairs { "OMP_PROC_BIND=true", "OMP_PROC_BIND=spread", "OMP_PLACES=threads" } do
      local first, second = run(threading, places, environment, "--trust --threads 2"):match "threads\t2\t(%S+) (%S+)\n"
      equal(first, free)
      assert(second:find "^%d+$", second)
    end
    equal(run(threading, places, "OMP_PROC_BIND=false", "--trust --threads 2"):match "threads\t2\t(.*)\n", free .. " " .. free)
    local started = run(threading, [[print(io.popen "grep Cpus_allowed_list /proc/self/status":read "a")]], "OMP_PROC_BIND=true")
    equal(started:match "list:%s*(%S+)", free)
  end)

  test(threading .. ": variables of libgomp's waiting change no bit", function()
    for _, environment in ipairs { "OMP_WAIT_POLICY=active", "OMP_WAIT_POLICY=passive", "GOMP_SPINCOUNT=0", "OMP_DYNAMIC=true",
      "OMP_SCHEDULE=dynamic", "OMP_STACKSIZE=1M" } do
      equal(run(threading, trained, environment, "--trust --threads 2"), expected)
    end
  end)
end
