-- Causal tracing: where parts of a state are put right, and what models answer then.
local rwkv = require "rwkv"
local causal_trace = require "experiments.measure.causal_trace"
local check = require "tests.lua.lib.check"
local mqar = require "experiments.tasks.mqar"
local test, equal = check.test, check.equal

local task = mqar.new { vocab = 32, seq = 16, pairs = 3, seed = 5 }
local near = rwkv.precision == "float64" and 1e-12 or 1e-5

-- Starts in which the time mixing of a layer says nothing yet would make all runs the same.
local function model(version, layers, hooks)
  local m = rwkv.model { version = version, layers = layers, dim = 16, head_size = 8, vocab = 32, ctx = 16, hooks = hooks, seed = 3 }
  local rng = rwkv.rng(1, "weights")
  for name, p in m:parameters() do
    if name:find "weight$" and not name:find "ln" then p:set(rng:tensor("normal", table.unpack(p:shape())) * 0.5) end
  end
  return m
end

local function by_place(rows)
  local found = {}
  for _, row in ipairs(rows) do
    local key = ("%d %s %d"):format(row.layer, row.restored, row.after)
    assert(not found[key])
    found[key] = row.probability
  end
  return found
end

for _, version in ipairs { "v1", "v2", "v3", "v4", "v5.2", "v6", "v7" } do
  test(version .. ": before the value nothing is wrong, so nothing can be put right", function()
    local rows, whole = causal_trace(model(version, 2), task, 2, 4)
    equal(#rows, 2 * 3 * 4) -- layers, parts, tokens 3 to 6
    assert(math.abs(whole.clean - whole.wrong) > 1e-6)
    for _, row in ipairs(rows) do
      if row.after == -1 then assert(math.abs(row.probability - whole.wrong) < near, row.probability) end
    end
  end)
end

test("without token shifts the memory of the first layer is all that the first layer keeps", function()
  local rows, whole = causal_trace(model("v7", 1, { shift = "none", ffn_shift = "none" }), task, 2, 4)
  local found = by_place(rows)
  assert(math.abs(whole.clean - whole.wrong) > 1e-6)
  for after = 0, 2 do
    assert(math.abs(found[("1 memory %d"):format(after)] - whole.clean) < near)
  end
end)

test("a token shift keeps the value for one token", function()
  local rows, whole = causal_trace(model("v7", 1), task, 2, 4)
  local found = by_place(rows)
  for after = 1, 2 do assert(math.abs(found[("1 shift %d"):format(after)] - whole.wrong) < near) end
  assert(math.abs(found["1 shift 0"] - whole.wrong) > 1e-7, "the token after the value sees it")
end)

test("attention keeps it in its keys and values; other examples have other probabilities", function()
  local m = model("v7", 1, { time_mix = "attention", ffn_shift = "none" })
  local rows, whole = causal_trace(m, task, 1, 3)
  local found = by_place(rows)
  assert(math.abs(found["1 memory 3"] - whole.clean) < near)
  local other = select(2, causal_trace(m, mqar.new { vocab = 32, seq = 16, pairs = 3, seed = 6 }, 1, 3))
  assert(other.clean ~= whole.clean)
end)
