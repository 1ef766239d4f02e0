-- aviary bench: each benchmark, as small as it goes, ends with the line that it promises; what is wrong is said. No time is
-- judged here.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local tsv = require "rwkv.tsv"
local test, equal = check.test, check.equal
local bench = check.program .. " bench "

local contains = check.has

local function last_line(out) return out:match "([^\n]*)\n$" end

-- A directory of its own, removed at the end.
local function with_directory(f)
  local directory = os.tmpname()
  os.remove(directory)
  rwkv.mkdir(directory)
  f(directory)
  os.execute("rm -rf " .. directory)
end

local function rows_of(path, count)
  local rows = assert(tsv.read(path), path)
  assert(#rows >= count, path)
  for _, row in ipairs(rows) do
    for _, name in ipairs { "label", "tries", "threads", "commit", "cpu", "command" } do assert(row[name] and row[name] ~= "", name) end
  end
  return rows
end

for _, version in ipairs { "v1", "v4", "v5.2", "v6", "v7" } do
  test("bench train " .. version, function()
    local out, status = check.shell(bench .. "train --dim 16 --layers 2 --vocab 32 --pairs 2 --seq 8 --batch 4 --steps 2 "
      .. "--warmup 1 --threads 1 --version " .. version)
    equal(status, 0)
    assert(last_line(out):match "^tokens_per_s=%d+ gflops=[%d.]+ sgemm_fraction=[%d.]+$", out)
    contains(out, "state_floats=", "parameters=", "sgemm_gflops=", "median of 2", "tries=")
  end)
end

test("the FLOPs of a step are those of the page", function()
  local trainer = require "rwkv.bench.trainer"
  local V, C, L, T, B, K = 64, 64, 2, 32, 4, 3
  local function counted(version) -- of a forward pass: matrices of the blocks, and the recurrence
    local matrices, recurrence = 0, ({ v4 = 22 * C, v6 = 5 * 64 * C, v7 = 9 * 64 * C })[version]
    local model = rwkv.model { version = version, layers = L, dim = C, vocab = V }
    for name, t in model:parameters() do
      local shape, wide = t:shape(), 0
      for _, n in ipairs(shape) do wide = wide + (n > 1 and 1 or 0) end
      if name:find "^blocks" and wide >= 2 and not name:find "r_k" and not name:find "faaaa" then
        matrices = matrices + t:numel()
      end
    end
    return 3 * (B * T * (2 * matrices + L * recurrence) + B * K * 2 * C * V)
  end
  for _, version in ipairs { "v4", "v6", "v7" } do
    local _, count = trainer { version = version, layers = L, dim = C, vocab = V, pairs = K, seq = T, batch = B }
    equal(count.flops, counted(version), 1e-12)
    equal(count.tokens, B * T)
  end
end)

for _, kind in ipairs { "decode", "prefill" } do
  if package.searchpath("rwkv.bench." .. kind, package.path) then
    test("bench " .. kind, function()
      local out, status = check.shell(bench .. kind .. " --size tiny --version v4 --dtype f32 --threads 1 -n 4")
      equal(status, 0)
      assert(last_line(out):find "^tokens_per_s=[%d.]+ bandwidth_fraction=[%d.]+", out)
    end)
  else
    print("SKIPPED: this program has no bench " .. kind)
  end
end

test("bench hook", function()
  local out, status = check.shell(bench .. "hook --dim 16 --seq 8 --batch 2 --steps 2 --vocab 16")
  equal(status, 0)
  assert(last_line(out):match "^overhead=%-?[%d.]+%%$", out)
  out, status = check.shell(bench .. "hook --slot recurrence --dim 16 --seq 8 --batch 2 --steps 2 --vocab 16")
  equal(status, 0)
  assert(last_line(out):match "^overhead=%-?[%d.]+%%$" and out:match "reading [%d.]+ ms", out)
  out, status = check.shell(bench .. "hook --version v2")
  contains(out, "v2")
  equal(status, 1)
  out, status = check.shell(bench .. "hook --slot gate")
  contains(out, "option --slot: expected decay or recurrence, found 'gate'")
  equal(status, 1)
end)

test("bench scaling", function()
  local sizes = "--dim 16 --vocab 32 --from 16 --to 64 --piece 16 --threads 1"
  local out, status = check.shell(bench .. "scaling --versions attention " .. sizes)
  equal(status, 0)
  contains(out, "mode=read T=64", "mode=train T=16", "memory_mb=")
  assert(last_line(out):match "^read_exponent=%S+ train_exponent=%S+$", out)
  with_directory(function(directory)
    status = select(2, check.shell(bench .. ("scaling --versions 'v4 v7' %s --tsv %s/new/scaling.tsv"):format(sizes, directory)))
    equal(status, 0)
    local rows = rows_of(directory .. "/new/scaling.tsv", 12)
    equal(rows[1].state_floats, rows[3].state_floats) -- recurrent: the same at every length
  end)
end)

local slow = rwkv.precision ~= "float32" or check.program:find "asan"
if not slow then test("bench all, bench ops among it", function()
  with_directory(function(directory)
    local out, status = check.shell(("%sall --scale smoke --threads 1 --tries 1 --out %s"):format(bench, directory))
    equal(status, 0)
    local built = not out:find("build/f32/tests/test_fast", 1, true)
    if built then
      contains(out, "wkv7_backward")
      assert(out:match "\nops=%d+ median_ratio=[%d.]+\n", out)
    else
      print "SKIPPED: bench ops: test_fast is not beside this program"
    end
    equal(last_line(out), ("measured=%d skipped=%d"):format(built and 7 or 6, built and 0 or 1))
    for _, name in ipairs { "train", "decode", "prefill", "scaling", built and "ops" or nil } do
      rows_of(("%s/bench_%s.tsv"):format(directory, name), 1)
    end
  end)
end) end

test("bench tokenize", function()
  local options = "tokenize --vocab tests/text/world.txt --text README.md --rounds 2"
  local out, status = check.shell(bench .. options)
  equal(status, 0)
  assert(last_line(out):match "^mb_per_s=[%d.]+ best_mb_per_s=[%d.]+ vocab_mb=%-?[%d.]+ memory_mb=%d+$", out)
  out, status = check.shell(bench .. options .. " --peer --python /nowhere/python")
  equal(status, 0)
  contains(out, "/nowhere/python: absent:")
  for wrong, why in pairs { [""] = "--vocab FILE and --text FILE", ["--vocab x --text README.md"] = "--vocab: x: No such file",
    ["--vocab bytes --text x"] = "--text: x: No such file", ["--vocab bytes --text README.md --peer"] = "there is none for a vocabulary of bytes" } do
    out, status = check.shell(bench .. "tokenize " .. wrong)
    equal(status, 1)
    contains(out, "bench tokenize: ", why)
  end
end)

test("bench peers without PyTorch says so", function()
  with_directory(function(directory)
    local out, status = check.shell(("%speers --scale smoke --threads 1 --python /nowhere/python --out %s"):format(bench, directory))
    equal(status, 0)
    contains(out, "absent", "rwkv.cpp is absent", "llama.cpp is absent")
    assert(last_line(out):match "^sizes=%d+ least_ratio=%S+ least_ratio_tuned=%S+$", out)
    equal(rows_of(directory .. "/bench_peers.tsv", 1)[1].peer, "absent")
  end)
end)

test("decoding stands beside llama.cpp's own benchmark, whose path the user gives", function()
  with_directory(function(directory)
    local program = directory .. "/llama-bench" -- in its place one that takes 2 ms a token and looks at the model
    rwkv.write_file(program, [[#!/bin/sh
[ "$(head -c 4 "$2")" = GGUF ] || { echo "no model: $2" >&2; exit 1; }
echo '[{"avg_ns": 128000000}]'
]])
    assert(os.execute("chmod +x " .. program))
    local call = "LLAMA_BENCH=%s %speers --scale smoke --threads 1 --python %s --out %s"
    local out, status = check.shell(call:format(program, bench, "python3", directory))
    equal(status, 0)
    contains(out, "decode v7 bf16, 1 thread: aviary", "llama.cpp 500.0 tokens/s")
    local rows = rows_of(directory .. "/bench_peers_decode.tsv", 3)
    equal(rows[1].peer, "llama.cpp")
    equal(rows[3].dtype, "bf16")
    contains(rows[2].command, "llama_cpp.py --version v7 --size tiny --dtype f16 --threads 1")
    out, status = check.shell(call:format("/nowhere/llama-bench", bench, "/nowhere/python", directory))
    equal(status, 0)
    contains(out, "decode v7 f32, 1 thread: llama.cpp: skipped: ", "/nowhere/python")
  end)
end)

local kinds = { check.program .. ".pthreads", check.program .. ".openmp" }
if io.open(kinds[1]) and io.open(kinds[2]) then test("bench threads", function()
  with_directory(function(directory)
    local function run(a, b) return check.shell(("%sthreads --scale smoke --threads 2 --programs '%s %s' --out %s"):format(bench, a, b, directory)) end
    local out, status = run(kinds[1], kinds[2])
    equal(status, 0)
    assert(last_line(out):match "^idle=[%d.]+ busy=[%d.]+$", out)
    local rows = rows_of(directory .. "/bench_threads.tsv", 6) -- alone and with one process beside, three settings
    equal({ rows[1].threading, rows[2].threading, rows[3].policy }, { "pthreads", "openmp", "OMP_WAIT_POLICY=passive" })
    contains(rows[3].command, "OMP_WAIT_POLICY=passive " .. kinds[2] .. " bench train")
    for other, why in pairs { [kinds[1]] = "found 'pthreads pthreads'", ["/nowhere/aviary"] = "/nowhere/aviary" } do
      out, status = run(kinds[1], other)
      equal(status, 1)
      contains(out, "--programs", why)
    end
  end)
end) else print "SKIPPED: bench threads: the programs with each kind of threads are not built" end

test("peers: PyTorch computes the same, where it is installed", function()
  local out, status = check.shell(bench .. "peers --check --python python3")
  equal(status, 0)
  if out:find "absent" then
    print "SKIPPED: python3 has no torch"
  else
    contains(out, "v4 loop", "v5.2 chunk", "v6 chunk", "v7 chunk", "v7 loop", "same=1")
  end
end)

test("what is wrong with a call is said", function()
  local cases = {
    { "", "usage", "train" }, { "trian", "'trian'", "usage" }, { "common", "usage" }, { "../x", "usage" },
    { "train --nix 2", "--nix", "--dim" }, { "train --dim", "--dim" }, { "train --dim x", "--dim", "'x'" },
    { "train --dim 0", "--dim", "at least 1", "0" }, { "train --dim 1.5", "--dim", "1.5" },
    { "train --version v9", "'v9'", "v5.2" }, { "train --pairs 99", "99 pairs" }, { "train extra", "'extra'" },
    { "train --threads 1000", "--threads", "256" }, { "train --seconds -1", "--seconds" }, { "decode --tries 0", "--tries", "at least 1" }, { "train --dim 65", "65" },
    { "scaling --versions v9", "'v9'" }, { "scaling --from 8 --to 4", "--from" }, { "scaling --versions ''", "--versions" },
    { "all --scale big", "'big'", "quick" }, { "peers --scale big", "'big'" }, { "ops --what", "--what" }, { "peers --versions v1", "'v1'", "v5.2" }, { "peers --dims 'a b'", "--dims", "'a'" },
    { "scaling --versions v4 --modes fly", "'fly'" },
  }
  for _, case in ipairs(cases) do
    local out, status = check.shell(bench .. case[1])
    equal(status, 1)
    for i = 2, #case do contains(out, case[i]) end
    assert(not out:find "traceback", out)
  end
end)
