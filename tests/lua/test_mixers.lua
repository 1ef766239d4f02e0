-- The mixers against their papers (lib/naive.lua: plain numbers, nothing shared), cut into pieces, their gradients,
-- sizes counted by hand, and as part of models. In float64, with both backends.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local naive = require "tests.lua.lib.naive"
rwkv.need_double()

local names = { "attention", "linear_attention", "retnet", "gla", "deltanet", "deltanet_negative", "gated_deltanet",
  "mamba", "deltaproduct", "rosa", "rosa_4bit" }
local stepped = { rosa = true, rosa_4bit = true } -- they change in steps; what stands for a gradient: tests/test_rosa.c
local mixers = { deltaproduct = require "experiments.mixers.deltaproduct" }
for name, mixer in pairs(rwkv.mixers) do mixers[name] = mixer end

local channels -- of the mixer that is tested
local function each(what, f)
  for _, name in ipairs(names) do
    check.test(name .. " " .. what, function()
      for _, backend in ipairs { "fast", "reference" } do
        rwkv.backend(backend)
        channels = name == "rosa_4bit" and 8 or 6
        f(mixers[name], name)
        rwkv.end_step()
      end
    end)
  end
end

check.test("every mixer is tested", function()
  local known = {}
  for _, name in ipairs(names) do known[name] = true end
  for name, mixer in pairs(mixers) do
    assert(known[name] and naive[name], name .. " has no test")
    check.equal(mixer.name, name)
    check.equal(mixer.kind, "time_mix")
  end
  for name in pairs(known) do assert(mixers[name], name) end
end)

-- ---- a mixer alone ----

local B, T = 2, 9
local function sizes(tokens) -- no two alike that could be mistaken for each other
  return { C = channels, A = 8, H = 2, N = 4, F = 24, B = B, T = tokens, layers = 3, layer = 1, vocab = 11, version = "v6" }
end

local function shape_of(entry, before)
  local shape = {}
  for i, n in ipairs(entry) do shape[i] = n == "tokens" and before or n end
  return shape
end

-- Random numbers in place of all initial values, so that nothing is 0 or 1 and nothing alike.
local function parameters(mixer, d)
  local p = {}
  for name, entry in pairs(mixer.params(d)) do
    local r = rwkv.rng(7, name):tensor("normal", shape_of(entry))
    p[name] = (r * 0.6):keep()
  end
  return p
end

-- The state before: of nothing, or random as if after `before` tokens. z is a sum of positive features.
local function start(mixer, d, before)
  local s = {}
  for name, entry in pairs(mixer.state(d)) do
    local shape = shape_of(entry, before or 0)
    table.insert(shape, 1, d.B)
    local random = rwkv.rng(8, name):tensor(name == "z" and "uniform" or "normal", shape)
    if name == "z" then random = random + 0.2 end
    s[name] = (before and random or rwkv.full(entry.start or 0, shape)):keep()
  end
  return s
end

local function copy(s)
  local c = {}
  for name, t in pairs(s) do c[name] = t end
  return c
end

-- A table of tensors as nested lists; of [B,..] the entry b.
local function lists(tensors, b)
  local out = {}
  for name, t in pairs(tensors) do
    local list = t:tolist()
    out[name] = b and list[b] or list
  end
  return out
end

local function input(tokens) return rwkv.rng(9, "x"):tensor("normal", B, tokens, channels) end

each("is what its paper says", function(mixer, name)
  for _, tokens in ipairs { T, 1 } do
    for _, before in ipairs { false, 5 } do
      local d, x = sizes(tokens), input(tokens)
      local p, s = parameters(mixer, d), start(mixer, d, before)
      local after = copy(s)
      local y = mixer.apply(x, after, p, d)
      check.equal(y:shape(), { B, tokens, d.C })
      for b = 1, B do
        local expected, state = naive[name](x:tolist()[b], lists(p), lists(s, b), d)
        check.equal(y:tolist()[b], expected, 1e-12)
        for part, list in pairs(state) do check.equal(after[part]:tolist()[b], list, 1e-12) end
      end
      for part in pairs(after) do assert(mixer.state(d)[part], "an unknown state " .. part) end
    end
  end
end)

each("may be cut anywhere", function(mixer)
  local x, whole = input(T), sizes(T)
  local p, s = parameters(mixer, whole), start(mixer, whole, 5)
  local at_once = copy(s)
  local expected = mixer.apply(x, at_once, p, whole)
  for _, lengths in ipairs { { 4, 5 }, { 1, 6, 2 }, { 1, 1, 1, 1, 1, 1, 1, 1, 1 } } do
    local state, parts, done = copy(s), {}, 0
    for i, n in ipairs(lengths) do
      parts[i] = mixer.apply(x:slice(2, done + 1, done + n), state, p, sizes(n))
      done = done + n
    end
    check.equal(rwkv.concat(parts, 2):tolist(), expected:tolist(), 1e-12)
    for name, t in pairs(at_once) do check.equal(state[name]:tolist(), t:tolist(), 1e-12) end
  end
end)

