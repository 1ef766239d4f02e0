-- Every kind of call, with ever more memory left until it works; test_sandbox.lua runs this with little memory.
-- A call that fails must give back all it took: what it keeps is a leak to the sanitizers.
local rwkv = require "rwkv"
local path = arg[1] .. "/starving"
local m = rwkv.model { version = "v7", layers = 2, dim = 8, head_size = 4, vocab = 5 }
local official = rwkv.load "tests/golden/v1.weights.safetensors"
local o, s = rwkv.adamw(m, {}), m:state(2)
local tokens = rwkv.tokens { { 1, 2, 3 }, { 2, 3, 4 } }
m:save(path, { optimizer = o })

local calls = {
  function() return rwkv.model { version = "v4", layers = 3, dim = 8, vocab = 5 } end,
  function() return rwkv.adamw(m, {}) end,
  function() return m:state(3) end,
  function() return s:copy() end,
  function()
    rwkv.end_step()
    m:loss(tokens, tokens, { state = s }):backward()
  end,
  function() -- the history of v1 grows, and is saved when the step ends
    rwkv.end_step()
    local _, history = official:forward { 1, 2, 3 }
    rwkv.end_step()
    local _ = rwkv.ones(1) * 2
    return history:copy()
  end,
  function() return m:save(path, { optimizer = o, meta = { a = 5.5, b = "text" } }) end,
  function() return rwkv.load(path) end,
  function() return o:restore(path) end,
  function() return rwkv.verify(official, "tests/golden/v1.golden.safetensors", 1) end,
  function() return rwkv.tensor { { 1, 2 }, { 3, 4 } }:requires_grad() end,
  function() return rwkv.ones(10, 10):tolist() end,
  function() return rwkv.ones(10, 10):argmax() end,
  function() return rwkv.concat({ rwkv.ones(10), rwkv.ones(20) }, 1) end,
  function() return rwkv.no_grad(function() return rwkv.ones(1000), tostring(rwkv.ones(9)) end) end,
  function() return m:config(), s:names(), s:get "0.att_kv" end,
  function() return rwkv.describe { version = "v6", layers = 1, dim = 64, vocab = 9 } end,
  function() return rwkv.write_file(path .. "2", ("x"):rep(100)) end,
  function() return rwkv.rng(1):tensor("normal", 50), rwkv.rng(1):shuffle { 1, 2, 3 } end,
  function() return rwkv.rng(1):distinct(3, 1, 90), rwkv.rng(1):order { 1, 2, 3 } end,
}

local ballast = {}
for i = 1, 400 do ballast[i] = false end

local function drop(from)
  for i = from, #ballast do ballast[i] = false end
  collectgarbage()
end

-- Takes all memory but a few bytes, in pieces that become smaller; returns how many.
local function fill()
  local count, size = 0, 1 << 18
  while size >= 4 do
    local ok, x = pcall(rwkv.zeros, size)
    if ok then
      count = count + 1
      ballast[count] = x
    else
      size = size // 2
      collectgarbage()
    end
  end
  return count
end

for n, call in ipairs(calls) do
  local worked, message = 0, nil
  for left = 0, 120 do
    local count = fill()
    drop(math.max(1, count - left))
    local ok, result = pcall(call)
    drop(1)
    if ok then worked = worked + 1 else message = result end
    if worked == 4 then break end
  end
  assert(worked == 4, ("call %d does not work: %s"):format(n, message))
end
print "fine"
