-- The lines that golden diff looks through (lua/rwkv/golden/formulas) are what the reference computes: every intermediate, state
-- and logit of every version, two sequences.
local rwkv = require "rwkv"
if rwkv.precision ~= "float64" then return end -- as test_golden.lua
local core = require "rwkv.core"
local check = require "tests.lua.lib.check"
local formulas = require "rwkv.golden.formulas"
local models = require "tests.lua.lib.golden_models"
local run = require "rwkv.golden.run"
core.backend "reference"

-- What the lines leave out: the history of versions that have one.
local function left_out(name) return name:find "^state%.%d%.att_[kv]$" or name:find "^state%.%d%.qkv_[kv]$" or name == "state.hk" or name == "state.tokens" end

local function worst_error(ours, theirs)
  local a, b, worst, scale = ours:reshape(-1):tolist(), theirs:reshape(-1):tolist(), 0, 1e-3
  check.equal(#a, #b)
  for _, x in ipairs(b) do scale = math.max(scale, math.min(1, math.abs(x))) end
  for i = 1, #a do worst = math.max(worst, math.abs(a[i] - b[i]) / math.max(scale, math.abs(b[i]))) end
  return worst
end

for _, version in ipairs(models.versions) do
  check.test(version .. ": all lines are those of the reference to 1e-12", function()
    local m, compared = models.of(version, { layers = 3, dim = 24, heads = 2, vocab = 23, len = 12, batch = 2 }), 0
    local book, fields = models.lines(m)
    local values = formulas.run(book, formulas.env(book, fields))
    for _, e in ipairs(run(m.model, m.tokens, { gradients = false })) do
      local name, last = e.name:gsub("^trace%.", ""), e.name:find "^state"
      local value = values[name]
      assert(value or left_out(name), e.name)
      if value then
        value = core.no_grad(function() return (last and value:slice(2, -1, -1) or value):keep() end)
        local worst = worst_error(value, e.value)
        assert(worst < 1e-12, ("%s: %g"):format(e.name, worst))
        compared = compared + 1
      end
    end
    assert(compared > 50, compared)
  end)
end

check.test("a model with parts of other kinds has no lines, and it is said why", function()
  local book, why = formulas.of(rwkv.model { version = "v4", layers = 2, dim = 8, vocab = 9, tiny_att_layer = 1, tiny_att = 8 }:config())
  assert(not book and why == "tiny attention", why)
end)
