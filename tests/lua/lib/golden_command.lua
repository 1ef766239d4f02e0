-- `aviary golden` in a folder of the test's own, %D in its words.
--   local dir, golden = require "tests.lua.lib.golden_command"()
--   golden(words, status) -> its output; status: the exit status that is expected, 0 if nothing is said
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"

return function()
  local dir = os.tmpname()
  os.remove(dir)
  rwkv.mkdir(dir)
  return dir, function(words, expected)
    local out, status = check.shell(check.program .. " golden " .. words:gsub("%%D", dir))
    if status ~= (expected or 0) then error(("status %d, expected %d:\n%s"):format(status, expected or 0, out), 2) end
    return out
  end
end
