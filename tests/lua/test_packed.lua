-- Models for inference: weights kept as a file has them, or packed in memory.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local test, equal, fails = check.test, check.equal, check.fails

local tolerance = rwkv.precision == "float64" and 1e-11 or 2e-4
local tokens = { { 1, 2, 3, 4, 5, 6 }, { 6, 5, 4, 3, 2, 1 } }

local function small(version, hooks)
  local model = rwkv.model { version = version, layers = 2, dim = 32, head_size = 8, vocab = 23, head_qk = version == "v4"
    and 8 or nil, init = "uniform", seed = 1, hooks = hooks }
  local rng = rwkv.rng(99)
  for _, t in model:parameters() do
    t:set(rwkv.no_grad(function() return t + rng:tensor("normal", t:shape()) * 0.1 end))
  end
  return model
end

local function logits(model, options)
  return rwkv.no_grad(function() return (model:forward(tokens, nil, options)) end):tolist()
end

local function saved(model)
  local path = os.tmpname()
  model:save(path)
  return path
end

test("token after token: the same bits for 1, 2 and 7 threads", function()
  rwkv.backend "fast"
  local threads = rwkv.threads()
  for _, version in ipairs { "v4", "v5.2", "v6", "v7" } do
    local model = rwkv.model { version = version, layers = 2, dim = 192, head_size = 64, vocab = 1500, init = "uniform", seed = 1 }
    for _, kind in ipairs { "f32", "bf16", "f16" } do
      local packed, first = model:pack(kind), nil
      for _, n in ipairs { 1, 2, 7 } do
        rwkv.threads(n)
        local state, last = packed:state(1), nil
        for t = 1, 8 do last = rwkv.no_grad(function() return (packed:forward({ { 37 * t } }, state)) end):tolist() end
        first = first or last
        equal(last, first)
      end
    end
  end
  rwkv.threads(threads)
end)

for _, backend in ipairs { "reference", "fast" } do
  rwkv.backend(backend)
  for _, version in ipairs(rwkv.versions()) do
    test(version .. ", " .. backend .. ": packed and expanded, the same numbers give the same logits", function()
      local model = small(version)
      for _, kind in ipairs { "f32", "bf16", "f16" } do
        local packed = model:pack(kind)
        local path = saved(packed)
        local expanded, again = rwkv.load(path), rwkv.load(path, { weights = "packed" })
        os.remove(path)
        equal(again:weight_bytes(), packed:weight_bytes())
        if kind ~= "f32" then assert(packed:weight_bytes() < 0.75 * model:weight_bytes(), packed:weight_bytes()) end
        local want = logits(expanded)
        equal(logits(packed), want, tolerance)
        equal(logits(again), logits(packed))
        equal(logits(packed, { last = true })[2][1], want[2][6], tolerance)
        for name, t in packed:parameters() do
          equal(t:tolist(), expanded:param(name):tolist())
          equal(t:keep():tolist(), again:param(name):tolist())
        end
      end
    end)
  end
end

test("numbers are rounded to the nearest, of two to the even one", function()
  local model = rwkv.model { version = "v4", layers = 1, dim = 4, vocab = 2 }
  local function rounded(kind, x)
    model:param "head.weight":set { { x, -x, 0, 1 }, { 0, 0, 0, 0 } }
    local row = model:pack(kind):param "head.weight":tolist()[1]
    assert(row[2] == -row[1])
    equal(row[4], 1)
    return row[1]
  end
  for _, e in ipairs { -100, -8, 0, 3, 60 } do
    local unit = 2. ^ (e - 7)
    equal(rounded("bf16", 2. ^ e + 0.5 * unit), 2. ^ e)
    equal(rounded("bf16", 2. ^ e + 0.5078125 * unit), 2. ^ e + unit)
    equal(rounded("bf16", 2. ^ e + 1.5 * unit), 2. ^ e + 2 * unit)
  end
  for _, e in ipairs { -14, -3, 0, 15 } do
    local unit = 2. ^ (e - 10)
    equal(rounded("f16", 2. ^ e + 0.5 * unit), 2. ^ e)
    equal(rounded("f16", 2. ^ e + 0.5078125 * unit), 2. ^ e + unit)
    equal(rounded("f16", 2. ^ e + 2.5 * unit), 2. ^ e + 2 * unit)
  end
  equal(rounded("f16", 5.5 * 2. ^ -24), 6 * 2. ^ -24) -- below 2^-14 all steps are 2^-24
  equal(rounded("f16", 2. ^ -26), 0)
  equal(rounded("f16", 2. ^ -14 - 2. ^ -26), 2. ^ -14)
  equal(rounded("f16", 65519), 65504)
  assert(rounded("bf16", 1 / 0) == 1 / 0 and rounded("f16", 1 / 0) == 1 / 0)
  model:param "head.weight":set { { 0, 0, 0, 65520 }, { 0, 0, 0, 0 } }
  fails(function() model:pack "f16" end, "head.weight", "65520", "place 4", "f16")
  model:param "head.weight":set { { 0, 0, 0, 3.4e38 }, { 0, 0, 0, 0 } }
  fails(function() model:pack "bf16" end, "head.weight", "bf16")
  model:param "head.weight":set(0 / 0)
  local nan = model:pack "bf16":param "head.weight":tolist()[1][1]
  assert(nan ~= nan)
end)

