-- aviary bench prefill: n tokens at once, of which only the last one's logits are wanted. The last line:
-- tokens_per_s=... bandwidth_fraction=... gflops=... sgemm_fraction=...; the former is of reading each weight once.
local rwkv = require "rwkv"
local common = require "rwkv.bench.common"
local others = require "rwkv.bench.others"
local median = require "rwkv.statistics".median
local infer = require "rwkv.bench.infer"

return function(arguments)
  local o = infer.options(arguments, 512)
  local model = infer.model(o)
  local config = model:config()
  local tokens = common.random_tokens(1, o.n, config.vocab)
  local quiet, times, gemm, bandwidth = others.measure(o.tries, function()
    local list, before = {}, rwkv.machine_rates(o.threads)
    for i = 0, 5 do -- the first one warms up
      local start = rwkv.time()
      rwkv.no_grad(function() model:forward(tokens, nil, { last = true }) end)
      if i > 0 then list[i] = rwkv.time() - start end
    end
    local after = rwkv.machine_rates(o.threads)
    return list, (before.gemm + after.gemm) / 2, (before.read_bandwidth + after.read_bandwidth) / 2
  end)
  local design = {}
  for name, value in pairs(config) do design[name] = value end
  design.tokens = o.n
  local head = 2 * config.vocab * config.dim
  local flops = o.n * (rwkv.describe(design).flops_per_token - head) + head
  local seconds = median(times)
  print(infer.describe(o, model) .. ("; %d tokens at once, median of %d runs"):format(o.n, #times))
  print(common.line { { "run_ms", "%.1f", 1e3 * seconds }, { "run_gflop", "%.4g", flops / 1e9 },
    { "sgemm_gflops", "%.1f", gemm / 1e9 }, { "read_gb_per_s", "%.2f", bandwidth / 1e9 },
    { "parameters", "%d", model:param_count() }, { "state_floats", "%d", model:state_floats(1) } })
  common.say_others(quiet)
  print(common.line { { "tokens_per_s", "%.2f", o.n / seconds },
    { "bandwidth_fraction", "%.4f", infer.bytes_a_token(model) / seconds / bandwidth },
    { "gflops", "%.2f", flops / seconds / 1e9 }, { "sgemm_fraction", "%.4f", flops / seconds / gemm } })
end
