-- The module `rwkv`: the C core and what is written on top of it in Lua. See lua/pages/.
if _VERSION ~= "Lua 5.4" then error("rwkv is a module for Lua 5.4, and this is " .. _VERSION, 0) end
local rwkv = require "rwkv.core"

rwkv.progress = require "rwkv.progress"
rwkv.options = require "rwkv.options"
rwkv.plot = require "rwkv.plot"
rwkv.show = require "rwkv.show"
rwkv.help = require "rwkv.help"

rwkv.gradcheck = require "rwkv.gradcheck"
require "rwkv.tensor"

local counted, method = require "rwkv.counted", require "rwkv.method"
local models, session, optimizer = require "rwkv.models", require "rwkv.session", require "rwkv.optimizer"
local state_file = require "rwkv.state_file"

for name, f in pairs { hook = require "rwkv.hooks".define, model = models.model, describe = models.describe, load = models.load,
  hooks_in = models.hooks_in, info = require "rwkv.info", adamw = optimizer.adamw, save_session = session.save,
  restore_session = session.restore } do
  rwkv[name] = counted("rwkv", name, f)
end
for class, methods in pairs {
  model = { trace = require "rwkv.trace", assign = require "rwkv.assign", check_cuts = require "rwkv.check_cuts",
    load_state = state_file.load, generate = require "rwkv.text.generate".generate, embed = require "rwkv.text.embed" },
  state = { save = state_file.save },
  optimizer = { step = optimizer.step, rate = optimizer.rate, groups = optimizer.groups },
} do
  for name, f in pairs(methods) do method(class, name, counted(class, name, f)) end
end
rwkv.experiment = require "rwkv.experiment"
local configs, results = require "rwkv.experiment.configs", require "rwkv.experiment.results"
rwkv.product, rwkv.seeds, rwkv.best, rwkv.summary = configs.product, configs.seeds, results.best, results.summary
rwkv.gradients = require "rwkv.ranks".public
rwkv.mixers = require "rwkv.mixers"
rwkv.rosa_models = require "rwkv.rosa_models"
rwkv.learn = require "rwkv.experiment.learn"
rwkv.curves = require "rwkv.experiment.curves"

return rwkv
