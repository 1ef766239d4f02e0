-- Tensors in safetensors files: what is written comes back, byte for byte the same each time.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local test, equal, fails = check.test, check.equal, check.fails

local path = os.tmpname()

local function bytes()
  local file <close> = io.open(path, "rb")
  return file:read "a"
end

local numbers = rwkv.tensor { { 1, -2.5, 0.125 }, { 0, 65504, -7 } }

test("every dtype: numbers, shapes, dtypes and the order come back", function()
  local list = { { name = "z", value = rwkv.tensor(3.25) }, { name = "tokens", value = rwkv.tokens { { 1, 2 }, { 3, 4 } } } }
  for _, dtype in ipairs { "f64", "f32", "bf16", "f16", "i64" } do
    list[#list + 1] = { name = "n." .. dtype, value = dtype == "i64" and rwkv.tensor { 3, -4 } or numbers, dtype = dtype }
  end
  list[#list + 1] = { name = "wide", value = rwkv.arange(6), shape = { 1, 1, 3, 1, 2 } }
  list[#list + 1] = { name = "a.empty", value = rwkv.zeros(2, 0) }
  rwkv.save_tensors(path, list, { version = "v7", b = "2", a = "1" })
  local map, meta, names = rwkv.load_tensors(path)
  equal(names, { "z", "tokens", "n.f64", "n.f32", "n.bf16", "n.f16", "n.i64", "wide", "a.empty" })
  equal(meta.version .. meta.a .. meta.b, "v712")
  equal(map.z.value:item(), 3.25)
  equal(map.z.shape, {})
  equal(map.z.dtype, rwkv.precision == "float64" and "f64" or "f32")
  equal(map.tokens.value:tolist(), { { 1, 2 }, { 3, 4 } })
  equal(map.tokens.dtype, "i64")
  for _, dtype in ipairs { "f64", "f32", "f16" } do equal(map["n." .. dtype].value:tolist(), numbers:tolist()) end
  equal(map["n.bf16"].value:tolist()[2], { 0, 65536, -7 })
  equal(map["n.i64"].value:tolist(), { { 3, -4 } })
  equal(map.wide.shape, { 1, 1, 3, 1, 2 })
  equal(map.wide.value:tolist(), { 0, 1, 2, 3, 4, 5 })
  equal(map["a.empty"].shape, { 2, 0 })
end)

test("the same tensors give the same bytes", function()
  local function write()
    rwkv.save_tensors(path, { { name = "b", value = numbers }, { name = "a", value = numbers, dtype = "f16" } },
      { y = "1", x = "2", z = "3", w = "4" })
    return bytes()
  end
  local first = write()
  for _ = 1, 5 do assert(write() == first) end
  assert(first:find('"__metadata__":{"w":"4","x":"2","y":"1","z":"3"},"b"', 1, true), first)
end)

test("float64 keeps all digits", function()
  local x = rwkv.tensor { 1 / 3 }
  rwkv.save_tensors(path, { { name = "x", value = x, dtype = "f64" } })
  local map, meta = rwkv.load_tensors(path)
  equal(map.x.value:item(), x:item())
  equal(next(meta), nil)
end)

test("a model's file is such a file, and an official one can be read", function()
  local map, meta = rwkv.load_tensors "tests/golden/v7.weights.safetensors"
  local model = rwkv.load "tests/golden/v7.weights.safetensors"
  for name, t in model:parameters() do equal(map[name].value:tolist(), t:tolist()) end
  equal(meta.version, "v7")
end)

test("rounding to a format is what a file does", function()
  local x = rwkv.concat({ rwkv.rng(1):tensor("normal", 500) * 100, rwkv.rng(2):tensor("normal", 500) * 1e-4 }, 1):keep()
  for _, dtype in ipairs { "f64", "f32", "bf16", "f16" } do
    rwkv.save_tensors(path, { { name = "x", value = x, dtype = dtype } })
    equal(x:round(dtype):tolist(), rwkv.load_tensors(path).x.value:tolist())
  end
  local inf = math.huge
  local large = rwkv.tensor { 65519, 65520, -1e6, -inf, 3 }:round "f16":tolist()
  assert(large[1] == 65504 and large[2] == inf and large[3] == -inf and large[4] == -inf and large[5] == 3)
  assert(rwkv.tensor { 3.4e38, 1 }:round "bf16":tolist()[1] == inf)
  fails(function() x:round "f8" end, "f8", "bf16")
  fails(function() x:round "i64" end, "i64")
end)

test("what does not fit is named", function()
  local function save(entry, meta) return function() rwkv.save_tensors(path, { entry }, meta) end end
  rwkv.save_tensors(path, {})
  local before = bytes()
  fails(save { name = "x", value = 3 }, "\"x\" is a number", "tensor")
  fails(save { value = numbers }, "entry 1", "name")
  fails(save(7), "entry 1 is a number")
  fails(save { name = "x", value = numbers, dtype = "f8" }, "f8", "bf16")
  fails(save { name = "x", value = rwkv.tokens { 1 }, dtype = "f32" }, "i64")
  fails(save { name = "x", value = numbers, dtype = "i64" }, "-2.5", "i64")
  fails(save { name = "x", value = rwkv.tensor { 1e6 }, dtype = "f16" }, "f16")
  fails(save { name = "x", value = numbers, shape = { 4 } }, "for 4 numbers", "6")
  fails(save { name = "x", value = numbers, shape = { -2, -3 } }, "-2")
  fails(save { name = "x", value = numbers, type = "f64" }, "'type'", "dtype")
  fails(save({ name = "x", value = numbers }, { n = {} }), "meta")
  fails(function() rwkv.save_tensors(path, { { name = "x", value = numbers }, { name = "x", value = numbers } }) end, "twice")
  fails(function() rwkv.save_tensors("/nonexistent/x", {}) end, "/nonexistent/x")
  fails(function() rwkv.load_tensors "/nonexistent/x" end, "/nonexistent/x")
  fails(function() rwkv.load_tensors "Makefile" end, "Makefile")
  assert(bytes() == before, "a failure leaves the old file")
end)

os.remove(path)
