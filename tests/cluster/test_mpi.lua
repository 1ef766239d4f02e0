-- Programs that share the work of one training, started by mpirun: the same bits for any number of them, stopped, killed, resumed; an error
-- of one is the end of all.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local runs = require "tests.lua.lib.runs"
local tsv = require "rwkv.tsv"
local test, equal, has, shell = check.test, check.equal, check.has, check.shell

if select(2, shell "command -v mpirun") ~= 0 then
  print "SKIPPED: mpirun is not installed"
  return
end

local home = "runs/tests/mpi"
shell("rm -rf " .. home)
rwkv.mkdir(home)
local script = home .. "/train.lua"
local source = [[
local rwkv = require "rwkv"
local mqar = require "experiments.tasks.mqar"
local o = rwkv.experiment.options(arg)
rwkv.experiment.run { name = "train", options = o,
  task = mqar.of,
  final = function(model) return { { sum = model:param("emb.weight"):sum():item() } } end,
  configs = rwkv.product({ { "version", { "v4", "v6", "v7" } } }, { label = "m", dim = 32, head_size = 16, vocab = 64, seq = 32, pairs = 4,
    lr = 3e-3, batch = 16, shards = 8, examples = 3200, every = 1600, tests = 50, filler = "zero", clip = 1, schedule = "cosine" }) }]]
rwkv.write_file(script, source)

local root = "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "
local function mpirun(n) return n == 0 and "" or ("%smpirun --oversubscribe -n %d "):format(root, n) end
local function command(n, out, options)
  return ("%s%s --threads 1 %s --out %s/%s %s"):format(mpirun(n), check.program, script, home, out, options or "")
end

local function run(n, out)
  local text, status = shell(command(n, out))
  if status ~= 0 then error(text) end
  return text
end

test("v4, v6 and v7, 200 steps: the same bits of one, two and four programs as without mpirun", function()
  run(0, "alone")
  for _, n in ipairs { 1, 2, 4 } do
    local text = run(n, "of" .. n)
    local _, said = text:gsub("parameters, state", "")
    equal(said, 3) -- rank 0 alone speaks
    runs.same_folder(home .. "/alone", home .. "/of" .. n)
  end
end)

test("told by SIGUSR1: all end after the same step with the status 75, and another number of them goes on", function()
  rwkv.mkdir(home .. "/told")
  local text, status = runs.stopped_at_checkpoint(command(4, "told"), "USR1", home .. "/told")
  has(text, "stopped by SIGUSR1; the same command goes on from here")
  equal(status, 75)
  run(2, "told")
  runs.same_folder(home .. "/alone", home .. "/told")
end)

test("one that is killed is the end of all, soon; they go on from the checkpoint", function()
  local start = rwkv.time()
  local text, status = shell(("(%s) 2>&1 & until ls %s/killed/*.checkpoint >/dev/null 2>&1; do sleep 0.05; done; " ..
    "kill -9 $(pgrep -f '^[^ ]*aviary .*out %s/killed' | tail -n 1); date +%%s; wait $!; status=$?; date +%%s; exit $status"):format(
    command(2, "killed"), home, home))
  assert(status ~= 0, text)
  local killed, ended = text:match "(%d%d%d%d%d%d%d+)\n.-(%d%d%d%d%d%d%d+)\n"
  assert(killed and tonumber(ended) - tonumber(killed) <= 10, text)
  assert(rwkv.time() - start < 120)
  run(2, "killed")
  runs.same_folder(home .. "/alone", home .. "/killed")
end)

test("an error of one is said by it, and ends all", function()
  local fails = home .. "/fails.lua"
  rwkv.write_file(fails, "local step = 0\n" .. source:gsub("task = mqar%.of", [[task = function(c)
    local train, test = mqar.of(c)
    local batch = train.batch
    function train.batch(...)
      step = step + 1
      if step > 20 and os.getenv "OMPI_COMM_WORLD_RANK" == "1" then error "no luck today" end
      return batch(...)
    end
    return train, test
  end]]))
  local text, status = shell(command(2, "fails"):gsub("train%.lua", "fails.lua"))
  equal(status, 1)
  has(text, "rank 1 of 2: aviary: ", "no luck today")
end)

test("as many programs as cannot share a batch", function()
  local text, status = shell(command(3, "three"))
  assert(status ~= 0, text)
  has(text, "3 programs share 8 shards, expected as many for each: start 1, 2, 4 .. up to 8")
end)

test("walls stand around each of them, and they leave nothing behind", function()
  local attacks = home .. "/attacks.lua"
  rwkv.write_file(attacks, [[print((pcall(os.execute, "true")), (pcall(io.open, "/tmp/aviary-attack", "w")))]])
  equal((shell(("%s%s %s"):format(mpirun(2), check.program, attacks))), "false\tfalse\n")
  equal(select(2, shell "ls /dev/shm/vader_segment* 2>/dev/null"), 2)
end)

test("a script of its own: rwkv.gradients", function()
  local own = home .. "/own.lua"
  rwkv.write_file(own, [[
local rwkv = require "rwkv"
local model = rwkv.model { version = "v7", layers = 1, dim = 16, head_size = 8, vocab = 32, seed = 1 }
local opt, rng = rwkv.adamw(model, { lr = 1e-2 }), rwkv.rng(1, "tokens")
for step = 1, 20 do
  local x = {}
  for b = 1, 8 do
    x[b] = {}
    for t = 1, 9 do x[b][t] = rng:integer(0, 31) end
  end
  local loss = rwkv.gradients(model, x, x)
  opt:step()
  print(("%.17g"):format(loss))
end]])
  local function of(n, before)
    return (shell(("%s%s%s --threads 1 %s"):format(mpirun(n), check.program, before or "", own)))
  end
  local alone = of(0)
  equal(select(2, alone:gsub("\n", "")), 20)
  for _, n in ipairs { 1, 2, 4, 8 } do equal(of(n), alone) end
  equal(of(2, " --trust"), alone)
end)

