-- aviary bench threads: programs that differ in their threads (make THREADS=) in turn, those of OpenMP with each of its ways
-- to wait, on a machine that does nothing else and on one where other processes compute. Every measurement is a program of
-- its own. The last line: idle=... busy=..., the rate of OpenMP's threads as they are, times that of our own.
local rwkv = require "rwkv"
local common = require "rwkv.bench.common"
local median = require "rwkv.statistics".median

local works = {
  { label = "train d=64", words = { "train", "--version", "v7", "--dim", 64, "--seq", 64, "--batch", 64, "--steps", 1000 } },
  { label = "train d=256", words = { "train", "--version", "v7", "--dim", 256, "--seq", 64, "--batch", 64, "--steps", 1000 } },
  { label = "decode 0.1b", words = { "decode", "--version", "v7", "--size", "0.1b", "--dtype", "f32", "-n", 32 } },
}
local smoke = { { label = "train d=16", words = { "train", "--version", "v7", "--dim", 16, "--vocab", 32, "--pairs", 2, "--seq", 8,
  "--batch", 4, "--steps", 5 } } }
local scales = {
  smoke = { works = smoke, rounds = 1, seconds = 0.1, policies = { "OMP_WAIT_POLICY=passive" }, beside = { 0, 1 } },
  quick = { works = works, rounds = 3, seconds = 1, policies = { "OMP_WAIT_POLICY=passive", "OMP_WAIT_POLICY=active" }, beside = { 0, 1 } },
  full = { works = works, rounds = 7, seconds = 2, policies = { "OMP_WAIT_POLICY=passive", "OMP_WAIT_POLICY=active",
    "GOMP_SPINCOUNT=0", "GOMP_SPINCOUNT=1000000000" }, beside = { 0, 1, 2 } },
}
local AS_IT_IS = "as it is"

-- n processes that only compute; they end with the function that is returned, or with this program.
local function compute_beside(n)
  if n == 0 then return function() end end
  local one = "while :; do :; done & all=\"$all $!\"; "
  local pipe = io.popen("trap 'kill $all; exit' EXIT INT TERM HUP; " .. one:rep(n) .. "read line", "w")
  return function() pipe:close() end
end

-- What kind of threads a program has.
local function threading_of(program)
  local out, ok = common.run(common.quote(program) .. " -e 'print(rwkv.threading)'")
  return ok and out:match "^%a+" or common.fail("option --programs: %s: %s; `make bench-threads` builds both", program, out)
end

-- { program, threading, policy } of each program and what it is to be tried with.
local function settings_of(o, scale)
  local settings, kinds = {}, {}
  for program in o.programs:gmatch "%S+" do
    local threading = threading_of(program)
    kinds[#kinds + 1] = threading
    settings[#settings + 1] = { program = program, threading = threading, policy = AS_IT_IS }
    for _, policy in ipairs(threading == "openmp" and scale.policies or {}) do
      settings[#settings + 1] = { program = program, threading = threading, policy = policy }
    end
  end
  local found = table.concat(kinds, " ")
  if found ~= "pthreads openmp" then
    common.fail("option --programs: expected one with pthreads and then one with openmp, found '%s'", found)
  end
  return settings
end

local function command_of(setting, work, o, scale)
  local words = { "env -u OMP_WAIT_POLICY -u GOMP_SPINCOUNT" }
  if setting.policy ~= AS_IT_IS then words[2] = setting.policy end
  for _, word in ipairs { setting.program, "bench", table.unpack(work.words) } do words[#words + 1] = common.quote(tostring(word)) end
  if work.words[1] == "train" then words[#words + 1] = "--seconds " .. scale.seconds end
  words[#words + 1] = "--tries 1 --threads " .. o.threads -- on a busy machine others run, and are to
  return table.concat(words, " ")
end

-- The rows of a work with `beside` processes beside it; ratio: to the first setting, in the same round.
local function measure(work, beside, settings, o, scale, tell)
  local rows = {}
  for i, s in ipairs(settings) do
    rows[i] = { label = work.label, beside = beside, threading = s.threading, policy = s.policy, rounds = scale.rounds, tries = 1,
      command = command_of(s, work, o, scale), rates = {}, ratios = {} }
  end
  local stop = compute_beside(beside)
  for round = 1, scale.rounds do
    for _, row in ipairs(rows) do
      tell(row)
      local out, ok = common.run(row.command)
      if not ok then
        stop()
        common.fail("%s: %s", row.command, out)
      end
      row.rates[round] = common.fields(out).tokens_per_s
      row.ratios[round] = row.rates[round] / rows[1].rates[round]
    end
  end
  stop()
  for _, row in ipairs(rows) do
    row.tokens_per_s, row.least, row.most = median(row.rates), math.min(table.unpack(row.rates)), math.max(table.unpack(row.rates))
    row.ratio = median(row.ratios)
  end
  return rows
end

local function shown(row)
  return ("%-12s %d beside  %-9s %-26s"):format(row.label, row.beside, row.threading, row.policy)
end

local columns = { "label", "beside", "threading", "policy", "tokens_per_s", "least", "most", "ratio", "rounds" }

return function(arguments)
  local o = common.options(arguments, { scale = "quick", programs = "build/f32/aviary.pthreads build/f32/aviary.openmp",
    threads = rwkv.threads(), out = "runs/bench" })
  local scale = scales[o.scale] or common.fail("option --scale: expected smoke, quick or full, found '%s'", o.scale)
  local settings, all, ratios = settings_of(o, scale), {}, { idle = {}, busy = {} }
  local runs, done = #scale.works * #scale.beside * #settings * scale.rounds, 0
  local bar = rwkv.progress("bench", runs, "runs")
  local function tell(row)
    bar:update(done, shown(row))
    done = done + 1
  end
  for _, work in ipairs(scale.works) do
    for _, beside in ipairs(scale.beside) do
      local rows = measure(work, beside, settings, o, scale, tell)
      bar:clear()
      for _, row in ipairs(rows) do
        print(("%s %10.1f tokens/s (%.1f to %.1f)  %.2f"):format(shown(row), row.tokens_per_s, row.least, row.most, row.ratio))
        io.stdout:flush()
        all[#all + 1] = row
        if row.threading == "openmp" and row.policy == AS_IT_IS then
          local list = ratios[beside == 0 and "idle" or "busy"]
          list[#list + 1] = row.ratio
        end
      end
    end
  end
  bar:finish(("%d measured"):format(#all))
  common.write(o.out .. "/bench_threads.tsv", columns, all, o.threads, common.command("bench", "threads", table.unpack(arguments)))
  print(common.line { { "idle", "%.2f", median(ratios.idle) }, { "busy", "%.2f", median(ratios.busy) } })
end
