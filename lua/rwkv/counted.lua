-- counted(class or "rwkv", name, f) -> f, for which more arguments than bindings/calls.c lays down are an error.
local checked_call = require "rwkv.core".private.checked_call

return function(of, name, f)
  return function(...)
    local ok, message = pcall(checked_call, of, name, ...)
    if not ok then error(message, 2) end
    return f(...)
  end
end
