-- devices() -> a line for each device that the backend cuda finds, beginning with its number; raises why it finds none.
local devices = require "rwkv.core".private.devices

return function() return devices() end
