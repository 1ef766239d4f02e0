-- States in files: what comes back goes on with the same bits, and what does not fit is refused with what differs.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local test, equal, fails = check.test, check.equal, check.fails

local path = os.tmpname()

local function small(version, more)
  local q = { version = version, layers = 2, dim = 32, vocab = 23, init = "uniform", seed = 1 }
  if version >= "v5" then q.head_size = 8 end
  if version == "v1" then q.ctx = 64 end
  if version == "v2" or version == "v4" then q.head_qk = 8 end
  for name, value in pairs(more or {}) do q[name] = value end
  local model, rng = rwkv.model(q), rwkv.rng(99)
  for _, t in model:parameters() do
    t:set(rwkv.no_grad(function() return t + rng:tensor("normal", t:shape()) * 0.1 end))
  end
  return model
end

local before, after = { { 1, 2, 3, 4, 5 }, { 5, 4, 3, 2, 1 } }, { { 6, 7, 8 }, { 8, 7, 6 } }

local function run(model, tokens, state)
  return rwkv.no_grad(function() return (model:forward(tokens, state)) end):tolist()
end

for _, version in ipairs(rwkv.versions()) do
  test(version .. ": a text goes on from a file as if nothing had been", function()
    local model = small(version)
    local state = model:state(2)
    run(model, before, state)
    state:save(path, { meta = { note = "mine" } })
    equal({ state:seen(), state:seen(2), state:batch() }, { 5, 5, 2 })
    local again, meta = model:load_state(path)
    equal(meta.note, "mine")
    equal(meta.format, nil)
    equal({ again:seen(), again:seen(2), again:batch() }, { 5, 5, 2 })
    equal(again:names(), state:names())
    equal(run(model, after, again), run(model, after, state))
    for _, name in ipairs(state:names()) do equal(again:get(name):tolist(), state:get(name):tolist()) end
    equal(again:seen(), 8)
  end)

  test(version .. ": batches come apart and together", function()
    local model = small(version)
    local state = model:state(2)
    run(model, before, state)
    local one, two = state:rows(1), state:rows(2, 2)
    local turned = two:join(one, two)
    equal({ turned:batch(), turned:seen(3), one:seen(), one:batch() }, { 3, 5, 5, 1 })
    local want = run(model, after, state)
    equal(run(model, { after[2], after[1], after[2] }, turned), { want[2], want[1], want[2] }, 1e-5)
    equal(run(model, { after[1] }, one)[1], want[1], 1e-5)
    equal(two:seen(), 5) -- copies
    fails(function() state:rows(3) end, "rows", "1 to 2")
    fails(function() state:rows(2, 1) end, "rows", "from 2 to 1")
    fails(function() one:join(small(version == "v4" and "v7" or "v4"):state(1)) end, "another model")
  end)
end

-- A recurrence of a script's with a state that does not begin at 0, and attention, whose state grows.
local counted = rwkv.hook { kind = "recurrence", name = "counted",
  state = function(d) return { S = { d.H, d.N }, count = { d.H, start = -3 } } end,
  step = function(x, s)
    s.S, s.count = s.S * 0.9 + x.k * x.v, s.count + 1
    return x.r * s.S
  end }

for _, case in ipairs {
  { "v7", { time_mix = "attention" }, "0.time_mix.keys", { 2, 5, 32 } }, { "v4", { time_mix = "attention" } },
  { "v6", { recurrence = counted }, "1.recurrence.count", { 2, 4 } }, { "v2", {} }, { "v3", { } },
} do
  test(("%s with %s: its state goes out and comes in"):format(case[1], tostring(case[3])), function()
    local model = small(case[1], { hooks = case[2] })
    local state = model:state(2)
    run(model, before, state)
    state:save(path)
    local again = model:load_state(path)
    if case[3] then equal(again:get(case[3]):shape(), case[4]) end
    for _, name in ipairs(state:names()) do equal(again:get(name):tolist(), state:get(name):tolist()) end
    equal(run(model, after, again), run(model, after, state))
    if next(case[2]) then fails(function() small(case[1]):load_state(path) end, path, "hooks is") end
  end)
end

