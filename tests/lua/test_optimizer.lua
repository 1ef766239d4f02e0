-- The optimizer: what is trained and what is not, rates, groups, schedules, tables of tensors, files.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local test, equal, fails = check.test, check.equal, check.fails
if rwkv.backend() == "fast" then rwkv.backend "reference" end
rwkv.mkdir "runs/tests"

local function small(seed)
  return rwkv.model { version = "v7", layers = 2, dim = 16, head_size = 8, vocab = 11, seed = seed or 1 }
end

local function leaf(list) return rwkv.tensor(list):requires_grad() end

local tokens, targets = { { 1, 2, 3, 4, 5 }, { 6, 5, 4, 3, 2 } }, { { 2, 3, 4, 5, 6 }, { 5, 4, 3, 2, 1 } }

local function step(model, opt)
  local loss = model:loss(tokens, targets)
  opt:zero_grad()
  loss:backward()
  return loss:item(), opt:step()
end

local function change(model, name, f)
  local before = model:param(name):keep()
  f()
  return rwkv.no_grad(function() return (model:param(name) - before):norm():item() end)
end

-- ---- freezing ----

test("a frozen parameter stays as it is, from the first step or from a later one on", function()
  local name = "blocks.0.att.value.weight"
  for _, at in ipairs { 1, 4 } do
    local m = small()
    local opt = rwkv.adamw(m, { lr = 1e-2, weight_decay = 0.1 })
    for _ = 2, at do step(m, opt) end
    m:param(name):requires_grad(false)
    equal(change(m, name, function() for _ = 1, 10 do step(m, opt) end end), 0)
    equal(m:param(name):grad(), nil)
    m:param(name):requires_grad()
    assert(change(m, name, function() step(m, opt) end) > 1e-3)
  end
end)

test("frozen, it is no part of the norm that is clipped", function()
  local x, y = leaf { 3 }, leaf { 4 }
  local opt = rwkv.adamw({ x = x, y = y }, { lr = 0.1, clip = 1 })
  local function norm()
    opt:zero_grad();
    (x * 3 + y * 4):sum():backward()
    return opt:step()
  end
  equal(norm(), 5)
  y:requires_grad(false)
  equal(norm(), 3)
  y:requires_grad()
  equal(norm(), 5)
end)

test("what the loss does not depend on is left alone, and has the first step of its own later", function()
  local x, y = leaf { 1 }, leaf { 1 }
  local opt = rwkv.adamw({ x = x, y = y }, { lr = 0.1, weight_decay = 0.5 })
  for _ = 1, 3 do
    opt:zero_grad();
    (x * x):sum():backward()
    opt:step()
  end
  equal(y:tolist(), { 1 })
  assert(x:item() < 0.8)
  opt:zero_grad();
  (y * 2):sum():backward()
  opt:step()
  equal(y:item(), 1 - 0.1 * (1 + 0.5), 1e-6)
  local rows = opt:groups()
  equal(rows[1].steps, 3)
  equal(rows[2].steps, 1)
end)

-- ---- rates ----

test("a rate that is set stays, and takes the place of the schedule", function()
  local x = leaf { 0 }
  local opt = rwkv.adamw({ x }, { lr = 1e-2, warmup = 10, total = 100, eps = 1e-30 })
  equal(opt:rate(), 1e-4, 1e-12)
  equal(opt:rate(0.25), 0.25)
  for _ = 1, 2 do
    opt:zero_grad();
    (x * -2):sum():backward()
    opt:step()
    equal(opt:rate(), 0.25)
  end
  equal(x:item(), 0.5, 1e-6)
  for _, wrong in ipairs { -1, 0 / 0, math.huge, "fast", {} } do
    fails(function() opt:rate(wrong) end, "test_optimizer.lua", "rate: expected a number from 0 to 1e6")
  end
  fails(function() opt:rate(1, 1) end, "there is no group 1")
end)

