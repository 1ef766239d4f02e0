-- Models from Lua: making, running, training, saving, states.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local test, equal, fails = check.test, check.equal, check.fails
rwkv.backend "reference"

local function small(version, seed)
  return rwkv.model { version = version, layers = 2, dim = 16, head_size = 8, vocab = 11, seed = seed or 1 }
end

-- Official initial values are full of zeros; this makes every parameter matter.
local function stir(model)
  local rng = rwkv.rng(99)
  for _, t in model:parameters() do
    t:set(rwkv.no_grad(function() return t + rng:tensor("normal", t:shape()) * 0.3 end))
  end
  return model
end

local tokens = { { 1, 2, 3, 4, 5, 6 }, { 6, 5, 4, 3, 2, 1 } }

test("options are checked", function()
  fails(function() rwkv.model { version = "v9", layers = 1, dim = 8, vocab = 4 } end, "v9", "v4")
  fails(function() rwkv.model { version = "v4", layer = 1 } end, "'layer'", "layers")
  fails(function() rwkv.model { version = "v4", layers = 1, dim = 8 } end, "vocab")
  fails(function() rwkv.model { version = "v4", layers = 1.5, dim = 8, vocab = 4 } end, "layers", "whole number")
  fails(function() rwkv.model { version = "v7", layers = 1, dim = 60, head_size = 64, vocab = 4 } end, "60")
  fails(function() rwkv.model { version = "v7", layers = 1, dim = "x", vocab = 4 } end, "dim")
end)

