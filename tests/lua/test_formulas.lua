-- The lines that golden diff looks through (lua/rwkv/golden/formulas) are what the reference computes: every intermediate, state
-- and logit of every version, two sequences.
local rwkv = require "rwkv"
if rwkv.precision ~= "float64" then return end -- as test_golden.lua
local core = require "rwkv.core"
local check = require "tests.lua.lib.check"
local fill = require "rwkv.golden.weights"
local formulas = require "rwkv.golden.formulas"
local machine = require "rwkv.golden.machine"
local run = require "rwkv.golden.run"
core.backend "reference"

-- What the lines leave out: the history of versions that have one.
local function left_out(name) return name:find "^state%.%d%.att_[kv]$" or name == "state.hk" or name == "state.tokens" end

local function model_of(version)
  local q = { version = version, layers = 3, dim = 24, vocab = 23, head_size = 12 }
  if version == "v4" then q.head_size = nil end
  if version == "v1" then q.ctx = 15 end
  if version:find "^v[123]$" then q.head_qk = 12 end
  return rwkv.model(q)
end

local function two_sequences()
  local rng, rows = rwkv.rng(3), { {}, {} }
  for _, row in ipairs(rows) do for t = 1, 12 do row[t] = rng:integer(0, 22) end end
  return rows
end

local function worst_error(ours, theirs)
  local a, b, worst, scale = ours:reshape(-1):tolist(), theirs:reshape(-1):tolist(), 0, 1e-3
  check.equal(#a, #b)
  for _, x in ipairs(b) do scale = math.max(scale, math.min(1, math.abs(x))) end
  for i = 1, #a do worst = math.max(worst, math.abs(a[i] - b[i]) / math.max(scale, math.abs(b[i]))) end
  return worst
end

for _, version in ipairs { "v1", "v2", "v3", "v4", "v5.0", "v5.1", "v5.2", "v6", "v6a", "v6b", "v7" } do
  check.test(version .. ": all lines are those of the reference to 1e-12", function()
    local model, tokens, parameters, compared = model_of(version), two_sequences(), {}, 0
    fill(model, tokens, 0, "f32")
    for name, p in model:parameters() do parameters[name] = p end
    local book = assert(formulas.of(model:config()))
    local env = formulas.env(book, { machine = machine "f64", tokens = tokens, weight = function(name) return parameters[name] end })
    local values = formulas.run(book, env)
    for _, e in ipairs(run(model, tokens, { gradients = false })) do
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
