-- Files that are read: an error about one says which, whatever is wrong.
local rwkv = require "rwkv"
local tsv = require "rwkv.tsv"
local check = require "tests.lua.lib.check"
local test, equal, fails = check.test, check.equal, check.fails

local dir = os.tmpname()
os.remove(dir)
rwkv.mkdir(dir)

local model = rwkv.model { version = "v4", layers = 1, dim = 8, vocab = 5 }
local optimizer = rwkv.adamw(model, {})
local readers = {
  load = rwkv.load, load_tensors = rwkv.load_tensors, read_file = rwkv.read_file, unzip = rwkv.unzip,
  restore = function(path) optimizer:restore(path) end,
  session = function(path) if not rwkv.restore_session(path, {}) then error(path .. ": No such file: false", 0) end end,
  verify = function(path) rwkv.verify(model, path, 1) end,
}

test("sizes in the metadata that the tensors do not have", function()
  local path = os.tmpname()
  rwkv.model { version = "v4", layers = 2, dim = 4, vocab = 5, head_size = 2 }:save(path)
  equal(rwkv.load(path):config().head_size, 2)
  local bytes = rwkv.read_file(path)
  for _, lie in ipairs { "pre_ffn=1", "tiny_att=4", "head_qk=8" } do
    rwkv.write_file(path, (bytes:gsub(lie:match "^[^=]+=" .. "0", lie)))
    local ok, message = pcall(function() return rwkv.load(path):forward { 1, 2 } end)
    assert(ok or message:find(path, 1, true), message)
    if lie == "pre_ffn=1" then assert(message:find("different models", 1, true), message) end
  end
  os.remove(path)
end)

test("directories, pipes, and what is not there", function()
  local pipe = dir .. "/pipe"
  assert(os.execute("mkfifo " .. pipe))
  for _, read in pairs(readers) do
    fails(function() read(dir) end, dir .. ": is a directory")
    fails(function() read(pipe) end, pipe .. ": not a regular file")
    fails(function() read(dir .. "/none") end, dir .. "/none: No such file")
  end
  fails(function() tsv.read(dir) end, dir .. ": ", "directory")
  fails(function() require "experiments.tasks.text".parts(dir) end, "text: " .. dir .. ": ", "directory")
end)

test("the step of a checkpoint is a number", function()
  local path = dir .. "/checkpoint.safetensors"
  for _, step in ipairs { "", " 1", "+1", "-1", "1e3", "0x1", "1.5", "one", "9007199254740993", "99999999999999999999" } do
    model:save(path, { optimizer = optimizer, meta = { ["optim.step"] = step } })
    fails(function() optimizer:restore(path) end, path .. ": ", '"' .. step .. '" is no number of steps')
  end
  model:save(path, { optimizer = optimizer, meta = { ["optim.step"] = "9007199254740992" } })
  optimizer:restore(path)
  check.equal(optimizer:steps(), 2 ^ 53)
end)

-- ---- large headers ----

-- A safetensors file of these entries "name":{..}, and bytes of data.
local function write_safetensors(path, entries, data)
  local header = "{" .. table.concat(entries, ",") .. "}"
  rwkv.write_file(path, string.pack("<s8", header .. (" "):rep(-#header % 8)) .. data)
end

local function one_byte(name, at) return ('"%s":{"dtype":"U8","shape":[1],"data_offsets":[%d,%d]}'):format(name, at, at + 1) end

-- What is quadratic takes minutes here.
local function soon(f)
  local start = os.clock()
  local result = table.pack(f())
  assert(os.clock() - start < 20, os.clock() - start)
  return table.unpack(result, 1, result.n)
end

test("many tensors in the reverse order of their names, and many texts", function()
  local path, n, list, meta = dir .. "/many.safetensors", 200000, {}, {}
  for i = 1, n do list[i] = one_byte(("%06d"):format(i), n - i) end
  write_safetensors(path, list, ("\0"):rep(n))
  local _, _, names = soon(function() return rwkv.load_tensors(path) end)
  check.equal({ #names, names[1], names[n] }, { n, ("%06d"):format(n), "000001" })
  for i = 1, 100000 do meta["k" .. i] = i end
  soon(function() rwkv.save_tensors(path, { { name = "x", value = rwkv.ones(1) } }, meta) end)
  local _, found = soon(function() return rwkv.load_tensors(path) end)
  check.equal({ found.k1, found.k100000 }, { "1", "100000" })
end)

test("a deep model in a file with many strangers", function()
  local path = dir .. "/model.safetensors"
  rwkv.model { version = "v4", layers = 100, dim = 4, vocab = 5 }:save(path)
  local bytes = rwkv.read_file(path)
  local header, at = string.unpack("<s8", bytes)
  local entries, data = { header:match "^{(.*)}%s*$" }, bytes:sub(at)
  for i = 1, 100000 do entries[#entries + 1] = one_byte("stranger" .. i, #data + i - 1) end
  write_safetensors(path, entries, data .. ("\0"):rep(100000))
  soon(function() fails(function() rwkv.load(path) end, path .. ": ", "v4 comes closest", "the file's stranger1 has no place") end)
end)

test("Ctrl-C while a header is read is an error where the script stands", function()
  local path, list = dir .. "/large.safetensors", {}
  for i = 1, 400000 do list[i] = one_byte(i, i - 1) end
  write_safetensors(path, list, ("\0"):rep(400000))
  local out = check.shell(([[%s -e 'io.stdout:setvbuf "no" print "begins"
    print(pcall(require"rwkv".load_tensors, "%s")) print "goes on"' >%s/out & pid=$!
    until grep -qs begins %s/out; do sleep 0.05; done; sleep 0.3; kill -INT $pid; wait $pid; cat %s/out]])
    :format(check.program, path, dir, dir, dir))
  assert(out:find "^begins\nfalse\t.*interrupted\ngoes on\n$", out)
end)

os.execute("rm -r " .. dir)