for _, version in ipairs(rwkv.versions()) do
  test(version .. ": cutting a sequence changes nothing", function()
    local model = stir(small(version))
    rwkv.no_grad(function()
      local whole, state = model:forward(tokens)
      for cut = 1, 5 do
        local first, second = {}, {}
        for b, row in ipairs(tokens) do
          first[b], second[b] = { table.unpack(row, 1, cut) }, { table.unpack(row, cut + 1) }
        end
        local a, st = model:forward(first)
        local b, st2 = model:forward(second, st)
        equal(rwkv.concat({ a, b }, 2):tolist(), whole:tolist())
        for _, name in ipairs(state:names()) do equal(st2:get(name):tolist(), state:get(name):tolist()) end
      end
    end)
  end)

  test(version .. ": it learns, and a checkpoint goes on with the same numbers", function()
    local path = os.tmpname()
    local model = small(version)
    local function train(m, opt, steps, losses)
      for _ = 1, steps do
        local loss = m:loss(tokens, { { 2, 3, 4, 5, 6, 7 }, { 5, 4, 3, 2, 1, -100 } })
        opt:zero_grad()
        loss:backward()
        opt:step()
        losses[#losses + 1] = loss:item()
      end
      return losses
    end
    local options = { lr = 1e-2, warmup = 2, weight_decay = 0.1, clip = 1 }
    local opt = rwkv.adamw(model, options)
    train(model, opt, 10, {})
    model:save(path, { optimizer = opt, meta = { note = "ten steps" } })
    local straight = train(model, opt, 10, {})
    local again = rwkv.load(path)
    local opt2 = rwkv.adamw(again, options)
    opt2:restore(path)
    equal(opt2:steps(), 10)
    equal(train(again, opt2, 10, {}), straight)
    assert(straight[10] < math.log(11) * 0.9, "loss " .. straight[10])
    os.remove(path)
  end)
end

test("parameters by name", function()
  local model = small "v7"
  local names = {}
  for name, t in model:parameters() do names[name] = t:size() end
  equal(names["blocks.1.att.w0"], 16)
  local w0 = model:param "blocks.1.att.w0"
  w0:set(-3)
  equal(model:param("blocks.1.att.w0"):tolist()[1][1][1], -3)
  fails(function() model:param "w0" end, "w0")
  model = nil
  collectgarbage()
  equal(w0:shape(), { 1, 1, 16 }) -- the handle keeps its model alive
end)

test("states", function()
  local model = stir(small "v7")
  local state = model:state(2)
  rwkv.no_grad(function() model:forward(tokens, state) end)
  local copy = state:copy()
  local kv = state:get "0.att_kv"
  equal(kv:shape(), { 2, 2, 8, 8 })
  state:set("0.att_kv", kv * 0)
  equal(copy:get("0.att_kv"):tolist(), kv:tolist())
  fails(function() state:get "0.nothing" end, "att_kv")
  fails(function() state:set("0.att_kv", rwkv.zeros(1)) end, "[2,2,8,8]")
  fails(function() model:forward({ 1 }, state) end, "batch of 2")
  fails(function() small("v4"):forward(tokens, state) end, "another model")
end)

test("gradient flows through the state inside a step, values survive it", function()
  local model = stir(small "v4")
  local a, b = { 1, 2, 3 }, { 4, 5, 6 }
  local _, state = model:forward(a)
  model:loss(b, { 5, 6, 7 }, { state = state }):backward()
  local through = model:param("emb.weight"):grad():tolist()
  model:zero_grad()
  rwkv.end_step()
  model:loss({ 1, 2, 3, 4, 5, 6 }, { -100, -100, -100, 5, 6, 7 }):backward()
  equal(through, model:param("emb.weight"):grad():tolist(), rwkv.precision == "float64" and 1e-12 or 1e-4)
  rwkv.end_step()
  model:forward { 1 } -- a new step begins: the state of the old one keeps its values
  model:zero_grad()
  assert(math.abs(state:get("1.att_xx"):sum():item()) > 0)
end)

test("targets: ignored ones, and all of them", function()
  local model = stir(small "v7")
  local loss, score = model:loss({ 1, 2, 3 }, { -100, 4, -100 })
  equal(score.scored, 1)
  local none = model:loss({ 1, 2, 3 }, { -100, -100, -100 })
  equal(none:item(), 0)
  fails(function() model:loss({ 1, 2 }, { 1 }) end, "[1,2]", "[1,1]")
  fails(function() model:loss({ 1, 2 }, { 1, 11 }) end, "11")
  fails(function() model:forward { 1, 2.5 } end, "2.5")
  fails(function() model:forward { { 1, 2 }, {} } end, "sequence 2 is empty")
  fails(function() model:forward {} end, "at least one")
  assert(loss:item() > 0)
end)

test("the log-likelihood of targets is that of their logits, and a text cut anywhere has the same", function()
  local model = rwkv.model { version = "v7", layers = 2, dim = 16, head_size = 8, vocab = 11, seed = 4 }
  for _, p in model:parameters() do -- logits that are not all alike
    p:set(rwkv.no_grad(function() return p + rwkv.rng(5):tensor("normal", p:shape()) * 0.3 end))
  end
  local texts, targets = { { 1, 2, 3, 4 }, { 5, 6, 7, 8 } }, { { 2, -1, 4, 9 }, { -100, 0, 8, 10 } }
  local logits = rwkv.no_grad(function() return (model:forward(texts)) end)
  local best, rows = logits:argmax(), rwkv.no_grad(function() return logits:log_softmax() end):tolist()
  targets[2][4] = best[8]
  local want, greedy = {}, {}
  for b = 1, 2 do
    for t = 1, 4 do
      local target = targets[b][t]
      if target >= 0 then
        want[#want + 1], greedy[#greedy + 1] = rows[b][t][target + 1], best[4 * (b - 1) + t] == target
      end
    end
  end
  local log_p, right, state = rwkv.no_grad(model.log_likelihood, model, texts, targets)
  equal(log_p, want, 1e-5)
  equal(right, greedy)
  equal(right[#right], true)
  local first, _, carried = rwkv.no_grad(model.log_likelihood, model, { 1, 2 }, { 2, -1 })
  local second = rwkv.no_grad(model.log_likelihood, model, { 3, 4 }, { 4, 9 }, { state = carried })
  equal({ first[1], second[1], second[2] }, { log_p[1], log_p[2], log_p[3] }, 1e-6)
  equal(#rwkv.no_grad(model.log_likelihood, model, { 1 }, { -1 }), 0)
  equal(#state:names(), #carried:names())
  fails(function() model:log_likelihood({ 1, 2 }, { 1 }) end, "log_likelihood", "[1,2]", "[1,1]")
  fails(function() model:log_likelihood({ 1 }, { 11 }) end, "11")
  fails(function() model:log_likelihood({ 1 }, { 1 }, { l2wrap = 1 }) end, "l2wrap")
end)

test("a run that fails leaves the state as it was", function()
  local model = stir(rwkv.model { version = "v1", layers = 2, dim = 16, head_size = 8, vocab = 11, ctx = 4 })
  local state = model:state(1)
  rwkv.no_grad(function() model:forward({ 1, 2, 3 }, state) end)
  local before = {}
  for _, name in ipairs(state:names()) do before[name] = state:get(name):tolist() end
  rwkv.no_grad(function() fails(function() model:forward({ 4, 5 }, state) end, "ctx_len of 4") end)
  fails(function() model:loss({ 4 }, { 99 }, { state = state }) end, "targets: 99 at sequence 1, position 1")
  rwkv.end_step()
  for _ = 1, 3 do rwkv.no_grad(function() return rwkv.ones(100000) * 2 end) end -- over the memory of the failed run
  for _, name in ipairs(state:names()) do equal(state:get(name):tolist(), before[name]) end
end)

test("a checkpoint belongs to its model", function()
  local model, other, path = small "v4", small "v7", os.tmpname()
  fails(function() model:save(path, { optimizer = rwkv.adamw(other, {}) }) end, "another model")
  model:save(path, { optimizer = rwkv.adamw(model, {}), meta = { ["optim.step"] = "many" } })
  fails(function() rwkv.adamw(model, {}):restore(path) end, "many")
  fails(function() rwkv.adamw(other, {}):restore(path) end)
  os.remove(path)
end)

test("the optimizer says what it does not know", function()
  local model = small "v4"
  fails(function() rwkv.adamw(model, { learning_rate = 1 }) end, "learning_rate", "lr")
  fails(function() rwkv.adamw(model, { lr = -1 }) end, "lr")
  fails(function() rwkv.adamw(model, { betas = { 0.9 } }) end, "betas")
  fails(function() rwkv.adamw(model, {}):restore "/nonexistent" end, "/nonexistent")
end)

for _, version in ipairs(rwkv.versions()) do
  test(version .. ": the embedding as the head", function()
    local sizes = { version = version, layers = 2, dim = 16, head_size = 8, vocab = 11, seed = 1, tied = 1 }
    local tied, path = rwkv.model(sizes), os.tmpname()
    equal(pcall(tied.param, tied, "head.weight"), false)
    local plain = stir(small(version))
    local emb = version == "v1" and "tok_emb.weight" or "emb.weight"
    for name, t in plain:parameters() do
      if name == emb or name == "head.weight" then t:set(tied:param(emb):tolist()) end
      if name ~= "head.weight" then tied:param(name):set(t) end
    end
    rwkv.no_grad(function() equal(tied:forward(tokens):tolist(), plain:forward(tokens):tolist()) end)
    -- the gradient is that of both uses
    local targets = { { 2, 3, 4, 5, 6, 7 }, { 5, 4, 3, 2, 1, -100 } }
    for _, model in ipairs { tied, plain } do
      model:zero_grad()
      model:loss(tokens, targets):backward()
    end
    local both = plain:param(emb):grad() + plain:param("head.weight"):grad()
    equal(tied:param(emb):grad():tolist(), both:tolist(), 1e-6)
    tied:save(path)
    local loaded = rwkv.load(path)
    equal(loaded:config().tied, 1)
    rwkv.no_grad(function() equal(loaded:forward(tokens):tolist(), plain:forward(tokens):tolist()) end)
    os.remove(path)
    equal(rwkv.describe({ version = version, layers = 2, dim = 16, head_size = 8, vocab = 11, tied = 1 })
      .flops_per_token, rwkv.describe { version = version, layers = 2, dim = 16, head_size = 8, vocab = 11 }.flops_per_token)
  end)
end

test("published sizes: parameters, FLOPs, state, and the papers' formulas, are what is counted", function()
  local versions, sizes = require "rwkv.versions", require "rwkv.sizes"
  local compared = 0
  for _, version in ipairs(rwkv.versions()) do
    local p = versions.of(version).published or { sizes = {}, formulas = {} }
    for _, size in ipairs(p.sizes) do
      local found = sizes.count(version, size)
      for name, text in pairs(size) do
        if found[name] then
          assert(sizes.agrees(text, found[name]), ("%s %s: %s %s, published %s"):format(version, size[1], name, found[name], text))
          compared = compared + 1
        end
      end
    end
    for _, formula in ipairs(p.formulas) do
      equal(sizes.wrong(version, p, formula), nil)
      compared = compared + 1
    end
  end
  equal(compared, 24)
  local density = versions.of "v7".published.density
  assert(sizes.agrees(density.published, sizes.density("v7", density)))
end)

test("published sizes: what is not the same is seen", function()
  local versions, sizes = require "rwkv.versions", require "rwkv.sizes"
  assert(sizes.agrees("1.693e8", 169342464) and not sizes.agrees("1.694e8", 169342464) and not sizes.agrees("1.6930e8", 169342464))
  assert(sizes.agrees("450834432", 450834432) and not sizes.agrees("450834432", 450834433))
  assert(sizes.agrees("0.547", 0.5466) and not sizes.agrees("0.547", 0.5476))
  local formula = { "state_floats", "4DL", function(m) return 4 * m.dim * m.layers end, "in exact arithmetic" }
  equal(sizes.wrong("v4", versions.of "v4".published, formula), "is wrong for 169M: 36864, counted are 46080")
end)

test("FLOPs of a token in a layer: two for each number of its maps, and what the recurrence costs", function()
  for version, recurrence in pairs { v4 = 22, ["v5.2"] = 5 * 8, v6 = 5 * 8, v7 = 9 * 8 } do -- a channel, heads of 8
    local sizes, maps = { version = version, layers = 2, dim = 16, head_size = 8, vocab = 20 }, 0
    for name, t in rwkv.model(sizes):parameters() do
      local shape = t:shape()
      local vector = #shape < 2 or shape[#shape - 1] == 1 or name:find "r_k$" or name:find "faaaa$" or name:find "decay$"
      if name:find "^blocks%.1%." and not vector then maps = maps + t:size() end
    end
    local two = rwkv.describe(sizes).flops_per_token
    sizes.layers = 3
    equal(rwkv.describe(sizes).flops_per_token - two, 2 * maps + recurrence * 16)
  end
end)

test("what is counted is what is there", function()
  for _, version in ipairs(rwkv.versions()) do
    local sizes = { version = version, layers = 2, dim = 16, head_size = 8, vocab = 11, tokens = 3 }
    local counted = rwkv.describe(sizes)
    sizes.tokens = nil
    local model, numbers = rwkv.model(sizes), 0
    for _, t in model:parameters() do numbers = numbers + t:size() end
    equal(counted.parameters, numbers)
    local _, state = rwkv.no_grad(function() return model:forward { 1, 2, 3 } end)
    local floats = 0
    for _, name in ipairs(state:names()) do floats = floats + state:get(name):size() end
    equal(counted.state_floats, floats)
  end
end)

test("one layer, two layers, one channel a head: finite from the start", function()
  for _, version in ipairs(rwkv.versions()) do
    for _, layers in ipairs { 1, 2, 3 } do
      local model = rwkv.model { version = version, layers = layers, dim = 8, head_size = version == "v1" and 4 or 1,
        vocab = 5 }
      for name, t in model:parameters() do
        for _, x in ipairs(rwkv.no_grad(function() return t:reshape(-1) end):tolist()) do
          assert(x == x and math.abs(x) < math.huge, version .. " " .. name)
        end
      end
      local loss = model:loss({ 1, 2, 3 }, { 2, 3, 4 })
      assert(loss:item() == loss:item())
      rwkv.end_step()
    end
  end
end)