for _, version in ipairs { "v1", "v7" } do test(version .. ": sequences that have seen different numbers of tokens", function()
  local model = small(version)
  local a, b = model:state(1), model:state(1)
  run(model, { 1, 2, 3 }, a)
  run(model, { 1 }, b)
  local state = a:join(b)
  state:save(path)
  local again = model:load_state(path)
  equal({ again:seen(1), again:seen(2), again:batch() }, { 3, 1, 2 })
  equal(run(model, after, again), run(model, after, state))
end) end

test("states that grow join, the shorter ones with zeros behind", function()
  local model = small "v1"
  local a, b = model:state(1), model:state(1)
  run(model, { 1, 2, 3 }, a)
  run(model, { 1, 2 }, b)
  local both = a:join(b)
  equal({ both:seen(1), both:seen(2) }, { 3, 2 })
  equal(both:get "0.att_k":shape(), { 2, 3, 32 })
  equal(both:rows(2):get "0.att_k":tolist(), b:get "0.att_k":tolist())
  local logits = model:forward({ { 4 }, { 4 } }, both)
  equal(logits:tolist()[2], (model:forward({ 4 }, b)):tolist()[1])
  local joined = small "v7":state(1):join(small "v7":state(2))
  equal(joined:batch(), 3)
end)

test("a file of another model is refused, and by what", function()
  local model = small "v7"
  model:state(1):save(path)
  fails(function() small "v6":load_state(path) end, path, "version is v7", "v6")
  fails(function() small("v7", { layers = 3 }):load_state(path) end, path, "layers is 2, the model's is 3")
  fails(function() small("v7", { head_size = 16 }):load_state(path) end, "head", "16")
  fails(function() small("v7", { hooks = { gate = "silu" } }):load_state(path) end, "hooks is none", "gate=silu")
  local hooked = small("v7", { hooks = { gate = "silu" } })
  hooked:state(1):save(path)
  equal(hooked:load_state(path):batch(), 1)
  fails(function() model:load_state(path) end, "hooks is gate=silu", "none")
end)

