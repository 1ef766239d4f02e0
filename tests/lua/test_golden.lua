-- `aviary golden make` and `diff`: packs are the same bytes everywhere and agree with the official numbers; every way to
-- give numbers is read, and what is wrong with a file is said.
local rwkv = require "rwkv"
if rwkv.precision ~= "float64" then return end -- the command computes in float64, whichever program is asked
local check = require "tests.lua.lib.check"
local numpy = require "tests.lua.lib.numpy"
local test, equal, shell = check.test, check.equal, check.shell

local dir = os.tmpname()
os.remove(dir)
rwkv.mkdir(dir)
local function golden(format, ...)
  return shell(check.program .. " golden " .. format:gsub("%%D", dir):format(...))
end
local function make(...)
  local out, status = golden("make " .. ...)
  assert(status == 0, out)
  return out
end
local has = check.has
local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

-- ---- packs ----

-- sha256 of the small packs that `make golden` writes. They change when a pack gets other contents; they must not change from
-- machine to machine.
local sums = {
  ["v1"] = "26833a00d2ccb2d1cc3d3decc0a2aab198fbad0e73abe057524f552e4137745f",
  ["v2"] = "844af2791aa36de178417159b95b8033349fb54f390474d5ef1a68c5494b5237",
  ["v3"] = "d1a05578c6e2d57d9f812c7db4bfbbf3f7974f2bd737340d519b4f3b4aeec2f1",
  ["v4"] = "788513dd52cc86a164983f80c51e1defffde005a4a5de233123cd08aedcc3f2d",
  ["v5.0"] = "d855f41db7f1f157fb12fd7a75ef3fba5016ac2609bb5df1f4b7c87d5ac18621",
  ["v5.1"] = "98e1ba5a063fb776093c12e5cc9a86eb12943b8dc4c31f411783964efb815e2b",
  ["v5.2"] = "0a00a6e74f1a22a4dbd6bcd3b696fb14d1df2c4e505cb6c1957ab09104507f75",
  ["v6"] = "76ab3f0e90f3ae131ef85d796d2043426dd2fc497515150474a913632008e250",
  ["v7"] = "0a1a93a17020b43b0f6a4087efa3e0043c1dcf0317fc09dcac4c01234ecfe6a4",
}

