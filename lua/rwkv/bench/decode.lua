-- aviary bench decode: token after token, one sequence. The last line: tokens_per_s=... bandwidth_fraction=...
-- The bandwidth is measured before and after every eight tokens, as what else runs on the machine changes it; the
-- fraction is the median over these eights.
local rwkv = require "rwkv"
local common = require "rwkv.bench.common"
local others = require "rwkv.bench.others"
local median = require "rwkv.statistics".median
local infer = require "rwkv.bench.infer"

return function(arguments)
  local o = infer.options(arguments, 64)
  local model = infer.model(o)
  local config, bytes = model:config(), infer.bytes_a_token(model)
  local state, rng = model:state(1), rwkv.rng(1)
  local function token_seconds()
    local token = rwkv.tokens { rng:integer(0, config.vocab - 1) }
    local start = rwkv.time()
    rwkv.no_grad(function() model:forward(token, state) end)
    return rwkv.time() - start
  end
  local function bandwidth() return rwkv.machine_rates(o.threads, "read").read_bandwidth end

  for _ = 1, 4 do token_seconds() end
  local quiet, times, rates, fractions = others.measure(o.tries, function()
    local all, read, parts = {}, { bandwidth() }, {}
    while #all < o.n do
      local eight = {}
      for i = 1, math.min(8, o.n - #all) do eight[i] = token_seconds() end
      table.move(eight, 1, #eight, #all + 1, all)
      read[#read + 1] = bandwidth()
      local around = (read[#read - 1] + read[#read]) / 2
      parts[#parts + 1] = bytes / median(eight) / around
    end
    return all, read, parts
  end)
  print(infer.describe(o, model) .. ("; median of %d tokens"):format(o.n))
  print(common.line { { "token_ms", "%.3f", 1e3 * median(times) }, { "token_mb", "%.1f", bytes / 1e6 },
    { "read_gb_per_s", "%.2f", median(rates) / 1e9 }, { "parameters", "%d", model:param_count() },
    { "state_floats", "%d", model:state_floats(1) }, { "memory_mb", "%.0f", common.memory_now() / 2 ^ 20 } })
  common.say_others(quiet)
  print(common.line { { "tokens_per_s", "%.2f", 1 / median(times) },
    { "bandwidth_fraction", "%.4f", median(fractions) } })
end
