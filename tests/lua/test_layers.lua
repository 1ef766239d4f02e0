-- Hooks by layer: what stands in one layer alone is counted, trained, saved and loaded as it is there.
local check = require "tests.lua.lib.check"
local stir = require "tests.lua.lib.stir"
local rwkv = require "rwkv"
local test, equal, fails = check.test, check.equal, check.fails

rwkv.mkdir "runs/tests"
local path = "runs/tests/layers.safetensors"

local function design(hooks, more)
  local q = { version = "v7", layers = 3, dim = 16, head_size = 8, vocab = 11, seed = 2, hooks = hooks }
  for name, value in pairs(more or {}) do q[name] = value end
  return q
end

local tokens, targets = { { 1, 2, 3, 4 }, { 5, 6, 7, 8 } }, { { 2, 3, 4, 5 }, { 6, 7, 8, 9 } }

local ramp = rwkv.hook { kind = "decay", name = "layers-ramp",
  params = function(d) return { w = { d.A, init = function(layer) return -layer end } } end,
  apply = function(_, p, d)
    assert(p.w:shape()[1] == d.A and d.layer >= 1 and d.layer <= d.layers)
    return p.w:minimum(0)
  end }

local together = rwkv.hook { kind = "time_out", name = "layers-together",
  params = function(d) return { scale = { d.C, init = function(layer) return layer == nil and 0.5 or error "a layer" end, shared = true },
    bias = { d.C } } end,
  state = function(d) return { last = { d.C } } end,
  apply = function(y, s, p, d)
    s.last = y:slice(2, -1):reshape(d.B, d.C)
    return y * p.scale + p.bias
  end }

test("each layer is counted as it is", function()
  local function of(hooks, layers) return rwkv.describe(design(hooks, { layers = layers })) end
  for _, mixer in ipairs { "attention", "mamba", "gated_deltanet" } do
    local own, mixed, hybrid = of({}, 1), of({ time_mix = mixer }, 2), of({ time_mix = { "v7", mixer, mixer } }, 3)
    local own2, other = of({}, 2), of({ time_mix = mixer }, 1)
    -- a layer more of the mixer costs the same everywhere
    local per = { parameters = mixed.parameters - other.parameters, state_floats = mixed.state_floats - other.state_floats,
      flops_per_token = mixed.flops_per_token - other.flops_per_token }
    for name, n in pairs(per) do equal(hybrid[name], own[name] + 2 * n) end
    assert(own2.parameters > own.parameters)
    local m = rwkv.model(design { time_mix = { "v7", mixer, mixer } })
    equal(m:param_count(), hybrid.parameters)
    equal(m:state_floats(), hybrid.state_floats)
    equal(rwkv.describe(design({ time_mix = { [2] = mixer, [3] = mixer } })).parameters, hybrid.parameters)
  end
  local d = rwkv.describe(design({ time_mix = { [3] = "attention" } }, { tokens = 64 }))
  local e = rwkv.describe(design({ time_mix = { [3] = "attention" } }, { tokens = 63 }))
  equal(d.state_floats - e.state_floats, 2 * 16)
  equal(d.flops_per_token - e.flops_per_token, 4 * 16)
end)

test("the same hook in all layers is the same model", function()
  for _, hooks in ipairs { { time_mix = "attention" }, { decay = "v4" }, { norm = "layer", gate = "silu" }, { channel_mix = "gated" } } do
    local by_layer = {}
    for slot, name in pairs(hooks) do by_layer[slot] = { name, name, name } end
    local a, b = rwkv.model(design(hooks)), rwkv.model(design(by_layer))
    equal((a:forward(tokens)):tolist(), (b:forward(tokens)):tolist())
    equal(a:param_count(), b:param_count())
    rwkv.end_step()
  end
end)

