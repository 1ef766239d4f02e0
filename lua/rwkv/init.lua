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

local models = require "rwkv.models"
rwkv.hook, rwkv.model, rwkv.describe, rwkv.load = require "rwkv.hooks".define, models.model, models.describe, models.load
rwkv.hooks_in = models.hooks_in
rwkv.info = require "rwkv.info"
rwkv.adamw = require "rwkv.optimizer"
local session = require "rwkv.session"
rwkv.save_session, rwkv.restore_session = session.save, session.restore
local method, state_file = require "rwkv.method", require "rwkv.state_file"
method("model", "trace", require "rwkv.trace")
method("model", "assign", require "rwkv.assign")
method("model", "check_cuts", require "rwkv.check_cuts")
method("model", "load_state", state_file.load)
method("model", "generate", require "rwkv.text.generate".generate)
method("model", "embed", require "rwkv.text.embed")
method("state", "save", state_file.save)
rwkv.experiment = require "rwkv.experiment"
local configs, results = require "rwkv.experiment.configs", require "rwkv.experiment.results"
rwkv.product, rwkv.seeds, rwkv.best, rwkv.summary = configs.product, configs.seeds, results.best, results.summary
rwkv.mixers = require "rwkv.mixers"
rwkv.learn = require "rwkv.experiment.learn"
rwkv.curves = require "rwkv.experiment.curves"

return rwkv
