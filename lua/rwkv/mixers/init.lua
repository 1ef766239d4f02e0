-- Other ways to mix over time, as hooks of kind time_mix: rwkv.model{ version = "v7", hooks = { time_mix = "mamba" } }. They
-- have d.H heads of size d.N = head_size. See lua/doc/mixers.md.
local define = require "rwkv.hooks".define
local deltanet = require "rwkv.mixers.deltanet"

local mixers = {}
for _, q in ipairs { require "rwkv.mixers.attention", require "rwkv.mixers.linear_attention", require "rwkv.mixers.retnet",
  require "rwkv.mixers.gla", deltanet.deltanet, deltanet.negative, require "rwkv.mixers.gated_deltanet",
  require "rwkv.mixers.mamba" } do
  mixers[q.name] = define(q)
end
return mixers