test("schedules that are functions", function()
  local x, y, asked = leaf { 0 }, leaf { 0 }, {}
  local opt = rwkv.adamw({ x = x, y = y }, { eps = 1e-30, groups = { { match = "y", lr = function(n) return n end } },
    lr = function(n)
      asked[#asked + 1] = n
      return 10 ^ -n
    end })
  for _ = 1, 3 do
    opt:zero_grad();
    (x + y):sum():backward()
    opt:step()
  end
  equal(asked, { 1, 2, 3 })
  equal(x:item(), -0.111, 1e-6)
  equal(y:item(), -6, 1e-6)
  equal(opt:rate(), 1e-4, 1e-12)
  equal(opt:rate(nil, 1), 4)
  equal(opt:rate(0.5, 1), 0.5)
  equal(opt:rate(), 1e-4, 1e-12)
end)

test("a schedule that goes wrong changes nothing", function()
  local x, bad = leaf { 1 }, nil
  local opt = rwkv.adamw({ x }, { lr = function() if bad == "raise" then error "my fault" end return bad end });
  (x * x):sum():backward()
  for value, text in pairs { [0 / 1 - 1] = "lr(1) returned -1", [math.huge] = "inf", text = "a string", raise = "my fault" } do
    bad = value
    fails(function() opt:step() end, "test_optimizer.lua", text)
  end
  equal(x:item(), 1)
  equal(opt:steps(), 0)
  bad = 0.1
  opt:step()
  equal(x:item(), 0.9, 1e-6)
  fails(function() rwkv.adamw({ x }, { lr = print, warmup = 5 }) end, "lr is a function", "warmup")
end)

-- ---- groups ----

test("groups by name: the first that matches", function()
  local m = small()
  local opt = rwkv.adamw(m, { lr = 1e-3, weight_decay = 0.1, groups = { { match = "att%.w0$", lr = 1e-4, weight_decay = 0.5 },
    { match = "^emb", freeze = true }, { match = "att", multiple = 2 } } })
  local of = {}
  for _, row in ipairs(opt:groups()) do of[row.name] = row end
  local function row(name, group, multiple, rate, decay, frozen)
    local r = of[name]
    equal({ r.group, r.multiple, r.rate, r.weight_decay, r.frozen }, { group, multiple, rate, decay, frozen }, 1e-12)
  end
  row("blocks.1.att.w0", 1, 1, 1e-4, 0.5, false)
  row("emb.weight", 2, 1, 1e-3, 0.1, true)
  row("blocks.0.att.key.weight", 3, 2, 2e-3, 0.1, false)
  row("blocks.0.ffn.key.weight", 0, 1, 1e-3, 0.1, false)
  row("ln_out.weight", 0, 1, 1e-3, 0, false)
  local text = tostring(opt:groups())
  assert(text:find("name +group +multiple +rate +weight_decay +frozen\n"), text)
  assert(text:find("\nemb.weight +2 +1 +0.001 +0.1 +frozen\n"), text)
  assert(text:find("\nblocks.1.att.w0 +1 +1 +0.0001 +0.5\n"), text)
  equal(change(m, "emb.weight", function() step(m, opt) end), 0)
  local official = rwkv.adamw(small(), { lr = 1e-3 }):groups() -- v7's w0 learns at twice the rate
  for _, r in ipairs(official) do equal(r.multiple, r.name:find "att%.w0$" and 2 or 1) end
end)

test("groups that are wrong freeze nothing", function()
  local m = small()
  local function wrong(groups, ...)
    table.insert(groups, 1, { match = "emb", freeze = true })
    fails(function() rwkv.adamw(m, { groups = groups }) end, "test_optimizer.lua", ...)
    assert(change(m, "emb.weight", function() step(m, rwkv.adamw(m, { lr = 1 })) end) > 0)
  end
  wrong({ { match = "nothing%.like" } }, "group 2", "matches no name", "emb.weight")
  wrong({ { match = "emb%.weight" } }, "group 2", "only what is in groups before it")
  wrong({ { match = "att", rate = 1 } }, "group 2", "rate")
  wrong({ { match = "att", lr = -1 } }, "group 2", "lr")
  wrong({ { match = "att", weight_decay = -1 } }, "group 2", "weight_decay")
  wrong({ { match = "att", multiple = 0 / 0 } }, "group 2", "multiple")
  wrong({ { match = "att", freeze = 1 } }, "boolean")
  wrong({ { match = "(att" } }, "group 2", "'(att'", "unfinished capture")
  wrong({ { lr = 1 } }, "group 2", "match is a nil")
  wrong({ "att" }, "group 2 is a string")
  wrong({ match = "att" }, "a list", "'match'")
end)

-- ---- tables of tensors and models ----

test("tensors and models together", function()
  local prompt = rwkv.zeros(4):requires_grad() -- the optimizer alone keeps the models
  local opt = rwkv.adamw({ body = small(1), head = small(2):param "head.weight", prompt = prompt },
    { lr = 1e-2, weight_decay = 0.1 })
  local names = {}
  for i, row in ipairs(opt:groups()) do names[i] = row.name end
  equal(names[1], "body.emb.weight")
  equal(names[#names - 1], "head")
  equal(names[#names], "prompt")
  equal(opt:groups()[#names].weight_decay, 0.1)
  collectgarbage()
  collectgarbage();
  (prompt + 1):sum():backward()
  opt:step()
  equal(prompt:tolist(), { -0.01, -0.01, -0.01, -0.01 }, 1e-6)
end)

test("what cannot be trained", function()
  local x, m = leaf { 1 }, small()
  fails(function() rwkv.adamw { x, x } end, "'1' and '2' are the same tensor")
  fails(function() rwkv.adamw { all = m, one = m:param "emb.weight" } end, "'all.emb.weight' and 'one' are the same tensor")
  fails(function() rwkv.adamw { y = x * 2 } end, "'y' was computed")
  fails(function() rwkv.adamw { y = rwkv.zeros(2) } end, "'y' needs no gradient", "requires_grad()")
  fails(function() rwkv.adamw { y = 5 } end, "'y' is a number")
  fails(function() rwkv.adamw { [x] = x } end, "as a key")
  fails(function() rwkv.adamw {} end, "nothing to train")
  fails(function() rwkv.adamw() end, "expected a model")
  fails(function() rwkv.adamw { m:pack "bf16" } end, "inference")
  rwkv.end_step()
end)

-- ---- micro-batches ----

test("gradients of parts add up to that of the whole batch, and hold no memory", function()
  local m, sum = small(), 0
  m:zero_grad()
  m:loss(tokens, targets):backward()
  local whole = {}
  for name, p in m:parameters() do whole[name] = p:grad():tolist() end
  m:zero_grad()
  rwkv.end_step()
  local held = {}
  for round = 1, 3 do
    m:zero_grad()
    for b = 1, 2 do
      local l = m:loss({ tokens[b] }, { targets[b] }) * 0.5
      l:backward()
      sum = sum + l:item()
      rwkv.end_step()
    end
    held[round] = rwkv.tape_bytes()
  end
  equal(held[3], held[1])
  local worst = 0
  for name, p in m:parameters() do
    local g = p:grad()
    if g then
      local d = rwkv.no_grad(function()
        local w = rwkv.tensor(whole[name])
        return (g - w):norm():item() / math.max(w:norm():item(), 1e-3)
      end)
      worst = math.max(worst, d)
    end
  end
  print(("gradient of two micro-batches and of the whole batch (%s): they differ by %.1e"):format(rwkv.precision, worst))
  assert(worst < (rwkv.precision == "float64" and 1e-12 or 1e-4))
end)

-- ---- files ----

test("an optimizer of a table goes on from its file, as if it had never stopped", function()
  local path = "runs/tests/optimizer.safetensors"
  local options = { lr = 1e-2, weight_decay = 0.1, groups = { { match = "b", lr = 0.1 } } }
  local function take(x, opt)
    opt:zero_grad();
    ((x.a - 3):square() + (x.b * x.a):exp()):sum():backward()
    opt:step()
  end
  local x = { a = leaf { 1, 2 }, b = leaf { 0.5, -1 }, c = leaf { 7 } }
  local opt = rwkv.adamw(x, options)
  for _ = 1, 3 do take(x, opt) end
  opt:rate(0.02, 1)
  x.c:requires_grad(false)
  opt:save(path)
  local y = {}
  for name, t in pairs(x) do y[name] = t:keep():requires_grad() end
  local again = rwkv.adamw(y, options)
  again:restore(path)
  equal(again:steps(), 3)
  equal(again:rate(nil, 1), 0.02)
  equal(tostring(again:groups()), tostring(opt:groups()))
  for _ = 1, 3 do take(x, opt) take(y, again) end
  for name, t in pairs(x) do equal(y[name]:tolist(), t:tolist()) end
  fails(function() rwkv.adamw({ a = leaf { 1, 2 } }):restore(path) end, path, "moments of b")
  fails(function() rwkv.adamw({ a = leaf { 1 }, b = y.b, c = leaf { 1 } }):restore(path) end, path, "another size")
  fails(function() rwkv.adamw({ x = leaf { 1 } }):restore(path) end, path, "optim.m.x is missing")
  os.remove(path)
end)
