-- aviary bench train: training steps on tokens laid out as in MQAR. The last line: tokens_per_s=... gflops=... sgemm_fraction=...
local rwkv = require "rwkv"
local common = require "rwkv.bench.common"
local others = require "rwkv.bench.others"
local median = require "rwkv.statistics".median
local trainer = require "rwkv.bench.trainer"

return function(arguments)
  local o = common.options(arguments, { version = "v7", dim = 128, layers = 2, vocab = 8192, pairs = 8, seq = 64,
    batch = 256, steps = 20, warmup = 3, threads = rwkv.threads(), seconds = 0., tries = others.most })
  local step, count = trainer(o)
  local bar = rwkv.progress("train", o.warmup + o.steps, "steps")
  for i = 1, o.warmup do
    step()
    bar:update(i, "warm-up")
  end
  local quiet, times, gemm = others.measure(o.tries, function()
    local list, before, start = {}, common.gemm_rate(o.threads), rwkv.time()
    for i = 1, o.steps do
      list[i] = step()
      bar:update(o.warmup + i, ("%.1f ms a step"):format(1e3 * median(list)))
      if o.seconds > 0 and i >= 5 and rwkv.time() - start > o.seconds then break end
    end
    return list, (before + common.gemm_rate(o.threads)) / 2 -- before and after: the clock of a processor changes
  end)
  if rwkv.is_terminal() then bar:finish() end
  local seconds = median(times)
  print(("RWKV %s, %d layers, dim %d, vocab %d; %d pairs as in MQAR, T %d, batch %d; %s; median of %d steps"):format(
    o.version, o.layers, o.dim, o.vocab, o.pairs, o.seq, o.batch, common.computed_by(o.threads), #times))
  print(common.line { { "step_ms", "%.2f", 1e3 * seconds }, { "step_gflop", "%.4g", count.flops / 1e9 },
    { "sgemm_gflops", "%.1f", gemm / 1e9 }, { "parameters", "%d", count.parameters },
    { "state_floats", "%d", count.state_floats }, { "memory_mb", "%.0f", common.peak_memory() / 2 ^ 20 } })
  common.say_others(quiet)
  print(common.line { { "tokens_per_s", "%.0f", count.tokens / seconds },
    { "gflops", "%.2f", count.flops / seconds / 1e9 }, { "sgemm_fraction", "%.4f", count.flops / seconds / gemm } })
end
