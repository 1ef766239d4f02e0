-- contents(path) -> the bytes of a file, or nil and why where it cannot be read. Of a pipe nothing is awaited.
local kind_of_file = require "rwkv.core".private.kind_of_file

return function(path)
  local kind = kind_of_file(path)
  if kind and kind ~= "file" then return nil, ("%s: %s"):format(path, kind) end
  local file, problem = io.open(path, "rb")
  if not file then return nil, problem end
  local text = file:read "a"
  file:close()
  return text, not text and path .. ": cannot be read" or nil
end
