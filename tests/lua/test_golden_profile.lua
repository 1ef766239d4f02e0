-- The profiles of golden packs are what the official inference code computes: tests/golden/runtime.safetensors has the logits
-- of the pip package `rwkv` on the CPU (runtime.py beside it made them).
local rwkv = require "rwkv"
if rwkv.precision ~= "float64" then return end -- as test_golden.lua
local profile = require "rwkv.golden.profile"
local check = require "tests.lua.lib.check"
local test = check.test

local function rms(x) return math.sqrt(rwkv.no_grad(function() return x:square():mean() end):item()) end
local function same(a, b)
  local x, y, n = a:tolist(), b:tolist(), 0
  for i = 1, #x do n = n + (x[i] == y[i] and 1 or 0) end
  return n / #x
end

local runtime = rwkv.load_tensors "tests/golden/runtime.safetensors"

-- version, file, part of the bfloat16 logits that must be the same bits; sums in another order may turn a rounding, and what
-- comes after it
for _, case in ipairs { { "v4", "v4", 1 }, { "v5.0", "v5_0", 1 }, { "v5.1", "v5_1", 0.5 }, { "v5.2", "v5_2", 1 },
  { "v6", "v6_0", 1 }, { "v7", "v7", 0.999 } } do
  local version, name, part = table.unpack(case)
  local model = rwkv.load(("tests/golden/%s.weights.safetensors"):format(name))
  local numbers, row = rwkv.load_tensors(("tests/golden/%s.golden.safetensors"):format(name)).tokens.value:tolist()[1], {}
  for i, id in ipairs(numbers) do row[i] = math.tointeger(id) end
  local truth = rwkv.no_grad(function() return model:forward { row }:reshape(-1):keep() end)
  local function compare(format)
    local ours, theirs = profile.run(model, { row }, format).logits:reshape(-1), runtime[version .. "." .. format].value:reshape(-1)
    return rms(ours - truth), rms(theirs - truth), rms(ours - theirs), same(ours, theirs)
  end

  test(version .. ": bfloat16 is that of the official runtime, bit for bit", function()
    local ours, theirs, apart, equal_part = compare "bf16"
    assert(equal_part >= part, equal_part)
    assert(math.abs(ours / theirs - 1) < 0.05 and apart < 0.3 * theirs, ("%g %g %g"):format(ours, theirs, apart))
  end)

  test(version .. ": float16 has the errors of the official runtime", function()
    local ours, theirs, apart = compare "fp16"
    assert(math.abs(ours / theirs - 1) < 0.05 and apart < 0.7 * theirs, ("%g %g %g"):format(ours, theirs, apart))
  end)

  test(version .. ": float32 has the errors of the official runtime, or down to a third of them, as its sums are exact", function()
    local ours, theirs = compare "f32"
    assert(ours < theirs and theirs < 3 * ours, ("%g %g"):format(ours, theirs))
  end)
end
