-- Damaged files for every reader: each reads it, or fails with an error that names the file and says what is wrong.
--   aviary --output . --max-memory 512M fuzz_files.lua SEED FIRST LAST [show]
-- damages files FIRST..LAST of a seed, in the working directory; `show` prints what every reader said. tests/fuzz.sh does it
-- again and again.
local rwkv = require "rwkv"
local damage = require "tests.lua.lib.damage"
local diff = require "rwkv.golden.diff"
local make = require "rwkv.golden.make"
local numpy = require "tests.lua.lib.numpy"
local pack = require "rwkv.golden.pack"
local rename = require "rwkv.golden.rename"
local tsv = require "rwkv.tsv"
local seed, first, last, show = math.tointeger(arg[1]), math.tointeger(arg[2]), math.tointeger(arg[3]), arg[4]

-- ---- whole files: { bytes, name's ending, how it is damaged } ----

local whole = {}

local function add(ending, bytes, way) whole[#whole + 1] = { bytes = bytes, ending = ending, damage = damage[way or ending] } end

local numbers = {}
for i = 1, 24 do numbers[i] = i / 8 end
for _, options in ipairs { {}, { kind = ">f8" }, { kind = "<f4", fortran = true }, { kind = "<f2" }, { kind = "<i4" } } do
  local list = {}
  for i, x in ipairs(numbers) do list[i] = options.kind == "<i4" and i or x end
  add("npy", numpy.npy(list, { 2, 3, 4 }, options))
end
for version = 2, 3 do
  add("npy", numpy.with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }\n", ("<d"):pack(7), version))
end
local entries = { { "logits", numpy.npy(numbers, { 2, 3, 4 }) }, { "a/b", numpy.npy({ 1 }, { 1 }) } }
local function deflated(bytes) return "\1" .. ("<I2I2"):pack(#bytes, ~#bytes & 0xffff) .. bytes end
add("npz", numpy.npz(entries))
add("npz", numpy.npz { { "x", deflated(entries[1][2]), method = 8, size = #entries[1][2], crc = numpy.crc32(entries[1][2]) } })
add("npz", entries, "entries")

local columns = { "step", "loss", "label" }
tsv.write("whole.tsv", columns, { { step = 1, loss = 0.25, label = "v7" }, { step = 2, loss = 1e-300, label = "a b" } }, { "made" })
add("tsv", rwkv.read_file "whole.tsv")

local sizes = { version = "v7", layers = 1, dim = 4, head_size = 4, vocab = 5, decay_rank = 2, iclr_rank = 2, value_rank = 2,
  gate_rank = 2 }
local model = rwkv.model(sizes)
local optimizer = rwkv.adamw(model, {})
rwkv.hook { kind = "decay", name = "plain", params = function(d) return { w = { d.A } } end,
  apply = function(_, p) return -p.w:exp() end }
sizes.hooks = { decay = "plain", gate = "silu" }
local files = {
  model = function(path) model:save(path, { optimizer = optimizer, meta = { note = "a checkpoint" } }) end,
  old = function(path) rwkv.model { version = "v4", layers = 2, dim = 4, vocab = 5 }:save(path) end,
  hooked = function(path) rwkv.model(sizes):save(path) end,
  tensors = function(path)
    local list = { { name = "t", value = rwkv.tokens { 1, 2 } }, { name = "n", value = rwkv.arange(6), shape = { 1, 1, 3, 1, 2 } } }
    for _, dtype in ipairs { "f64", "f32", "bf16", "f16", "i64" } do
      list[#list + 1] = { name = dtype, value = rwkv.arange(4), dtype = dtype }
    end
    rwkv.save_tensors(path, list, { version = "v7", b = "2" })
  end,
}
local golden = { layers = 1, dim = 4, heads = 1, vocab = 5, len = 3, tokens = "", seed = 1, allow_weak = true }
function files.pack(path) make.pack("v7", golden, path) end
local shared = { logits = "logits_gpt", loss = "loss", tokens = "tokens", targets = "targets" }
function files.golden(path) -- as `aviary verify` takes it
  local p, list = pack.read "pack.safetensors", {}
  for _, name in ipairs(p.names) do
    local as = shared[name] or name:match "^grad%..*" or name:match "^state%..*"
    local value = p[name] and rwkv.tokens(p[name]) or p.tensors[name].value
    if as then list[#list + 1] = { name = as, value = value, shape = p.tensors[name].shape } end
  end
  rwkv.save_tensors(path, list)
end
function files.state(path) model:state(2):save(path, { meta = { note = "a state" } }) end
function files.tuned(path)
  rwkv.save_tensors(path, { { name = "blocks.0.att.time_state", value = rwkv.zeros(1, 4, 4), dtype = "bf16" } })
end
local session = { model = model, optimizer = optimizer, rng = rwkv.rng(1), state = model:state(1), tokens = rwkv.tokens { 1, 2 },
  x = rwkv.ones(2), log = { 1, 2.5, best = math.huge, at = { [3] = "x" } } }
function files.session(path) rwkv.save_session(path, session) end
for _, name in ipairs { "model", "old", "hooked", "tensors", "pack", "golden", "state", "tuned", "session" } do
  files[name](name .. ".safetensors")
  add("safetensors", rwkv.read_file(name .. ".safetensors"))
end
for ending, way in pairs { pth = "npz", npz = "npz", gguf = "npz" } do
  rwkv.convert("model.safetensors", "model." .. ending)
  add(ending, rwkv.read_file("model." .. ending), way)
end
add("txt", "# numbers\n1\n-2.5e-3\nnan\n\n3 # the last\n", "tsv")
local p = pack.read "pack.safetensors"
local packed = pack.fill(rwkv.model(p.config), p)

-- ---- readers ----

local compared = { tol = math.huge, profile = "", rename = "", positions = "", skip = "", only = "", no_causes = true, weights = "", against = "",
  seconds = 2 }
local function with_tokens(path)
  local o = {}
  for k, v in pairs(golden) do o[k] = v end
  o.tokens = path
  return o
end

local readers = {
  load = function(path)
    local m = rwkv.load(path)
    pcall(m.loss, m, { 1, 2 }, { 2, 3 }) -- weights may be NaN
  end,
  load_packed = function(path) rwkv.load(path, { weights = "packed" }) end,
  load_tensors = rwkv.load_tensors, hooks_in = rwkv.hooks_in, read_file = rwkv.read_file, unzip = rwkv.unzip,
  restore = function(path) optimizer:restore(path) end,
  load_state = function(path) model:load_state(path) end,
  session = function(path) rwkv.restore_session(path, session) end,
  verify = function(path) rwkv.verify(packed, path, 1) end,
  tsv = tsv.read, convert = function(path) rwkv.convert(path, "out.pth") end,
  pack = pack.read,
  diff = function(path) diff.compare("pack.safetensors", path, compared) end,
  rename = function(path) rename.rules("@" .. path) end,
  reference = function(path) diff.compare(path, "pack.safetensors", compared) end,
  tokens = function(path) make.pack("v7", with_tokens(path), "out.safetensors") end,
}
local names = {}
for name in pairs(readers) do names[#names + 1] = name end
table.sort(names)

-- ---- the runs ----

local function fault(index, name, path, what)
  print(("file %d, reader %s: %s"):format(index, name, what))
  print(("the file is %s; to repeat it: SEED FIRST LAST = %d %d %d"):format(path, seed, index, index))
  os.exit(1)
end

local internal = { "attempt to", "bad argument", "(null)", "out of bounds", "number expected", "has no integer", "stack overflow",
  "malformed" }

io.stdout:setvbuf "no"
for index = first, last do
  print("file", index)
  math.randomseed(seed, index)
  compared.no_causes = index % 10 > 0 -- they take long
  local w = whole[math.random(#whole)]
  local path = "damaged." .. w.ending
  local file = io.open(path, "wb")
  file:write(w.damage(w.bytes)):close()
  for _, name in ipairs(names) do
    local start = os.clock()
    local ok, message = pcall(readers[name], path)
    if show then print(name, ok and "ok" or message) end
    if os.clock() - start > 20 then fault(index, name, path, "it takes " .. os.clock() - start .. " seconds") end
    message = not ok and tostring(message) or ""
    if not ok and not message:find(path, 1, true) then fault(index, name, path, "the file is not named: " .. message) end
    for _, text in ipairs(internal) do
      if message:find(text, 1, true) then fault(index, name, path, "an error of Lua's own: " .. message) end
    end
  end
  rwkv.end_step()
end
print "done"
