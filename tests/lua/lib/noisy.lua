-- Two experiments for test_resume.lua, of which everything draws random numbers, by every generator there is: a hook, tasks,
-- initial values, measuring functions. The second depends on the rows of the first.
local rwkv = require "rwkv"

local o = rwkv.experiment.options(arg, { examples = 192, carry = false })
local of_hook, of_task, of_final = rwkv.rng(5, "hook"), rwkv.rng(5, "task"), { inside = { rwkv.rng(5, "final") } }

local dropout = rwkv.hook { kind = "norm", name = "dropout", apply = function(x)
  local keep, noise = rwkv.rand(x:shape()):gt(0.1), rwkv.randn(x:shape())
  return x * keep * of_hook:uniform(0.9, 1.1) + noise * 0.01 * math.random()
end }

local function task(c, where)
  local t, low = { carry = c.carry == 1 and where == "train" or nil }, math.random(0, 2)
  function t.batch(_, first, count)
    local x, y = {}, {}
    for b = 1, count do
      x[b], y[b] = {}, {}
      for i = 1, 6 do x[b][i], y[b][i] = of_task:integer(low, 6), math.random(0, first % 6) end
    end
    return rwkv.tokens(x), rwkv.tokens(y)
  end
  function t.restarts(_, first) return (first - 1) % 48 == 0 end
  return t
end

local function run(name, configs)
  return rwkv.experiment.run { name = name, options = o, configs = configs,
    task = function(c) return task(c, "train"), task(c, "test") end,
    prepare = function(model) model:param("emb.weight"):set(rwkv.randn(7, 8) * math.random()) end,
    evaluate = function(model, test, c)
      assert(arg) -- which is not the same for workers
      local l, score = model:loss(test:batch(1, c.tests))
      return { test_loss = l:item(), accuracy = score.correct / score.scored, drawn = of_final.inside[1]:uniform() + math.random() }
    end,
    stop = function() return of_task:uniform() + math.random() < 0.4 end,
    final = function(model) return { { sum = model:param("emb.weight"):sum():item(), drawn = rwkv.rand(1):item() } } end }
end

local settings = { label = "v7", version = "v7", hooks = { norm = dropout }, layers = 1, dim = 8, head_size = 4, vocab = 7, batch = 8,
  examples = o.examples, every = 40, tests = 8, schedule = "cosine", clip = 1, carry = o.carry and 1 or 0 }
local first = run("first", rwkv.product({ { "lr", { 1e-3, 3e-2 } }, { "seed", { 0, 1 } } }, settings))
local best = rwkv.best(first, { over = "lr", by = { "label" }, value = "test_loss", lowest = true })
settings.lr = best[1].lr
local second = run("second", rwkv.product({ { "seed", { 2, 3, 4 } } }, settings))
print(#first, settings.lr, #second, math.random(1 << 40), rwkv.rand(1):item(), of_hook:uniform()) -- as if nothing had been drawn
