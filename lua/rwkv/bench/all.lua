-- aviary bench all: the benchmarks at many sizes, one table on the terminal and one file of each below --out. Every
-- measurement is a program of its own, whose command stands in its row. `make bench` draws the files.
local rwkv = require "rwkv"
local common = require "rwkv.bench.common"
local others = require "rwkv.bench.others"

-- full: about half an hour on two cores; quick: five minutes; smoke: seconds, to see that everything runs.
local scales = {
  smoke = { train = { { "v7", { 32 }, { 16 } } }, seconds = 0.1, decode = { "f32" }, size = "tiny", scaling = { "--from", "16", "--to", "64",
    "--piece", "16" } },
  quick = { train = { { "v1 v2 v3", { 64 }, { 64 } }, { "v4 v5.2 v6 v7", { 64, 256 }, { 64, 256 } } }, seconds = 2,
    decode = { "f32", "bf16" }, size = "0.1b", scaling = { "--to", "16384", "--seconds", "4" } },
  full = { train = { { "v1 v2 v3 v5.0 v5.1", { 64, 256 }, { 64, 256 } },
    { "v4 v5.2 v6 v7", { 64, 128, 256, 512 }, { 64, 256, 512 } } }, seconds = 6, decode = { "f32", "bf16", "f16" }, size = "0.1b",
    scaling = { "--to", "65536", "--seconds", "20" } },
}

-- About 4096 tokens in a batch, and at least 4 sequences.
local function batch(seq) return math.max(4, 4096 // seq) end

local function jobs_of(scale, threads, tries)
  local jobs = {}
  local function add(kind, fields, ...)
    jobs[#jobs + 1] = { kind = kind, fields = fields, command = { "bench", kind, "--tries", tries, ... } }
  end
  for _, group in ipairs(scale.train) do
    for version in group[1]:gmatch "%S+" do
      for _, dim in ipairs(group[2]) do
        for _, seq in ipairs(group[3]) do
          local f = { label = version, dim = dim, seq = seq, batch = batch(seq), layers = 2, vocab = 8192, pairs = seq // 8,
            threads = threads }
          add("train", f, "--version", version, "--dim", dim, "--layers", 2, "--vocab", 8192, "--pairs", f.pairs, "--seq",
            seq, "--batch", f.batch, "--steps", 100, "--seconds", scale.seconds, "--threads", threads)
        end
      end
    end
  end
  for _, kind in ipairs { "decode", "prefill" } do
    for _, version in ipairs { "v4", "v7" } do
      for _, dtype in ipairs(scale.decode) do
        add(kind, { label = version, size = scale.size, dtype = dtype, threads = 1 }, "--version", version, "--size", scale.size,
          "--dtype", dtype, "--threads", 1, "-n", kind == "decode" and 64 or 512)
      end
    end
  end
  return jobs
end

local columns = {
  train = { "label", "dim", "seq", "batch", "layers", "vocab", "pairs", "tokens_per_s", "gflops", "sgemm_fraction",
    "sgemm_gflops", "step_ms", "step_gflop", "memory_mb", "parameters", "state_floats" },
  decode = { "label", "size", "dtype", "tokens_per_s", "bandwidth_fraction", "parameters", "state_floats" },
  prefill = { "label", "size", "dtype", "tokens_per_s", "bandwidth_fraction", "gflops", "sgemm_fraction", "parameters",
    "state_floats" },
}

local function shown(f)
  if f.dim then return ("%-8s %-5s d=%-4d T=%-4d batch %d"):format("train", f.label, f.dim, f.seq, f.batch) end
  return ("%-8s %-5s %s %s"):format(f.kind, f.label, f.size, f.dtype)
end

local function print_row(f)
  local of = f.sgemm_fraction and ("%5.1f %% of sgemm"):format(100 * f.sgemm_fraction)
    or f.bandwidth_fraction and ("%5.1f %% of the bandwidth"):format(100 * f.bandwidth_fraction) or ""
  print(("%-36s %10.0f tokens/s  %s%s"):format(shown(f), f.tokens_per_s, of, others.disturbed(f) and "; " .. others.words(f) or ""))
  io.stdout:flush()
end

return function(arguments)
  local o = common.options(arguments, { scale = "quick", threads = rwkv.threads(), out = "runs/bench", tries = others.most })
  local scale = scales[o.scale] or common.fail("option --scale: expected smoke, quick or full, found '%s'", o.scale)
  local command = common.command("bench", "all", table.unpack(arguments))
  local rows, skipped = { train = {}, decode = {}, prefill = {} }, {}
  local jobs = jobs_of(scale, o.threads, o.tries)
  local bar = rwkv.progress("bench", #jobs, "runs")
  for i, job in ipairs(jobs) do
    local f = job.fields
    f.kind = job.kind
    bar:update(i - 1, shown(f))
    f.command = common.command(table.unpack(job.command))
    local out, ok = common.run(f.command)
    if rwkv.is_terminal() then io.stderr:write "\r\27[K" end
    if ok then
      for name, value in pairs(common.fields(out)) do f[name] = value end
      rows[job.kind][#rows[job.kind] + 1] = f
      print_row(f)
    else
      print(("%-36s skipped: %s"):format(shown(f), out))
      skipped[#skipped + 1] = f.command
    end
  end
  bar:finish(("%d measured, %d skipped"):format(#jobs - #skipped, #skipped))
  for kind, list in pairs(rows) do
    if #list > 0 then common.write(("%s/bench_%s.tsv"):format(o.out, kind), columns[kind], list, o.threads, command) end
  end
  for _, name in ipairs { "scaling", "ops" } do
    print(("\n%s"):format(name))
    local ok, message = pcall(require("rwkv.bench." .. name), { "--threads", tostring(o.threads), "--tries", tostring(o.tries), "--tsv",
      ("%s/bench_%s.tsv"):format(o.out, name), table.unpack(name == "scaling" and scale.scaling or {}) })
    if not ok then
      if getmetatable(message) ~= common.Failure then error(message, 0) end
      print(("%-36s skipped: %s"):format(name, tostring(message)))
      skipped[#skipped + 1] = name
    end
  end
  print(common.line { { "measured", "%d", #jobs + 2 - #skipped }, { "skipped", "%d", #skipped } })
end
