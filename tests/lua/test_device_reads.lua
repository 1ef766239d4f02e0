-- A training step reads numbers of a device a few times, however many layers and hooks there are: each read waits for all that
-- the device was asked for. Run on a backend that counts them (tests/run.sh).
local rwkv = require "rwkv"
local core = require "rwkv.core"
local check = require "tests.lua.lib.check"

local tokens = { { 1, 2, 3, 4, 5, 6, 7, 8 }, { 3, 2, 1, 4, 5, 6, 7, 9 } }

-- Reads of a step: of its loss, backward, optimizer with clipping, and the loss as a number.
local function reads(options)
  local sizes = { dim = 16, head_size = 8, vocab = 11, layers = 2 }
  for name, value in pairs(sizes) do options[name] = options[name] or value end
  local model = rwkv.model(options)
  local opt = rwkv.adamw(model, { lr = 1e-3, clip = 1 })
  local before
  for _ = 1, 2 do -- the first one takes memory
    before = core.backend_counts().reads
    local loss = model:loss(tokens, tokens)
    loss:backward()
    opt:step()
    loss:item()
    opt:zero_grad()
  end
  local n = core.backend_counts().reads - before
  rwkv.end_step()
  return n
end

-- The predictions that m:loss counts, the length of the gradient, and the loss; with hooks, what all of them returned.
local PLAIN, HOOKED = 3, 4

local function counted(name, f) -- a backend whose memory is the process's own counts none
  if core.backend_counts() then check.test(name, f) end
end

for _, version in ipairs(core.versions()) do
  counted(version .. " reads a few times a step", function()
    check.equal(reads { version = version, ctx = version == "v1" and 16 or nil }, PLAIN)
  end)
end

local floor = rwkv.hook{ kind = "decay", name = "counted", params = function(d) return { w = { d.A } } end,
  apply = function(x, p) return -(p.w:exp() + (x * x):mean(3, true):sqrt()) end }

local function row(x) local n = x:shape(); table.insert(n, #n, 1); return x:reshape(n) end
local function column(x) local n = x:shape(); n[#n + 1] = 1; return x:reshape(n) end
local recorded = rwkv.hook{ kind = "recurrence", name = "counted-recurrence", step = function(now, s)
  s.S = s.S * row(now.w:exp()) + column(now.v) * row(now.k)
  return (s.S * row(now.r)):sum(-1)
end }

counted("hooks of all layers are looked at together", function()
  for _, layers in ipairs { 1, 5 } do
    check.equal(reads { version = "v7", layers = layers, hooks = { decay = floor } }, HOOKED)
    check.equal(reads { version = "v6", layers = layers, hooks = { decay = floor, recurrence = recorded } }, HOOKED)
  end
end)

for name, mixer in pairs(rwkv.mixers) do
  counted("mixer " .. name .. " reads a few times a step", function()
    check.equal(reads { version = "v6", layers = 3, hooks = { time_mix = mixer } }, HOOKED)
  end)
end

-- ---- what is wrong is told when numbers are read ----

local bad = rwkv.hook{ kind = "decay", name = "too-large", apply = function(x) return x * 0 + (x * 0):exp() end }

local function loss_of(hook)
  return rwkv.model{ version = "v7", dim = 16, head_size = 8, vocab = 11, layers = 2, hooks = { decay = hook } }:loss(tokens, tokens)
end

local message = "layer 1: returned 1 at [1,1,1], expected at most 0"

check.test("a hook that does wrong is told of when something is read", function()
  check.fails(function() return loss_of(bad):item() end, 'hook decay "too-large"', "test_device_reads.lua:", message)
  rwkv.end_step()
  check.fails(function() return rwkv.no_grad(loss_of, bad) end, message)
  assert(loss_of(floor):item() > 0)
  rwkv.end_step()
end)

check.test("so is an operand out of its range, with the line", function()
  local x = rwkv.tensor { 1, -2, 3 }
  check.fails(function() return x:log():tolist() end, "test_device_reads.lua:", "log: x is -2 at [2], expected at least 0")
  check.fails(function() return rwkv.where(rwkv.tensor { 1, 0, 3 }, x, x):tolist() end,
    "where: the mask is 3 at [3], expected 0 or 1")
  rwkv.end_step()
end)

-- What one hook returned is found when another one reads: that one may catch the error, and the run ends with it all the same.
check.test("a hook cannot swallow what belongs to the run", function()
  local hook = rwkv.hook { kind = "decay", name = "swallows", apply = function(x, _, d)
    if d.layer == 2 then pcall(function() return x:mean():item() end) end
    return x * 0 + (d.layer == 1 and 0.5 or -0.5)
  end }
  local model = rwkv.model { version = "v7", layers = 2, dim = 16, head_size = 8, vocab = 11, hooks = { decay = hook } }
  local good, text = pcall(function()
    local loss = model:loss(tokens, tokens)
    loss:backward()
    return loss:item()
  end)
  check.equal(good, false)
  check.has(text, 'hook decay "swallows"', "layer 1: returned 0.5 at [1,1,1], expected at most 0")
  rwkv.end_step()
end)
