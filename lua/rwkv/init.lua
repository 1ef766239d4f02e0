-- The module `rwkv`: the C core and what is written on top of it in Lua. See lua/doc/.
local rwkv = require "rwkv.core"

rwkv.progress = require "rwkv.progress"
rwkv.options = require "rwkv.options"

rwkv.gradcheck = require "rwkv.gradcheck"
require "rwkv.tensor"

return rwkv
