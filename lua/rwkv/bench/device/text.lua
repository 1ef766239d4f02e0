-- Token after token, each chosen by the logits of the one before, and many tokens at once, on the device; weights as --dtype
-- has them. Random weights of the published sizes: the time does not depend on what they are.
local rwkv = require "rwkv"
local common = require "rwkv.bench.common"
local others = require "rwkv.bench.others"
local counts = require "rwkv.bench.device.counts"
local infer = require "rwkv.bench.infer"
local median = require "rwkv.statistics".median

local scales = {
  smoke = { sizes = { "tiny" }, versions = { "v7" }, tokens = 4, prefill = 16 },
  quick = { sizes = { "0.1b", "1.5b" }, versions = { "v7" }, tokens = 64, prefill = 1024 },
  full = { sizes = { "0.1b", "1.5b" }, versions = { "v4", "v6", "v7" }, tokens = 256, prefill = 4096 },
}

local function decode(model, n)
  local state, token, times = model:state(1), 0, {}
  for i = 1, n + 4 do -- the first four warm up
    local start = rwkv.time()
    token = rwkv.no_grad(function() return model:forward(rwkv.tokens { token }, state) end):argmax()[1]
    if i > 4 then times[i - 4] = rwkv.time() - start end
  end
  return 1 / median(times)
end

local function prefill(model, n)
  local tokens = common.random_tokens(1, n, model:config().vocab)
  return n / counts.seconds(function()
    rwkv.no_grad(function() return model:forward(tokens, nil, { last = true }) end):argmax()
  end, 3)
end

local function measure(scale, size, version, dtype, tries)
  local model = infer.model { model = "", size = size, version = version, dtype = dtype }
  local quiet, reading, writing = others.measure(tries, function() return prefill(model, scale.prefill), decode(model, scale.tokens) end)
  print(common.line { { "label", "%s", version }, { "size", "%s", size }, { "dtype", "%s", dtype },
    { "decode_tokens_per_s", "%.1f", writing }, { "prefill_tokens_per_s", "%.0f", reading },
    { "weights_mb", "%.0f", model:weight_bytes() / 2 ^ 20 }, { "held_mb", "%.0f", rwkv.backend_counts().bytes / 2 ^ 20 },
    { "parameters", "%d", model:param_count() }, table.unpack(others.fields(quiet)) })
  io.stdout:flush()
end

return function(o)
  local scale = scales[o.scale]
  for _, size in ipairs(scale.sizes) do
    for _, version in ipairs(scale.versions) do
      for _, dtype in ipairs { "f32", "bf16" } do
        io.stderr:write(("text  %s %s %s\n"):format(version, size, dtype))
        measure(scale, size, version, dtype, o.tries)
        collectgarbage()
        collectgarbage()
      end
    end
  end
end
