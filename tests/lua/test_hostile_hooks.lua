-- Hooks that are wrong or hostile: errors are welcome, crashes and freed memory are not (run under `make asan`).
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local test, equal, fails = check.test, check.equal, check.fails

local count = 0
local function hook(kind, q)
  count = count + 1
  q.kind, q.name = kind, q.name or "hostile-" .. count
  return rwkv.hook(q)
end

local function model(version, hooks, more)
  local q = { version = version, layers = 2, dim = 8, head_size = 4, vocab = 5, ctx = 16, hooks = hooks }
  for name, value in pairs(more or {}) do q[name] = value end
  return rwkv.model(q)
end

-- A model whose time mixing is f, with a state that grows by the text.
local function growing(f, more)
  return model("v7", { time_mix = hook("time_mix", { apply = f, state = { past = { "tokens", 8 } },
    params = function(d) return { w = { d.C, d.C } } end }) }, more)
end

local function append(s, x) s.past = rwkv.concat({ s.past, x }, 2) end

-- A model that calls f(x, d) in each of its layers.
local function calling(f, more)
  return model("v7", { decay = hook("decay", { apply = function(x, _, d)
    f(x, d)
    return rwkv.zeros(d.A)
  end }) }, more)
end

local function collect()
  collectgarbage()
  collectgarbage()
end

-- Ends the step and fills the memory of the old one with something else.
local function overwrite()
  rwkv.end_step()
  for k = 1, 50 do local _ = rwkv.full(1e30, 7) * k end
end

-- What a hook returns so that the model runs, in every slot.
local harmless = {
  shift = function(x, prev, _, d)
    local mixed = {}
    for i, stream in ipairs(d.streams) do mixed[stream] = i % 2 == 0 and prev or x end
    return mixed
  end,
  receptance = function(x) return x end, decay = function(_, _, d) return rwkv.zeros(d.A) end,
  iclr = function(_, _, _, d) return rwkv.ones(d.A) end, gate = function(x) return x end,
  bonus = function(r, k, v) return r * k * v end, key_norm = function(k, _, _, d) return k:l2norm(d.H) end,
  key_scale = function(k, a) return k * a end,
  value_residual = function(_, v_first) return v_first end,
  recurrence = function(inputs) return inputs.v end, norm = function(y) return y end,
  time_mix = function(x) return x end, channel_mix = function(x) return x end,
  time_out = function(y) return y end, channel_out = function(y) return y * 0.5 end, embed_norm = function(x) return x end,
}

-- ---- states ----

