-- Training steps on the device. Beside the time of a step stands the sum of what the device takes for each op alone: where
-- the two are far apart, the program that puts the ops on its stream is what one waits for.
local rwkv = require "rwkv"
local common = require "rwkv.bench.common"
local others = require "rwkv.bench.others"
local counts = require "rwkv.bench.device.counts"
local median = require "rwkv.statistics".median
local trainer = require "rwkv.bench.trainer"

local scales = {
  smoke = { dims = { 32 }, lengths = { 16 }, tokens = 64, vocab = 64, seconds = 0, product = 64 },
  quick = { dims = { 64, 256, 512 }, lengths = { 64, 512, 2048 }, tokens = 16384, vocab = 8192, seconds = 0.5, product = 4096 },
  full = { dims = { 64, 128, 256, 512 }, lengths = { 64, 128, 256, 512, 1024, 2048 }, tokens = 16384, vocab = 8192, seconds = 2,
    product = 8192 },
}

local function timed(o, scale, rate, tries)
  local step, count = trainer(o)
  for _ = 1, 3 do step() end
  local quiet, times = others.measure(tries, function()
    local list, start = {}, rwkv.time()
    repeat list[#list + 1] = step() until #list >= 3 and rwkv.time() - start > scale.seconds
    return list
  end)
  local held = rwkv.backend_counts().bytes
  local of = counts.of_step(step)
  local seconds = median(times)
  print(common.line { { "label", "%s", o.version }, { "dim", "%d", o.dim }, { "seq", "%d", o.seq }, { "batch", "%d", o.batch },
    { "layers", "%d", o.layers }, { "vocab", "%d", o.vocab }, { "matmul", "%s", rwkv.matmul() },
    { "tokens_per_s", "%.0f", count.tokens / seconds }, { "step_ms", "%.3f", 1e3 * seconds },
    { "device_ms", "%.3f", 1e3 * of.seconds }, { "ops", "%d", of.ops }, { "launches", "%d", of.launches }, { "reads", "%d", of.reads },
    { "gflops", "%.1f", count.flops / seconds / 1e9 }, { "product_gflops", "%.0f", rate / 1e9 },
    { "product_fraction", "%.4f", count.flops / seconds / rate }, { "held_mb", "%.1f", held / 2 ^ 20 },
    { "parameters", "%d", count.parameters }, table.unpack(others.fields(quiet)) })
  io.stdout:flush()
end

return function(o)
  local scale, sizes = scales[o.scale], {}
  for _, version in ipairs { "v4", "v6", "v7" } do
    for _, dim in ipairs(scale.dims) do
      for _, seq in ipairs(scale.lengths) do
        -- other products than full: only where there is much to multiply
        if rwkv.matmul() == "full" or (dim == scale.dims[#scale.dims] and seq == scale.lengths[math.min(2, #scale.lengths)]) then
          sizes[#sizes + 1] = { version = version, dim = dim, seq = seq, batch = math.max(1, scale.tokens // seq), layers = 2,
            vocab = scale.vocab, pairs = seq // 8 }
        end
      end
    end
  end
  local rate, bar = counts.product_rate(scale.product), rwkv.progress("train", #sizes, "sizes")
  for i, size in ipairs(sizes) do
    bar:update(i - 1, ("%s d=%d T=%d"):format(size.version, size.dim, size.seq))
    timed(size, scale, rate, o.tries)
    collectgarbage()
    collectgarbage()
  end
  if rwkv.is_terminal() then bar:finish() end
end
