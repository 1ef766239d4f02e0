-- The choice of a device: what is said where there is none, what is recorded with results, workers on several. The device is
-- this processor (tests/cuda/on_host.h): its module stands where the program looks for the one of CUDA.
local rwkv = require "rwkv"
local tsv = require "rwkv.tsv"
local check = require "tests.lua.lib.check"
local runs = require "tests.lua.lib.runs"
local test, equal, has = check.test, check.equal, check.has

local home = "runs/tests/devices"
check.shell("rm -rf " .. home)
local double = rwkv.precision == "float64"
local own, other = double and "f64" or "f32", double and "f32" or "f64"
local tree = check.program:match "^(.*)/[^/]*$"
if not tree:find "%d%d$" then tree = "build/" .. own end -- ./aviary is a copy
local name = "this processor, thread by thread"

-- A program with a module beside it, or without one.
local function place(folder, from, with)
  rwkv.mkdir(("%s/%s"):format(home, folder))
  assert(check.shell(("cp %s/aviary %s/%s"):format(from, home, folder)) == "")
  if with then assert(check.shell(("cp %s %s/%s/cuda.so"):format(with, home, folder)) == "") end
end

local function exists(path) return select(2, check.shell("test -e " .. path)) == 0 end

-- A way to start the program in a folder: words, environment -> output, status
local function program(folder)
  return function(words, environment)
    return check.shell(("AVIARY_HOME=$PWD %s %s/%s/aviary %s"):format(environment or "", home, folder, words))
  end
end

-- It fails in one line, which has these parts.
local function refused(aviary, words, environment, ...)
  local out, status = aviary(words, environment)
  has(out, ...)
  assert(status == 1 and select(2, out:gsub("\n", "")) == 1, out)
end

-- ---- where there is none ----

place("alone/" .. own, tree)
local alone = program("alone/" .. own)

test("without a module: one line says so, status 1", function()
  for _, words in ipairs { "-e ''", "--trust -e ''", "verify a b" } do
    refused(alone, "--backend cuda " .. words, "", "no module cuda.so for " .. rwkv.precision, "`make cuda`")
  end
  refused(alone, "info --devices", "", "info: ", "no module", "`make cuda`")
  local out, status = alone "--version"
  has(out, "\ndevice     no module for CUDA; `make cuda`")
  equal(status, 0)
end)

test("what only a device has, the CPU refuses", function()
  for _, backend in ipairs { "", "--backend reference", "--shadow" } do
    refused(alone, backend .. " --matmul tf32 -e ''", "", "--matmul tf32: only with a device", "--backend cuda")
    refused(alone, backend .. " --matmul fp8 -e ''", "", "--matmul fp8: expected full or bf16, and with a device tf32")
    refused(alone, backend .. " --device 1 -e ''", "", "--device 1: only with a device")
  end
  refused(alone, "experiments/mqar_demo.lua --scale smoke --jobs 2 --devices 0", "", "--devices 0: the backend", "--backend cuda")
  refused(alone, "--matmul", "", "--matmul needs a value")
  for _, backend in ipairs { "", "--backend reference", "--shadow" } do
    equal((alone(backend .. " --matmul bf16 -e 'print(rwkv.matmul())'")), "bf16\n")
  end
  equal((alone "-e 'print(rwkv.matmul(), rwkv.device())'"), "full\tnil\n")
  check.fails(function() rwkv.backend "cuda" end, "cuda", "--backend")
end)

test("what is no module, or one for other numbers", function()
  place("broken/" .. own, tree, "Makefile")
  refused(program("broken/" .. own), "--backend cuda --trust -e ''", "", home .. "/broken/" .. own .. "/cuda.so", "ELF")
  place("useless/" .. own, tree, tree .. "/tests/escape.so")
  refused(program("useless/" .. own), "--backend cuda --trust -e ''", "", "this is no backend")
  local wrong = tree:gsub("%d%d$", double and "32" or "64") .. "/tests/on_host.so"
  if exists(wrong) then
    place("wrong/" .. own, tree, wrong)
    refused(program("wrong/" .. own), "info --devices", "", "not for " .. rwkv.precision)
  end
end)

-- ---- where there is one ----

local module = tree .. "/tests/on_host.so"
if not exists(module) then
  print("SKIPPED: " .. module .. " is not there (`make test` builds it)")
  os.exit(true)