-- What is in a file, changed and written again.
local function changed(change)
  local tensors, meta, names = rwkv.load_tensors(path)
  change(tensors, meta, names)
  local list = {}
  for name, e in pairs(tensors) do list[#list + 1] = { name = name, value = e.value, dtype = e.dtype, shape = e.shape } end
  rwkv.save_tensors(path .. ".2", list, meta)
  return path .. ".2"
end

test("a file that lies or lacks something is refused whole", function()
  local model = small "v1"
  local state = model:state(1)
  run(model, { 1, 2, 3 }, state)
  state:save(path)
  local function refused(change, ...)
    local file, words = changed(change), { ... }
    fails(function() model:load_state(file) end, file, table.unpack(words))
  end
  refused(function(t) t["0.att_k"] = nil end, "no 0.att_k")
  refused(function(t) t["5.att_k"] = t["0.att_k"] end, "5.att_k is no part")
  refused(function(_, m) m["state.seen"] = "4" end, "[1,3,32]", "expected [1,4,32]", "seen 4 tokens")
  refused(function(_, m) m["state.seen"] = "99999999999999999999" end, "whole numbers")
  refused(function(_, m) m["state.seen"] = "2147483647" end, "[1,2147483647,32]")
  refused(function(_, m) m["state.seen"] = "x" end, "'x'")
  refused(function(_, m) m["state.seen"] = nil end, "how many tokens")
  refused(function(_, m) m["state.seen"] = "3 3" end, "expected [2,")
  refused(function(_, m) m["state.version"] = nil end, "version is none")
  refused(function(_, m) m.format = nil end, "no state")
  local other = rwkv.precision == "float64" and "bf16" or "f64"
  refused(function(t) t["0.att_xx"].dtype = other end, "0.att_xx is of " .. other)
  fails(function() model:load_state "/nowhere" end, "/nowhere")
  fails(function() state:save(path, { note = 1 }) end, "note")
  fails(function() state:save(path, { meta = { format = "x" } }) end, "format")
  fails(function() state:save("/nowhere/x", {}) end, "/nowhere/x")
end)

-- ---- state tuning ----

-- What one token of v6 or v7 reads out of a tuned state, written down a second time: the file has [head, value, key], and
-- a key that the receptance asks for gives its column of values.
for _, version in ipairs { "v6", "v7" } do
  test(version .. ": a tuned state is read as training kernels index it", function()
    local model, list, rng = small(version), {}, rwkv.rng(3)
    for layer = 0, 1 do
      list[layer + 1] = { name = ("blocks.%d.att.time_state"):format(layer), value = rng:tensor("normal", 4, 8, 8) }
    end
    rwkv.save_tensors(path, list)
    local state, meta = model:load_state(path)
    equal({ meta == nil and 1 or 0, state:seen(), state:batch() }, { 1, 0, 1 })
    for _, name in ipairs(state:names()) do
      if not name:find "att_kv" then equal(state:get(name):abs():sum():item(), 0) end
    end
    local seen, zero = model:trace { 5 }, model:state(1)
    local _, _, steps = rwkv.no_grad(function() return model:trace_run({ 5 }, state) end)
    local trace = {}
    for _, s in ipairs(steps) do trace[s.name] = s.value end
    local function first(name) return trace["blocks.0.att." .. name]:reshape(-1):tolist() end
    local r, S = first "r", list[1].value:tolist()
    local with, without = trace["blocks.0.att.wkv"]:reshape(-1):tolist(), seen["blocks.0.att.wkv"]:reshape(-1):tolist()
    if version == "v6" then -- y = r (S + u k v): what the state adds is r S
      for h = 1, 4 do
        for v = 1, 8 do
          local sum = 0
          for k = 1, 8 do sum = sum + r[8 * (h - 1) + k] * S[h][v][k] end
          equal(with[8 * (h - 1) + v] - without[8 * (h - 1) + v], sum, 1e-4)
        end
      end
    else -- y = S' r, S' = S diag(e^w) - (S kappa) (kappa a) + v k
      local w, kappa, a = first "w", first "kappa", first "a"
      for h = 1, 4 do
        for v = 1, 8 do
          local sum, sa = 0, 0
          for k = 1, 8 do sa = sa - S[h][v][k] * kappa[8 * (h - 1) + k] end
          for k = 1, 8 do
            local i = 8 * (h - 1) + k
            sum = sum + (S[h][v][k] * math.exp(w[i]) + sa * kappa[i] * a[i]) * r[i]
          end
          equal(with[8 * (h - 1) + v] - without[8 * (h - 1) + v], sum, 1e-4)
        end
      end
    end
    equal(zero:seen(), 0)
    fails(function() state:set("0.att_kv", rwkv.zeros(4, 8, 8)) end, "[1,4,8,8]")
  end)
end

test("a tuned state that does not fit is refused", function()
  local function file(name, ...)
    rwkv.save_tensors(path, { { name = "blocks.0.att.time_state", value = rwkv.zeros(4, 8, 8) }, { name = name, value = rwkv.zeros(...) } })
    return path
  end
  local model = small "v7"
  fails(function() model:load_state(file("blocks.2.att.time_state", 4, 8, 8)) end, "blocks.1.att.time_state is missing")
  fails(function() model:load_state(file("blocks.1.att.time_state", 2, 16, 16)) end, "[2,16,16]", "[4,8,8]")
  fails(function() small "v5.2":load_state(file("blocks.1.att.time_state", 4, 8, 8)) end, "v6 and v7", "v5.2")
  fails(function() small("v7", { layers = 1 }):load_state(path) end, "blocks.1.att.time_state", "only 1")
  rwkv.save_tensors(path, { { name = "blocks.0.att.time_state", value = rwkv.zeros(4, 8, 8), dtype = "bf16" },
    { name = "blocks.1.att.time_state", value = rwkv.zeros(4, 8, 8), dtype = "f16" } })
  equal(model:load_state(path):batch(), 1)
  local list = {}
  for layer = 0, 1 do
    list[layer + 1] = { name = ("blocks.%d.att.time_state"):format(layer), value = rwkv.zeros(4, 8, 8), dtype = "i64" }
  end
  rwkv.save_tensors(path, list)
  fails(function() model:load_state(path) end, "blocks.0.att.time_state is of i64")
end)

test("a model's file that holds a tuned state besides", function()
  local model, list = small "v7", {}
  for name, t in model:parameters() do list[#list + 1] = { name = name, value = t } end
  for layer = 0, 1 do
    list[#list + 1] = { name = ("blocks.%d.att.time_state"):format(layer), value = rwkv.rng(layer):tensor("normal", 4, 8, 8) }
  end
  rwkv.save_tensors(path, list)
  local state = rwkv.load(path):load_state(path)
  equal(state:get "1.att_kv":tolist()[1], list[#list].value:tolist())
end)

os.remove(path)
os.remove(path .. ".2")