test("other batches, weights or options in one of them: refused; what is wrong in one is an error in all", function()
  local differs = home .. "/differs.lua"
  rwkv.write_file(differs, [[
local rwkv = require "rwkv"
local case, first = arg[1], os.getenv "OMPI_COMM_WORLD_RANK" == "0"
local model = rwkv.model { version = "v7", layers = 1, dim = 16, head_size = 8, vocab = 32, seed = case == "weights" and not first and 2 or 1 }
local tokens, targets = { { 1, 2, 3 }, { 3, 4, case == "tokens" and first and 6 or 5 } }, { { 1, 2, 3 }, { 3, 4, 5 } }
if case == "caught" then print(pcall(rwkv.gradients, model, { { 1, 2, 3 }, { 3, 4, first and 5 or 99 } }, targets)) end
if case == "shape" then print(pcall(rwkv.gradients, model, { { 1, 2, 3 }, { 3, 4, 5 } }, first and targets or { { 1, 2 }, { 3, 4 } })) end
if case == "weights" then print(pcall(rwkv.gradients, model, tokens, targets)) end -- what is caught stays refused
print(("%.6f"):format(rwkv.gradients(model, tokens, targets, { l2wrap = case == "options" and first and 1e-3 or 1e-4 })))]])
  local function of(n, case) return shell(("%s timeout 60 %s%s --threads 1 %s %s"):format(root, mpirun(n):sub(#root + 1), check.program, differs, case)) end
  local right = of(0, "right")
  equal(of(2, "right"), right)
  for _, case in ipairs { "weights", "tokens", "options" } do
    local text, status = of(2, case)
    equal(status, 1)
    has(text, "rank 1 of 2: aviary: ", "rank 1 has another batch or model than rank 0")
  end
  equal(of(2, "shape"), of(2, "caught"))
  equal(of(2, "caught"), "false\tanother of the programs has no gradients; it says why\n" .. right)
end)

test("what is said to be done again has mpirun; --slurm and --jobs have no place there", function()
  has(shell(command(2, "list", "--list")), "mpirun -n 2 ")
  has(shell(command(2, "list", "--slurm")), "--slurm under mpirun: expected one of them")
  has(shell(command(2, "list", "--jobs 2")), "--jobs 2 under mpirun")
end)

-- ---- devices, as this processor plays them (tests/cuda) ----

local folder = check.program == "./aviary" and "build/f32" or check.program:match "^(.*)/"
local device = (" --trust --backend ./%s/tests/on_host.so"):format(folder)
local nccl = "LD_LIBRARY_PATH=build/nccl "
if not rwkv.read_file(device:match "%./(.*)") then
  print("SKIPPED: " .. device:match "%./(.*)" .. " is not there (`make test-cluster` builds it)")
else
  local function on_devices(n, environment, what)
    return (shell(("ON_HOST_DEVICES=%d %s%s%s%s --threads 1 %s"):format(n, environment, mpirun(n), check.program, device, what)))
  end

  test("devices add up gradients: the same bits for the same number, the same numbers but for rounding for any", function()
    local short = home .. "/short.lua"
    rwkv.write_file(short, (rwkv.read_file(home .. "/own.lua"):gsub("step = 1, 20", "step = 1, 6")))
    local few = shell(("%s --threads 1 %s"):format(check.program, short))
    local within = rwkv.precision == "float64" and 1e-12 or 1e-4
    for _, n in ipairs { 1, 2, 4 } do
      local text = on_devices(n, nccl, short)
      equal(on_devices(n, nccl, short), text)
      local next_line = text:gmatch "[^\n]+"
      for line in few:gmatch "[^\n]+" do
        local found, expected = tonumber(next_line()), tonumber(line)
        assert(found and math.abs(found - expected) <= within * expected, text)
      end
    end
    local text = on_devices(2, "ON_HOST_NO_NCCL=1 " .. nccl, short)
    has(text, "mpirun: gradients go over the host: NCCL: an id: the system")
  end)

  test("a run of devices says how many there are, and goes on with as many alone", function()
    rwkv.write_file(home .. "/on_devices.lua", (source:gsub('{ "v4", "v6", "v7" }', '{ "v7" }'):gsub("examples = 3200, every = 1600",
      "examples = 64, every = 32"):gsub("dim = 32, head_size = 16", "dim = 16, head_size = 8")))
    local words = ("%s/on_devices.lua --out %s/on_devices "):format(home, home)
    on_devices(2, nccl, words)
    local rows = tsv.read(home .. "/on_devices/train.tsv")
    for _, row in ipairs(rows) do equal(row.ranks, 2) end
    has(on_devices(4, nccl, words .. "--status"), "1 waiting")
    rwkv.write_file(home .. "/alone.lua", (source:gsub("shards = 8", "ranks = 2")))
    local text, status = shell(("%s %s/alone.lua"):format(check.program, home))
    equal(status, 1)
    has(text, "ranks is 2, and there are 0 programs whose devices add up gradients")
  end)
end

shell("rm -rf " .. home)
