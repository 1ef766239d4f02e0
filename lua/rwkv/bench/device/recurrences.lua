-- wkv6 and wkv7 by themselves, forward and backward: the plain kernels, or with --matmul bf16 the chunked ones. The error is
-- that of a shorter sequence against the float64 program's reference: the root mean square of the differences, relative to
-- that of the numbers; of the outputs, and of the worst gradient. Beside wkv7, in turn, what PyTorch has on the same device.
local rwkv = require "rwkv"
local common = require "rwkv.bench.common"
local counts = require "rwkv.bench.device.counts"
local inputs = require "rwkv.bench.device.inputs"
local others = require "rwkv.bench.others"
local median = require "rwkv.statistics".median
local peer = require "rwkv.bench.peer"

local scales = {
  smoke = { time = { 1, 1, 32, 64 }, error = { 1, 1, 32, 64 }, runs = 1, rounds = 1, wait = 200, device = "cpu" }, -- B, H, T, N
  quick = { time = { 8, 64, 4096, 64 }, error = { 2, 2, 1000, 64 }, runs = 3, rounds = 3, wait = 90, device = "cuda" },
  full = { time = { 8, 64, 4096, 64 }, error = { 2, 4, 4096, 64 }, runs = 10, rounds = 10, wait = 600, device = "cuda" },
}

-- By --matmul: form and numbers of experiments/peers/torch_wkv7.py.
local peers_of = { full = { { "divided", "f32" }, { "chunk", "f32" } }, tf32 = {}, bf16 = { { "fla", "bf16" } } }

local function begin(o, scale)
  local B, H, T, list = scale.time[1], scale.time[2], scale.time[3], {}
  for i, kind in ipairs(o.peers and peers_of[rwkv.matmul()] or {}) do
    list[i] = peer.begin(peer.command(o.python, "torch_wkv7.py", "--form", kind[1], "--dtype", kind[2], "--device", scale.device,
      "--batch", B, "--heads", H, "--seq", T, "--wait", scale.wait))
    list[i].form = table.concat(kind, "_")
  end
  return list
end

-- In every round each runs once; ours is measured anew, as it stands beside theirs.
local function in_turn(peers, both, scale, tries)
  local here = {}
  for _, p in ipairs(peers) do
    local ok, why = p:ready()
    if ok then here[#here + 1] = p else print(("SKIPPED: wkv7, %s: %s"):format(p.form, why)) end
  end
  if #here == 0 then return end
  local quiet, times = others.measure(tries, function()
    local all = { [0] = {} } -- ours, and theirs
    for i = 1, #here do all[i] = {} end
    for round = 1, scale.rounds do
      all[0][round] = counts.seconds(both, 1)
      for i, p in ipairs(here) do all[i][round] = p:steps(1) end
    end
    return all
  end)
  local B, H, T, N = table.unpack(scale.time)
  for i, p in ipairs(here) do
    p:close()
    local ratios = {}
    for round = 1, scale.rounds do ratios[round] = times[i][round] / times[0][round] end
    print(common.line { { "label", "%s", "wkv7" }, { "form", "torch_%s", p.form }, { "batch", "%d", B }, { "heads", "%d", H },
      { "seq", "%d", T }, { "head_size", "%d", N }, { "both_ms", "%.3f", 1e3 * median(times[i]) }, { "ratio", "%.2f", median(ratios) },
      table.unpack(others.fields(quiet)) })
  end
end

local function measure(name, sizes, runs, tries)
  local x = inputs.repeated(name, sizes)
  local function forward() return (inputs.run(name, x)) end
  local function wait(y) return y:slice(1, 1, 1):slice(2, -1, -1):sum():item() end
  local function both()
    local y = forward()
    y:sum():backward()
    wait(x.k:grad())
  end
  local quiet, of_forward, seconds = others.measure(tries, function()
    for _, t in pairs(x) do t:requires_grad(false) end
    local forward_seconds = counts.seconds(function() rwkv.no_grad(function() wait(forward()) end) end, runs)
    for _, t in pairs(x) do t:requires_grad(true) end
    return forward_seconds, counts.seconds(both, runs)
  end)
  return quiet, of_forward, seconds, rwkv.backend_counts().bytes, both
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
    local peers = name == "wkv7" and begin(o, scale) or {}
    local error_of = errors(o, name, scale.error)
    local quiet, of_forward, seconds, held, both = measure(name, scale.time, scale.runs, o.tries)
    local B, H, T, N = table.unpack(scale.time)
    print(common.line { { "label", "%s", name }, { "form", "%s", rwkv.matmul() == "bf16" and "chunks_bf16" or "plain" },
      { "batch", "%d", B }, { "heads", "%d", H }, { "seq", "%d", T }, { "head_size", "%d", N },
      { "forward_ms", "%.3f", 1e3 * of_forward }, { "both_ms", "%.3f", 1e3 * seconds }, { "held_mb", "%.1f", held / 2 ^ 20 },
      { "output_error", "%.2e", error_of.output_error }, { "gradient_error", "%.2e", error_of.gradient_error },
      table.unpack(others.fields(quiet)) })
    in_turn(peers, both, scale, o.tries)
    io.stdout:flush()
    collectgarbage()
    collectgarbage()
  end
end