local versions = { "v1", "v2", "v3", "v4", "v5.0", "v5.1", "v5.2", "v6", "v7" }
for _, version in ipairs(versions) do
  test(version .. ": the pack is small, and the same bytes with any number of threads and everywhere", function()
    make(("%s %%D/one.safetensors"):format(version))
    local bytes = read(dir .. "/one.safetensors")
    assert(#bytes < 1100000, #bytes)
    local out, status = shell(("%s --threads 3 golden make %s %s/three.safetensors"):format(check.program, version, dir))
    assert(status == 0, out)
    assert(read(dir .. "/three.safetensors") == bytes)
    local sum = shell(("sha256sum %s/one.safetensors"):format(dir)):match "%x+"
    if sum ~= sums[version] then error(("the bytes of the pack have changed: %s = \"%s\""):format(version, sum)) end
  end)
end

test("a pack says how much every parameter matters, and a weak one is refused", function()
  make "v6 %D/p.safetensors"
  local _, meta = rwkv.load_tensors(dir .. "/p.safetensors")
  local n = 0
  for name, scaled, stirred in meta.sensitivity:gmatch '"([^"]+)": %[(%S+), ([^%]]+)%]' do
    assert(tonumber(scaled) >= 1e-4 and tonumber(stirred) >= 1e-4, name)
    n = n + 1
  end
  local parameters = 0
  for _ in rwkv.model { version = "v6", layers = 3, dim = 24, head_size = 12, vocab = 23 }:parameters() do
    parameters = parameters + 1
  end
  equal(n, parameters)
  local weights = {}
  for name, p in rwkv.model { version = "v6", layers = 2, dim = 8, head_size = 4, vocab = 5, seed = 1 }:parameters() do
    weights[#weights + 1] = { name = name, value = p, dtype = "f32" }
  end
  rwkv.save_tensors(dir .. "/weak.safetensors", weights)
  local out, status = golden "make --weights %D/weak.safetensors %D/never.safetensors"
  equal(status, 2)
  has(out, "this pack would be weak", "1e-04")
  assert(not io.open(dir .. "/never.safetensors"))
  make "--weights %D/weak.safetensors --allow-weak %D/allowed.safetensors"
end)

-- ---- against the official numbers ----

local function official(weights, numbers)
  make(("--weights %s --tokens %s --allow-weak %%D/official.safetensors"):format(weights, numbers))
  return golden("diff %D/official.safetensors %s", numbers)
end

local found = 0
for weights in shell "ls tests/golden/*.weights.safetensors":gmatch "%S+" do
  local name = weights:match "([^/]+)%.weights"
  for _, kind in ipairs { "golden", "golden_b2" } do
    local numbers = ("tests/golden/%s.%s.safetensors"):format(name, kind)
    if not (name == "v7" and kind == "golden") then
      test(("%s.%s: official values and gradients agree to 1e-10"):format(name, kind), function()
        local out, status = official(weights, numbers)
        assert(status == 0, out)
        has(out, "all agree")
        local compared = tonumber(out:match "(%d+) tensors compared")
        assert(compared >= 50, out)
        found = found + compared
      end)
    end
  end
end
test("the official inference code of RWKV-7 rounds a constant: found out; all else agrees to 1e-10", function()
  local out, status = official("tests/golden/v7.weights.safetensors", "tests/golden/v7.golden.safetensors")
  equal(status, 1)
  has(out, "[decay-constant]", "0.606531")
  out, status = golden "diff %D/official.safetensors tests/golden/v7.golden.safetensors --skip logits_rnn,state"
  assert(status == 0, out)
  assert(tonumber(out:match "(%d+) tensors compared") >= 50, out)
  assert(found > 1500, found)
end)

for _, format in ipairs { "bf16", "fp16" } do
  test("weights that were rounded to " .. format .. " are within its tolerances, and not within those of float32", function()
    make(("--weights tests/golden/v7.weights.safetensors --tokens tests/golden/v7.golden.safetensors --allow-weak --profile %s "
      .. "%%D/half.safetensors"):format(format))
    local numbers = ("tests/golden/v7.%s.golden.safetensors"):format(format)
    local out, status = golden("diff %D/half.safetensors %s --profile %s", numbers, format)
    assert(status == 0, out)
    out, status = golden("diff %D/half.safetensors %s --profile f32", numbers)
    equal(status, 1)
    assert(not out:find("in " .. format, 1, true), out) -- they are not stored in it: nobody can know
    local tensors, meta = rwkv.load_tensors(dir .. "/half.safetensors")
    equal(tensors[format .. ".logits"].shape, tensors.logits.shape)
    local dtype = format == "fp16" and "f16" or format
    rwkv.save_tensors(dir .. "/stored.safetensors", { { name = "logits", value = tensors[format .. ".logits"].value, dtype = dtype } })
    out, status = golden "diff %D/half.safetensors %D/stored.safetensors --profile f32 --no-causes"
    equal(status, 1)
    has(out, ("stored in %s and within what that would cost; in float32 it is a mistake"):format(dtype))
    local worst, rms = meta["error." .. format]:match '"logits": %[(%S+), ([^%]]+)%]'
    assert(tonumber(worst) > 1e-4 and tonumber(rms) < tonumber(worst))
  end)
end

local tiny = "../shared/data/tiny/tiny-rwkv-5v1-730K"
if io.open(tiny .. ".safetensors") then
  test("a real RWKV-5 in a port that is known for its eps", function()
    make(("--weights %s.safetensors --tokens %s.expected.safetensors:tokens_long --allow-weak --no-trace %%D/tiny.safetensors")
      :format(tiny, tiny))
    local out, status = golden("diff %D/tiny.safetensors %s.expected.safetensors --rename rwkvcpp_logits_long_f32=logits "
      .. "--only rwkvcpp", tiny)
    equal(status, 1)
    has(out, "cause: group-norm eps 1e-5 instead of 64e-5")
    assert(not out:find "do not tell these apart", out)
  end)
else
  print "SKIPPED: ../shared/data/tiny is not there"
end

-- ---- files of others ----

make "v7 --layers 2 --dim 16 --vocab 17 --len 12 %D/v7.safetensors"
local pack = rwkv.load_tensors(dir .. "/v7.safetensors")
local logits = pack.logits.value:reshape(-1):tolist()
local shape = { 12, 17 } -- without the batch of one

local function diff(path, options) return golden("diff %D/v7.safetensors %D/%s %s", path, options or "") end
local function put(name, bytes) rwkv.write_file(dir .. "/" .. name, bytes) end

test("NumPy's files: float64, float32, float16, big-endian, column by column, archives", function()
  put("logits.npy", numpy.npy(logits, shape))
  local out, status = diff("logits.npy", "--tol 1e-15")
  assert(status == 0, out)
  has(out, "1 tensors compared", "all agree")
  put("logits.npy", numpy.npy(logits, shape, { kind = ">f8" }))
  equal(select(2, diff("logits.npy", "--tol 1e-15")), 0)
  put("logits.npy", numpy.npy(logits, shape, { kind = "<f4" }))
  equal(select(2, diff "logits.npy"), 0)
  local columns = {}
  for c = 1, 17 do for r = 1, 12 do columns[#columns + 1] = logits[(r - 1) * 17 + c] end end
  put("logits.npy", numpy.npy(columns, shape, { fortran = true }))
  equal(select(2, diff("logits.npy", "--tol 1e-15")), 0)
  local rounded = rwkv.no_grad(function() return pack.logits.value:reshape(-1):round "f16":tolist() end)
  put("logits.npy", numpy.npy(rounded, shape, { kind = "<f2" }))
  out, status = diff("logits.npy", "--profile fp16")
  assert(status == 0, out)
  local x = pack["trace.blocks.1.out.x"]
  put("all.npz", numpy.npz { { "logits", numpy.npy(logits, shape) },
    { "blocks.1.out.x", numpy.npy(x.value:reshape(-1):tolist(), x.shape) } })
  out, status = diff("all.npz", "--tol 1e-15")
  assert(status == 0, out)
  has(out, "2 tensors compared")
end)

test("the first number that is off: layer, position, index, found and expected; how the error grows", function()
  local x = pack["trace.blocks.1.att.out"]
  local list = x.value:reshape(-1):tolist()
  list[7 * 16 + 4] = list[7 * 16 + 4] + 0.25
  local off = { table.unpack(logits) }
  off[9 * 17 + 1] = off[9 * 17 + 1] + 0.5
  put("all.npz", numpy.npz { { "logits", numpy.npy(off, shape) }, { "blocks.1.att.out", numpy.npy(list, x.shape) } })
  local out, status = diff "all.npz"
  equal(status, 1)
  has(out, "2 of 2 are off", "blocks.1.att.out: layer 1, position 7, index [3]", ("expected %.9g"):format(list[7 * 16 + 4] - 0.25),
    "the error after it", "cause: none of the known mistakes")
end)

test("the last position alone, another name, some names, NaN, another shape", function()
  put("last.npz", numpy.npz { { "y", numpy.npy({ table.unpack(logits, 11 * 17 + 1) }, { 17 }) },
    { "blocks.0.att.x", numpy.npy({ 1, 2, 3 }, { 3 }) } })
  local out, status = diff("last.npz", "--rename y=logits --skip att")
  assert(status == 0, out)
  has(out, "the last position only")
  out, status = diff("last.npz", "--rename y=logits")
  equal(status, 1)
  has(out, "blocks.0.att.x has shape [3], expected [1,12,16]")
  equal(select(2, diff("last.npz", "--rename y=logits --only y")), 0)
  logits[5] = 0 / 0
  put("logits.npy", numpy.npy(logits, shape))
  out, status = diff "logits.npy"
  equal(status, 1)
  has(out, "logits: position 0, index [4]: found", "nan")
  logits[5] = pack.logits.value:reshape(-1):tolist()[5]
end)

test("weights alone are no numbers of another implementation", function()
  local map, list = rwkv.load_tensors(dir .. "/v7.safetensors"), {}
  for name, e in pairs(map) do
    if name:find "^blocks" then list[#list + 1] = { name = name, value = e.value, shape = e.shape } end
  end
  rwkv.save_tensors(dir .. "/weights.safetensors", list)
  local out, status = diff "weights.safetensors"
  has(out, "nothing that was computed")
  equal(status, 2)
end)

test("numbers under another shape are not compared", function()
  put("logits.npy", numpy.npy(logits, { 17, 12 }))
  local out, status = diff "logits.npy"
  equal(status, 1)
  has(out, "logits has shape [17,12], expected [1,12,17]")
  put("logits.npy", numpy.npy(logits, { 12, 1, 17 })) -- axes of size 1 are nothing
  equal(select(2, diff "logits.npy"), 0)
end)

test("logits without a known cause: what to write to see where", function()
  local off = { table.unpack(logits) }
  for i = 1, #off do off[i] = off[i] + 0.1 * (i % 5) end
  put("logits.npy", numpy.npy(off, shape))
  local out, status = diff "logits.npy"
  equal(status, 1)
  has(out, "none of the known mistakes", "write trace.* to see where")
  local x = pack["trace.ln_out.y"]
  put("all.npz", numpy.npz { { "logits", numpy.npy(off, shape) },
    { "ln_out.y", numpy.npy(x.value:reshape(-1):tolist(), x.shape) } })
  assert(not diff "all.npz":find "write trace")
end)

test("a pack opens as the model in it", function()
  for _, version in ipairs(versions) do
    make(("%s --layers 2 --dim 16 --vocab 17 --len 12 --allow-weak --no-gradients %%D/p.safetensors"):format(version))
    local path = dir .. "/p.safetensors"
    local about, tensors, model = rwkv.info(path), rwkv.load_tensors(path), rwkv.load(path)
    equal({ about.config.version, model:config().version, about.pack.format }, { version, version, 1 })
    equal({ about.pack.tokens, about.pack.logits, about.pack.grad or 0 }, { { 1, 12 }, true, 0 })
    local again = rwkv.no_grad(function()
      return (model:forward(tensors.tokens.value:tolist()) - tensors.logits.value):abs():max():item()
    end)
    assert(again < 1e-3, again)
  end
  local out = shell(("%s info %s/p.safetensors"):format(check.program, dir))
  has(out, "RWKV-7", "golden pack", "format 1, tokens [1,12]: logits, ", " intermediates", "; without gradients")
end)

test("a pack without its weights is no model, and says whose it has", function()
  local model = rwkv.model { version = "v7", layers = 1, dim = 16, head_size = 8, vocab = 17 }
  model:save(dir .. "/released.safetensors")
  make "--weights %D/released.safetensors --no-weights --no-sensitivity --no-gradients %D/p.safetensors"
  local ok, message = pcall(rwkv.load, dir .. "/p.safetensors")
  assert(not ok)
  has(message, "p.safetensors: a golden pack without its weights: they are those of released.safetensors")
end)

test("a file of another version is named before anything is compared", function()
  make "v6 --layers 2 --dim 16 --vocab 17 --len 12 --no-gradients %D/v6.safetensors"
  local out, status = golden "diff %D/v6.safetensors %D/v7.safetensors"
  equal(status, 2)
  has(out, "v7.safetensors: expected numbers of v6, as in ", "found a file of v7 (its metadata)")
  local list = {}
  for name, e in pairs(rwkv.load_tensors(dir .. "/v7.safetensors")) do
    if name:find "^blocks%.[01]%.att" or name == "logits" then list[#list + 1] = { name = name, value = e.value, shape = e.shape } end
  end
  rwkv.save_tensors(dir .. "/theirs.npz", list)
  out, status = golden "diff %D/v6.safetensors %D/theirs.npz"
  equal(status, 2)
  has(out, "found a file of v7 (the names of its weights)")
end)

test("where the pack cannot be written is known before anything is computed", function()
  local began = os.clock()
  local out, status = golden "make v7 --layers 12 --dim 768 --vocab 65536 %D/nowhere/p.safetensors"
  equal(status, 2)
  has(out, "nowhere/p.safetensors: No such file or directory")
  assert(os.clock() - began < 1)
  out, status = golden "make v7 %D"
  equal(status, 2)
  has(out, "Is a directory")
end)

test("TAP and JUnit, for other projects' tests", function()
  local off = { table.unpack(logits) }
  off[3] = off[3] + 1
  local x = pack["trace.ln_out.y"]
  put("all.npz", numpy.npz { { "logits", numpy.npy(off, shape) },
    { "ln_out.y", numpy.npy(x.value:reshape(-1):tolist(), x.shape) } })
  local out, status = diff("all.npz", "--tap - --no-causes")
  equal(status, 1)
  local lines = {}
  for line in out:gmatch "[^\n]+" do lines[#lines + 1] = line end
  equal({ lines[1], lines[2], lines[3], lines[4] }, { "TAP version 13", "1..2", "ok 1 - ln_out.y", "not ok 2 - logits" })
  has(lines[6], "message: 'logits: position 0, index [2]: found")
  out, status = golden "diff %D/v7.safetensors %D/all.npz --junit %D/junit.xml --no-causes"
  equal(status, 1)
  has(out, "1 of 2 are off")
  local xml = read(dir .. "/junit.xml")
  has(xml, '<?xml version="1.0" encoding="UTF-8"?>', '<testsuite name="golden v7" tests="2" failures="1"',
    '<testcase classname="trace" name="ln_out.y"/>', '<testcase classname="logits" name="logits"><failure message="')
  local opened, closed = select(2, xml:gsub("<testcase", "")), select(2, xml:gsub("</testcase>", ""))
  equal({ opened, closed, xml:match "</testsuite>\n$" ~= nil }, { 2, 1, true })
end)

test("a damaged pack is named, with what is wrong with it", function()
  local tensors, meta, names = rwkv.load_tensors(dir .. "/v7.safetensors")
  put("logits.npy", numpy.npy(logits, shape))
  local ids = tensors.tokens.value:tolist()[1]
  local function with(i, id)
    local list = { table.unpack(ids) }
    list[i] = id
    return rwkv.tensor { list }
  end
  for _, case in ipairs {
    { { ["config.dim"] = "0" }, {}, "dim 0" }, { { ["config.dim"] = "x" }, {}, "its config.dim is 'x'" },
    { { ["config.version"] = "v99" }, {}, "v99" }, { { ["config.colour"] = "3" }, {}, "colour" },
    { { ["error.f32"] = '{"logits": [1, x]}' }, {}, "its error.f32 is" }, { { ["error.f32"] = '{"logits": 1}' }, {}, "two numbers" },
    { {}, { tokens = with(3, 17) }, "tokens hold 17.0, expected whole numbers below the vocabulary's 17" },
    { {}, { tokens = with(3, -1) }, "tokens hold -1.0" }, { {}, { tokens = with(3, 1.5) }, "tokens hold 1.5" },
    { {}, { tokens = with(3, 0 / 0) }, "tokens hold" }, { {}, { targets = with(3, 1e18) }, "targets hold 1e+18" },
    { {}, { tokens = rwkv.tensor(1) }, "tokens of shape []" }, { {}, { tokens = rwkv.zeros(1, 0) }, "tokens of shape [1,0]" },
    { {}, { tokens = rwkv.zeros(1, 2, 3) }, "tokens of shape [1,2,3]" }, { {}, { targets = rwkv.zeros(5) }, "targets of [1,5]" },
    { {}, { tokens = false }, "no tokens" },
  } do
    local texts, list = {}, {}
    for key, text in pairs(meta) do texts[key] = text end
    for key, text in pairs(case[1]) do texts[key] = text end
    for _, name in ipairs(names) do
      local e = { name = name, value = tensors[name].value, shape = tensors[name].shape, dtype = tensors[name].dtype }
      if case[2][name] ~= nil then e = { name = name, value = case[2][name] } end
      if e.value then list[#list + 1] = e end
    end
    rwkv.save_tensors(dir .. "/damaged.safetensors", list, texts)
    local out, status = golden "diff %D/damaged.safetensors %D/logits.npy --no-causes"
    equal(status, 2)
    has(out, "golden diff: " .. dir .. "/damaged.safetensors: ", case[3])
    if case[2].tokens then
      out, status = golden "make v7 --vocab 17 --tokens %D/damaged.safetensors %D/x"
      equal(status, 2)
      has(out, "golden make: " .. dir .. "/damaged.safetensors: ", case[3])
    end
  end
end)

test("weights with hooks have no profiles, and errors may be infinite", function()
  rwkv.model { version = "v7", layers = 1, dim = 8, head_size = 8, vocab = 5, hooks = { gate = "silu" } }:save(dir .. "/hooked.safetensors")
  make "--weights %D/hooked.safetensors --allow-weak %D/hooked.pack.safetensors"
  local _, meta = rwkv.load_tensors(dir .. "/hooked.pack.safetensors")
  equal({ meta["error.f32"], meta["config.hooks"] }, {})
  local map = require("rwkv.golden.pack").from_json('{"a": [inf, 1e-3]}')
  assert(map.a[1] == math.huge and map.a[2] == 1e-3)
end)

-- ---- what is wrong with a command ----

for _, case in ipairs {
  { "", "usage: aviary golden make|diff" }, { "mend", "usage: aviary golden make|diff" },
  { "make", "usage: aviary golden make VERSION" }, { "make v8 %D/x", "v8" }, { "make v7 --dim x %D/x", "--dim" },
  { "make v7 --dtype f8 %D/x", "f8" }, { "make v7 --dim 25 %D/x", "25" }, { "make v2 --profile bf16 %D/x", "--profile bf16", "f32" },
  { "make --weights %D/none %D/x", "none" }, { "make v7 --tokens %D/v7.safetensors:nothing %D/x", "nothing" },
  { "make v7 %D/no/such/place", "no/such/place" },
  { "diff %D/v7.safetensors", "usage: aviary golden diff" }, { "diff %D/none %D/v7.safetensors", "none" },
  { "diff tests/golden/v7.weights.safetensors %D/v7.safetensors", "not a golden pack" },
  { "diff %D/v7.safetensors %D/bad.npy", "bad.npy", "safetensors" }, { "diff %D/v7.safetensors %D/complex.npy", "c16" },
  { "diff %D/v7.safetensors %D/short.npy", "3 elements of F64" }, { "diff %D/v7.safetensors %D/bad.npz", "bad.npz" },
  { "diff %D/v7.safetensors %D/other.npy", "no tensor under a name of the pack", "other" },
  { "diff %D/v7.safetensors %D/logits.npy --rename logits", "THEIRS=OURS" },
  { "diff %D/v7.safetensors %D/logits.npy --rename logits=nothing", "nothing" },
  { "diff %D/v7.safetensors %D/logits.npy --profile f8", "f8", "bf16" },
} do
  test("golden " .. case[1] .. ": an error with exit status 2", function()
    put("bad.npy", "no numbers")
    put("bad.npz", "no archive")
    put("other.npy", numpy.npy({ 1 }, { 1 }))
    put("complex.npy", numpy.npy({ 1 }, { 1 }, { kind = "<c16" }))
    put("short.npy", numpy.npy({ 1 }, { 3 }))
    put("logits.npy", numpy.npy(logits, shape))
    local out, status = golden("%s", (case[1]:gsub("%%D", dir)))
    assert(status == 2, out)
    has(out, table.unpack(case, 2))
    assert(not out:find "traceback", out)
  end)
end

os.execute("rm -r " .. dir)
