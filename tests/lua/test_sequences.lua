-- Sequences as they are: of unequal length, and with documents that start inside a row. What a batch of them gives is what
-- each gives alone: bit for bit in the reference, to rounding in the fast kernels; gradients to rounding.
local check = require "tests.lua.lib.check"
local stir = require "tests.lua.lib.stir"
local rwkv = require "rwkv"
local test, equal, fails = check.test, check.equal, check.fails

local exact = rwkv.backend() == "reference"
local near = exact and 0 or 2e-5
local rounding = rwkv.precision == "float64" and 1e-10 or 2e-3

local vocab = 13

local function stirred(design)
  local q = { layers = 2, dim = 16, head_size = 8, vocab = vocab, seed = 3 }
  for name, value in pairs(design) do q[name] = value end
  return stir(rwkv.model(q))
end

-- A row of DeepEmbed's table for each token, and a matrix that all layers share.
local by_token = rwkv.hook { kind = "channel_mix", name = "sequences-by-token",
  params = function(d) return { rows = { d.vocab, d.F, init = 1 }, ["key.weight"] = { d.F, d.C, shared = true },
    ["value.weight"] = { d.C, d.F } } end,
  apply = function(x, p, d)
    return (x:linear(p["key.weight"]):relu2() * p.rows:embed(d.tokens)):linear(p["value.weight"])
  end }

-- A recurrence of one's own, a token at a time.
local step = rwkv.hook { kind = "recurrence", name = "sequences-step", step = function(now, s)
  local function column(x) return x:reshape(x:shape()[1], x:shape()[2], -1, 1) end
  local function row(x) return x:reshape(x:shape()[1], x:shape()[2], 1, -1) end
  s.S = s.S * row(now.w:exp()) + column(now.v) * row(now.k)
  return (s.S * row(now.r)):sum(-1)
end }

-- What depends on the place in the text.
local by_place = rwkv.hook { kind = "time_out", name = "sequences-by-place",
  apply = function(y, _, d)
    local rows = {}
    for b = 1, d.B do
      rows[b] = {}
      for t = 1, d.T do rows[b][t] = { 1 / (d.position[b] + t - 1) } end
    end
    return y * rwkv.tensor(rows)
  end }

