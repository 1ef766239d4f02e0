-- wkv6 and wkv7 by themselves, forward and backward: the plain kernels, or with --matmul bf16 the chunked ones. The error is
-- that of a shorter sequence against the float64 program's reference: the root mean square of the differences, relative to
-- that of the numbers; of the outputs, and of the worst gradient.
local rwkv = require "rwkv"
local common = require "rwkv.bench.common"
local counts = require "rwkv.bench.device.counts"
local inputs = require "rwkv.bench.device.inputs"

local scales = {
  smoke = { time = { 1, 1, 32, 64 }, error = { 1, 1, 32, 64 }, runs = 1 }, -- B, H, T, N
  quick = { time = { 8, 64, 4096, 64 }, error = { 2, 2, 1000, 64 }, runs = 3 },
  full = { time = { 8, 64, 4096, 64 }, error = { 2, 4, 4096, 64 }, runs = 10 },
}

local function measure(name, sizes, runs)
  local x = inputs.repeated(name, sizes)
  local function forward() return (inputs.run(name, x)) end
  local function wait(y) return y:slice(1, 1, 1):slice(2, -1, -1):sum():item() end
  local of_forward = counts.seconds(function() rwkv.no_grad(function() wait(forward()) end) end, runs)
  for _, t in pairs(x) do t:requires_grad(true) end
  local both = counts.seconds(function()
    local y = forward()
    y:sum():backward()
    wait(x.k:grad())
  end, runs)
  return of_forward, both, counts.read().bytes
end

-- Every output and gradient goes to the float64 program, which computes them by the reference.
local function errors(o, name, sizes)
  local path = ("%s/%s.%s.safetensors"):format(o.out, name, rwkv.matmul())
  rwkv.mkdir(o.out)
  inputs.save(path, name, sizes)
  local line = ("%s --double bench device_error --file %s --name %s"):format(common.quote(common.program()), common.quote(path), name)
  local out, ok = common.run(line)
  if not ok then
    print(("SKIPPED: the error of %s: %s"):format(name, out))
    return { output_error = 0 / 0, gradient_error = 0 / 0 }
  end
  return common.fields(out)
end

return function(o)
  local scale = scales[o.scale]
  for _, name in ipairs { "wkv6", "wkv7" } do
    io.stderr:write(("recurrences  %s\n"):format(name))
    local error_of = errors(o, name, scale.error)
    local of_forward, both, held = measure(name, scale.time, scale.runs)
    local B, H, T, N = table.unpack(scale.time)
    print(common.line { { "label", "%s", name }, { "form", "%s", rwkv.matmul() == "bf16" and "chunks_bf16" or "plain" },
      { "batch", "%d", B }, { "heads", "%d", H }, { "seq", "%d", T }, { "head_size", "%d", N },
      { "forward_ms", "%.3f", 1e3 * of_forward }, { "both_ms", "%.3f", 1e3 * both }, { "held_mb", "%.1f", held / 2 ^ 20 },
      { "output_error", "%.2e", error_of.output_error }, { "gradient_error", "%.2e", error_of.gradient_error } })
    io.stdout:flush()
    collectgarbage()
    collectgarbage()
  end
end
