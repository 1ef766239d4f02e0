-- Files that are read: an error about one says which, whatever is wrong.
local rwkv = require "rwkv"
local tsv = require "rwkv.tsv"
local check = require "tests.lua.lib.check"
local test, fails = check.test, check.fails

local dir = os.tmpname()
os.remove(dir)
rwkv.mkdir(dir)

local model = rwkv.model { version = "v4", layers = 1, dim = 8, vocab = 5 }
local optimizer = rwkv.adamw(model, {})
local readers = {
  load = rwkv.load, load_tensors = rwkv.load_tensors, read_file = rwkv.read_file, unzip = rwkv.unzip,
  restore = function(path) optimizer:restore(path) end,
  verify = function(path) rwkv.verify(model, path, 1) end,
}

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

os.execute("rm -r " .. dir)