test("a packed model is for inference: what else is asked of it is refused", function()
  local packed = small "v7":pack "bf16"
  local head = packed:param "head.weight"
  fails(function() head:set(1) end, "bf16", "only be read")
  fails(function() head:set(head:keep()) end, "bf16")
  fails(function() return head + 1 end, "bf16", "keep")
  fails(function() return rwkv.randn(2, 32):linear(head) end, "bf16")
  fails(function() head:requires_grad() end, "bf16")
  fails(function() return head:argmax() end, "bf16")
  equal(head:grad(), nil)
  fails(function() rwkv.adamw(packed, { lr = 1 }) end, "inference", "train")
  fails(function() packed:pack "f16" end, "packed")
  fails(function() rwkv.verify(packed, "tests/golden/v7.golden.safetensors", 1e-9) end, "inference")
  packed:zero_grad()
  local loss = packed:loss(tokens, tokens)
  assert(loss:item() == loss:item())
  fails(function() loss:backward() end, "needs a gradient")
  rwkv.end_step()
  local bias = packed:param "blocks.0.ln1.bias":requires_grad()
  fails(function() packed:loss(tokens, tokens) end, "bf16", "no gradient flows")
  bias:requires_grad(false)
  rwkv.end_step()
  fails(function() packed:pack() end, "expected")
  fails(function() small "v7":pack "f8" end, "f8")
  fails(function() rwkv.load("x", { weight = "packed" }) end, "weight", "weights")
  fails(function() rwkv.load("x", { weights = "f16" }) end, "expanded")
  fails(function() packed:forward({ 1 }, nil, { final = true }) end, "final")
  fails(function() packed:weight_bytes "x" end, "no parameter")
end)

test("the state of a packed model goes on, token by token as at once", function()
  local packed = small "v7":pack "bf16"
  rwkv.no_grad(function()
    local want, at_once = packed:forward { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20 }
    local state, row = packed:state(1), nil
    for token = 1, 20 do row = packed:forward({ token }, state) end
    equal(row:tolist()[1][1], want:tolist()[1][20], tolerance)
    for _, name in ipairs(state:names()) do equal(state:get(name):tolist(), at_once:get(name):tolist(), tolerance) end
  end)
end)

test("hooks go along", function()
  local half = rwkv.hook { kind = "decay", name = "half", params = function(d) return { w = { d.C, d.A, init = 0 } } end,
    apply = function(x, p) return -0.5 * (x:matmul(p.w)):sigmoid() end }
  local packed = small("v7", { decay = half, gate = "silu" }):pack "bf16"
  collectgarbage()
  local path = saved(packed)
  equal(logits(rwkv.load(path, { weights = "packed" })), logits(packed))
  equal(logits(rwkv.load(path)), logits(packed), tolerance)
  os.remove(path)
end)

test("a file that ends too early is refused", function()
  local path = saved(small "v4":pack "bf16")
  local file = io.open(path, "rb")
  local text = file:read "a"
  file:close()
  file = io.open(path, "wb")
  file:write(text:sub(1, -100))
  file:close()
  fails(function() rwkv.load(path, { weights = "packed" }) end, path)
  os.remove(path)
end)

local function resident()
  local file = io.open "/proc/self/status"
  local kilobytes = file and tonumber(file:read "a":match "VmRSS:%s*(%d+)")
  if file then file:close() end
  return kilobytes or 0
end

test("memory does not grow with the text", function()
  for _, version in ipairs { "v4", "v5.2", "v6", "v7" } do
    local packed = small(version):pack "bf16"
    local state, chunk = packed:state(1), {}
    for i = 1, 256 do chunk[i] = i % 23 end
    chunk = rwkv.tokens(chunk)
    local function read(times)
      for i = 1, times do
        rwkv.no_grad(function() packed:forward(chunk, state, { last = true }) end)
        rwkv.no_grad(function() packed:forward({ i % 23 }, state) end)
      end
      collectgarbage()
      return resident(), rwkv.tape_bytes()
    end
    local before, tape = read(4)
    local after, tape_after = read(40)
    equal(tape_after, tape)
    local checked = check.program:find "asan" -- the sanitizer keeps what is freed for a while
    assert(checked or after - before < 1024, ("%s: %d KB more"):format(version, after - before))
  end
end)