test("saved, described, loaded, and its state", function()
  for _, hooks in ipairs {
    { time_mix = { "v7", "attention", "v7" } }, { time_mix = { "attention" } }, { time_mix = { "mamba", "v7", "deltanet" } },
    { decay = { [3] = ramp } }, { decay = { [2] = "v4" }, norm = "layer", time_mix = { [3] = "retnet" } },
    { time_out = { together, nil, together } }, { channel_mix = { [2] = "gated" }, ffn_shift = "half" },
    { value_residual = { [2] = "scalar" }, gate = { "none", "silu", "none" } } } do
    local model = stir(rwkv.model(design(hooks)))
    model:save(path)
    local again = rwkv.load(path)
    equal(rwkv.info(path).config.hooks, model:config().hooks)
    equal(rwkv.hooks_in(path).hooks, model:config().hooks)
    for slot, list in pairs(model:config().hooks) do
      if type(list) == "table" then
        equal(#list, 3)
        for layer, name in ipairs(list) do assert(again:config().hooks[slot][layer] == name) end
      end
    end
    equal((again:forward(tokens)):tolist(), (model:forward(tokens)):tolist())
    equal(rwkv.model(model:config()):param_count(), model:param_count())
    local _, state = rwkv.no_grad(model.forward, model, tokens)
    state:save("runs/tests/layers_state.safetensors")
    local back = again:load_state "runs/tests/layers_state.safetensors"
    rwkv.no_grad(function()
      equal((again:forward({ { 1 }, { 2 } }, back)):tolist(), (model:forward({ { 1 }, { 2 } }, state)):tolist())
      equal((again:forward({ { 1 }, { 2 } }, state)):tolist(), (model:forward({ { 1 }, { 2 } }, back)):tolist())
    end)
    local packed = model:pack "f32"
    rwkv.no_grad(function() equal((packed:forward(tokens)):tolist(), (model:forward(tokens)):tolist(), 1e-4) end)
    local opt = rwkv.adamw(model, { lr = 1e-3 })
    local loss = model:loss(tokens, targets)
    loss:backward()
    opt:step()
    rwkv.end_step()
  end
end)

test("aviary info shows it", function()
  stir(rwkv.model(design { time_mix = { "v7", "attention", "v7" }, decay = { [3] = ramp } })):save(path)
  for _, what in ipairs { "time_mix=v7,attention,v7", "decay=v7,v7,layers-ramp", "layers" } do -- a hook that only this script has
    local out, status = check.shell("./aviary info " .. path)
    assert(status == 0 and out:find(what, 1, true), out)
  end
end)

test("gradients of a hybrid, against finite differences", function()
  if rwkv.precision ~= "float64" then return end
  for _, hooks in ipairs { { time_mix = { "attention", "v7", "v7" } }, { time_mix = { "v7", "attention", "mamba" } },
    { time_out = { together, nil, together } } } do
    local model = stir(rwkv.model(design(hooks)))
    model:loss(tokens, targets):backward()
    local slope, along, kept = 0, {}, {}
    rwkv.no_grad(function()
      for name, t in model:parameters() do
        along[name], kept[name] = rwkv.rng(1, name):tensor("normal", t:shape()):keep(), t:keep()
        slope = slope + (t:grad() * along[name]):sum():item()
      end
    end)
    rwkv.end_step()
    local function at(h)
      return rwkv.no_grad(function()
        for name, t in model:parameters() do t:set(kept[name] + along[name] * h) end
        return (model:loss(tokens, targets)):item()
      end)
    end
    local difference = (at(1e-6) - at(-1e-6)) / 2e-6
    assert(math.abs(difference - slope) < 1e-6 * math.max(1, math.abs(slope)), ("%g, %g"):format(difference, slope))
  end
end)

test("initial values know their layer; what layers share is one parameter", function()
  local model = rwkv.model(design { decay = { [2] = ramp }, time_out = { together, nil, together } })
  equal(model:param "blocks.1.att.decay.layers-ramp.w":tolist()[1], -2)
  fails(function() model:param "blocks.0.att.decay.layers-ramp.w" end, "no parameter")
  equal(model:param "att.time_out.layers-together.scale":tolist()[1], 0.5)
  model:param "blocks.2.att.time_out.layers-together.bias"
  fails(function() model:param "blocks.1.att.time_out.layers-together.bias" end, "no parameter")
  fails(function() model:param "blocks.2.att.time_out.layers-together.scale" end, "no parameter")
  equal(#rwkv.model(design { time_out = together }):state():names(), 3 * 4)
end)

test("what cannot be is refused by name", function()
  local function refused(hooks, ...)
    local parts = { ... }
    fails(function() rwkv.model(design(hooks)) end, table.unpack(parts))
    fails(function() rwkv.describe(design(hooks)) end, table.unpack(parts))
  end
  refused({ time_mix = { [4] = "attention" } }, "layer 4", "1 to 3")
  refused({ time_mix = { [0] = "attention" } }, "layer 0", "1 to 3")
  refused({ time_mix = { x = "attention" } }, "layer x", "1 to 3")
  refused({ time_mix = { "attenton", "v7" } }, "attenton", "attention")
  refused({ time_mix = { "v7", "v4" } }, "there is no time_mix 'v4'", "v7, ")
  refused({ time_mix = { ramp } }, "time_mix", "hook decay")
  refused({ time_mix = { 3 } }, "time_mix", "number")
  refused({ decay = { [2] = "v4" }, time_mix = { [2] = "attention" } }, "layer 2", "no place beside hook time_mix")
  refused({ embed_norm = { [2] = "none" } }, "layer 2", "embed_norm has no place")
  refused({ value_residual = { "none" } }, "layer 1", "value_residual has no place")
  fails(function() rwkv.model(design({ value_residual = "none" }, { layers = 1 })) end, "value_residual has no place")
  refused({ norm = "layer", time_mix = { "attention", "attention", "attention" } }, "no place beside hook time_mix")
  fails(function() rwkv.model { version = "v7", dim = 16, vocab = 11, hooks = { time_mix = { "attention" } } } end, "layers")
  fails(function() rwkv.model { version = "v4", layers = 2, dim = 16, vocab = 11, hooks = { iclr = { "none" } } } end, "iclr")
  local state = rwkv.model(design { time_mix = { [2] = "attention" } }):state()
  fails(function() rwkv.model(design { time_mix = { [3] = "attention" } }):forward({ 1 }, state) end, "another model")
end)

test("a file names the hook that it lacks", function()
  for _, hooks in ipairs { { decay = ramp }, { decay = { [2] = ramp } }, { decay = ramp, time_mix = { [2] = "attention" } } } do
    rwkv.model(design(hooks)):save(path)
    local meta, entries = select(2, rwkv.load_tensors(path)), {}
    for name, e in pairs((rwkv.load_tensors(path))) do
      entries[#entries + 1] = { name = name:gsub("layers%-ramp", "layers-gone"), value = e.value }
    end
    meta["aviary.hooks"] = meta["aviary.hooks"]:gsub("layers%-ramp", "layers-gone")
    rwkv.save_tensors(path, entries, meta)
    for _, call in ipairs { rwkv.load, rwkv.info } do
      fails(function() call(path) end, "test_layers.lua", path .. ': it has the decay hook "layers-gone"', "define it before")
    end
  end
end)

test("a version without heads has those of head_size for mixers", function()
  for _, version in ipairs { "v1", "v2", "v3", "v4" } do
    for name in pairs(rwkv.mixers) do
      local q = design({ time_mix = { [2] = name } }, { version = version })
      local model = rwkv.model(q)
      model:save(path)
      rwkv.no_grad(function() equal((rwkv.load(path):forward(tokens)):tolist(), (model:forward(tokens)):tolist()) end)
      q.head_size = 6
      fails(function() rwkv.model(q) end, "16 channels", "heads of size 6")
    end
  end
end)

test("FLOPs are those of the layers in which a hook is at work", function()
  local function counting(kind, n) return rwkv.hook { kind = kind, name = "layers-flops", apply = function(x) return x end,
    flops = function() return n end } end
  local function more(hooks, without)
    return rwkv.describe(design(hooks)).flops_per_token - rwkv.describe(design(without or {})).flops_per_token
  end
  local out, norm, first = counting("time_out", 1000), counting("norm", 100), counting("embed_norm", 10)
  equal(more { time_out = out }, 3000)
  equal(more({ time_out = out, time_mix = { [2] = "attention" } }, { time_mix = { [2] = "attention" } }), 3000)
  equal(more({ norm = norm, time_mix = { [2] = "attention" } }, { norm = "none", time_mix = { [2] = "attention" } }), 200)
  equal(more({ embed_norm = first }, { embed_norm = "none" }), 10)
end)

test("names of hooks that a file has no room for are refused, not cut", function()
  local hooks = {}
  for layer = 1, 400 do hooks[layer] = "deltanet_negative" end
  local model = rwkv.model { version = "v4", layers = 500, dim = 2, vocab = 2, dim_ffn = 2, head_size = 2, hooks = { time_mix = hooks } }
  model:save(path)
  for layer = 401, 500 do hooks[layer] = "deltanet_negative" end
  model = rwkv.model { version = "v4", layers = 500, dim = 2, vocab = 2, dim_ffn = 2, head_size = 2, hooks = { time_mix = hooks } }
  fails(function() model:save(path) end, "time_mix", "8191 bytes")
end)