test("a state at work in a run is nobody else's", function()
  for _, recorded in ipairs { true, false } do
    local run = recorded and function(f) f() end or rwkv.no_grad
    local state, m, inside
    local tries = {
      function() m:forward({ 1 }, state) end, function() rwkv.no_grad(m.forward, m, { 1 }, state) end,
      function() m:loss({ 1 }, { 2 }, { state = state }) end, function() m:trace_run({ 1 }, state) end,
      function() state:detach() end, function() state:set("0.time_mix.past", state:get "0.time_mix.past") end,
    }
    m = growing(function(x, s)
      if not inside then
        inside = true
        for _, f in ipairs(tries) do fails(f, "at work") end
        m:forward({ 2 }, state:copy()) -- that it may do
        rwkv.no_grad(m.forward, m, { 2 }, state:copy())
        assert(#state:names() == 8 and tostring(state))
        inside = false
      end
      append(s, x)
      return x
    end)
    state = m:state()
    for T = 1, 3 do
      run(function() m:forward(({ { 1 }, { 1, 2 }, { 1, 2, 3 } })[T], state) end)
      if T == 2 then overwrite() end
      equal(state:get "1.time_mix.past":shape(), { 1, T * (T + 1) // 2, 8 })
    end
    state:detach()
    overwrite()
    equal(state:get "1.time_mix.past":shape(), { 1, 6, 8 })
  end
end)

test("a state is free again after a hook that failed", function()
  local fail = true
  local m = growing(function(x, s)
    append(s, x)
    if fail then error(setmetatable({}, { __tostring = error })) end
    return x
  end)
  local state = m:state()
  assert(not pcall(m.forward, m, { 1 }, state))
  assert(not pcall(coroutine.wrap(function() m:forward({ 1 }, state) end)))
  fail = false
  state:detach()
  m:forward({ 1 }, state)
  equal(state:get "0.time_mix.past":shape(), { 1, 1, 8 })
end)

test("a hook keeps the tensors of its state", function()
  local kept = {}
  local m = growing(function(x, s)
    kept[#kept + 1] = s.past
    append(s, x)
    return x
  end)
  local state = m:state()
  rwkv.no_grad(function()
    for _ = 1, 3 do m:forward({ 1, 2 }, state) end
    collect()
    equal(kept[6]:shape(), { 1, 4, 8 })
    for _, t in ipairs(kept) do assert(t:size() == #t:reshape(-1):tolist()) end
  end)
  fails(function() return kept[6]:tolist() end, "step that is over")
  kept = {}
  m:forward({ 1 }, state)
  state:detach()
  rwkv.no_grad(m.forward, m, { 1 }, state)
  state = nil
  collect()
  equal(kept[1]:shape(), { 1, 6, 8 })
  kept[1]:set(7)
  overwrite()
end)

test("a state that did not change stays what backward needs", function()
  local grows = true
  local m = growing(function(x, s, p)
    local y = s.past:size() > 0 and x + s.past:matmul(p.w):tanh():sum(2, true) or x
    if grows then append(s, x) end
    return y
  end)
  local results = {}
  for round = 1, 2 do
    local state = m:state()
    grows = true
    rwkv.no_grad(m.forward, m, { 1, 2, 3 }, state)
    grows = false
    m:zero_grad()
    local loss = m:loss({ 1 }, { 2 }, { state = state })
    if round == 2 then
      state:detach()
      state:set("0.time_mix.past", state:get "0.time_mix.past" * 1e3)
      grows = true
      rwkv.no_grad(m.forward, m, { 1, 2, 3 }, state)
    end
    loss:backward()
    results[round] = m:param("blocks.0.att.time_mix.hostile-" .. count .. ".w"):grad():tolist()
    rwkv.end_step()
  end
  equal(results[2], results[1])
end)

test("parts of a state that change places, or belong to another layer or state", function()
  local last
  local m = model("v7", { time_mix = hook("time_mix", { state = { a = { "tokens", 8 }, b = { "tokens", 8 }, c = { 8, 8 } },
    apply = function(x, s)
      s.a, s.b = rwkv.concat({ s.b, x }, 2), s.a
      if last then s.c, s.a, s.b = last.c, s.b, last.a end
      last = { a = s.a, b = s.b, c = s.c + 1 }
      return x
    end }) })
  local one, two = m:state(), m:state()
  for round = 1, 6 do
    last = nil
    local loss = m:loss({ 1, 2, 3 }, { 2, 3, 4 }, { state = one })
    last = nil
    if round % 2 == 0 then m:forward({ 1 }, two) end
    if round == 3 then one, two = two, one end
    if round == 4 then two = two:copy() end
    loss:backward()
    collect()
    overwrite()
    for _, s in ipairs { one, two } do
      for _, name in ipairs(s:names()) do
        for _, n in ipairs(s:get(name):reshape(-1):tolist()) do assert(math.abs(n) < 1e3) end
      end
    end
    rwkv.no_grad(function()
      last = nil
      m:forward({ 4, 0 }, two)
    end)
  end
  rwkv.end_step()
end)

test("states of all wrong shapes, and entries that are none", function()
  local old, entry = rwkv.ones(1) * 2
  overwrite()
  for _, kind in ipairs { "fixed", "tokens" } do
    local m = model("v7", { time_mix = hook("time_mix", { state = { s = { kind == "tokens" and "tokens" or 2, 4 } },
      apply = function(x, s)
        if type(entry) == "function" then s.s = entry(s.s) else s.s = entry end
        return x
      end }) })
    local state = m:state(2)
    for _, bad in ipairs { 1, "x", false, {}, coroutine.create(print), m, state, rwkv.ones(2), rwkv.ones(), rwkv.zeros(0), rwkv.ones(2, 2, 4, 1),
      rwkv.ones(1, 2, 4), rwkv.ones(2, 2, 5), rwkv.zeros(2, 0, 5), rwkv.zeros(0, 2, 4), old } do
      entry = bad
      fails(function() m:forward({ { 1 }, { 2 } }, state) end)
      fails(function() rwkv.no_grad(m.forward, m, { { 1 }, { 2 } }, state) end)
    end
    entry = nil
    fails(function() m:forward({ { 1 }, { 2 } }, state) end, "state s is nil")
    for _, n in ipairs { 3, 0, 1, 0, 7 } do
      local run = n > 1 and rwkv.no_grad or pcall
      entry = function() return rwkv.ones(2, n, 4) end
      local ok = pcall(run, m.forward, m, { { 1 }, { 2 } }, state)
      if kind == "tokens" and run == rwkv.no_grad then assert(ok) end
      overwrite()
      local t = state:get "1.time_mix.s"
      equal(t:size(), kind == "tokens" and 8 * n or 16)
    end
  end
end)

test("states of models with other hooks", function()
  local function state_of_one()
    local h = hook("gate", { state = { s = { 3 } }, apply = function(x) return x end })
    local models = { model "v7", model("v7", { gate = h }), model("v7", { gate = h }), model("v7", { gate = "silu" }),
      model("v7", { norm = "none" }), model("v6", { gate = h }) }
    for i, a in ipairs(models) do
      local state = a:state()
      for k, b in ipairs(models) do
        local same = i == k or i + k == 5 and (i == 2 or k == 2) -- the same hook, bound to each
        if same then b:forward({ 1 }, state) else fails(function() b:forward({ 1 }, state) end, "another model") end
      end
    end
    return models[2]:state()
  end
  local state = state_of_one()
  collect()
  equal(state:copy():get "0.gate.s":size(), 3)
  equal(#state:names(), 8)
end)

-- ---- lifetimes ----

test("a model, its hooks and its state that only the run holds", function()
  local m, state, kept
  local function h(kind)
    return hook(kind, { params = { w = { 8, 8 } }, state = { s = { 2 } }, apply = function(...)
      m, state = nil, nil
      collect()
      local n = select("#", ...)
      local s, p = select(n - 2, ...), select(n - 1, ...)
      s.s = s.s + 1
      kept = p.w
      return (...):matmul(p.w)
    end })
  end
  m = model("v7", { gate = h "gate", norm = h "norm", receptance = h "receptance" })
  state = m:state()
  local loss = m:loss({ 1, 2, 3 }, { 2, 3, 4 }, { state = state })
  collect()
  loss:backward()
  assert(kept:grad() and kept:size() == 64)
  overwrite()
  collect()
  equal(kept:shape(), { 8, 8 })
  rwkv.no_grad(function()
    m = calling(collect)
    m.forward((function() local it = m m = nil return it end)(), { 1 })
  end)
end)

test("finalizers that run inside hooks", function()
  local m, state = calling(function() end), nil
  local opt, got, going = rwkv.adamw(m, {}), {}, true
  local leaf = rwkv.ones(3):requires_grad()
  local loss = (leaf * 2):sum()
  local function bomb()
    setmetatable({}, { __gc = function()
      for _, f in ipairs { function() rwkv.end_step() end, function() opt:step() end, function() loss:backward() end,
        function() state:detach() end } do got[#got + 1] = pcall(f) end
      pcall(function() m:forward({ 1 }, m:state()) end)
      pcall(rwkv.no_grad, m.forward, m, { 1 }, state)
      if going then bomb() end
    end })
  end
  local n = 0
  local host = calling(function()
    n = n + 1
    if n > 8 then return end
    bomb()
    collect()
  end)
  state = host:state()
  host:forward({ 1 }, state)
  going = false
  collect()
  for i = 1, 12 do assert(got[i] == false) end
  overwrite()
end)

test("finalizers cannot save the hooks of what is being collected", function()
  local got = {}
  do
    local m = growing(harmless.time_mix)
    setmetatable({ m = m, s = m:state() }, { __gc = function(o)
      got[1], got[2] = { pcall(o.s.copy, o.s) }, { pcall(o.m.state, o.m) }
      got[3], got[4] = { pcall(o.m.forward, o.m, { 1 }) }, { pcall(o.m.trace, o.m, { 1 }) }
      for _, f in ipairs { o.s.names, o.s.detach, o.m.config, o.m.state_floats } do pcall(f, o.m) pcall(f, o.s) end
    end })
  end
  collect()
  collect()
  equal(#got, 4)
  for _, g in ipairs(got) do assert(not g[1] and g[2]:find "being collected", g[2]) end
end)

test("hooks that change after the model was made", function()
  local h = hook("decay", { params = { w = { 8 } }, apply = function(_, p) return -p.w:exp() end })
  local m = model("v7", { decay = h })
  h.params, h.apply, h.name, h.kind, h.state = 5, nil, {}, 7, print
  rwkv.hook { kind = "decay", name = "hostile-" .. count, apply = error }
  m:forward { 1, 2 }
  fails(function() model("v7", { decay = h }) end)
  h.kind = "decay"
  fails(function() model("v7", { decay = h }) end)
  h.name, h.params, h.state, h.apply = "x", nil, nil, function(_, _, d) return rwkv.zeros(d.A) end
  model("v7", { decay = h }):forward { 1 }
  fails(function() getmetatable(h).__index = nil end)
  h = nil
  collect()
  m:forward { 1 }
end)

-- ---- results ----

test("results of all kinds, recorded and not", function()
  local stale, inner, leaf = rwkv.ones(8) * 2, nil, rwkv.zeros(8):requires_grad()
  overwrite()
  rwkv.no_grad(function() inner = rwkv.zeros(8) * 1 end)
  local all = { 1, "x", true, {}, print, stale, inner, leaf, rwkv.zeros(8), rwkv.zeros(1, 3, 8), rwkv.zeros(0), rwkv.zeros(1, 0, 8),
    rwkv.full(-1), rwkv.full(0 / 0, 8), rwkv.full(-1 / 0, 8), rwkv.full(-1e300, 8), rwkv.zeros(2, 3, 8), rwkv.zeros(8, 1),
    rwkv.tokens { 1 }, model "v7", coroutine.create(print), io.stdout, rwkv.rng(), setmetatable({}, { __index = error }) }
  for _, s in ipairs(rwkv.hook_slots "v7") do
    for i = 0, #all do
      local given = hook(s.slot == "ffn_shift" and "shift" or s.slot, { name = "given", apply = function() return all[i] end })
      local m = model("v7", { [s.slot] = given })
      pcall(function()
        local loss = m:loss({ 1, 2, 3 }, { 2, 3, 4 })
        collect()
        loss:backward()
      end)
      pcall(rwkv.no_grad, m.forward, m, { 1, 2, 3 })
      rwkv.end_step()
    end
  end
end)

test("inputs, views, kept and shared tensors as results", function()
  local kept = {}
  local function keep(t) kept[#kept + 1] = t return t end
  local function some() return kept[math.random(math.max(1, #kept))] end
  math.randomseed(1)
  local makers = {
    function(x) return x end, function(x) return x:reshape(-1):reshape(x:shape()) end,
    function(x) return x:slice(1, 1) end, function(x) return rwkv.no_grad(function() return x * 1 end) end,
    function(x) return x:keep() end, function(x) return x:keep():requires_grad() end,
    function(x) return some() or x end, function(x) return keep(x) end,
    function(x) return keep(rwkv.zeros(x:shape()):requires_grad()) end, function(_, p) return p.w:reshape(-1) end,
    function(x, p) return keep(x + p.w) end,
  }
  local hooks = {}
  for _, slot in ipairs { "receptance", "key_norm", "value_residual", "norm", "gate", "bonus" } do
    hooks[slot] = hook(slot, { params = { w = { 8, init = 0.5 } }, state = { s = { 8 } }, apply = function(x, ...)
      local n = select("#", ...)
      local s, p = select(n - 2, ...), select(n - 1, ...)
      local all = {}
      for i = 1, n - 3 do all[i] = select(i, ...) end
      if math.random() < 0.5 then s.s = keep(s.s) end
      return makers[math.random(#makers)](all[math.random(#all + 1)] or x, p)
    end })
  end
  hooks.shift = hook("shift", { apply = function(x, prev, _, d)
    local mixed, t = {}, makers[math.random(6)](x)
    for _, stream in ipairs(d.streams) do mixed[stream] = math.random() < 0.7 and t or prev end
    return mixed
  end })
  local m, worked = model("v7", hooks), 0
  local state = m:state()
  for round = 1, 60 do
    if round % 10 == 0 then kept = {} end
    local ok = pcall(function()
      local loss = m:loss({ 1 }, { 2 }, { state = state })
      if round % 3 == 0 then
        for i = 1, #kept, 2 do pcall(kept[i].requires_grad, kept[i], false) end
        for i = 1, #kept do kept[i] = nil end
      end
      if round % 7 == 0 then rwkv.no_grad(m.forward, m, { 3 }, state) end
      collect()
      loss:backward()
    end)
    worked = worked + (ok and 1 or 0)
    if round % 4 ~= 0 then overwrite() end
  end
  assert(worked > 5, worked)
  rwkv.end_step()
end)

-- ---- control ----

test("errors of all kinds, everywhere", function()
  local errors = { function() error() end, function() error {} end, function() error(nil) end, function() error(print) end,
    function() error(setmetatable({}, { __tostring = function() error "deeper" end })) end, function() error("x", 50) end,
    function() local _ = nil + 1 end, function() return ("x"):rep(1e14) end, coroutine.yield, function() coroutine.yield() end,
    function() coroutine.close(coroutine.running()) end, function() return rwkv.ones(2) + rwkv.ones(3) end,
    function() string.rep() end,
    function() local _ <close> = setmetatable({}, { __close = error }) end, function() rwkv.no_grad(error, {}) end }
  for _, f in ipairs(errors) do
    local m = calling(f)
    for _, run in ipairs { pcall, function(...) return coroutine.resume(coroutine.create((...)), select(2, ...)) end } do
      local ok = run(m.forward, m, { 1 })
      assert(not ok)
      ok = run(m.loss, m, { 1 }, { 2 })
      assert(not ok)
    end
    assert(not pcall(rwkv.no_grad, m.forward, m, { 1 }))
    assert(not pcall(m.trace, m, { 1 }))
    for _, field in ipairs { "params", "state" } do
      assert(not pcall(model, "v7", { decay = hook("decay", { [field] = f, apply = harmless.decay }) }) or f == errors[9]
        or f == errors[10])
    end
    local wrong = hook("decay", { params = { w = { 8, init = f } }, apply = harmless.decay })
    assert(not pcall(model, "v7", { decay = wrong }))
  end
  equal((rwkv.ones(2) * 3):tolist(), { 3, 3 })
  rwkv.end_step()
end)

test("coroutines around and inside hooks", function()
  local co
  local m = calling(function(x, d)
    local inner = coroutine.wrap(function()
      local y = x * 2
      coroutine.yield(y)
      error "never"
    end)
    equal(inner():shape(), x:shape())
    assert(not pcall(coroutine.close, co) and not coroutine.resume(co) and d.B == 1)
  end)
  for _ = 1, 3 do
    co = coroutine.create(function()
      local loss = m:loss({ 1, 2 }, { 2, 3 })
      coroutine.yield(loss)
    end)
    local ok, loss = coroutine.resume(co)
    assert(ok, loss)
    coroutine.close(co)
    co = nil
    collect()
    loss:backward()
    rwkv.end_step()
  end
  -- params may wait; the model is made when they come back
  local made = coroutine.wrap(function()
    return model("v7", { decay = hook("decay", { params = function() coroutine.yield() return { w = { 8 } } end,
      apply = function(_, p) return -p.w:exp() end }) })
  end)
  repeat
    overwrite()
    local m2 = made()
    if m2 then m2:forward { 1 } end
  until m2
end)

test("models inside hooks inside models", function()
  local depth, deepest = 0, 0
  local m
  m = calling(function(x, d)
    depth = depth + 1
    deepest = math.max(depth, deepest)
    if depth < 4 then
      local run = d.layer == 0 and rwkv.no_grad or pcall
      run(m.forward, m, { 1 })
      m:loss({ 1, 2 }, { 2, 3 }, { state = m:state() })
      model("v4"):forward({ 1 })
      assert(x:size() % 8 == 0)
    end
    depth = depth - 1
  end)
  m:loss({ 1, 2, 3 }, { 2, 3, 4 }):backward()
  equal(deepest, 4)
  rwkv.end_step()
  local endless
  endless = calling(function() endless:forward { 1 } end)
  fails(function() endless:forward { 1 } end, "overflow")
  fails(function() rwkv.no_grad(endless.forward, endless, { 1 }) end, "overflow")
  endless = calling(function() rwkv.no_grad(endless.forward, endless, { 1 }) end)
  fails(function() endless:forward { 1 } end, "overflow")
  endless = calling(function() coroutine.wrap(endless.forward)(endless, { 1 }) end)
  fails(function() endless:forward { 1 } end, "overflow")
  endless = calling(function() local function f() return 1 + f() end return f() end)
  fails(function() endless:forward { 1 } end, "overflow")
  local define
  define = hook("decay", { params = function() model("v7", { decay = define }) end, apply = print })
  fails(function() model("v7", { decay = define }) end, "overflow")
  rwkv.end_step()
end)

test("everything else inside a hook", function()
  rwkv.mkdir "runs/tests"
  local path, backend, inside, n = "runs/tests/inside.safetensors", rwkv.backend(), false, 0
  local m, opt
  m = calling(function(x)
    if inside then return end
    inside, n = true, n + 1
    for _, f in ipairs { function() opt:step() end, rwkv.end_step, function() x:sum():backward() end,
      function() rwkv.no_grad(rwkv.end_step) end } do fails(f, "inside a hook") end
    m:save(path, { optimizer = opt })
    opt:restore(path)
    rwkv.load(path):forward { 1 }
    opt:zero_grad()
    m:zero_grad()
    rwkv.adamw(m, {})
    m:trace { 1, 2 }
    rwkv.backend(n % 2 == 0 and "fast" or "reference")
    for name, t in m:parameters() do
      if name:find "key" then t:requires_grad(n % 3 ~= 0) end
      t:set(t:tolist())
    end
    rwkv.describe { version = "v7", layers = 2, dim = 8, vocab = 5, hooks = { decay = "none" } }
    collectgarbage(n % 2 == 0 and "generational" or "incremental")
    inside = false
  end)
  opt = rwkv.adamw(m, {})
  for _ = 1, 4 do
    local l = m:loss({ 1, 2, 3 }, { 2, 3, 4 })
    fails(function() l:backward() end, "was written to") -- by t:set
    inside = true
    m:loss({ 1, 2, 3 }, { 2, 3, 4 }):backward()
    inside = false
    opt:step()
  end
  collectgarbage "incremental"
  rwkv.backend(backend)
  os.remove(path)
end)

test("hooks in every slot of every version at once", function()
  local function all_of(version, without)
    local hooks = {}
    for _, s in ipairs(rwkv.hook_slots(version)) do
      local f = harmless[s.slot == "ffn_shift" and "shift" or s.slot]
      if not without[s.slot] then
        hooks[s.slot] = hook(s.slot == "ffn_shift" and "shift" or s.slot, { params = { ["a-b.c"] = { 2 }, ["0"] = { 1, 1, 1, 1 } },
          state = { x = { "tokens", 2 }, y = { 1, 1, 1 } }, apply = function(...)
            local n = select("#", ...)
            local all = { ... }
            local st = table.remove(all, n - 2)
            st.y = st.y + 1
            st.x = rwkv.concat({ st.x, rwkv.ones(all[n - 1].B, all[n - 1].T, 2) }, 2)
            return f(table.unpack(all, 1, n - 1))
          end })
      end
    end
    return hooks
  end
  rwkv.mkdir "runs/tests"
  local path = "runs/tests/all.safetensors"
  for _, version in ipairs(rwkv.versions()) do
    for _, without in ipairs { { time_mix = true, channel_mix = true }, { time_mix = true, ffn_shift = true } } do
      local hooks = all_of(version, without)
      if without.ffn_shift and hooks.channel_mix == nil then hooks = {} end
      for _, pre in ipairs(version:match "v[234]$" and { 0, 1 } or { 0 }) do
        local m = model(version, hooks, { pre_ffn = pre, tiny_att_layer = version == "v4" and 1 or nil, layers = 3 })
        for name, t in m:parameters() do
          if name:find "ffnPre.time_mix" then t:set(0.5) end -- infinite in the official v3
        end
        local s = m:state(2)
        for _, T in ipairs { 1, 3, 1, 1 } do
          local rows = { { 1, 2, 3 }, { 3, 2, 1 } }
          for _, row in ipairs(rows) do row[T + 1] = nil end
          if T == 1 then rows = { { 1 }, { 2 } } end
          m:loss(rows, rows, { state = s }):backward()
          if T == 3 then s:detach() else rwkv.end_step() end
        end
        rwkv.no_grad(m.forward, m, { { 1 }, { 2 } }, s)
        m:trace { 1, 2 }
        m:save(path)
        m = rwkv.load(path)
        m:forward { 1 }
        rwkv.end_step()
      end
    end
  end
  os.remove(path)
end)

-- ---- definitions ----

test("lists of parameters and states of all kinds", function()
  local function lying(t, how) return setmetatable(t, how) end
  local h = { w = { 8 } }
  local lists = { lying({}, { __pairs = function() return next, h end, __index = function() return { -1 } end }),
    lying({}, { __pairs = function() return function(_, k) if not k then return 5, {} end end end }),
    lying({}, { __pairs = error }), lying({ w = { 1 } }, { __index = error }), { w = lying({}, { __index = function(_, i) return i < 9 and 2 or nil end }) },
    { w = lying({ 8 }, { __index = { init = print, gain = {}, lr = "x", start = print } }) }, { w = {} }, { {} }, { { 1 } },
    { [true] = { 1 } }, { [print] = { 1 } }, { [1.5] = { 1 } }, { w = { 1.5 } }, { w = { 2 ^ 24 + 1 } }, { w = { 0 } }, { w = { 0 / 0 } },
    { w = { 1, 1, 1, 1, 1 } }, { w = { 2 ^ 24, 2 ^ 24, 2 ^ 24 } }, { w = { 2 ^ 24, 2 ^ 24, 2 ^ 24, 2 ^ 24 } }, { w = { "tokens" } },
    { w = { 2, "tokens" } }, { w = { "tokens", 2 ^ 24, 2 ^ 24 } }, { w = { "token" } }, { w = { { 1 } } }, { w = { 8, init = "x" } },
    { w = { 8, init = {} } }, { w = { 8, gain = 0 / 0, lr = 1 / 0, start = -1 / 0 } }, { w = { 8, lr = {} } }, { w = { 8, start = {} } },
    { [("x"):rep(31)] = { 1 } }, { [("x"):rep(32)] = { 1 } }, { [""] = { 1 } }, { ["a\0b"] = { 1 } }, { ["a%n%s"] = { 1 } },
    { ["\xff"] = { 1 } }, { w = print }, 5, "x", print, rwkv.ones(2), true }
  for _, n in ipairs { 40, 64, 65, 1000 } do
    local many = {}
    for i = 1, n do many["p" .. i] = { 1 } end
    lists[#lists + 1] = many
  end
  local function deep(n, f) -- as deep as it takes to be near the end of Lua's stack
    if n == 0 then return f() end
    local r = deep(n - 1, f)
    return r
  end
  for i, list in ipairs(lists) do
    for _, field in ipairs { "params", "state" } do
      for k, given in ipairs { list, function() return list end } do
        local hooked = hook("decay", { [field] = given, apply = function() return rwkv.zeros(8) end })
        pcall(deep, (i * 7 + k * 13) % 200, function()
          local m = model("v7", { decay = hooked })
          m:loss({ 1 }, { 2 }, { state = m:state(2) })
          m:state():names()
          m:state_floats(2 ^ 31 - 1)
        end)
        pcall(rwkv.describe, { version = "v7", layers = 99, dim = 8, vocab = 5, hooks = { decay = hooked }, tokens = 2 ^ 31 - 1 })
        pcall(hooked.state_size, hooked, { C = 8, A = 8, H = 2, N = 4 }, 1e9)
      end
    end
  end
  fails(function() model("v7", { decay = hook("decay", { params = { ["a\0b"] = { 1 } }, apply = print }) }) end, "a name of")
  for k = 1, 120 do
    coroutine.wrap(deep)(k, function() model("v7", { decay = hook("decay", { params = lists[#lists - 2], apply = print }) }) end)
  end
end)

test("initial values of all kinds", function()
  local m = model "v7"
  local given
  local h = hook("decay", { params = { w = { 2, 4, init = function(...) return given(...) end } }, apply = harmless.decay })
  local old = rwkv.ones(2, 4) * 2
  overwrite()
  for _, value in ipairs { 1, { { 1, 2, 3, 4 }, { 5, 6, 7, 8 } }, { 1 }, {}, "x", print, m, old, rwkv.ones(2, 4), rwkv.ones(4, 2),
    rwkv.zeros(0), { { 1, 2, 3, 4 }, { 1, 2, 3 } }, { { { 1 } } }, 0 / 0 } do
    given = function(_, d, rng, shape)
      d.layers, d.A, shape[1] = 1e9, nil, {}
      rng:uniform()
      collect()
      return value
    end
    pcall(model, "v7", { decay = h })
  end
  given = function()
    overwrite()
    model("v4"):loss({ 1 }, { 2 })
    return rwkv.ones(2, 4) * 3
  end
  equal(model("v7", { decay = h }):param("blocks.1.att.decay.hostile-" .. count .. ".w"):tolist()[2], { 3, 3, 3, 3 })
  local many = {}
  for _, init in ipairs { "fill", "normal", "uniform", "orthogonal", "orthogonal_wide", "lerp", "decay_v4", "decay_v5", "decay_v7",
    "bonus", "iclr", "key_norm", "value_residual", "ln_x" } do
    for i, s in ipairs { { 1 }, { 3 }, { 1, 5 }, { 5, 1 }, { 1, 1, 1, 1 }, { 2, 3, 4, 2 } } do
      s.init = init
      many[init .. i] = i <= 4 and s or nil
    end
  end
  for _, version in ipairs(rwkv.versions()) do
    model(version, { channel_mix = hook("channel_mix", { params = many, apply = harmless.channel_mix }) })
  end
end)

test("hooks = anything", function()
  local h = hook("decay", { apply = harmless.decay })
  for _, hooks in ipairs { 5, "x", print, rwkv.ones(2), { 1 }, { decay = 1 }, { decay = {} }, { decay = print }, { decay = "" },
    { decay = ("x"):rep(1000) }, { decay = "\0" }, { [("x"):rep(1000)] = h }, { gate = h }, { decay = h, time_mix = h }, { [h] = h },
    { decay = setmetatable({}, { __metatable = getmetatable(h) }) }, { decay = setmetatable({ kind = "decay" }, { __index = h }) },
    setmetatable({}, { __pairs = function() return function(_, k) return not k and "decay" or nil, h end end }),
    { decay = model "v7" } } do
    for _, version in ipairs { "v7", "v1", "x", 5 } do
      pcall(model, version, hooks)
      pcall(rwkv.describe, { version = version, layers = 1, dim = 8, vocab = 5, hooks = hooks })
    end
  end
  for _, bad in ipairs { {}, { kind = "decay" }, { name = "x" }, { kind = "decay", name = "\0", apply = print }, 5, "x",
    { kind = "decay", name = ("x"):rep(32), apply = print }, { kind = {}, name = {}, apply = {} },
    setmetatable({}, { __index = { kind = "decay", name = 5, apply = 1 } }), setmetatable({}, { __pairs = error }) } do
    fails(function() rwkv.hook(bad) end)
  end
  for _, apply in ipairs { print, error, coroutine.yield, collectgarbage, rwkv.no_grad, rwkv.model, rwkv.ones, rwkv.concat, pcall,
    rwkv.ones(1).exp, rwkv.ones(1).shift, rwkv.end_step, select } do
    for _, kind in ipairs { "decay", "gate", "time_mix" } do
      pcall(function() model("v7", { [kind] = hook(kind, { apply = apply }) }):forward { 1 } end)
    end
  end
  rwkv.end_step()
end)

test("what only a trusted script can reach", function()
  local function upvalues(f, out, seen)
    for i = 1, 255 do
      local name, value = debug.getupvalue(f, i)
      if not name then return out end
      if type(value) == "function" and not seen[value] then
        out[name], seen[value] = out[name] or value, true
        upvalues(value, out, seen)
      elseif name == "hooks" and not out.hooks then -- the library's table
        out.hooks = value
        for _, method in pairs(value) do if type(method) == "function" then upvalues(method, out, seen) end end
      end
    end
  end
  local makes, loads = upvalues(rwkv.model, {}, {}), upvalues(rwkv.load, {}, {})
  local bind, sizes, hooks_in, core_model, core_load = makes.bind_hook, makes.hook_sizes, loads.hooks_in, makes.core_model,
    loads.core_load
  local function q(more)
    local t = { slot = "decay", name = "direct", apply = harmless.decay, origin = print, params = {}, state = {} }
    for name, value in pairs(more or {}) do t[name] = value end
    return t
  end
  local garbage = { 1, -1, 2 ^ 53, math.mininteger, 0 / 0, "x", "", ("x"):rep(1e5), true, false, {}, { 1 }, { {} }, { { name = "w" } },
    { { name = "w", shape = {} } }, { { name = "w", shape = { 1 }, gain = {}, init = "fill" } }, { { name = 5, shape = { 1 } } },
    { { name = "w", shape = { 1 }, init = 5 } }, { { name = "w", shape = { "tokens", "tokens" }, start = 1 } }, print, rwkv.ones(1),
    model "v7", io.stdout, rwkv.tokens { 1 }, coroutine.create(print), setmetatable({}, { __index = error, __len = error }),
    { { name = "w", shape = { 2 }, init = "fill" }, { name = "w", shape = { 3 }, init = "fill" } } }
  local direct = bind(q())
  garbage[#garbage + 1] = direct
  for _, f in ipairs { bind, sizes, hooks_in, core_load } do
    pcall(f)
    for _, g in ipairs(garbage) do
      pcall(f, g)
      for _, g2 in ipairs(garbage) do pcall(f, g, g2) end
    end
  end
  for name in pairs(q()) do
    pcall(bind, q { [name] = false })
    for _, g in ipairs(garbage) do
      local ok, h = pcall(bind, q { [name] = g })
      if ok then
        for _, version in ipairs { "v7", "v4", "v1" } do
          for slot in pairs(harmless) do
            pcall(function()
              local m = core_model { version = version, layers = 2, dim = 8, vocab = 5, hooks = { [slot] = h, norm = direct } }
              m:loss({ 1 }, { 2 }):backward()
              m:state():names()
              m:save "runs/tests/direct.safetensors"
              rwkv.load "runs/tests/direct.safetensors"
            end)
          end
        end
      end
    end
  end
  local ok, m = pcall(core_model, { version = "v7", layers = 1, dim = 8, vocab = 5, hooks = { decay = direct } })
  assert(ok, m)
  m:save "runs/tests/direct.safetensors"
  pcall(core_load, "runs/tests/direct.safetensors", { decay = bind(q { params = { { name = "w", shape = { 3 }, init = "fill" } } }) })
  pcall(core_load, "runs/tests/direct.safetensors", { gate = direct })
  core_load("runs/tests/direct.safetensors", { decay = direct }):forward { 1 }
  os.remove "runs/tests/direct.safetensors"
  local class = debug.getmetatable(direct)
  pcall(class.__gc, m)
  pcall(class.__gc, 5)
  rwkv.end_step()
end)

-- ---- files ----

test("files that lie about hooks and sizes", function()
  rwkv.mkdir "runs/tests"
  local path = "runs/tests/lies.safetensors"
  local h = hook("decay", { name = "floor", params = function(d) return { w = { d.A }, ["m.weight"] = { d.C, d.A } } end,
    state = function(d) return { s = { "tokens", d.N } } end, apply = function(_, p) return -p.w:exp() end })
  local m = model("v7", { decay = h, gate = "silu" })
  m:save(path)
  local f = io.open(path, "rb")
  local whole = f:read "a"
  f:close()
  local n = string.unpack("<I8", whole)
  local header, data = whole:sub(9, 8 + n), whole:sub(9 + n)
  local function try(text, bytes)
    f = io.open(path, "wb")
    f:write(string.pack("<I8", #text), text, bytes or data)
    f:close()
    local ok, x = pcall(rwkv.load, path)
    if ok then
      pcall(x.loss, x, { 1, 2 }, { 2, 3 }, { state = x:state() })
      tostring(x:config())
      x:save(path)
    else
      assert(not tostring(x):find "(null)", x)
      assert(x:find(path .. ": ", 1, true) and not x:find "rwkv/hooks", x)
    end
    rwkv.end_step()
    return ok, x
  end
  assert(try(header))
  local function metadata(key, value)
    local text, k = header:gsub('("' .. key:gsub("%.", "%%.") .. '":)"[^"]*"', function(name) return name .. value end)
    assert(k == 1, key)
    return text
  end
  local long, words = ("x"):rep(5000), {}
  for i = 1, 400 do words[i] = "decay=x" .. i end
  for _, value in ipairs { '""', '" "', '"decay"', '"decay="', '"decay=floor"', '"=floor"', '"decay=none gate=silu"', '"decay=floor decay=none gate=silu"',
    '"decay=floor gate=silu time_mix=x"', '"gate=floor decay=silu"', '"decay=v7 gate=sigmoid-lora"', '"decay=floor gate=silu shift=half ffn_shift=half"',
    '"nonsense=floor"', '"decay=floor\\u0000 gate=silu"', '"decay=%s%n%x gate=%s"', '"' .. long .. '"', '"decay=' .. long .. '"', '"' .. table.concat(words, " ") .. '"',
    '"' .. (" "):rep(3000) .. 'decay=floor gate=silu"', '"\\n\\t=="', "5", "null", "{}", "[]", '"time_mix=floor"', '"recurrence=wkv7 gate=silu decay=floor"' } do
    try(metadata("aviary.hooks", value))
  end
  for _, value in ipairs { "v4", "v1", "v6b", "", "x", long, "v7 ", "%s" } do try(metadata("version", '"' .. value .. '"')) end
  local sizes = header:match '"aviary.sizes":"([^"]*)"'
  for name, old in sizes:gmatch "([%w_]+)=(%d+)" do
    for _, new in ipairs { "0", "-1", "1", "2", "3", tostring(old + 1), "16777216", "16777217", "65536", "2147483647", "2147483648",
      "-2147483648", "99999999999999999999", "x", "", "1e9", "0x10", "8.5", "+8", " 8" } do
      local text = (" " .. sizes):gsub("( " .. name .. "=)" .. old, "%1" .. new):sub(2)
      local loaded = try(metadata("aviary.sizes", '"' .. text .. '"'))
      assert(not loaded or new:find "^%d+$" and math.tointeger(new) < 2 ^ 31, name .. "=" .. new)
    end
  end
  for _, value in ipairs { '""', '"layers=2"', '"layers=2 dim=8 vocab=5"', '"' .. long .. '"', '"' .. sizes .. " " .. sizes .. '"', "7" } do
    try(metadata("aviary.sizes", value))
  end
  try((header:gsub('"aviary.sizes":"[^"]*",?', "")))
  try((header:gsub('"version":"[^"]*",?', "")))
  try((header:gsub('"__metadata__":{', '"__metadata__":{"aviary.hooks":"gate=silu",')))
  -- parameters of hooks that are missing, doubled, renamed, of another shape or type
  local name = '"blocks.1.att.decay.floor.w":'
  assert(header:find(name, 1, true))
  local at = header:find(name, 1, true)
  local entry = header:sub(at):match '^"[^"]+":{[^}]*}'
  for _, new in ipairs { "", entry .. "," .. entry, entry:gsub("floor", "flo or"), entry:gsub("%.w\"", ".w.w\""), entry:gsub("%[8%]", "[4,2]", 1),
    entry:gsub("%[8%]", "[1,8]", 1), entry:gsub("%[8%]", "[8,1]", 1), entry:gsub("%[8%]", "[1,1,1,8]", 1), entry:gsub("%[8%]", "[]", 1),
    entry:gsub("%[8%]", "[16]", 1), entry:gsub("F%d+", "I32"), entry:gsub("F%d+", "F16"), entry:gsub("F%d+", "U8"), entry:gsub("%[8%]", "[0]", 1),
    entry:gsub("blocks.1", "blocks.7"), entry:gsub("blocks.1", "blocks.99999999999"), entry:gsub("blocks.1", "blocks.-1") } do
    try(header:sub(1, at - 1) .. new .. header:sub(at + #entry))
  end
  local random = rwkv.rng(2, "damage")
  local metadata_at = header:find "__metadata__"
  for _ = 1, 150 do
    local where = metadata_at + random:integer(0, 600)
    local byte = ("0123456789-=. \"{}[],:x"):sub(random:integer(1, 21)):sub(1, 1)
    try(header:sub(1, where - 1) .. byte .. header:sub(where + 1))
  end
  -- metadata that a script may write itself
  for _, key in ipairs { "aviary.hooks", "aviary.sizes", "version" } do
    for _, value in ipairs { "", "decay=floor", "layers=1", "v4", long } do
      local plain = model "v4"
      plain:save(path, { meta = { [key] = value } })
      pcall(rwkv.load, path)
      m:save(path, { meta = { [key] = value } })
      pcall(rwkv.load, path)
    end
  end
  os.remove(path)
end)

test("a file that changes while its hooks are looked for", function()
  rwkv.mkdir "runs/tests"
  local path, act = "runs/tests/changing.safetensors", function() end
  local h = hook("decay", { name = "changing", params = function(d)
    act()
    return { w = { d.A } }
  end, state = function(d) return { s = { d.H, d.N } } end, apply = function(_, _, p) return -p.w:exp() end })
  local small, big = model("v7", { decay = h }), model("v7", { decay = h }, { dim = 16, layers = 3 })
  local six = model("v6", { decay = h })
  for _, f in ipairs { function() big:save(path) end, function() six:save(path) end, function() model("v4"):save(path) end,
    function() os.remove(path) end, function() rwkv.write_file(path, "") end,
    function()
      act = function() end
      rwkv.load(path)
    end, function() error "in params" end } do
    small:save(path)
    act = f
    local ok, m = pcall(rwkv.load, path)
    act = function() end
    if ok then pcall(m.forward, m, { 1, 2 }) end
  end
  os.remove(path)
  rwkv.end_step()
end)

test("verify is for official models", function()
  rwkv.mkdir "runs/tests"
  local path, m = "runs/tests/golden.safetensors", calling(error)
  local header = '{"tokens":{"dtype":"I32","shape":[1,2],"data_offsets":[0,8]}}'
  rwkv.write_file(path, string.pack("<I8", #header) .. header .. string.pack("<i4i4", 1, 2))
  fails(function() rwkv.verify(m, path, 1) end, "hook")
  fails(function() return rwkv.ones(2) + rwkv.ones(3) end, "do not fit")
  rwkv.verify(model("v7", { decay = "none", channel_mix = "gated" }), path, 1)
  os.remove(path)
end)

-- ---- other programs ----

local function program(options, text)
  local script = os.tmpname()
  local f = io.open(script, "w")
  f:write([[
    local rwkv = require "rwkv"
    local function calling(f, kind)
      return rwkv.model { version = "v7", layers = 2, dim = 16, vocab = 5, hooks = { [kind or "norm"] = rwkv.hook { kind = kind or "norm",
        name = "mine", params = { w = { 16, 16 } }, state = { past = { "tokens", 16 } }, apply = f } } }
    end
  ]], text)
  f:close()
  local out, status = check.shell(("%s %s %s"):format(check.program, options, script))
  os.remove(script)
  return out, status
end

test("memory that ends inside hooks", function()
  local out, status = program("--max-memory 48M", [[
    local keep, m = {}, nil
    local wasteful = {
      function() return ("x"):rep(1e9) end, function(x) for i = 1, 1e9 do keep[i] = x * i end end,
      function(x) for i = 1, 1e9 do keep[i] = x:keep() end end, function() for i = 1, 1e9 do keep[i] = { i } end end,
      function() for i = 1, 1e9 do keep[i] = calling(print) end end, function() for i = 1, 1e9 do keep[i] = m:state(i) end end,
      function() for i = 1, 1e9 do keep[i] = rwkv.no_grad(function() return rwkv.ones(i) * 2 end) end end,
      function(x, s) for i = 1, 40 do s.past = rwkv.concat({ s.past, s.past, x }, 2) end end,
      function(x, s) local _ = rwkv.zeros(1, 1e6, 16) s.past = rwkv.zeros(1, 3e5, 16) end,
      function() m:loss({ 1 }, { 2 }) end,
    }
    local failed, which = 0, 1
    m = calling(function(y, s, p)
      wasteful[which](y, s)
      return y:matmul(p.w)
    end)
    for i = 1, 2 * #wasteful do
      which = (i - 1) % #wasteful + 1
      local s = m:state()
      for _ = 1, which == 9 and 3 or 1 do
        local ok, loss = pcall(m.loss, m, { 1, 2, 3 }, { 2, 3, 4 }, { state = s })
        failed = failed + (ok and 0 or 1)
        if ok then pcall(loss.backward, loss) end
      end
      pcall(rwkv.no_grad, m.forward, m, { 1 }, s)
      keep = {}
      collectgarbage()
      rwkv.end_step()
    end
    print(failed > 15, (rwkv.ones(2) * 2):tolist()[2])
  ]])
  assert(status == 0 and out:find "^true\t2.0\n$", out)
end)

test("programs that end inside hooks", function()
  for _, case in ipairs { { "os.exit(7, true)", 7 }, { "os.exit(7)", 7 }, { "os.exit(true, true)", 0 }, { "error 'so'", 1 },
    { "for _ = 1, 1e9 do end", 1, "--max-instructions 1e6" }, { "while true do rwkv.no_grad(function() end) end", 1, "--max-seconds 0.2" },
    { "while true do local _ = rwkv.ones(50) * 2 end", 1, "--max-seconds 0.2 --max-memory 300M" } } do
    for _, around in ipairs { "M:forward({ 1 }, S)", "rwkv.no_grad(M.forward, M, { 1 }, S)", "coroutine.wrap(M.forward)(M, { 1 }, S)" } do
      local out, status = program((case[3] or "") .. " --output runs", ([[
        setmetatable({}, { __gc = function() pcall(function() M:forward({ 1 }, S) end) end })
        M = calling(function(y, s)
          KEPT = s.past
          %s
          return y
        end)
        S = M:state()
        setmetatable({}, { __gc = function() pcall(function() M:forward({ 1 }, S) print(KEPT) end) end })
        %s
      ]]):format(case[1], around))
      assert(status == case[2] and not out:find "Sanitizer", out)
    end
  end
end)
