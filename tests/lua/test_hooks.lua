-- Hooks: every built-in variant against its Lua form in lua/pages/hooks.md, parameters and state of hooks, checkpoints,
-- errors. In float64.
local rwkv = require "rwkv"
local page_hooks = require "tests.lua.lib.page_hooks"
local check = require "tests.lua.lib.check"
rwkv.need_double()

-- ---- the Lua forms of the documentation ----

local forms = {} -- list of hooks called "lua-..."
page_hooks(function(_, h) if h.name:match "^lua%-" then forms[#forms + 1] = h end end)

local tokens = { { 3, 1, 4, 1, 5, 9, 2 }, { 6, 5, 3, 5, 8, 9, 7 } }
local targets = { { 1, 4, 1, 5, 9, 2, 6 }, { 5, 3, 5, 8, 9, 7, 9 } }

local function small(version, hooks)
  return rwkv.model { version = version, layers = 2, dim = 12, head_size = 6, vocab = 11, ctx = 16, seed = 5,
    decay_rank = 3, iclr_rank = 3, value_rank = 3, gate_rank = 3, mix_rank = 2, hooks = hooks }
end

-- Every parameter a random number of its own name, so that nothing is zero and nothing is alike.
local function randomise(model)
  for name, t in model:parameters() do
    local r = rwkv.rng(11, name:gsub("^(blocks%.%d+%.%w+%.[%w_]+%.)[^.]+", "%1")):tensor("normal", t:shape())
    t:set(rwkv.no_grad(function() return r * 0.4 end))
  end
end

-- The name in the version with built-in hooks of a parameter of a Lua form.
local own = { -- parameters of what a version has of its own, by version and slot
  ["v7 bonus"] = { u = "att.r_k" }, ["v6 bonus"] = { u = "att.time_faaaa" },
  ["v7 norm"] = { scale = "att.ln_x.weight", bias = "att.ln_x.bias" },
  ["v7 channel_mix"] = { mu_k = "ffn.x_k" },
  ["v3 embed_norm"] = { scale = "ln0.weight", bias = "ln0.bias" }, ["v7 embed_norm"] = { scale = "ln0.weight", bias = "ln0.bias" },
  ["v6 channel_mix"] = { mu_k = "ffn.time_maa_k", mu_r = "ffn.time_maa_r" },
  ["v6 decay"] = { w0 = "att.time_decay", w1 = "att.time_decay_w1", w2 = "att.time_decay_w2" },
  ["v6 gate"] = { weight = "att.gate.weight" },
  ["v6 receptance"] = { weight = "att.receptance.weight" },
  ["v4 receptance"] = { weight = "att.receptance.weight" },
  ["v4 decay"] = { w = "att.time_decay" }, ["v5.2 decay"] = { w = "att.time_decay" },
  ["v7 receptance"] = { weight = "att.receptance.weight" },
}

local function twin_name(name, version, slot, builtin, is_own)
  local layer, part, param = name:match("^(blocks%.%d+%.)(%w+)%." .. slot .. "%.lua%-[%w-]+%.(.+)$")
  if not layer then return name end
  if not is_own then return ("%s%s.%s.%s.%s"):format(layer, part, slot, builtin, param) end
  local renamed = (own[version .. " " .. slot] or {})[param]
  return layer .. (renamed or part .. "." .. param)
end

local function parameters(model)
  local list = {}
  for name, t in model:parameters() do list[name] = t end
  return list
end

-- Loss, logits, all gradients and the state after: of the built-in form and of the Lua form.
local function same_as_built_in(version, slot, lua_form, builtin)
  local is_own
  for _, s in ipairs(rwkv.hook_slots(version)) do
    if s.slot == slot then is_own = s.own == builtin end
  end
  local a, b = small(version, { [slot] = builtin }), small(version, { [slot] = lua_form })
  randomise(a)
  local from, copied = parameters(a), 0
  for name, t in b:parameters() do
    local twin = from[twin_name(name, version, slot, builtin, is_own)]
    if not twin then error("nothing stands for " .. name) end
    t:set(rwkv.no_grad(function() return twin:reshape(t:shape()) end))
    copied = copied + 1
  end
  check.equal(copied, #(function() local n = {} for name in pairs(from) do n[#n + 1] = name end return n end)())
  check.equal(a:param_count(), b:param_count())
  check.equal(a:state_floats(3), b:state_floats(3))

  local results = {}
  for i, m in ipairs { a, b } do
    local state = m:state(2)
    local first = m:forward({ { 1, 2 }, { 3, 4 } }, state) -- gradient flows through the state, too
    local loss = m:loss(tokens, targets, { state = state })
    local logits = m:forward(tokens)
    results[i] = { loss = loss:item(), logits = logits:tolist(), state = {} };
    (loss + (first * first):sum() * 1e-3):backward()
    rwkv.end_step()
  end
  check.equal(results[2].loss, results[1].loss, 1e-12)
  check.equal(results[2].logits, results[1].logits, 1e-12)
  local compared = 0
  for name, t in b:parameters() do
    local expected = from[twin_name(name, version, slot, builtin, is_own)]:grad()
    local off, most = rwkv.no_grad(function()
      local g, e = t:grad():reshape(-1), expected:reshape(-1)
      return (g - e):abs():max():item(), e:abs():max():item()
    end)
    if not (off <= 1e-12 * math.max(1, most)) then
      error(("gradient of %s is off by %g, its largest is %g"):format(name, off, most))
    end
    compared = compared + (most > 0 and 1 or 0)
  end
  assert(compared > 15, "hardly any gradient flowed")
end

-- Where each form is compared with what is built in: on a version where it is not the version's own, and on its own.
local versions = { "v1", "v2", "v3", "v4", "v5.0", "v5.1", "v5.2", "v6", "v6a", "v6b", "v7" }
local seen = {}
for _, h in ipairs(forms) do
  for _, slot in ipairs(h.kind == "shift" and { "shift", "ffn_shift" } or { h.kind }) do
    check.test(("%s %s is the built-in one"):format(slot, h.name), function()
      local name, tried = h.name:sub(5), {}
      for _, version in ipairs(versions) do
        for _, s in ipairs(rwkv.hook_slots(version)) do
          local builtin = false
          for _, b in ipairs(s.builtin) do builtin = builtin or b == name end
          if s.slot == slot and (builtin or s.own == name) then
            local is_own = s.own == name
            local known = not is_own or own[version .. " " .. slot] or version == "v7" and slot ~= "shift"
              or slot == "recurrence" or slot == "time_mix" or name == "none"
            if is_own and (slot == "shift" or slot == "ffn_shift") and name ~= "none" then known = false end
            if known and not (is_own and version == "v7" and slot == "ffn_shift") then
              same_as_built_in(version, slot, h, name)
              tried[#tried + 1] = version
            end
          end
        end
      end
      assert(#tried > 0, "compared on no version")
      seen[slot .. " " .. name] = true
    end)
  end
end

check.test("every built-in hook has a Lua form", function()
  for _, version in ipairs(versions) do
    for _, s in ipairs(rwkv.hook_slots(version)) do
      for _, name in ipairs(s.builtin) do
        assert(seen[s.slot .. " " .. name], s.slot .. " " .. name .. " has no form in lua/pages/hooks.md")
      end
    end
  end
end)

-- ---- parameters, state, checkpoints ----

local ramp = rwkv.hook { kind = "decay", name = "ramp",
  params = function(d)
    return { w = { d.A, init = function(layer, sizes)
      local w = {}
      for i = 1, sizes.A do w[i] = layer + i / 100 end
      return w
    end, lr = 3 }, ["mix.weight"] = { d.C, d.A, init = "normal", gain = 0.02 } }
  end,
  apply = function(x, p) return -(x:matmul(p["mix.weight"]) + p.w):softplus() end }

local memory = rwkv.hook { kind = "time_mix", name = "average",
  params = function(d) return { weight = { d.C, d.C } } end,
  state = { past = { "tokens", 12 }, count = { 1 } },
  apply = function(x, s, p, d)
    s.past = rwkv.concat({ s.past, x }, 2)
    s.count = s.count + d.T
    local outputs, before = {}, s.past:shape()[2] - d.T
    for t = 1, d.T do outputs[t] = s.past:slice(2, 1, before + t):mean(2, true) end
    return rwkv.concat(outputs, 2):linear(p.weight)
  end }

check.test("initial values that are functions, names, counts", function()
  local m = small("v6", { decay = ramp })
  check.equal(m:param "blocks.1.att.decay.ramp.w":tolist()[12], 2.12, 1e-6)
  check.equal(m:config().hooks, { decay = "ramp" })
  assert(m:config().hooks.decay == "ramp")
  local plain = small "v6"
  check.equal(m:param_count(), plain:param_count() + 2 * (12 + 144 - (12 + 12 * 3 * 2)))
  local d = rwkv.describe { version = "v6", layers = 2, dim = 12, head_size = 6, vocab = 11, hooks = { decay = "ramp" },
    decay_rank = 3, gate_rank = 3, mix_rank = 2 }
  check.equal(d.parameters, m:param_count())
end)

check.test("around the parts: names, layers, initial values, gradients, files; beside a whole part too", function()
  local path = "runs/tests/around.safetensors"
  local function by_layer(what)
    return function(d) return { [what] = { d.C, init = function(layer) return layer + 0.5 end } } end
  end
  rwkv.hook { kind = "time_out", name = "around", params = by_layer "bias", apply = function(y, p) return y + p.bias end }
  rwkv.hook { kind = "channel_out", name = "around", params = by_layer "scale", apply = function(y, p) return y * p.scale end }
  rwkv.hook { kind = "embed_norm", name = "around", params = by_layer "shift", apply = function(x, p) return x - p.shift end }
  local all = { time_out = "around", channel_out = "around", embed_norm = "around", channel_mix = "relu2" }
  rwkv.mkdir "runs/tests"
  for _, version in ipairs { "v4", "v6", "v7" } do
    local m, names = small(version, all), {}
    for name in m:parameters() do
      if name:find "around" then names[#names + 1] = name:gsub("blocks.(%d+).", "%1 ") end
      assert(not name:find "ln0%.weight")
    end
    table.sort(names)
    check.equal(names, { "0 att.time_out.around.bias", "0 ffn.channel_out.around.scale", "0 ln0.embed_norm.around.shift",
      "1 att.time_out.around.bias", "1 ffn.channel_out.around.scale" })
    check.equal(m:param "blocks.1.att.time_out.around.bias":tolist()[3], 2.5)
    check.equal(m:param "blocks.0.ln0.embed_norm.around.shift":tolist()[3], 1.5)
    randomise(m)
    m:loss(tokens, targets):backward()
    rwkv.no_grad(function()
      for name, t in m:parameters() do
        if name:find "around" then assert(t:grad():abs():max():item() > 1e-6, version .. " " .. name) end
      end
    end)
    rwkv.end_step()
    m:check_cuts()
    m:save(path)
    check.equal(rwkv.load(path):forward(tokens):tolist(), m:forward(tokens):tolist())
    rwkv.end_step()
  end
  os.remove(path)
  check.fails(function() small("v2", { embed_norm = "none" }) end, "v2 has no hook embed_norm")
end)

check.test("a state of its own is counted, carried and grows", function()
  local m = small("v7", { time_mix = memory })
  check.equal(m:state_floats(10), 2 * (12 + 10 * 12 + 1))
  check.equal(memory:state_size({ C = 12 }, 10), 121)
  randomise(m)
  local whole = m:forward({ 1, 2, 3, 4, 5 }):tolist()[1]
  local state, parts = m:state(1), {}
  for _, piece in ipairs { { 1, 2 }, { 3 }, { 4, 5 } } do
    for _, row in ipairs(m:forward(piece, state):tolist()[1]) do parts[#parts + 1] = row end
    rwkv.end_step()
  end
  check.equal(parts, whole, 1e-12)
  check.equal(state:get "0.time_mix.count":item(), 5)
  check.equal(state:get("1.time_mix.past"):shape(), { 1, 5, 12 })
  local copy = state:copy()
  check.equal(m:forward({ 6 }, copy):tolist(), m:forward({ 6 }, state):tolist())
end)

check.test("a checkpoint keeps hooks, and goes on with the same numbers", function()
  rwkv.mkdir "runs/tests"
  local path = "runs/tests/hooks.safetensors"
  local function train(m, opt, from, to)
    local last
    for _ = from, to do
      local loss = m:loss(tokens, targets)
      opt:zero_grad()
      loss:backward()
      opt:step()
      last = loss:item()
    end
    return last
  end
  local hooks = { decay = ramp, gate = "silu", norm = "layer" }
  local m = small("v7", hooks)
  local opt = rwkv.adamw(m, { lr = 1e-2, weight_decay = 0.1 })
  train(m, opt, 1, 3)
  m:save(path, { optimizer = opt })
  local expected = train(m, opt, 4, 6)
  local again = rwkv.load(path)
  local opt2 = rwkv.adamw(again, { lr = 1e-2, weight_decay = 0.1 })
  opt2:restore(path)
  check.equal(train(again, opt2, 4, 6), expected)
  check.equal(again:config().hooks.decay .. again:config().hooks.gate .. again:config().hooks.norm, "rampsilulayer")
  for name, value in pairs(m:config()) do
    if name ~= "hooks" then check.equal(again:config()[name], value) end
  end
  os.remove(path)
end)

check.test("an unknown hook in a file is named", function()
  rwkv.mkdir "runs/tests"
  local path, program = "runs/tests/other.safetensors", check.program
  small("v7", { decay = ramp }):save(path)
  local out, status = check.shell(program .. " -e \"require'rwkv'.load('" .. path .. "')\"")
  assert(status ~= 0 and out:find('decay hook "ramp"', 1, true), out)
  os.remove(path)
end)

check.test("naming the version's own hook changes nothing", function()
  check.equal(small("v7", { decay = "v7", iclr = "full" }):param_count(), small("v7"):param_count())
  assert(small("v7", { decay = "v7" }):config().hooks == nil)
end)

-- ---- traces ----

check.test("a trace holds what the model computed", function()
  local m = small "v7"
  randomise(m)
  local seen_names, names = m:trace { 1, 2, 3, 4 }
  local logits = m:forward { 1, 2, 3, 4 }
  check.equal(seen_names.logits:tolist(), logits:tolist()[1], 1e-12)
  check.equal(seen_names["blocks.1.att.w"]:shape(), { 4, 12 })
  check.equal(seen_names["state.0.att_kv"]:shape(), { 4, 2, 6, 6 })
  local state = m:state(1)
  m:forward({ 1, 2 }, state)
  check.equal(seen_names["state.1.att_kv"]:slice(1, 2, 2):tolist(), state:get "1.att_kv":tolist(), 1e-12)
  local w = seen_names["blocks.0.att.w"]
  assert(rwkv.no_grad(function() return w:max():item() end) < 0)
  for _, name in ipairs { "r", "w", "k", "v", "a", "g", "kappa", "wkv", "y" } do
    local found = false
    for _, n in ipairs(names) do found = found or n == "blocks.0.att." .. name end
    assert(found, name)
  end
  for _, version in ipairs(versions) do
    local t = small(version):trace { 1, 2, 3 }
    check.equal(t.logits:shape(), { 3, 11 })
  end
end)

check.test("traces show the residual stream, the norm, the bonus and the value residual's mix between their steps", function()
  local function same(version, name, found, expected)
    local off = rwkv.no_grad(function() return (found - expected):abs():max():item() end)
    assert(off < 1e-12, ("%s: %s is off by %g"):format(version, name, off))
  end
  for _, version in ipairs(versions) do
    local m = small(version)
    randomise(m)
    local trace = m:trace { 1, 2, 3, 4 }
    local function at(name, layer) return trace[("blocks.%d.%s"):format(layer or 1, name)] end
    rwkv.no_grad(function()
      local x = version == "v2" and at "att.x" or at("out.x", 0)
      same(version, "mid.x", at "mid.x", x + at "att.out")
      same(version, "out.x", at "out.x", (version == "v2" and at "ffn.x" or at "mid.x") + at "ffn.out")
      if not version:find "^v[567]" then return assert(not at "att.norm") end
      local w, b = m:param "blocks.1.att.ln_x.weight", m:param "blocks.1.att.ln_x.bias"
      local norm = version == "v6b" and at "att.wkv":layer_norm(w, b, 1e-5) or at "att.wkv":group_norm(2, w, b, 64e-5)
      same(version, "norm", at "att.norm", norm)
      if version ~= "v7" then return assert(not at "att.ungated") end
      local v, v0, v_first = at "att.v", at "att.v0", at("att.v", 0)
      same(version, "mix", v, v0 + (v_first - v0) * at "att.mix")
      assert(not at("att.mix", 0), "the first layer mixes nothing")
      local r_k = (at "att.r" * at "att.k"):reshape(4, 2, 6) * m:param "blocks.1.att.r_k"
      same(version, "ungated", at "att.ungated", norm + (r_k:sum(-1, true) * v:reshape(4, 2, 6)):reshape(4, 12))
      same(version, "y", at "att.y", at "att.ungated" * at "att.g")
    end)
  end
end)

-- ---- errors ----

local decay_count = 0
local function decay(apply, params) -- a new name each time
  decay_count = decay_count + 1
  return rwkv.hook { kind = "decay", name = "wrong-" .. decay_count, params = params, apply = apply }
end

local function run(hook, slot)
  return function() return small("v7", { [slot or "decay"] = hook }):forward({ 1, 2, 3 }):tolist() end
end

check.test("what comes back is checked", function()
  check.fails(run(decay(function() return rwkv.zeros(2, 3, 4) end)), "hook decay", "layer 1",
    "test_hooks.lua:", "returned [2,3,4], expected [1,3,12] or [12]")
  check.fails(run(decay(function(_, _, d) return rwkv.ones(d.A) end)), "returned 1 at [1], expected at most 0")
  check.fails(run(decay(function(_, _, d) return rwkv.zeros(d.A) / 0 end)), "expected at most 0")
  check.fails(run(decay(function() end)), "returned nothing, expected [1,3,12]")
  check.fails(run(decay(function() return "text" end)), "is a string, expected a tensor")
  check.fails(run(decay(function() return 1 end)), "is a number, expected a tensor")
  check.fails(run(decay(function() error "mine" end)), "mine", "test_hooks.lua")
  check.fails(run(rwkv.hook { kind = "iclr", name = "three", apply = function(_, _, _, d) return rwkv.full(3, d.A) end },
    "iclr"), "returned 3 at [1], expected 0 to 2")
  check.fails(run(rwkv.hook { kind = "shift", name = "one", apply = function(x) return { r = x } end }, "shift"),
    "hook shift", "returned nothing")
  check.fails(run(rwkv.hook { kind = "shift", name = "bare", apply = function(x) return x end }, "shift"),
    "expected a table with the streams r w k v a g")
  check.fails(run(rwkv.hook { kind = "recurrence", name = "lost", step = function(now, s) s.S = nil return now.r end },
    "recurrence"), "state S is nil")
  check.fails(run(rwkv.hook { kind = "recurrence", name = "bent", step = function(now, s)
    s.S = rwkv.zeros(1, 2, 6, 5)
    return now.r
  end }, "recurrence"), "state S became [1,2,6,5], expected [1,2,6,6]")
end)

check.test("definitions are checked", function()
  local f = function() end
  check.fails(function() rwkv.hook { kind = "decay", apply = f } end, "a name is needed")
  check.fails(function() rwkv.hook { kind = "decay", name = "a b", apply = f } end, "'a b'")
  check.fails(function() rwkv.hook { kind = "deccay", name = "x", apply = f } end, "no kind 'deccay'", "decay")
  check.fails(function() rwkv.hook { kind = "decay", name = "v6", apply = f } end, "built in")
  check.fails(function() rwkv.hook { kind = "decay", name = "x" } end, "either apply or step")
  check.fails(function() rwkv.hook { kind = "decay", name = "x", step = f } end, "for recurrences")
  check.fails(function() rwkv.hook { kind = "decay", name = "x", aply = f } end, "does not know 'aply'", "apply")
  check.fails(run(decay(f, { w = { 3, init = "nonsense" } })), "no initial value 'nonsense'", "lerp")
  check.fails(run(decay(f, { w = 3 })), "w is a number, expected a table of sizes")
  check.fails(run(decay(f, { w = { -3 } })), "size 1 of the shape", "-3")
  check.fails(run(decay(f, { ["a b"] = { 3 } })), "'a b'")
  check.fails(run(decay(f, function() error "in params" end)), "in params")
  check.fails(run "v9", "no decay 'v9'", "sigmoid-floor")
  check.fails(run(ramp, "gate"), "expected a name or a hook of kind gate")
  check.fails(run(ramp, "gates"), "no slot 'gates'")
  check.fails(function() small("v4", { iclr = "none" }) end, "v4 has no hook iclr", "decay")
  check.fails(function() small("v7", { time_mix = memory, decay = "v4" }) end, "no place beside hook time_mix")
end)

check.test("names that were not declared", function()
  check.fails(run(decay(function(_, p) return p.wx end, { w = { 3 } })), "has no parameter 'wx'; there are: w")
  check.fails(run(decay(function(_, p) return p.wx end)), "has no parameter 'wx'; there are: none")
  local n = 0
  local function recurrence(step)
    n = n + 1
    return run(rwkv.hook { kind = "recurrence", name = "names-" .. n, step = step }, "recurrence")
  end
  check.fails(recurrence(function(now, s) s.mm = s.S return now.r end), "has no state 'mm'; there are: S")
  check.fails(recurrence(function(now) return now.u end), "has no input 'u'; there are: a, b, k, r, v, w")
  check.fails(recurrence(function() end), "step returned a nil, expected [1,2,6]")
  check.fails(recurrence(function(now) return now.r:transpose() end), "step returned [1,6,2], expected [1,2,6]")
  check.fails(run(decay(function() end, { w = { 3, initial = 1 } })), "no option 'initial'; there are: gain, init, lr")
  check.fails(run(decay(function() end, { w = { nil, 3 } })), "w: size 1 is nil")
  check.fails(run(decay(function() end, function() end)), "returned a nil, expected a table")
  check.fails(run(decay(function() end, { w = { 3, init = function() return { 1, 2 } end } })),
    "initial values of blocks.0.att.decay")
  check.fails(run(function() end), "decay is a function, expected a name or a hook")
end)

check.test("what a hook must not do", function()
  local function inside(f) return run(decay(function(x, _, d) f(x) return rwkv.zeros(d.A) end)) end
  check.fails(inside(function() rwkv.end_step() end), "inside a hook")
  check.fails(inside(function(x) x:sum():backward() end), "not inside a hook")
  local m = small "v4"
  local opt = rwkv.adamw(m, { lr = 1 })
  check.fails(inside(function() opt:step() end), "inside a hook")
  -- what it may do
  inside(function(x) rwkv.no_grad(function() return x * 2 end) end)()
  inside(function() m:forward { 1, 2 } end)()
  rwkv.end_step()
end)

check.test("hooks that call their own model end in an error, and nothing is lost", function()
  local model
  local again = decay(function(_, _, d)
    model:forward { 1 }
    return rwkv.zeros(d.A)
  end)
  model = small("v7", { decay = again })
  check.fails(function() model:forward { 1 } end, "overflow")
  check.equal(rwkv.ones(3):sum():item(), 3)
end)

check.test("an error leaves the state as it was", function()
  local fail = false
  local h = decay(function(_, _, d)
    if fail and d.layer == 1 then error "now" end
    return rwkv.zeros(d.A)
  end)
  local m = small("v7", { decay = h })
  local state = m:state(1)
  m:forward({ 1, 2 }, state)
  local before = state:get "0.att_kv":tolist()
  fail = true
  check.fails(function() m:forward({ 3 }, state) end, "now")
  check.equal(state:get "0.att_kv":tolist(), before)
end)

check.test("stale tensors inside a hook are refused", function()
  local kept
  local h = decay(function(x, _, d)
    local old = kept
    kept = x
    if old then return old:sum(1) end
    return rwkv.zeros(d.A)
  end)
  local m = small("v7", { decay = h })
  rwkv.no_grad(function()
    check.fails(function() m:forward { 1 } end, "") -- the shape, from layer 0's tensor
  end)
  check.fails(function() m:forward { 1 } end, "step that is over")
end)

check.test("recorded runs survive the state going on without them", function()
  local m = small("v7", { time_mix = memory })
  randomise(m)
  local state = m:state(1)
  m:forward({ 1, 2, 3 }, state)
  rwkv.end_step()
  local loss = m:loss({ 4, 5 }, { 5, 6 }, { state = state })
  state:detach()
  rwkv.no_grad(function() m:forward({ 7, 8, 9 }, state) end)
  loss:backward()
  local grad = m:param "blocks.0.att.time_mix.average.weight":grad():tolist()
  m:zero_grad()
  rwkv.end_step()
  local other = m:state(1)
  m:forward({ 1, 2, 3 }, other)
  rwkv.end_step()
  m:loss({ 4, 5 }, { 5, 6 }, { state = other }):backward()
  check.equal(m:param "blocks.0.att.time_mix.average.weight":grad():tolist(), grad)
  rwkv.end_step()
end)