end
place(own, tree, module)
local aviary = program(own)
local ask = "-e 'print(rwkv.backend(), rwkv.matmul(), rwkv.device())'"

test("the module is found where it is installed", function()
  local program_of, module_of = "bin/aviary", "cuda.so"
  if double then program_of, module_of = "libexec/aviary/aviary64", "cuda64.so" end
  rwkv.mkdir(home .. "/installed/bin")
  rwkv.mkdir(home .. "/installed/libexec/aviary")
  check.shell(("cp %s/aviary %s/installed/%s"):format(tree, home, program_of))
  check.shell(("cp %s %s/installed/libexec/aviary/%s"):format(module, home, module_of))
  local words = ("AVIARY_HOME=$PWD %s/installed/%s --trust --backend cuda %s"):format(home, program_of, ask)
  equal((check.shell(words)), "cuda\tfull\t" .. name .. "\n")
end)

test("a device that cannot be used: the module says why", function()
  for environment, part in pairs { ["ON_HOST_NO_DRIVER=1"] = "there is no driver", ["ON_HOST_DEVICES=0"] = "no CUDA-capable device" } do
    refused(aviary, "--backend cuda --trust -e ''", environment, part, "cuda.so: ")
    refused(aviary, "info --devices", environment, part, "info: ")
    equal(select(2, aviary("--version", environment)), 0)
  end
  refused(aviary, "--backend cuda --trust -e ''", "ON_HOST_TOO_OLD=1", name, "too old: sm_70, expected sm_80")
  refused(aviary, "--backend cuda --trust --device 1 -e ''", "", "no device 1: there is 1, counted from 0")
  refused(aviary, "--backend cuda --trust --device 2 -e ''", "ON_HOST_DEVICES=2", "no device 2: there are 2")
  for _, bad in ipairs { "x", "-1", "1.5", "''", "99999", "1e1" } do
    refused(aviary, "--backend cuda --trust --device " .. bad .. " -e ''", "", "--device: expected a whole number from 0, found ")
  end
  refused(aviary, "--backend cuda --trust --matmul fp8 -e ''", "", "--matmul fp8: expected full, tf32 or bf16")
end)

test("the walls around a script would hold the driver: --trust is asked for", function()
  local path = home .. "/script.lua"
  rwkv.write_file(path, "print(require('rwkv').backend())")
  for _, words in ipairs { "-e ''", path, "- <" .. path } do
    refused(aviary, "--backend cuda " .. words, "", "--backend cuda: ", "--trust", "sandbox.md")
  end
  refused(aviary, "--backend cuda </dev/null", "", "--trust")
  equal((aviary("--backend cuda --trust " .. path)), "cuda\n")
  equal((aviary("--trust " .. path)), (double and "reference" or "fast") .. "\n")
end)

test("which one is at work", function()
  equal((aviary("--trust --backend cuda " .. ask)), "cuda\tfull\t" .. name .. "\n")
  equal((aviary("--trust --device 1 --backend cuda " .. ask, "ON_HOST_DEVICES=2")), "cuda\tfull\tthis processor again, as device 1\n")
  equal((aviary("--trust --backend cuda -e 'rwkv.backend [[reference]] print(rwkv.matmul(), rwkv.device())'")), "full\tnil\n")
  has(aviary "--version", "\ndevice     --backend cuda is there")
  has(aviary "--backend cuda --version", "\ndevice     --backend cuda is there")
  has(aviary "info --devices", "0: " .. name .. ", sm_80, ")
  has(aviary("info --devices", "ON_HOST_DEVICES=2"), "\n1: this processor again, as device 1, sm_80, ")
  refused(aviary, "info --devices v7", "", "'v7' is one argument too many")
  local out, status = aviary "--backend cuda golden diff a b"
  has(out, "leave --backend cuda out")
  equal(status, 2)
end)

-- ---- in what products are ----

