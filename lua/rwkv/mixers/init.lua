-- Other ways to mix over time, as hooks of kind time_mix: rwkv.model{ version = "v7", hooks = { time_mix = "mamba" } }.
-- Their heads are d.H of size d.N (head_size). See lua/pages/mixers.md.
local hooks = require "rwkv.hooks"

local mixers = {}
local function add(q)
  mixers[q.name] = hooks.define(q)
  hooks.reserve(mixers[q.name])
end

add((require "rwkv.mixers.attention"))
add((require "rwkv.mixers.linear_attention"))
add((require "rwkv.mixers.retnet"))
add((require "rwkv.mixers.gla"))
add((require "rwkv.mixers.deltanet").deltanet)
add((require "rwkv.mixers.deltanet").negative)
add((require "rwkv.mixers.gated_deltanet"))
add((require "rwkv.mixers.mamba"))
add((require "rwkv.mixers.rosa").rosa)
add((require "rwkv.mixers.rosa").rosa_4bit)

return mixers
