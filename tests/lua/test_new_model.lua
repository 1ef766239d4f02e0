-- New models of some size: the same numbers whoever computes, and given up at once.
local check = require "tests.lua.lib.check"
local rwkv = require "rwkv"

local function numbers()
  local list, m = {}, rwkv.model { version = "v4", layers = 1, dim = 96, vocab = 3000, seed = 9 }
  for name, p in m:parameters() do list[#list + 1] = name .. table.concat(p:reshape(-1):tolist(), " ") end
  return table.concat(list)
end

local threads, backend, expected = rwkv.threads(), rwkv.backend(), numbers()
for n = 1, 5, 2 do
  rwkv.threads(n)
  assert(numbers() == expected, n .. " threads give other numbers")
end
rwkv.threads(threads)
if backend == "fast" then
  rwkv.backend "reference"
  assert(numbers() == expected, "the reference gives other numbers")
  rwkv.backend(backend)
end

-- Ctrl-C while one is made of which the orthogonal matrices alone take seconds.
local pipe = io.popen(([[python3 -c '
import subprocess, time, signal, sys
p = subprocess.Popen(sys.argv[1:], stderr=subprocess.PIPE)
time.sleep(1)
p.send_signal(signal.SIGINT)
began = time.time()
errors = p.communicate()[1].decode()
print(p.returncode, time.time() - began < 30, "interrupted" in errors)
' %s --trust -e 'require("rwkv").model { version = "v7", layers = 24, dim = 1024, vocab = 65536 }' 2>&1]]):format(check.program))
local said = pipe:read "a"
pipe:close()
assert(said:find "^%d+ True True", said)
print "ok"
