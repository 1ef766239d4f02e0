-- experiments/ports: what the scripts share, with a port that is written here, and the page about them.
local rwkv = require "rwkv"
if rwkv.precision ~= "float64" then return end -- as test_golden.lua
local check = require "tests.lua.lib.check"
local test, equal, shell = check.test, check.equal, check.shell

if select(2, shell "python3 -c 'import numpy'") ~= 0 then return print "SKIPPED: python3 has no numpy" end

local dir = os.tmpname()
os.remove(dir)
rwkv.mkdir(dir)

-- Runs a script, and looks for texts in what it prints.
local function run(script, options, status, ...)
  local out, found = shell(("python3 %s %s --out %s --aviary %s"):format(script, options, dir, check.program))
  if found ~= status then error(("status %d, expected %d:\n%s"):format(found, status, out), 2) end
  for _, part in ipairs { ... } do
    if not out:find(part, 1, true) then error(("expected '%s' in:\n%s"):format(part, out), 2) end
  end
end

local port7 = "tests/lua/lib/port7.py"

test("a right port agrees, a wrong one is told its mistake, and mended it agrees", function()
  run(port7, "v7", 0, "numpy ", "3 tensors compared, tolerances of f32", "all agree")
  run(port7, "v7 --form wrong", 1, "group-norm eps 1e-5 instead of 64e-5")
  run(port7, "v7 --form wrong --mended", 0, "all agree")
  run(port7, "v7 --form wrong --no-causes --only state.0", 0, "1 tensors compared")
end)

test("what cannot be compared ends with status 2 and says why", function()
  local pack = dir .. "/v7-layers2-batch2-len8.safetensors"
  run(port7, "v4 --pack " .. pack, 2, "a pack of v7, not of v4")
  run(port7, "v4", 2, "the port failed")
  run(port7, "v8", 2, "choose from")
  run(port7, "v7 --form fast", 2, "choose from")
  run(port7, "v7 --path .", 2, "this port is a package, it takes none")
  run(port7, "v7 --wrong-word", 2, "wrong-word")
  run(port7, "v7 --pack " .. dir .. "/none", 2, "none")
  rwkv.save_tensors(dir .. "/x.safetensors", { { name = "x", value = rwkv.zeros(1) } })
  run(port7, ("v7 --pack %s/x.safetensors"):format(dir), 2, "x.safetensors: not a golden pack")
  run("experiments/ports/rwkv7_c.py", "v7", 2, "--path is needed: a checkout of rwkv7.c")
  run("experiments/ports/rwkv7_c.py", "v7 --path /nowhere", 2, "--path /nowhere: there is no such file; expected a checkout")
end)

local page = rwkv.read_file "lua/pages/ports.md"

test("the page's port is right, and without its shift it is wrong", function()
  local code = assert(page:match "\n```python\n(.-)\n```")
  rwkv.write_file(dir .. "/mine.py", "import sys\nsys.path.insert(0, 'experiments/ports')\n" .. code)
  run(dir .. "/mine.py", "v7", 0, "3 tensors compared", "all agree")
  local changed, n = code:gsub("x_k", "x_q"):gsub('w%[block %+ "x_q"%]', "0")
  equal(n, 1)
  rwkv.write_file(dir .. "/mine.py", "import sys\nsys.path.insert(0, 'experiments/ports')\n" .. changed)
  run(dir .. "/mine.py", "v7 --no-causes", 1, "3 of 3 are off")
  assert(select(2, code:gsub("[^\n]+", "")) <= 20)
end)

test("weights as files of the port's own loader", function()
  rwkv.write_file(dir .. "/save.py", ([[
import sys
sys.path.insert(0, "experiments/ports")
import common
pack = common.Pack(sys.argv[1], sys.argv[2])
pack.save_weights("%s/w.pth")
pack.save_weights("%s/w.safetensors", names="fla")
]]):format(dir, dir))
  local out, status = shell(("python3 %s/save.py %s/v7-layers2-batch2-len8.safetensors %s"):format(dir, dir, check.program))
  assert(status == 0, out)
  local pack = rwkv.load_tensors(dir .. "/v7-layers2-batch2-len8.safetensors")
  local plain = rwkv.load_tensors(dir .. "/w.pth")
  local theirs = rwkv.load_tensors(dir .. "/w.safetensors")
  equal(plain["blocks.1.att.w1"].value:tolist(), pack["blocks.1.att.w1"].value:tolist())
  equal(theirs["model.layers.1.attn.w_lora.lora.0.weight"].value:tolist(), pack["blocks.1.att.w1"].value:transpose(1, 2):tolist())
  equal(plain.logits, nil)
end)

test("the page lists every script; each says how it is used, and knows of what it needs before it is there", function()
  local n = 0
  for path in shell("ls experiments/ports/*.py"):gmatch "%S+" do
    local name = path:match "([^/]+)$"
    if rwkv.read_file(path):find("\ncommon.main(", 1, true) then
      n = n + 1
      assert(page:find("| `" .. name .. "` |", 1, true), name)
      local out, status = shell(("python3 %s -h"):format(path))
      equal(status, 0)
      assert(out:find("python3 experiments/ports/" .. name, 1, true), out)
    end
  end
  equal(n, select(2, page:gsub("\n| `[%w_]+%.py` |", "")))
end)

os.execute("rm -r " .. dir)
