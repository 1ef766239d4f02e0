-- rwkv.gradients: a batch in shards, whose gradients are added in a fixed tree. Several programs: tests/cluster/test_mpi.lua.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local mqar = require "experiments.tasks.mqar"
local test, equal, fails = check.test, check.equal, check.fails

local double = rwkv.precision == "float64"
local task = mqar.new { vocab = 32, seq = 16, pairs = 2, random_filler = false, seed = 1 }

local function model(version, more)
  local design = { version = version, layers = 2, dim = 16, head_size = 8, vocab = 32, seed = 3 }
  for name, value in pairs(more or {}) do design[name] = value end
  return rwkv.model(design)
end

local function gradients_of(m)
  local list = {}
  for name, p in m:parameters() do list[name] = p:grad() and p:grad():reshape(-1):tolist() end
  return list
end

local function plain(m, x, y)
  m:zero_grad()
  local loss, score = m:loss(x, y)
  loss:backward()
  local value = loss:item()
  rwkv.end_step()
  return gradients_of(m), value, score
end

-- The largest difference between two lists of gradients, relative to the largest number.
local function far(a, b)
  local worst, most = 0, 0
  for name, list in pairs(a) do
    for i, x in ipairs(list) do worst, most = math.max(worst, math.abs(x - b[name][i])), math.max(most, math.abs(x)) end
  end
  return worst / most
end

for _, version in ipairs { "v1", "v4", "v5.2", "v6", "v7" } do
  test(version .. ": the gradients of a batch are the sum over its shards", function()
    local m = model(version, version == "v1" and { ctx = 16 } or nil)
    local x, y = task:batch(1, 8)
    local whole, loss, score = plain(m, x, y)
    for _, shards in ipairs { 1, 2, 4, 8 } do
      local l, s = rwkv.gradients(m, x, y, { shards = shards })
      assert(math.abs(l - loss) < (double and 1e-12 or 1e-5) * loss)
      equal(s.scored, score.scored)
      equal(s.correct, score.correct)
      assert(far(whole, gradients_of(m)) < (double and 1e-12 or 2e-5))
    end
  end)
end

test("the order of the sum: ((1 + 2) + (3 + 4)), to the last bit", function()
  local m = model "v7"
  local x, y = task:batch(1, 4)
  local scored = 8
  local parts = {}
  for i = 1, 4 do
    m:zero_grad()
    m:loss(x:rows(i), y:rows(i), { total = scored }):backward()
    rwkv.end_step()
    parts[i] = gradients_of(m)
  end
  rwkv.gradients(m, x, y, { shards = 4 })
  local found = gradients_of(m)
  local function rounded(v) return double and v or string.unpack("f", string.pack("f", v)) end
  for name, list in pairs(found) do
    for i, v in ipairs(list) do
      local one, two = rounded(parts[1][name][i] + parts[2][name][i]), rounded(parts[3][name][i] + parts[4][name][i])
      equal(v, rounded(one + two))
    end
  end
end)

test("rows that nobody asks about; all of the other options; usual shards", function()
  local m = model "v7"
  local x, y = {}, {}
  for b = 1, 12 do
    x[b], y[b] = {}, {}
    for t = 1, 5 do x[b][t], y[b][t] = (b * t) % 32, b % 3 == 0 and t or -100 end
  end
  local whole, loss = plain(m, x, y)
  local l = rwkv.gradients(m, x, y) -- 4 shards of 3
  assert(math.abs(l - loss) < 1e-5 * loss)
  assert(far(whole, gradients_of(m)) < (double and 1e-12 or 2e-5))
  rwkv.gradients(m, x, y, { shards = 4, l2wrap = 1e-2 })
  assert(far(whole, gradients_of(m)) > 1e-6)
end)

test("an optimizer goes on from them as from any others", function()
  local a, b = model "v6", model "v6"
  local one, other = rwkv.adamw(a, { lr = 1e-2, clip = 1, weight_decay = 0.1 }), rwkv.adamw(b, { lr = 1e-2, clip = 1, weight_decay = 0.1 })
  for step = 1, 5 do
    local x, y = task:batch(step * 8 - 7, 8)
    local loss = a:loss(x, y)
    one:zero_grad()
    loss:backward()
    one:step()
    rwkv.gradients(b, x, y, { shards = 1 })
    other:step()
  end
  for name, p in a:parameters() do
    local most = rwkv.no_grad(function() return (p - b:param(name)):abs():max():item() end)
    assert(most < (double and 1e-10 or 1e-3), name)
  end
end)

test("what is wrong is said", function()
  local m = model "v7"
  local x, y = task:batch(1, 6)
  fails(function() rwkv.gradients(m, x, y, { shards = 4 }) end, "gradients: 4 shards of a batch of 6, expected equal ones")
  fails(function() rwkv.gradients(m, x, y, { shards = 3 }) end, "gradients: 3 shards, expected a power of two")
  fails(function() rwkv.gradients(m, x, y, { shards = 0 }) end, "gradients: shards is 0, expected an integer, a power of two")
  fails(function() rwkv.gradients(m, x, y, { shard = 2 }) end, "gradients: there is no option 'shard'")
  fails(function() rwkv.gradients(m, x, { { -100 } }) end, "tokens [6,16] and targets [1,1] differ")
  fails(function() rwkv.gradients(m, x) end, "gradients: targets: expected [B,T], as rwkv.tokens or as lists, found nothing")
  fails(function() rwkv.gradients(m, "x", y) end, "gradients: tokens: expected [B,T], as rwkv.tokens or as lists, found a string")
  fails(function() rwkv.gradients({}, x, y) end, "gradients: expected a model")
  fails(function() rwkv.gradients(m, x, y, 3) end, "gradients: options: expected a table, found a number")
  fails(function() rwkv.gradients(m, x, y, { shards = 2.0 }) end, "gradients: shards is 2.0")
end)

test("configurations with shards: the same run with other roundings, known by them", function()
  local function settings(shards)
    return { { label = "m", version = "v7", dim = 16, head_size = 8, vocab = 32, seq = 16, pairs = 2, filler = "zero", lr = 3e-3, batch = 8,
      shards = shards, examples = 64, every = 32, tests = 20 } }
  end
  local out = "runs/tests/ranks"
  local one = rwkv.experiment.run { name = "m", configs = settings(nil), task = mqar.of, out = out }
  local two = rwkv.experiment.run { name = "m", configs = settings(4), task = mqar.of, out = out }
  assert(one[1].run ~= two[1].run)
  equal(two[1].shards, 4)
  assert(math.abs(one[#one].loss - two[#two].loss) < 1e-3)
  fails(function() rwkv.experiment.run { name = "m", configs = settings(3), task = mqar.of, out = out } end, "3 shards, expected a power of two")
  check.shell("rm -rf " .. out)
end)
