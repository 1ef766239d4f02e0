-- Shadow mode from Lua: rwkv.backend "shadow" and --shadow, models with hooks and mixers; the numbers are the reference's.
local rwkv = require "rwkv"
local mqar = require "experiments.tasks.mqar"
local check = require "tests.lua.lib.check"

local B, T = 5, 19
local task = mqar.new { vocab = 32, seq = T + 1, pairs = 3, seed = 1 }

-- The losses of a few steps. T is odd: the last position of each example is left away.
local function train(backend, options)
  rwkv.backend(backend)
  options.layers, options.vocab, options.seed = 2, 32, 3
  options.dim, options.head_size = options.dim or 32, options.head_size or 16
  local model, losses = rwkv.model(options), {}
  local opt = rwkv.adamw(model, { lr = 3e-3, weight_decay = 0.1, clip = 1 })
  for step = 1, 3 do
    local inputs, targets = {}, {}
    for b = 1, B do
      inputs[b], targets[b] = task:example(step * B + b)
      inputs[b][T + 1], targets[b][T + 1] = nil, nil
    end
    local loss = model:loss(inputs, targets)
    losses[step] = loss:item()
    loss:backward()
    opt:step()
    opt:zero_grad()
  end
  return losses
end

local function both(options)
  local shadow, reference = train("shadow", options), train("reference", options)
  check.equal(shadow, reference)
end

for _, version in ipairs(rwkv.versions()) do
  check.test("the official initial values, " .. version, function() both { version = version } end)
end

for _, name in ipairs { "attention", "linear_attention", "gla", "gated_deltanet", "mamba" } do
  check.test(name, function() both { version = "v7", hooks = { time_mix = name } } end)
end

check.test("hooks", function()
  local floor = rwkv.hook { kind = "decay", name = "floor",
    params = function(d) return { w0 = { d.A, init = "decay_v7" }, w1 = { d.C, 8 }, w2 = { 8, d.A, gain = 0.1 } } end,
    apply = function(x, p) return -0.3 * (p.w0 + x:matmul(p.w1):tanh():matmul(p.w2)):sigmoid() end }
  both { version = "v7", hooks = { decay = floor, gate = "none" } }
  both { version = "v6", hooks = { decay = floor, shift = "half" } }
  both { version = "v4", hooks = { decay = floor } }
end)

check.test("decoding, token by token", function()
  local out = {}
  for i, backend in ipairs { "shadow", "reference" } do
    rwkv.backend(backend)
    local model = rwkv.model { version = "v7", layers = 2, dim = 64, head_size = 64, vocab = 32, seed = 3 }
    local state, sum = model:state(1), 0
    rwkv.no_grad(function()
      for t = 1, 20 do sum = sum + model:forward({ t }, state):sum():item() end
    end)
    out[i] = sum
  end
  check.equal(out[1], out[2])
end)

check.test("the option", function()
  local out, status = check.shell(check.program .. [[ --shadow -e 'print(require("rwkv").backend())']])
  check.equal({ out, status }, { "shadow\n", 0 })
  out, status = check.shell(check.program .. [[ --backend shadow -e 'print(require("rwkv").backend())']])
  check.equal({ out, status }, { "shadow\n", 0 })
end)

check.test("the name", function()
  for _, name in ipairs { "fast", "reference", "shadow" } do
    check.equal(rwkv.backend(name), name)
    check.equal(rwkv.backend(), name)
  end
  check.fails(function() rwkv.backend "slow" end, "slow")
end)