local designs = {}
local function add(name, design) designs[#designs + 1] = { name = name, design = design } end
for _, version in ipairs(rwkv.versions()) do add(version, { version = version }) end
add("v2 with a copy head", { version = "v2", head_qk = 8 })
add("v4 with tiny attention", { version = "v4", tiny_att_layer = 2, tiny_att = 8 })
add("v4 with a second channel mix", { version = "v4", pre_ffn = 1 })
for name in pairs(rwkv.mixers) do add("mixer " .. name, { version = "v7", hooks = { time_mix = name } }) end
for _, version in ipairs { "v1", "v2", "v4", "v5.2", "v6", "v7" } do
  for _, slot in ipairs(rwkv.hook_slots(version)) do
    for _, name in ipairs(slot.slot ~= "time_mix" and slot.builtin or {}) do
      add(("%s, %s %s"):format(version, slot.slot, name), { version = version, hooks = { [slot.slot] = name } })
    end
  end
end
add("v7 and attention", { version = "v7", hooks = { time_mix = { [2] = "attention" } } })
add("attention and v7", { version = "v7", hooks = { time_mix = { "attention" } } })
add("rows by token", { version = "v7", hooks = { channel_mix = by_token } })
add("a step of one's own", { version = "v7", hooks = { recurrence = step } })
add("what depends on the place", { version = "v6", hooks = { time_out = by_place } })

local long, short, middle = { 1, 2, 3, 4, 5, 6, 7 }, { 8, 9 }, { 10, 11, 12, 1 }

local function slice(list, from, to) return table.move(list, from, to, 1, {}) end

local function check_state(found, row, expected, what)
  for _, name in ipairs(expected:names()) do
    if not pcall(equal, found:rows(row):get(name):tolist(), expected:get(name):tolist(), near) then
      error(("%s: state %s of sequence %d differs"):format(what, name, row), 0)
    end
  end
  equal(found:seen(row), expected:seen())
end

local function check_logits(found, row, from, expected, what)
  local rows = found:tolist()[row]
  for t, logits in ipairs(expected:tolist()[1]) do
    if not pcall(equal, rows[from + t - 1], logits, near) then
      error(("%s: logits of sequence %d, position %d differ"):format(what, row, from + t - 1), 0)
    end
  end
end

test("lists of unequal length give what each gives alone, and go on from there", function()
  for _, c in ipairs(designs) do
    rwkv.no_grad(function()
      local model = stirred(c.design)
      local state, alone = model:state(3), { model:state(), model:state(), model:state() }
      for _, batch in ipairs { { long, short, middle }, { short, middle, short }, { { 3 }, { 4 }, { 5 } } } do
        local logits = model:forward(batch, state)
        for row, tokens in ipairs(batch) do
          check_logits(logits, row, 1, (model:forward(tokens, alone[row])), c.name)
          check_state(state, row, alone[row], c.name)
        end
      end
    end)
  end
end)

test("documents that start inside a row give what each gives alone", function()
  for _, c in ipairs(designs) do
    rwkv.no_grad(function()
      local model = stirred(c.design)
      local state = model:state(2)
      model:forward({ short, middle }, state)
      local before = state:copy()
      local rows = { long, { 8, 9, 10, 11 } }
      local logits = model:forward(rows, state, { starts = { { 3, 6 }, { 1 } } })
      local first = before:rows(1)
      check_logits(logits, 1, 1, (model:forward(slice(long, 1, 2), first)), c.name)
      check_logits(logits, 1, 3, (model:forward(slice(long, 3, 5))), c.name)
      local last, after = model:forward(slice(long, 6, 7))
      check_logits(logits, 1, 6, last, c.name)
      check_state(state, 1, after, c.name)
      local second, after_second = model:forward(rows[2])
      check_logits(logits, 2, 1, second, c.name)
      check_state(state, 2, after_second, c.name)
    end)
  end
end)

-- The gradients of f's result by all parameters, as one tensor each.
local function gradients(model, f)
  model:zero_grad()
  local loss = f()
  loss:backward()
  local value, list = loss:item(), {}
  for name, t in model:parameters() do
    local ok, g = pcall(t.grad, t)
    if ok and g then list[name] = g:keep() end
  end
  rwkv.end_step()
  return value, list
end

test("gradients are the sums of those of each alone, and stop where a document starts", function()
  for _, c in ipairs(designs) do
    local model = stirred(c.design)
    local documents = { slice(long, 1, 3), slice(long, 4, 7), short }
    local value, found = gradients(model, function()
      return (model:loss({ long, short }, { { 2, 3, 4, 5, 6, 7, 8 }, { 9, 1 } }, { starts = { { 4 }, {} } }))
    end)
    local each, expected = gradients(model, function()
      local sum = 0
      for i, targets in ipairs { { 2, 3, 4 }, { 5, 6, 7, 8 }, { 9, 1 } } do
        sum = sum + model:loss(documents[i], targets, { total = 9 })
      end
      return sum
    end)
    equal(value, each, rounding)
    for name, g in pairs(expected) do
      local largest = rwkv.no_grad(function() return (found[name] - g):abs():max():item() / math.max(1, g:abs():max():item()) end)
      if not (largest <= rounding) then error(("%s: gradient of %s differs by %g"):format(c.name, name, largest), 0) end
    end
  end
end)

test("against finite differences, in every version", function()
  if rwkv.precision ~= "float64" then return end
  for _, version in ipairs(rwkv.versions()) do
    local model = stirred { version = version }
    local function loss() return (model:loss({ long, short }, { long, short }, { starts = { { 4 }, {} } })) end
    local worst = 0
    local value, found = gradients(model, loss)
    for direction = 1, 3 do
      local along, kept, slope = {}, {}, 0
      rwkv.no_grad(function()
        for name, t in model:parameters() do
          along[name], kept[name] = rwkv.rng(direction, name):tensor("normal", t:shape()), t:keep()
          if found[name] then slope = slope + (found[name] * along[name]):sum():item() end
        end
      end)
      local function at(h)
        return rwkv.no_grad(function()
          for name, t in model:parameters() do t:set(kept[name] + along[name] * h) end
          return loss():item()
        end)
      end
      local off = math.huge -- where the loss bends much, a smaller step is better
      for _, h in ipairs { 1e-6, 1e-7 } do
        local difference = (at(h) - at(-h)) / (2 * h)
        off = math.min(off, math.abs(difference - slope) / math.max(1, math.abs(slope)))
      end
      at(0)
      worst = math.max(worst, off)
    end
    assert(value > 0 and worst < 1e-6, ("%s: slope differs by %g"):format(version, worst))
  end
end)

test("the initial state has a gradient, but not of what starts anew", function()
  for _, version in ipairs { "v4", "v5.2", "v6", "v7" } do
    local model = stirred { version = version }
    local name = version == "v4" and "0.att_aa" or "0.att_kv"
    local shape = model:state(2):get(name):shape()
    local start = rwkv.rng(1):tensor("normal", shape):keep():requires_grad()
    if version == "v4" then start = rwkv.zeros(shape):requires_grad() end
    local state = model:state(2)
    state:set(name, start)
    local ok, why = pcall(model.forward, model, { long, short }, state, { starts = { { 1 }, {} } })
    assert(ok, why)
    local loss = why:square():sum()
    loss:backward()
    local g = start:grad():tolist()
    equal(rwkv.tensor(g[1]):abs():max():item(), 0)
    if version ~= "v4" then assert(rwkv.tensor(g[2]):abs():max():item() > 0) end
    rwkv.end_step()
  end
end)

test("lengths and starts as options, in every run", function()
  local model = stirred { version = "v7" }
  local padded = { { 1, 2, 3, 4 }, { 5, 6, 0, 0 } }
  rwkv.no_grad(function()
    local ragged = model:forward { { 1, 2, 3, 4 }, { 5, 6 } }
    equal(model:forward(padded, nil, { lengths = { 4, 2 } }):tolist(), ragged:tolist())
    equal(model:forward({ { 1, 2, 3, 4 }, { 5, 6, 99, -7 } }, nil, { lengths = { 4, 2 } }):tolist(), ragged:tolist())
    local last = model:forward(padded, nil, { lengths = { 4, 2 }, last = true }):tolist()
    equal(last[1][1], ragged:tolist()[1][4], near) -- products of fewer rows are rounded otherwise
    equal(last[2][1], ragged:tolist()[2][2], near)
    equal(ragged:tolist()[2][3], rwkv.zeros(vocab):tolist())
    local hidden = model:forward(padded, nil, { lengths = { 4, 2 }, hidden = 1 })
    equal(hidden:tolist()[2][2], (model:forward({ 5, 6 }, nil, { hidden = 1 }):tolist()[1][2]), near)
    local p, greedy = model:log_likelihood({ { 1, 2, 3 }, { 4 } }, { { 2, -100, 4 }, { 5 } })
    equal({ #p, #greedy }, { 3, 3 })
    equal(p[3], (model:log_likelihood({ 4 }, { 5 }))[1], near)
    local tokens = rwkv.tokens { { 1, 2, 3 }, { 4 } }
    equal(tokens:lengths(), { 3, 1 })
    equal(tokens:tolist(), { { 1, 2, 3 }, { 4 } })
    equal(tokens:rows(2):tolist(), { { 4 } })
    local _, _, seen = model:trace_run({ { 1, 2, 3 }, { 4 } })
    local alone = model:trace_run { 4 }
    for _, e in ipairs(seen) do
      if e.name == "blocks.1.att.w" then equal(e.value:shape(), { 2, 3, 16 }) end
    end
    equal(alone:shape(), { 1, 1, vocab })
  end)
  fails(function() model:forward(padded, nil, { lengths = { 4 } }) end, "lengths", "1", "2 sequences")
  fails(function() model:forward(padded, nil, { lengths = { 4, 5 } }) end, "sequence 2", "1 to 4", "5")
  fails(function() model:forward({ { 1 }, { 2, 3 } }, nil, { lengths = { 1, 2 } }) end, "lengths of their own")
  fails(function() model:forward(padded, nil, { starts = { 1 } }) end, "starts", "each of 2")
  fails(function() model:forward(padded, nil, { starts = { { 1 }, { 5 } } }) end, "sequence 2", "1 to 4", "5")
  fails(function() model:forward(padded, nil, { lengths = { 4, 2 }, starts = { {}, { 3 } } }) end, "sequence 2", "1 to 2")
  fails(function() model:loss(padded, { { 1, 2, 3, 4 }, { 1, 2, 3, 4 } }, { lengths = { 4, 2 } }) end, "sequence 2, position 3")
  fails(function() model:loss({ { 1, 2 }, { 3 } }, { { 1, 2 } }) end, "[2,2]", "[1,2]")
  fails(function() rwkv.ones(5, 2):embed { { 1, 2 }, { 3 } } end, "sequence 2 has 1")
  rwkv.end_step()
end)

test("vectors in place of tokens, with their gradient", function()
  for _, version in ipairs { "v4", "v5.0", "v5.1", "v5.2", "v6", "v6a", "v6b", "v7" } do
    local model = stirred { version = version }
    local name = "emb.weight"
    local x = rwkv.no_grad(function() return model:param(name):embed { { 1, 2, 3 }, { 4, 5, 6 } } end):keep():requires_grad()
    local logits = model:forward(x)
    equal(rwkv.no_grad(function() return (logits - model:forward { { 1, 2, 3 }, { 4, 5, 6 } }):abs():max():item() end), 0)
    local loss = model:loss(x, { { 2, 3, 4 }, { 5, 6, 7 } })
    loss:backward()
    local g, d = x:grad():keep(), rwkv.rng(5):tensor("normal", 2, 3, 16):keep()
    rwkv.end_step()
    if rwkv.precision == "float64" then
      local function at(h)
        return rwkv.no_grad(function() return (model:loss(x + d * h, { { 2, 3, 4 }, { 5, 6, 7 } })):item() end)
      end
      local slope = rwkv.no_grad(function() return (g * d):sum():item() end)
      equal((at(1e-7) - at(-1e-7)) / 2e-7, slope, 1e-6)
    end
  end
  local model = stirred { version = "v7" }
  fails(function() model:forward(rwkv.ones(1, 2, 8)) end, "[1,2,8]", "[1,2,16]")
  fails(function() model:forward(rwkv.ones(2, 16)) end, "[B,T,C]", "[2,16]")
  fails(function() stirred { version = "v1" }:forward(rwkv.ones(1, 2, 16)) end, "copies tokens")
end)

test("hidden vectors, traces and states have their gradient", function()
  if rwkv.precision ~= "float64" then return end
  local model = stirred { version = "v7" }
  local name = "blocks.0.att.key.weight"
  local w, d = model:param(name), rwkv.rng(5):tensor("normal", 16, 16)
  local kept = w:keep()
  local function second_state()
    local s = model:state(1)
    model:forward({ 1, 2, 3 }, s)
    local before = s:get "0.att_kv"
    model:forward({ 4, 5 }, s)
    return (s:get "0.att_kv" - before):square():sum() + s:get("1.ffn_xx"):square():sum()
  end
  local losses = {
    function() return (model:forward({ 1, 2, 3 }, nil, { hidden = true })):square():sum() * 0.1 end,
    function() return (model:forward({ 1, 2, 3 }, nil, { hidden = 1 })):exp():sum() end,
    function() return (model:trace { 1, 2, 3 })["blocks.1.att.w"]:exp():sum() end,
    function() return (model:trace { 1, 2, 3 }).logits:square():sum() end,
    second_state,
  }
  for i, f in ipairs(losses) do
    local _, found = gradients(model, f)
    local function at(h)
      return rwkv.no_grad(function()
        w:set(kept + d * h)
        return f():item()
      end)
    end
    -- a state that was detached has no gradient, and in no_grad nothing has: values only
    local slope = rwkv.no_grad(function() return (found[name] * d):sum():item() end)
    local difference = (at(1e-6) - at(-1e-6)) / 2e-6
    at(0)
    assert(math.abs(slope - difference) < 1e-6 * math.max(1, math.abs(slope)), ("%d: %g, %g"):format(i, slope, difference))
    assert(math.abs(slope) > 1e-8, i)
  end
  local s = model:state(1)
  model:forward({ 1, 2 }, s)
  s:detach()
  fails(function() s:get("0.att_kv"):sum():backward() end, "nothing that this number depends on needs a gradient")
  rwkv.end_step()
end)

test("a state keeps what it was set to; tokens of a copy head are ids", function()
  local model = stirred { version = "v7" }
  local x = rwkv.zeros(1, 2, 8, 8):requires_grad()
  local s = model:state(1):set("0.att_kv", x)
  rwkv.end_step()
  x:set(5)
  equal(s:get("0.att_kv"):abs():max():item(), 0)
  local v2 = stirred { version = "v2" }
  local _, t = v2:forward({ 1, 2 })
  fails(function() t:set("tokens", rwkv.full(2.5, 1, 2)) end, "2.5", "0 to 12")
  fails(function() t:set("tokens", rwkv.ones(1, 2):requires_grad()) end, "ids have no gradient")
  rwkv.end_step()
end)

test("the losses of parts, divided by the same number, add up, with l2wrap too", function()
  local model = stirred { version = "v7" }
  local a, b = { 1, 2, 3, 4 }, { 5, 6 }
  local _, whole = gradients(model, function() return (model:loss({ a, b }, { a, b }, { l2wrap = 1e-2 })) end)
  local _, parts = gradients(model, function()
    return model:loss(a, a, { l2wrap = 1e-2, total = 6 }) + model:loss(b, b, { l2wrap = 1e-2, total = 6 })
  end)
  for name, g in pairs(whole) do
    assert(rwkv.no_grad(function() return (parts[name] - g):abs():max():item() end) <= rounding, name)
  end
end)
