-- Files that are read, with errors that begin with the file's name and not with a line of this library.
local core = require "rwkv.core"

local function passing(ok, ...)
  if ok then return ... end
  error((...), 0)
end

local file = {}
for name, reader in pairs { bytes = "read_file", entries = "unzip", tensors = "load_tensors", model = "load", verify = "verify" } do
  file[name] = function(...) return passing(pcall(core[reader], ...)) end
end

return file
