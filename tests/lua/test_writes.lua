-- Writing to tensors: what has been computed with is not changed in silence, and what does no harm is allowed.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local test, equal, fails = check.test, check.equal, check.fails
if rwkv.backend() == "fast" then rwkv.backend "reference" end

local function leaf(list) return rwkv.tensor(list):requires_grad() end

test("a tensor that backward needs has been written to", function()
  local x = leaf { 1, 2 }
  local y = x * x
  x:set { 5, 5 }
  local l = y:sum()
  fails(function() l:backward() end, "test_writes.lua", "shape [2] was written to", "x:clone()")
  rwkv.end_step()
end)

test("a copy keeps what it was", function()
  local x = leaf { 1, 2 }
  local c = x:clone()
  local y = c * c
  x:set { 5, 5 }
  y:sum():backward()
  equal(x:grad():tolist(), { 2, 4 })
  rwkv.end_step()
end)

test("parameters of models count, too", function()
  local m = rwkv.model { version = "v7", layers = 1, dim = 16, head_size = 8, vocab = 11 }
  local l = m:loss({ 1, 2, 3 }, { 2, 3, 4 })
  m:param "head.weight":set(0)
  fails(function() l:backward() end, "was written to")
  rwkv.end_step()
end)

test("what was computed with gradient is not written to; in a hook it is assigned", function()
  local x = leaf { 1, 2 }
  local y = x * 2
  fails(function() y:set(0) end, "test_writes.lua", "set:", "[2]", "s.S = ..")
  fails(function() x:reshape(2, 1):set(0) end, "gradient flows through it")
  local buffer = rwkv.zeros(2) * 1
  fails(function() buffer:set(x * 3) end, "set:", "gradient would not flow", ":keep()")
  buffer:set((x * 3):keep())
  buffer:set(rwkv.ones(2))
  rwkv.no_grad(function() (x * 2):set(x) end)
  rwkv.end_step()
  local h = rwkv.hook { kind = "recurrence", name = "writes", step = function(i, s)
    s.S:set(s.S + i.k:unsqueeze(-1) * i.v:unsqueeze(-2))
    return (i.r:unsqueeze(-2):bmm(s.S)):squeeze(-2)
  end }
  local m = rwkv.model { version = "v6", layers = 1, dim = 16, head_size = 8, vocab = 11, hooks = { recurrence = h } }
  fails(function() m:loss({ 1, 2, 3 }, { 2, 3, 4 }) end, "s.S = ..")
  rwkv.end_step()
end)

test("descent by hand, and writes between forward and forward", function()
  local p = leaf { 1, -2 }
  for _ = 1, 3 do
    (p * p):sum():backward()
    p:set(p - 0.1 * p:grad())
    p:zero_grad()
  end
  equal(p:tolist(), { 0.512, -1.024 }, 1e-6)
  local unused = (p * p):sum()
  p:set { 3, 4 }
  equal(unused:size(), 1);
  (p * p):sum():backward()
  equal(p:grad():tolist(), { 6, 8 })
  rwkv.end_step()
end)

test("what is only added, cut or moved may change", function()
  local p, data = leaf { 1, 2 }, rwkv.zeros(2)
  local l = rwkv.zeros(1)
  for i = 1, 3 do
    data:set { i, i }
    l = l + (p + data):slice(1, 2, 2)
  end
  l:sum():backward()
  equal(p:grad():tolist(), { 0, 3 })
  rwkv.end_step()
end)
