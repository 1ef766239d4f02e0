-- Training sessions in files: what is restored goes on bit for bit.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local test, equal, fails = check.test, check.equal, check.fails
if rwkv.backend() == "fast" then rwkv.backend "reference" end
rwkv.mkdir "runs/tests"
local path = "runs/tests/session.safetensors"

rwkv.hook { kind = "decay", name = "session-decay",
  params = function(d) return { w0 = { d.C, init = "decay_v5" }, w1 = { 4, d.C }, w2 = { d.C, 4, init = "zero" } } end,
  apply = function(x, p) return -0.3 * ((x:linear(p.w1):tanh():linear(p.w2) + p.w0):sigmoid()) end }

-- Everything that a session may hold; all of it matters for the numbers.
local function new_session(version, hooks)
  local s = { done = 0, log = { losses = {}, best = math.huge, note = "\"q\"\n\0 \u{e9}", none = {}, at = { [3] = "three", [-1.5] = true } } }
  s.model = rwkv.model { version = version, layers = 2, dim = 16, head_size = 8, vocab = 11, seed = 1, hooks = hooks }
  s.prompts = { rwkv.zeros(11):requires_grad(), rwkv.zeros(11):requires_grad() }
  s.optimizers = {
    rwkv.adamw(s.model, { lr = 1e-2, weight_decay = 0.1, warmup = 3, groups = { { match = "^ln_", freeze = true } } }),
    rwkv.adamw(s.prompts, { lr = function(n) return 0.1 / n end }) }
  s.data = rwkv.rng(5, "data")
  s.state = s.model:state(2)
  s.tokens = rwkv.tokens { { 1, 2, 3, 4 }, { 5, 6, 7, 8 } }
  return s
end

local function step(s)
  local logits = s.model:forward(s.tokens, s.state)
  local noise = rwkv.randn(11) * 0.1
  local loss = (logits + s.prompts[1 + s.done % 2] + noise):cross_entropy(s.tokens)
  for _, opt in ipairs(s.optimizers) do opt:zero_grad() end
  loss:backward()
  local value = loss:item()
  for _, opt in ipairs(s.optimizers) do opt:step() end
  s.state:detach()
  local rows = s.tokens:tolist()
  for _, row in ipairs(rows) do row[s.data:integer(1, 4)] = s.data:integer(0, 10) end
  s.tokens, s.done = rwkv.tokens(rows), s.done + 1
  s.log.losses[s.done], s.log.best = value, math.min(s.log.best, value)
  for name, p in s.model:parameters() do
    if s.done == 2 and name:find "^blocks.0.*key.weight" then p:requires_grad(false) end
  end
  if s.done == 3 then s.optimizers[1]:rate(5e-3) end
end

local function must_be_same(a, b)
  equal(b.log.losses, a.log.losses)
  equal(b.log.best, a.log.best)
  for name, p in a.model:parameters() do equal(b.model:param(name):tolist(), p:tolist()) end
  for i, p in ipairs(a.prompts) do equal(b.prompts[i]:tolist(), p:tolist()) end
  for _, name in ipairs(a.state:names()) do equal(b.state:get(name):tolist(), a.state:get(name):tolist()) end
  equal(b.state:seen(), a.state:seen())
  equal(b.tokens:tolist(), a.tokens:tolist())
  for i, opt in ipairs(a.optimizers) do equal(tostring(b.optimizers[i]:groups()), tostring(opt:groups())) end
end

