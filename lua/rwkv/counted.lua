-- counted(class or "rwkv", name, f) -> f, for which more arguments than bindings/calls.c lays down are an error.
local private = require "rwkv.core".private

return function(of, name, f)
  local call = private.call_of(of, name)
  if not call then return f end
  return function(...)
    local ok, message = pcall(private.check_count, call, ...)
    if not ok then error(message, 2) end
    return f(...)
  end
end
