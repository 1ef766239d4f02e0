-- aviary bench decode: token after token, one sequence. The last line: tokens_per_s=... bandwidth_fraction=...
-- The bandwidth is measured in turn with the tokens, as what else runs on the machine changes it.
local rwkv = require "rwkv"
local common = require "rwkv.bench.common"
local infer = require "rwkv.bench.infer"

return function(arguments)
  local o = infer.options(arguments, 64)
  local model = infer.model(o)
  local config, bytes = model:config(), infer.bytes_a_token(model)
  local state, rng, times, rates = model:state(1), rwkv.rng(1), {}, {}
  for i = -3, o.n do -- four to warm up
    local token = rwkv.tokens { rng:integer(0, config.vocab - 1) }
    local start = rwkv.time()
    rwkv.no_grad(function() model:forward(token, state) end)
    if i > 0 then times[i] = rwkv.time() - start end
    if i % 16 == 0 then rates[#rates + 1] = rwkv.machine_rates(o.threads, "read").read_bandwidth end
  end
  local seconds, bandwidth = common.median(times), common.median(rates)
  print(infer.describe(o, model) .. ("; median of %d tokens"):format(o.n))
  print(common.line { { "token_ms", "%.3f", 1e3 * seconds }, { "token_mb", "%.1f", bytes / 1e6 },
    { "read_gb_per_s", "%.2f", bandwidth / 1e9 }, { "parameters", "%d", model:param_count() },
    { "state_floats", "%d", model:state_floats(1) }, { "memory_mb", "%.0f", infer.memory_now() / 2 ^ 20 } })
  print(common.line { { "tokens_per_s", "%.2f", 1 / seconds },
    { "bandwidth_fraction", "%.4f", bytes / seconds / bandwidth } })
end