for _, case in ipairs { { "v7" }, { "v4" }, { "v1" }, { "v7", { decay = "session-decay" } } } do
  local version, hooks = table.unpack(case)
  test(("%s%s: interrupted and restored, or never stopped: the same bits"):format(version, hooks and " with a hook" or ""), function()
    rwkv.seed(3)
    local whole = new_session(version, hooks)
    for _ = 1, 8 do step(whole) end
    for stop = 1, 7, 3 do
      rwkv.seed(3)
      local first = new_session(version, hooks)
      for _ = 1, stop do step(first) end
      rwkv.save_session(path, first)
      rwkv.seed(99)
      local second = new_session(version, hooks)
      local log = second.log
      step(second)
      second.state:detach()
      equal(rwkv.restore_session(path, second), true)
      assert(log == second.log and log.losses[stop] and not log.losses[stop + 1])
      equal({ log.note, log.at[3], log.at[-1.5], #log.none }, { "\"q\"\n\0 \u{e9}", "three", true, 0 })
      while second.done < 8 do step(second) end
      must_be_same(whole, second)
    end
    os.remove(path)
  end)
end

test("tokens of unequal lengths keep them, whatever stands there", function()
  local ragged = rwkv.tokens { { 1, 2, 3 }, { 4 }, { 5, 6 } }
  local function session(a, b) return { equal = a, list = { b, b:rows(2) } } end
  rwkv.save_session(path, session(rwkv.tokens { { 1, 2 }, { 3, 4 } }, ragged))
  for _, other in ipairs { ragged, rwkv.tokens { { 7, 7 }, { 7, 7 } }, rwkv.tokens { { 9 }, { 8, 8, 8, 8 } } } do
    local s = session(other, other)
    rwkv.restore_session(path, s)
    equal(s.equal:tolist(), { { 1, 2 }, { 3, 4 } })
    equal(s.list[1]:tolist(), { { 1, 2, 3 }, { 4 }, { 5, 6 } })
    equal(s.list[1]:shape(), { 3, 3 })
    equal({ s.list[2]:lengths(), s.list[2]:shape(), s.list[2]:tolist() }, { { 1 }, { 1, 3 }, { { 4 } } })
  end
  local m, s = rwkv.model { version = "v7", layers = 1, dim = 16, head_size = 8, vocab = 11, seed = 4 }, session(ragged, ragged)
  rwkv.restore_session(path, s)
  equal(m:loss(s.list[1], s.list[1]):item(), m:loss(ragged, ragged):item())
  m:forward(s.equal, nil, { lengths = { 1, 2 } }) -- no lengths of their own
  local bytes = rwkv.read_file(path)
  for _, wrong in ipairs { "[4,1,2]", "[0,1,2]", "[3,1.5]", "[3,1]  ", "{}     ", "317    " } do
    rwkv.write_file(path, (bytes:gsub("%[3,1,2%]", wrong)))
    fails(function() rwkv.restore_session(path, s) end, "restore_session: " .. path)
  end
  os.remove(path)
end)

test("a session that is killed and goes on in another process", function()
  local script = "runs/tests/session.lua"
  rwkv.write_file(script, [[
    local rwkv = require "rwkv"
    local stop, path = tonumber(arg[1]), arg[2]
    local s = { step = 0, data = rwkv.rng(1), model = rwkv.model { version = "v7", layers = 1, dim = 16, head_size = 8, vocab = 11 } }
    s.optimizer = rwkv.adamw(s.model, { lr = 1e-2 })
    rwkv.restore_session(path, s)
    while s.step < 6 do
      local ids = { s.data:integer(0, 10), s.data:integer(0, 10), s.data:integer(0, 10) }
      s.optimizer:zero_grad()
      s.model:loss(ids, ids):backward()
      s.optimizer:step()
      s.step = s.step + 1
      if s.step % 2 == 0 then rwkv.save_session(path, s) end
      if s.step == stop then os.exit(9) end
    end
    local sum = 0
    for _, p in s.model:parameters() do sum = sum + p:abs():sum():item() end
    print(("%.17g"):format(sum))]])
  local program = rwkv.precision == "float64" and "build/f64/aviary" or "./aviary"
  local function run(stop, file) return check.shell(("%s %s %d runs/tests/%s"):format(program, script, stop, file)) end
  local whole, status = run(0, "whole.safetensors")
  equal(status, 0)
  equal(select(2, run(3, "stopped.safetensors")), 9)
  equal(select(2, run(5, "stopped.safetensors")), 9)
  equal(run(0, "stopped.safetensors"), whole)
  for _, name in ipairs { "session.lua", "whole.safetensors", "stopped.safetensors" } do os.remove("runs/tests/" .. name) end
end)

test("a session of one model is a checkpoint of it", function()
  local s = { model = rwkv.model { version = "v7", layers = 1, dim = 16, head_size = 8, vocab = 11 }, step = 7 }
  s.optimizer = rwkv.adamw(s.model, { lr = 1e-2 })
  rwkv.save_session(path, s)
  equal(rwkv.info(path).config, s.model:config())
  equal(rwkv.load(path):param "emb.weight":tolist(), s.model:param "emb.weight":tolist())
  rwkv.adamw(rwkv.load(path), {}):restore(path)
  os.remove(path)
end)

test("what does not fit is an error, and changes nothing", function()
  local function model(dim) return rwkv.model { version = "v7", layers = 1, dim = dim or 16, head_size = 8, vocab = 11, seed = 4 } end
  local s = { model = model(), x = rwkv.ones(2), rng = rwkv.rng(1), list = { 1, 2 } }
  rwkv.save_session(path, s)
  local function refused(t, ...)
    local before = t.x and tostring(t.x):find "^tensor" and t.x:tolist()
    fails(function() rwkv.restore_session(path, t) end, "test_session.lua", "restore_session: " .. path, ...)
    if before then equal(t.x:tolist(), before) end
    if t.list then equal(t.list, { 5 }) end
  end
  refused({ model = model(24), x = rwkv.zeros(2), rng = rwkv.rng(2), list = { 5 } }, "model is another model", "dim is 16, here it is 24")
  refused({ model = model(), x = rwkv.zeros(3), rng = rwkv.rng(2), list = { 5 } }, "carried.x is [2], expected [3]")
  refused({ model = model(), rng = rwkv.rng(2), list = { 5 } }, "x is a tensor in the file, and nothing here")
  refused({ model = model(), x = rwkv.rng(1), rng = rwkv.rng(2), list = { 5 } }, "x is a tensor in the file, and a generator here")
  refused({ model = model(), x = rwkv.zeros(2), rng = rwkv.rng(2), y = { rwkv.zeros(1) }, list = { 5 } },
    "y[1] is nothing in the file, and a tensor here")
  fails(function() rwkv.restore_session(path) end, "expected a table")
  fails(function() rwkv.restore_session() end, "expected a path")
  fails(function() rwkv.save_session(path, { f = { print } }) end, "test_session.lua", "f[1] is a function", "generators")
  fails(function() rwkv.save_session(path, { h = setmetatable({}, {}) }) end, "h is a table with a metatable")
  fails(function() rwkv.save_session(path, { s = rwkv.sampler() }) end, "s is a rwkv.sampler")
  fails(function() rwkv.save_session(path, { t = "\255" }) end, "t is no text in UTF-8")
  fails(function() rwkv.save_session(path, { [print] = 1 }) end, "function is a key")
  fails(function() s.list[3] = s.list rwkv.save_session(path, s) end, "in itself")
  fails(function() rwkv.save_session(path, { m = model():pack "bf16" }) end, "inference")
  rwkv.restore_session(path, { model = s.model, x = s.x, rng = s.rng }) -- the file is whole
  s.model:save(path)
  fails(function() rwkv.restore_session(path, s) end, path)
  os.remove(path)
  equal(rwkv.restore_session(path, {}), false)
  local other = "runs/tests/session_other.safetensors"
  rwkv.save_tensors(other, { { name = "x", value = rwkv.ones(1) } })
  fails(function() rwkv.restore_session(other, {}) end, other, "no session")
  os.remove(other)
end)
