-- Steps of recurrences that are recorded as programs: the same numbers and gradients as token by token in Lua, what cannot be
-- recorded and what is said of it, and steps that mean no good. In float64.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local page_hooks = require "tests.lua.lib.page_hooks"
rwkv.need_double()

local H, N, B, T = 2, 6, 2, 19
local tokens, targets = {}, {}
for b = 1, B do
  tokens[b], targets[b] = {}, {}
  for t = 1, T do tokens[b][t], targets[b][t] = (3 * t + b) % 11, (5 * t + 2 * b) % 11 end
end

local count = 0
-- A model with this step, whose parameters and state have no zeros.
local function model(version, step, params, state)
  count = count + 1
  local h = rwkv.hook { kind = "recurrence", name = "step-" .. count, step = step, params = params, state = state }
  local m = rwkv.model { version = version, layers = 2, dim = H * N, head_size = version ~= "v4" and N or nil, vocab = 11,
    ctx = 32, seed = 5, hooks = { recurrence = h } }
  for name, t in m:parameters() do
    local r = rwkv.rng(11, name:gsub("step%-%d+", "step")):tensor("normal", t:shape())
    t:set(rwkv.no_grad(function() return r * 0.3 end))
    t:requires_grad()
  end
  return m
end

local function results(m)
  local state = m:state(B)
  local first = m:forward({ { 1, 2, 3 }, { 3, 4, 5 } }, state)
  local loss = m:loss(tokens, targets, { state = state }) + (first * first):sum() * 1e-3
  local r = { loss:item(), m:forward(tokens, state):tolist() }
  loss:backward()
  for _, t in m:parameters() do r[#r + 1] = t:grad() and t:grad():tolist() or {} end
  m:zero_grad()
  rwkv.end_step()
  return r
end

-- The same step, which looks at a number and so cannot be recorded.
local function in_lua(step)
  return function(now, ...)
    pcall(function() return now.k:item() end)
    return step(now, ...)
  end
end

local function column(x) local n = x:shape(); n[#n + 1] = 1; return x:reshape(n) end
local function row(x) local n = x:shape(); table.insert(n, #n, 1); return x:reshape(n) end

local function same(version, step, params, state)
  check.equal(results(model(version, step, params, state)), results(model(version, in_lua(step), params, state)), 1e-12)
end

-- ---- the same numbers ----

local forms = {}
page_hooks(function(q) if q.step then forms[#forms + 1] = q end end)

check.test("the steps of the page", function()
  assert(#forms >= 4)
  for _, q in ipairs(forms) do
    local version = q.name:match "wkv4" and "v4" or q.name:match "wkv5" and "v5.2" or q.name:match "wkv7" and "v7" or "v6"
    same(version, q.step, q.params, q.state)
  end
end)

check.test("parameters and states of every shape", function()
  same("v7", function(now, s, p)
    local k = now.k * p.each + p.heads:reshape(1, H, 1) * p.one - p.all:reshape(H, N) + p.row
    local read = (s.S * row(k)):sum(-1, true)
    s.S = s.S * row((-now.w:square()):exp()) * p.matrix:sigmoid() + (column(now.v) - read) * row(k)
    s.A = (s.A:reshape(B, H, N) * 0.5 + now.r):reshape(B, H * N)
    s.n = (s.n * 0.9 + (now.r * k):mean(-1)):tanh()
    s.c, s.d = s.c * p.heads:reshape(H, 1, 1):abs():sqrt() + read, s.c:reshape(B, H, N)
    return (s.S * row(now.r)):sum(-1) / (1 + s.d ^ 2) + s.n:unsqueeze(-1) * s.A:reshape(B, H, N):maximum(k):minimum(0.7)
  end, { each = { H, N }, heads = { H }, one = { 1 }, all = { H * N }, row = { N }, matrix = { H, N, N } },
    { S = { H, N, N }, A = { H * N }, n = { H }, c = { H, N, 1 }, d = { H, N } })
end)

check.test("powers, clamps, roots, and numbers on both sides", function()
  same("v7", function(now, s)
    local x = (2 - now.r) / 3 + 1 / (now.k ^ 2 + 1) - now.v ^ -1 * 1e-3 + (now.a:abs() + 0.5) ^ 0.5 + (now.b:abs() + 1):rsqrt()
    s.z = (s.z * 0.5 + x:clamp(-1, 1):clone()):tanh() + (now.w:abs() + 1) ^ 0.3 + now.w:mish() * now.k:softplus():log():relu2()
    return (s.z:sin() + s.z:cos()):silu() - s.z:relu() + s.z:unsqueeze(2):squeeze(2):reshape(-1, H, N)
  end, nil, { z = { H, N } })
end)

check.test("gradients are those of finite differences", function()
  local m = model("v7", function(now, s, p)
    local k = (now.k * p.scale):tanh()
    s.S = s.S * row((now.w + p.shift):exp()) + column(now.v) * row(k)
    s.z = s.z:sigmoid() * p.one + k:maximum(now.a)
    return (s.S * row(now.r)):sum(-1) + s.z / (1 + k ^ 2)
  end, { scale = { H, N }, shift = { H, N, init = -1 }, one = { 1 } }, { S = { H, N, N }, z = { H, N } })
  local function loss() return m:loss(tokens, targets) end
  loss():backward()
  local rng, eps = rwkv.rng(3), 1e-5
  for name, t in m:parameters() do
    local along = rng:tensor("normal", t:shape()):keep()
    local expected = rwkv.no_grad(function() return (t:grad() * along):sum():item() end)
    local function moved(by)
      t:set(rwkv.no_grad(function() return t + along * by end))
      return rwkv.no_grad(function() return loss():item() end)
    end
    local up, down = moved(eps), moved(-2 * eps)
    moved(eps)
    rwkv.end_step()
    local found = (up - down) / (2 * eps)
    if not (math.abs(found - expected) <= 1e-7 * math.max(1, math.abs(expected))) then
      error(("%s: %.12g by finite differences, %.12g by backward"):format(name, found, expected))
    end
  end
end)

-- ---- what a step does may change ----

check.test("a variable from outside may change between runs", function()
  local by = 0.5
  local m = model("v6", function(now, s)
    s.S = s.S * by + column(now.k) * row(now.v)
    return (s.S * column(now.r)):sum(-2)
  end)
  local first = results(m)
  by = 0.25
  local second = results(m)
  by = 0.5
  check.equal(results(m), first, 1e-15)
  assert(math.abs(second[1] - first[1]) > 1e-9, "the program of the first run was used again")
end)

check.test("a step that counts, alternates or remembers is no program", function()
  local n, list, before = 0, { at = 0 }, nil
  local m = model("v6", function(now) n = n + 1 return now.v * n end)
  m:forward(tokens)
  check.equal(n, 2 * T) -- both layers: the count is as if it had not been recorded
  m = model("v6", function(now) list.at = list.at + 1 return list.at % 2 == 0 and now.v or now.k end)
  m:forward(tokens)
  m = model("v6", function(now)
    local y = before and before:shape()[1] == now.v:shape()[1] and now.v + before or now.v
    before = now.v
    return y
  end)
  m:forward(tokens)
  assert(type(before) == "userdata", "a stand-in was left behind")
end)

check.test("what is counted in a table is as if nothing had been recorded", function()
  local counts = { n = 0, inner = { n = 0 } }
  local function next_token() counts.inner.n = counts.inner.n + 1 end
  local m = model("v6", function(now, s)
    counts.n = counts.n + 1
    next_token()
    s.S = s.S * 0.5 + column(now.k) * row(now.v)
    if counts.n % 4 == 0 then s.S = s.S * 0 end
    return (s.S * column(now.r)):sum(-2)
  end)
  m:forward(tokens)
  check.equal({ counts.n, counts.inner.n }, { 2 * T, 2 * T })
  m:forward(tokens)
  check.equal(counts.n, 4 * T)
end)

check.test("a part in no_grad has no gradient", function()
  local function step(now, s)
    local twice = rwkv.no_grad(function() return s.S * 2 end)
    s.S = s.S * 0.5 + column(now.k) * row(now.v) + twice * 0.1
    return (s.S * column(now.r)):sum(-2)
  end
  local recorded = results(model("v6", step))
  local by_token = results(model("v6", function(now, s)
    local y = step(now, s)
    return y:detach() * 0 + y -- what cannot be recorded
  end))
  check.equal(recorded, by_token, 1e-12)
end)

-- ---- what is said ----

local program = check.program

local function said(step)
  local path = os.tmpname()
  local f = assert(io.open(path, "w"))
  f:write(([[
local rwkv = require "rwkv"
local kept
local h = rwkv.hook { kind = "recurrence", name = "mine", step = function(now, s, p, d) %s end }
local m = rwkv.model { version = "v6", layers = 2, dim = 12, head_size = 6, vocab = 11, hooks = { recurrence = h } }
for _ = 1, 2 do m:forward { { 1, 2, 3, 4 }, { 3, 4, 5, 6 } } end]]):format(step))
  f:close()
  local out, status = check.shell(program .. " --trust " .. path)
  os.remove(path)
  return out, status
end

check.test("what cannot be recorded is said once, by the hook's name", function()
  local function is_said(step, why)
    check.equal({ said(step) }, { ('hook recurrence "mine": its step runs in Lua, token by token: %s\n'):format(why), 0 })
  end
  is_said("if now.r:sum():item() > 0 then return now.v end return now.k", "it sums over all axes")
  is_said("local _ = now.r:tolist() return now.v", "it asks a tensor for 'tolist'")
  is_said("return now.v + rwkv.ones(6)", "it computes with a tensor that it was not given")
  is_said("kept = now.v return now.v", "it changes its variable 'kept'")
  is_said("return now.v * rwkv.rand():item()", "it does not do the same for every token")
  is_said("local y = now.v for _ = 1, 200 do y = y:tanh() end return y", "it has 200 operations, at most 128 can be")
  is_said("return now.v:transpose(2, 3):transpose(2, 3)", "it asks a tensor for 'transpose'")
  is_said("return now.v + now.v:sum(2, true)", "it sums over axis 2 of [2,2,6]")
  check.equal({ said "return now.v" }, { "", 0 })
end)

check.test("an error is the same as without a recording", function()
  local function fails(step, ...) check.fails(function() model("v7", step):forward(tokens) end, ...) end
  fails(function(now) return now.x end, "has no input 'x'; there are: a, b, k, r, v, w")
  fails(function(now) return now.r:reshape(B, N, H) end, "step returned [2,6,2], expected [2,2,6]")
  fails(function() error "mine" end, "mine")
  fails(function() error { 1 } end)
  fails(function(now, s) s.S = nil return now.r end, "state S is nil")
  fails(function(now) return now.r + now.r:reshape(B, N, H) end, "[2,2,6]")
  fails(function(now) return now.r:maximum(nil) end)
end)

-- ---- steps that mean no good ----

check.test("a step cannot harm the process", function()
  local stolen
  local steps = {
    function(now) setmetatable(now, {}) return now.r end,
    function(now) for name in pairs(now) do now[name] = nil end return now.r end,
    function(now) stolen = getmetatable(now.r) return now.r end,
    function(now) rawset(now.r, "reg", 5) return now.r end,
    function(now) return setmetatable({}, getmetatable(now.r)) end,
    function(now) return now end,
    function(now, s) s.S = now.r return now.r end,
    function(now, s) s.S = s return now.r end,
    function(now) return now.r:reshape(2 ^ 53, 2 ^ 53) end,
    function(now) return now.r:reshape(-1, -1) end,
    function(now) return now.r:reshape(0, 0) end,
    function(now) return now.r:reshape() end,
    function(now) return now.r:sum(math.mininteger) end,
    function(now) return now.r:sum(0 / 0) end,
    function(now) return now.r * (0 / 0) end,
    function(now) return now.r ^ math.huge end,
    function(now) return now.r ^ now.k end,
    function(now) return coroutine.wrap(function() coroutine.yield(now.r) end)() end,
    function(now) local function f(x) return f(x) + 1 end return f(now.r) end,
    function(now) rwkv.end_step() return now.r end,
    function(now) now.r:unsqueeze(9) return now.r end,
    function(now) return now.r .. now.k end,
    function(now) return #now.r end,
    function(now) now.r.x = 1 return now.r end,
    function(now) return now.r() end,
    function(now) return now.r < now.k and now.r or now.k end,
    function(now, _, _, d) d.B, d.T, d.H, d.N = 1 << 40, -1, 0, {} return now.r end,
    function(now, _, _, d) d.B = nil return now.r end,
    function(now, s) s.S = (s.S * 1e300 * 1e300):log() return now.r / 0 end,
  }
  for _, step in ipairs(steps) do
    local m = model("v7", step)
    pcall(m.forward, m, tokens)
    pcall(function() m:loss(tokens, targets):backward() end)
    rwkv.end_step()
  end
  assert(stolen == nil or type(stolen) == "string")
  results(model("v7", forms[1].step))
end)
