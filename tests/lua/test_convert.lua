-- `aviary convert`, and files of PyTorch: what PyTorch writes is read as it was meant, what is written PyTorch reads, and all
-- formats hold the same numbers.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local test, equal, fails, shell = check.test, check.equal, check.fails, check.shell

local dir = os.tmpname()
os.remove(dir)
rwkv.mkdir(dir)
local function at(name) return dir .. "/" .. name end
local function convert(format, ...) return shell(check.program .. " convert " .. format:gsub("%%D", dir):format(...)) end

-- Names, types, shapes and numbers.
local function same(a, b, renamed)
  local x, y = rwkv.load_tensors(a), rwkv.load_tensors(b)
  for name, e in pairs(x) do
    local o = y[renamed or name] or error(("%s lacks %s"):format(b, name))
    equal({ o.dtype, o.shape }, { e.dtype, e.shape })
    equal(o.value:tolist(), e.value:tolist())
    y[renamed or name] = nil
  end
  assert(next(y) == nil, ("%s has %s, too"):format(b, next(y)))
end

local function exists(path)
  local f = io.open(path, "rb")
  return f and f:close()
end

-- ---- between formats ----

local list, whole = {}, { { 1, 2, 3 }, { -4, 5, 16777217 } }
for _, dtype in ipairs { "f64", "f32", "f16" } do
  list[#list + 1] = { name = "a." .. dtype, value = rwkv.arange(6):reshape(2, 3), dtype = dtype }
end
list[#list + 1] = { name = "tokens", value = rwkv.tokens(whole) }
list[#list + 1] = { name = "none", value = rwkv.zeros(0, 4) }
local meta = { note = "three\n\"lines\"", version = "none" }
rwkv.save_tensors(at "x.safetensors", list, meta)

test("every format holds the same, and comes back the same bytes", function()
  local endings = { ".pth", ".npz", ".pt", ".bin", ".safetensors" }
  for _, from in ipairs(endings) do
    rwkv.convert(at "x.safetensors", at("from" .. from))
    same(at "x.safetensors", at("from" .. from))
  end
  for _, from in ipairs(endings) do
    for _, to in ipairs(endings) do
      equal(rwkv.convert(at("from" .. from), at("to" .. to)), 1)
      equal(rwkv.read_file(at("to" .. to)), rwkv.read_file(at("from" .. to)))
      equal(select(2, rwkv.load_tensors(at("to" .. to))), meta)
    end
  end
  equal(rwkv.load_tensors(at "to.npz").tokens.value:tolist(), whole)
  equal(rwkv.read_file(at "to.safetensors"), rwkv.read_file(at "x.safetensors"))
end)

test("a model is saved as any of them, with its hooks", function()
  rwkv.hook { kind = "decay", name = "plain", params = function(d) return { w = { d.A } } end,
    apply = function(_, p) return -p.w:exp() end }
  local m = rwkv.model { version = "v7", layers = 1, dim = 8, head_size = 4, vocab = 5, decay_rank = 2, iclr_rank = 2,
    value_rank = 2, gate_rank = 2, hooks = { decay = "plain" } }
  for _, ending in ipairs { ".pth", ".npz", ".safetensors" } do
    m:save(at("m" .. ending))
    equal(rwkv.load(at("m" .. ending)):forward({ 1, 2, 3 }):tolist(), m:forward({ 1, 2, 3 }):tolist())
  end
end)

test("--dtype rounds floating numbers, leaves integers, and says what is too large", function()
  local out, status = convert "%D/x.safetensors %D/y.pth --dtype bf16"
  equal({ out, status }, { at "y.pth" .. "\n", 0 })
  local y = rwkv.load_tensors(at "y.pth")
  equal({ y["a.f64"].dtype, y["a.f16"].dtype, y.tokens.dtype, y.none.dtype }, { "bf16", "bf16", "i64", "bf16" })
  rwkv.save_tensors(at "large.safetensors", { { name = "x", value = rwkv.tensor { 1, 65519, 70000 } } })
  out, status = convert "%D/large.safetensors %D/small.npz --dtype f16"
  assert(status == 1 and out:find("small.npz: tensor \"x\": 70000 at place 2 is too large for F16", 1, true), out)
  assert(not exists(at "small.npz"))
end)

test("--shards writes files and an index, or nothing", function()
  local out, status = convert "%D/x.safetensors %D/s.safetensors --shards 70"
  equal({ out, status }, { at "s.safetensors" .. ".index.json and 3 files\n", 0 })
  same(at "x.safetensors", at "s.safetensors.index.json")
  equal(select(2, rwkv.load_tensors(at "s.safetensors.index.json")), meta)
  same(at "s-00003-of-00003.safetensors", at "s-00003-of-00003.safetensors")
  equal(rwkv.convert(at "s.safetensors.index.json", at "again.safetensors"), 1)
  equal(rwkv.read_file(at "again.safetensors"), rwkv.read_file(at "x.safetensors"))
  equal(rwkv.convert(at "x.safetensors", at "t.pth", { shards = 1 << 30 }), 1)
  same(at "x.safetensors", at "t.pth.index.json")
  local count = 0
  fails(function()
    rwkv.convert(at "x.safetensors", at "u.safetensors", { shards = 1, progress = function()
      count = count + 1
      if count == 3 then error "enough" end
    end })
  end, "enough")
  equal({ count, exists(at "u-00001-of-00005.safetensors"), exists(at "u.safetensors.index.json") }, { 3, nil, nil })
end)

test("progress is told how much is done", function()
  local seen = {}
  rwkv.convert(at "x.safetensors", at "p.pth", { progress = function(done, all) seen[#seen + 1] = done / all end })
  equal(seen[#seen], 1)
  for i = 2, #seen do assert(seen[i] >= seen[i - 1]) end
end)

for _, case in ipairs {
  { "", "usage: aviary convert IN OUT" }, { "%D/x.safetensors", "usage" }, { "%D/nothing %D/y", "nothing: No such file" },
  { "%D/x.safetensors %D", "is a directory, expected a file's name" }, { "%D/x.safetensors %D/no/y", "no/y", "could not be written" },
  { "%D/x.safetensors %D/y --dtype f8", "dtype 'f8', expected f64, f32, bf16 or f16" }, { "%D/x.safetensors %D/y --names x", "names 'x', expected keep, official, fla, transformers or llama.cpp" },
  { "%D/x.safetensors %D/y --shards 0", "--shards 0", "2G" }, { "%D/x.safetensors %D/y --shards 2X", "--shards 2X" },
  { "%D/y.pth %D/y.npz", "is BF16, which NumPy has no type for" },
} do
  test("convert " .. case[1] .. ": an error with exit status 1", function()
    local out, status = convert("%s", (case[1]:gsub("%%D", dir)))
    assert(status == 1, out)
    for i = 2, #case do assert(out:find(case[i], 1, true), out) end
    assert(not out:find "traceback", out)
  end)
end

test("options of rwkv.convert", function()
  fails(function() rwkv.convert(at "x.safetensors", at "y", { type = "f32" }) end, "type")
  fails(function() rwkv.convert(at "x.safetensors", at "y", { shards = 0 }) end, "expected at least 1")
  fails(function() rwkv.convert(at "x.safetensors", at "y", { progress = 3 }) end, "function")
end)

-- ---- official files ----

local golden = "../shared/golden/"
if exists(golden .. "v7.pth") then
  for _, v in ipairs { "v1", "v2", "v3", "v3_ffnpre", "v4", "v5_0", "v5_1", "v5_2", "v6_0", "v6_0a", "v6_0b", "v7" } do
    test(v .. ".pth: the official numbers", function()
      local out, status = shell(("%s verify %s%s.pth %s%s.golden.safetensors"):format(check.program, golden, v, golden, v))
      assert(status == 0, out)
    end)
  end
  test("v7 in bfloat16 and float16: what convert makes of it is bit for bit theirs", function()
    for name, dtype in pairs { bf16 = "bf16", fp16 = "f16" } do
      rwkv.convert(golden .. "v7.pth", at "v7.pth", { dtype = dtype })
      same(at "v7.pth", golden .. "v7." .. name .. ".pth")
    end
  end)
  test("cases/files/01-pth", function()
    assert(rwkv.load "../shared/cases/files/01-pth/v7.pth":config().version == "v7")
    fails(function() rwkv.load "../shared/cases/files/16-what-a-file-is/arrays.npz" end, "is a zip archive that was cut short")
  end)
else
  print "SKIPPED: official .pth files: ../shared/golden is not there"
end

-- ---- PyTorch ----

local python = "python3 tests/lua/lib/torch_files.py "
if select(2, shell "python3 -c 'import torch'") == 0 then
  test("what PyTorch writes is read", function()
    local out, status = shell(python .. "make " .. dir)
    assert(status == 0, out)
    for _, name in ipairs { "state", "protocol3", "protocol4", "protocol5", "parameters", "views", "types", "checkpoint" } do
      same(at(name .. ".plain.pth"), at(name .. ".pth"))
    end
    equal(rwkv.load_tensors(at "alone.pth").alone.value:tolist(), { 0, 1, 2 })
  end)
  test("what it writes and nobody can read is refused by its name", function()
    for name, says in pairs { module = "`__main__.", complex = "\"c\" is of torch.ComplexFloatStorage", sparse = "\"s\" is made by",
      expanded = "\"x\" has 100 elements", legacy = "before 1.6", script = "TorchScript" } do
      fails(function() rwkv.load_tensors(at(name .. ".pth")) end, name .. ".pth: ", says)
    end
  end)
  test("what convert writes PyTorch loads, with weights_only", function()
    for _, name in ipairs { "views", "types", "checkpoint" } do
      rwkv.convert(at(name .. ".pth"), at "by_us.pth")
      local out, status = shell(python .. ("same %s %s"):format(at(name .. ".plain.pth"), at "by_us.pth"))
      assert(status == 0, out)
    end
  end)
else
  print "SKIPPED: files that PyTorch writes: python3 has no torch"
end

os.execute("rm -r " .. dir)