local product = [[-e 'rwkv.seed(1) local x, y = rwkv.randn(32, 32), rwkv.randn(32, 32)
  for _, row in ipairs(x:matmul(y):tolist()) do for _, v in ipairs(row) do print(("%a"):format(v)) end end']]

-- The root mean square of the difference of two products.
local function off(a, b)
  local sum, n, next_of = 0, 0, b:gmatch "%S+"
  for x in a:gmatch "%S+" do
    sum, n = sum + (tonumber(x) - tonumber(next_of())) ^ 2, n + 1
  end
  equal(n, 1024)
  return math.sqrt(sum / n)
end

if double then
  test("products in float64 are in full", function()
    equal((aviary("--trust --backend cuda --matmul full " .. ask)), "cuda\tfull\t" .. name .. "\n")
    refused(aviary, "--trust --backend cuda --matmul tf32 -e ''", "", "--matmul tf32: float64 has only full")
  end)
else
  test("products in full, tf32 and bf16 differ by what they round", function()
    local function of(options) return (aviary("--trust " .. options .. product)) end
    local cpu, full = of "--backend reference ", of "--backend cuda "
    local tf32, bf16 = of "--backend cuda --matmul tf32 ", of "--backend cuda --matmul bf16 "
    assert(off(full, cpu) < 1e-5, off(full, cpu))
    assert(off(tf32, cpu) > 1e-4 and off(tf32, cpu) < 1e-2, off(tf32, cpu))
    assert(off(bf16, cpu) > 5e-3 and off(bf16, cpu) < 1e-1, off(bf16, cpu))
    equal((aviary("--trust --backend cuda --matmul bf16 " .. ask)), "cuda\tbf16\t" .. name .. "\n")
  end)
end

-- ---- what is recorded ----

local function grid(options, script, environment)
  local out, status = aviary(("--trust --threads 2 %s tests/lua/lib/grid.lua --examples 64 --seeds 1 %s"):format(options, script), environment)
  assert(status == 0, out)
  return out
end

local function head_of(path)
  local file = assert(io.open(path))
  local line = file:read "l"
  file:close()
  return line
end

test("rows and tables say what computed, and are kept for it alone", function()
  local out = home .. "/recorded"
  grid("--backend cuda", "--out " .. out)
  local path = out .. "/grid.examples=64.seeds=1.tsv"
  local rows = tsv.read(path)
  for _, row in ipairs(rows) do
    equal({ row.backend, row.matmul, row.device, row.precision }, { "cuda", "full", name, rwkv.precision })
  end
  has(head_of(path), ("cuda kernels, %s, on %s)"):format(rwkv.precision, name))
  has(grid("--backend cuda", "--out " .. out), "2 of 2 runs were finished before")
  assert(not grid("--backend reference", "--out " .. out):find "finished before")
  equal(tsv.read(path)[1].device, nil)
end)

test("another kind of products is another run, with a table of its own", function()
  if double then return end
  local out = home .. "/products"
  grid("--backend cuda", "--out " .. out)
  local said = grid("--backend cuda --matmul tf32", "--out " .. out)
  assert(not said:find "finished before" and not said:find "goes on", said)
  has(grid("--backend cuda --matmul tf32", "--out " .. out), "2 of 2 runs were finished before")
  local full, tf32 = out .. "/grid.examples=64.seeds=1.tsv", out .. "/grid.examples=64.seeds=1.matmul=tf32.tsv"
  has(head_of(tf32), "cuda kernels, products in tf32, float32, on ")
  equal(tsv.read(tf32)[1].matmul, "tf32")
  equal(tsv.read(full)[1].matmul, "full")
  assert(tsv.read(tf32)[1].run ~= tsv.read(full)[1].run)
end)

test("a run that was stopped goes on with the same kind of products alone", function()
  if double then return end
  local out = home .. "/stopped"
  local go = ("AVIARY_HOME=$PWD %s/%s/aviary --trust --backend cuda %%s tests/lua/lib/grid.lua --examples 512 --seeds 1 --out %s")
    :format(home, own, out)
  runs.stopped_at_checkpoint(go:format "", "KILL", out)
  local other_kind = runs.stopped(go:format "--matmul bf16", "KILL", 2)
  assert(not other_kind:find "goes on", other_kind)
  has(check.shell(go:format ""), "goes on after")
end)

test("a session goes on with the same kind of products", function()
  if double then return end
  local path = home .. "/session.safetensors"
  local function session(options, what)
    return aviary(("--trust %s -e 'rwkv.%s_session(\"%s\", { x = rwkv.ones(2) })'"):format(options, what, path))
  end
  equal(select(2, session("--backend cuda --matmul tf32", "save")), 0)
  equal(select(2, session("--backend cuda --matmul tf32", "restore")), 0)
  has(session("--backend cuda", "restore"), "saved with products in tf32, here they are in full")
  has(session("", "restore"), "saved with products in tf32, here they are in full")
  equal(select(2, session("", "save")), 0)
  equal(select(2, session("--backend cuda", "restore")), 0)
end)

-- ---- workers ----

test("workers compute on the same device, or on those of a list in turn; the numbers are the same", function()
  grid("--backend cuda", "--out " .. home .. "/one")
  grid("--backend cuda", "--out " .. home .. "/two --jobs 2")
  runs.same_folder(home .. "/one", home .. "/two")
  local said = grid("--backend cuda", "--out " .. home .. "/shared --jobs 2 --devices 1,0", "ON_HOST_DEVICES=2")
  has(said, "2 runs")
  local rows, seen = tsv.read(home .. "/shared/grid.examples=64.seeds=1.tsv"), {}
  for _, row in ipairs(rows) do
    seen[row.device] = true
    row.device, row.seconds = name, nil
  end
  assert(seen[name] and seen["this processor again, as device 1"])
  runs.same(rows, runs.numbers(home .. "/one/grid.examples=64.seeds=1.tsv"))
  grid("--backend cuda --device 1", "--out " .. home .. "/second --jobs 2", "ON_HOST_DEVICES=2")
  for _, row in ipairs(tsv.read(home .. "/second/grid.examples=64.seeds=1.tsv")) do equal(row.device, "this processor again, as device 1") end
end)

test("a list of devices is checked", function()
  local function wrong(options, ...)
    refused(aviary, "--backend cuda --trust tests/lua/lib/grid.lua --out " .. home .. "/wrong " .. options, "ON_HOST_DEVICES=2", ...)
  end
  wrong("--jobs 2 --devices 0,2", "--devices 0,2: there is no device 2: there are 2, counted from 0")
  wrong("--jobs 2 --devices 0,0", "--devices 0,0: 0 stands there twice")
  wrong("--jobs 2 --devices 0,x", "--devices 0,x: expected whole numbers", "found 'x'")
  wrong("--jobs 2 --devices 0,", "--devices 0,: expected whole numbers", "found ''")
  wrong("--jobs 2 --devices -1", "--devices -1: expected whole numbers", "found '-1'")
  wrong("--devices 0,1", "--devices 0,1: workers share devices", "--jobs")
  wrong("--jobs 2 --devices 0,1,2", "--devices 0,1,2: --jobs 2 leaves 1 of them without work")
end)

-- ---- a whole experiment, and commands ----

test("the experiment of a figure", function()
  local out, status = aviary(('--trust --backend cuda experiments/mqar_versions.lua --scale quick --models v7 --out %s/figure '
    .. '--set "examples=8 every=8 tests=4 batch=8 dims=64"'):format(home))
  assert(status == 0, out)
  has(out, "v7")
end)

test("verify computes on the device", function()
  local golden = "tests/golden/v7"
  local words = ("verify %s.weights.safetensors %s.golden.safetensors"):format(golden, golden)
  if double then
    local out, status = aviary("--backend cuda " .. words)
    assert(status == 0, out)
    has(out, "on " .. name)
  elseif exists(tree:gsub("%d%d$", "64") .. "/tests/on_host.so") then
    place(other, (tree:gsub("%d%d$", "64")), tree:gsub("%d%d$", "64") .. "/tests/on_host.so")
    local out, status = aviary("--backend cuda " .. words)
    assert(status == 0, out)
    has(out, "float64", "on " .. name)
  end
end)

test("an evaluation says what computed", function()
  local model, text, out = home .. "/model.safetensors", home .. "/text.txt", home .. "/eval"
  rwkv.model { version = "v7", layers = 1, dim = 16, head_size = 8, vocab = 256 }:save(model)
  rwkv.write_file(text, "The sky is blue.")
  local said, status = aviary(("--backend cuda eval text %s --text %s --vocab bytes --out %s"):format(model, text, out))
  assert(status == 0, said)
  local table_text = rwkv.read_file(out .. "/text.tsv")
  has(table_text, rwkv.precision .. ", cuda kernels", name)
end)
check.shell("rm -rf " .. home)
