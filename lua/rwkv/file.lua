-- Files that are read, with errors that begin with the file's name and not with a line of this library.
local core = require "rwkv.core"

local function passing(ok, ...)
  if ok then return ... end
  error((...), 0)
end

local file = {}
for name, reader in pairs { bytes = "read_file", entries = "unzip", tensors = "load_tensors", model = "load", verify = "verify",
  check_writable = "check_writable" } do
  file[name] = function(...) return passing(pcall(core[reader], ...)) end
end

-- The option --head-size, 0 or nil if it is not given, as rwkv.load takes it.
function file.head_size(option)
  local n = math.tointeger(option or 0)
  if not n or n < 0 then error(("--head-size: expected a whole number from 1, found %s"):format(option), 0) end
  return n > 0 and n or nil
end

return file