-- ---- gradients ----

local function sorted(t)
  local list = {}
  for name in pairs(t) do list[#list + 1] = name end
  table.sort(list)
  return list
end

-- Output and state after, all in a row.
local function everything(mixer, x, s, p, d)
  local after = copy(s)
  local parts = { mixer.apply(x, after, p, d):reshape(-1) }
  for _, name in ipairs(sorted(after)) do parts[#parts + 1] = after[name]:reshape(-1) end
  return rwkv.concat(parts, 1)
end

local within = { tolerance = 2e-6 } -- the best that differences give for what deltaproduct keeps of values

each("has the right gradients", function(mixer, name_of)
  if stepped[name_of] then return end
  local d, x = sizes(T), input(T)
  local p, s = parameters(mixer, d), start(mixer, d, 5)
  rwkv.gradcheck(function(y) return everything(mixer, y, s, p, d) end, x, within)
  for name, t in pairs(p) do
    rwkv.gradcheck(function(other)
      local moved = copy(p)
      moved[name] = other
      return everything(mixer, x, s, moved, d)
    end, t, within)
  end
  for name, t in pairs(s) do
    rwkv.gradcheck(function(other)
      local moved = copy(s)
      moved[name] = other
      return everything(mixer, x, moved, p, d)
    end, t, within)
  end
end)

-- ---- sizes by hand ----

-- Of one layer: parameters, and state after n tokens.
local by_hand = {
  attention = function(d) return 4 * d.A * d.C, function(n) return 2 * n * d.A + 1 end end,
  linear_attention = function(d) return 4 * d.A * d.C, function() return d.H * d.N ^ 2 + d.A end end,
  retnet = function(d) return 5 * d.A * d.C, function() return d.H * d.N ^ 2 + 1 end end,
  gla = function(d) return 5 * d.A * d.C + 16 * (d.A + d.C) + 2 * d.A, function() return d.H * d.N ^ 2 end end,
  deltanet = function(d)
    return 4 * d.A * d.C + 3 * 4 * d.A + d.H * d.C + d.A, function() return d.H * d.N ^ 2 + 3 * 3 * d.A end
  end,
  deltaproduct = function(d) -- two keys, values and betas
    return 6 * d.A * d.C + 5 * 4 * d.A + 2 * d.H * d.C + d.A, function() return d.H * d.N ^ 2 + 5 * 3 * d.A end
  end,
  gated_deltanet = function(d)
    return 5 * d.A * d.C + 3 * 4 * d.A + 2 * d.H * d.C + d.A + 2 * d.H,
      function() return d.H * d.N ^ 2 + 3 * 3 * d.A end
  end,
  mamba = function(d)
    local D, R = 2 * d.C, math.ceil(d.C / 16)
    return 3 * D * d.C + 5 * D + (R + 32) * D + (R + 1) * D + 16 * D + D, function() return 16 * D + 3 * D end
  end,
}
by_hand.deltanet_negative = by_hand.deltanet
local function rosa(bits)
  return function(d)
    return 4 * d.C ^ 2 + 8 * d.C, function(n) return d.C + n * (3 * d.C + d.C // bits) end
  end
end
by_hand.rosa, by_hand.rosa_4bit = rosa(1), rosa(4)

local function model_of(name, version, dim, head_size)
  return rwkv.model { version = version or "v7", layers = 2, dim = dim or 12, head_size = head_size or 6, vocab = 11,
    seed = 3, decay_rank = version ~= "v4" and 3 or nil, hooks = { time_mix = name } }
end

each("has the sizes of the formulas", function(mixer, name)
  local d = sizes(T)
  local _, state = by_hand[name](d)
  for before = 0, 4 do
    local held = 0
    local s = start(mixer, d, before)
    mixer.apply(input(T), s, parameters(mixer, d), d)
    for _, t in pairs(s) do held = held + t:size() / B end
    check.equal(held, state(before + T))
    check.equal(mixer:state_size(d, before + T), held)
  end
  for _, version in ipairs { "v4", "v7" } do
    for _, dim in ipairs { 12, 24 } do
      local model = model_of(name, version, dim, 6)
      local sizes_here = { C = dim, A = dim, H = dim // 6, N = 6 }
      local params, size = by_hand[name](sizes_here)
      local counted = 0
      for full, t in model:parameters() do
        assert(not full:find ".att." or full:find(("^blocks%%.%%d%%.att%%.time_mix%%.%s%%."):format(name)), full)
        if full:find ".att." then counted = counted + t:size() end
      end
      check.equal(counted, 2 * params)
      check.equal(model:state_floats(9), 2 * (size(9) + dim)) -- and the token before, for channel mixing
      local after = model:state(1)
      model:forward({ 1, 2, 3, 4, 5, 6, 7, 8, 9 }, after)
      local held = 0
      for _, part in ipairs(after:names()) do held = held + after:get(part):size() end
      check.equal(held, model:state_floats(9))
      local design = model:config()
      check.equal(rwkv.describe(design).parameters, model:param_count())
      rwkv.end_step()
    end
  end
end)

-- ---- as part of a model ----

local tokens = { { 3, 1, 4, 1, 5, 9, 2 }, { 6, 5, 3, 5, 8, 9, 7 } }
local targets = { { 1, 4, 1, 5, 9, 2, 6 }, { 5, 3, 5, 8, 9, 7, 9 } }

each("trains in v7 and v4, and is saved and loaded", function(_, name)
  rwkv.mkdir "runs/tests"
  for _, version in ipairs { "v7", "v4" } do
    local model, losses = model_of(name, version), {}
    local opt = rwkv.adamw(model, { lr = 1e-2, weight_decay = 0.1 })
    local before = {}
    for full, t in model:parameters() do before[full] = t:tolist() end
    for step = 1, 8 do
      local loss = model:loss(tokens, targets)
      losses[step] = loss:item()
      opt:zero_grad()
      loss:backward()
      opt:step()
      local since = stepped[name] and 7 or 1 -- steps
      assert(step <= since or losses[step] < losses[step - since], "the loss grows: " .. table.concat(losses, " "))
    end
    for full, t in model:parameters() do -- every one of them takes part
      if full:find(".time_mix.", 1, true) then
        assert(not pcall(check.equal, t:tolist(), before[full]), full .. " has not moved")
      end
    end
    local path = "runs/tests/mixer.safetensors"
    model:save(path)
    local again = rwkv.load(path)
    check.equal(again:config().hooks.time_mix, name)
    check.equal(again:param_count(), model:param_count())
    check.equal(again:forward(tokens):tolist(), model:forward(tokens):tolist())
    os.remove(path)

    local state, logits = again:state(2), {} -- token by token as at once
    for t = 1, 7 do
      local row = again:forward({ { tokens[1][t] }, { tokens[2][t] } }, state):tolist()
      for b = 1, 2 do logits[b] = logits[b] or {}; logits[b][t] = row[b][1] end
      rwkv.end_step()
    end
    check.equal(logits, model:forward(tokens):tolist(), 1e-12)
    rwkv.end_step()
  end
end)

-- The numbers of a parameter of block 1, f of each, must fill the range from low to high.
local function spread(param, low, high, f)
  local values = model_of(param:match "^[%w_]+", "v7", 192, 6):param("blocks.1.att.time_mix." .. param):tolist()
  local least, most = math.huge, -math.huge
  for _, x in ipairs(values) do least, most = math.min(least, f(x)), math.max(most, f(x)) end
  local room = (high - low) / 5
  if not (least >= low - 1e-5 and least < low + room and most > high - room and most <= high + 1e-5) then
    error(("%s: %g to %g, expected %g to %g"):format(param, least, most, low, high))
  end
end

check.test("initial values", function()
  local log_A = model_of "mamba":param "blocks.1.att.time_mix.mamba.log_A":tolist()
  for n, a in ipairs(log_A[2]) do check.equal(math.exp(a), n, 1e-6) end
  local function log_step(x) return math.log(math.log(1 + math.exp(x)), 10) end -- steps from 0.001 to 0.1
  spread("mamba.delta_bias", -3, -1, log_step)
  spread("gated_deltanet.decay_bias", -3, -1, log_step)
  spread("gated_deltanet.log_rate", 1, 16, math.exp)
  spread("mamba.conv_bias", -0.5, 0.5, function(x) return x end)
end)

check.test("heads of odd size have no rotary positions", function()
  for _, name in ipairs { "attention", "retnet" } do
    check.fails(function() model_of(name, "v7", 10, 5):forward(tokens) end, "even size, found 5")
  end
end)

check.test("their names are not for hooks of scripts", function()
  for name in pairs(rwkv.mixers) do
    check.fails(function() rwkv.hook { kind = "time_mix", name = name, apply = print } end,
      ("test_mixers.lua"), ("rwkv.hook: a time_mix called '%s' is built in; choose another name"):format(name))
  end
  rwkv.hook { kind = "decay", name = "attention", apply = print } -- of another kind
end)
