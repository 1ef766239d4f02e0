-- Loss and gradients from the lines are the reference's; a mistake of training is named by what it does to them.
local rwkv = require "rwkv"
if rwkv.precision ~= "float64" then return end -- as test_golden.lua
local core = require "rwkv.core"
local check = require "tests.lua.lib.check"
local fill = require "rwkv.golden.weights"
local formulas = require "rwkv.golden.formulas"
local gradients = require "rwkv.golden.gradients"
local run = require "rwkv.golden.run"
local test, equal = check.test, check.equal
core.backend "reference"

local versions = { "v1", "v2", "v3", "v4", "v5.0", "v5.1", "v5.2", "v6", "v6a", "v6b", "v7" }

-- What pack.read gives of a pack of two sequences, its weights, and its lines.
local function made(version)
  local q = { version = version, layers = 3, dim = 16, vocab = 13, head_size = 8 }
  if version == "v4" then q.head_size = nil end
  if version == "v1" then q.ctx = 12 end
  if version:find "^v[123]$" then q.head_qk = 4 end
  local model, rng, p, weights = rwkv.model(q), rwkv.rng(5), { tokens = {}, targets = {}, names = {}, config = q }, {}
  for b = 1, 2 do
    p.tokens[b], p.targets[b] = {}, {}
    for t = 1, 10 do p.tokens[b][t], p.targets[b][t] = rng:integer(0, 12), rng:integer(0, 12) end
  end
  fill(model, p.tokens, 0, "f32")
  for name, parameter in model:parameters() do weights[name] = parameter:detach() end
  local right = {}
  for _, e in ipairs(run(model, p.tokens, { targets = p.targets, trace = false })) do
    if e.name == "loss" or e.name:find "^grad" then right[#right + 1], p.names[#p.names + 1] = e, e.name end
  end
  return p, formulas.of(model:config()), weights, right
end

local cases = {}
for _, version in ipairs(versions) do cases[version] = table.pack(made(version)) end

-- What diff compares: numbers[name] or the right ones, rounded to float32.
local function compared(version, numbers, names)
  local list = {}
  for _, e in ipairs(cases[version][4]) do
    if not names or e.name:find(names) then
      local value = core.no_grad(function() return (numbers[e.name] or e.value):reshape(-1):round("f32"):keep() end)
      list[#list + 1] = { name = e.name, theirs = e.name, result = { tol = { worst = 1e-5, rms = 1e-5 } },
        entry = { value = value, shape = e.shape, dtype = "f32" } }
    end
  end
  return list
end

local function of(version, list)
  local p, book, weights = table.unpack(cases[version], 1, 3)
  return gradients.of(book, { tokens = p.tokens, targets = p.targets, weights = weights }, list or {})
end

local function causes(version, numbers, names)
  local p, book, weights = table.unpack(cases[version], 1, 3)
  return gradients.causes(p, book, weights, compared(version, numbers, names))
end

-- All numbers, changed by f(value, name).
local function changed(version, f)
  local numbers = {}
  for _, e in ipairs(cases[version][4]) do
    numbers[e.name] = core.no_grad(function() return (f(e.value:reshape(-1), e.name) or e.value):keep() end)
  end
  return numbers
end

local function ids(list)
  local names = {}
  for i, c in ipairs(list) do names[i] = c.id end
  return table.concat(names, " ")
end

-- Whether two runs are as far apart as float32 can tell.
local function differ(a, b)
  for name, x in pairs(a) do
    local y, most = b[name], 0
    core.no_grad(function() most = ((x - y):abs() / math.max(1e-3, y:abs():max():item())):max():item() end)
    if most > 1e-4 then return true end
  end
  return false
end

for _, version in ipairs(versions) do
  test(version .. ": loss and gradients from the lines are the reference's to 1e-10", function()
    local g = of(version)
    for _, e in ipairs(cases[version][4]) do
      local ours, scale = g[e.name]:reshape(-1), core.no_grad(function() return e.value:abs():max():item() end)
      equal(core.no_grad(function() return ((ours - e.value:reshape(-1)) / math.max(scale, 1)):tolist() end), ours:tolist() and
        core.zeros(ours:size()):tolist(), 1e-10)
    end
  end)
  test(version .. ": no two mistakes of training give the same; right gradients have none", function()
    local p, book = cases[version][1], cases[version][2]
    equal(#causes(version, {}), 0)
    local known, right, runs = gradients.mistakes(book, p.tokens), of(version), {}
    for i, mistake in ipairs(known) do
      runs[i] = of(version, { mistake })
      assert(differ(runs[i], right), mistake.id)
      for j = 1, i - 1 do assert(differ(runs[i], runs[j]), mistake.id .. " " .. known[j].id) end
    end
    for i = 2, #known, 12 do
      local found = causes(version, runs[i])
      assert(#found == 1 and found[1].id == known[i].id and found[1].exact, ("%s: %s"):format(known[i].id, ids(found)))
      assert(found[1].residual < 1e-5 and found[1].without > 1e-5 and #found[1].explains > 0 and #found[1].others == 0, known[i].id)
    end
  end)
end

local function weight_of(version, name) return cases[version][3][name:sub(6)]:reshape(-1) end
local function is_gradient(name) return name:find "^grad" ~= nil end

test("a factor is said, and what it comes from", function()
  for _, case in ipairs { -- of the loss, of gradients, id, words
    { 20, 20, "loss-count", "summed over the tokens, not averaged" },
    { 20 / 18, 20 / 18, "loss-count", "less one a sequence" },
    { 20 / 19, 20 / 19, "loss-count", "divided by the tokens less one" },
    { 10, 10, "loss-count", "averaged over the sequences" },
    { 2, 2, "loss-count", "summed over the sequences" },
    { 1 / math.log(2), 1, "loss-count", "the loss alone is 1.4427 times the right one: in bits" },
    { 1, 2, "micro-batches", "summed over 2 micro-batches" },
    { 1, 1024, "loss-scale", "2^10 = 1024" },
    { 1, 0.7, "gradient-scale", "0.7 times" },
  } do
    local found = causes("v6", changed("v6", function(x, name) return x * (is_gradient(name) and case[2] or case[1]) end))
    assert(#found == 1 and found[1].id == case[3] and found[1].exact and found[1].title:find(case[4], 1, true),
      ids(found) .. " " .. (found[1] and found[1].title or ""))
  end
end)

test("clipped gradients are told from others by their norm", function()
  local square = 0
  changed("v7", function(x, name) square = square + (is_gradient(name) and x:square():sum():item() or 0) end)
  assert(square > 1)
  local found = causes("v7", changed("v7", function(x, name) return is_gradient(name) and x / math.sqrt(square) or x end))
  assert(ids(found) == "gradient-clipped" and found[1].title:find "norm of 1:", ids(found))
end)

test("weight decay in the gradients: how much, and of what", function()
  for words, decays in pairs {
    ["of all parameters"] = function() return true end,
    ["of all that is called .weight"] = function(name) return name:find "%.weight$" end,
    ["of head.weight, blocks.1.ln1.weight"] = function(name) return name:find "1%.ln1%.weight$" or name:find "head%.weight" end,
  } do
    local found = causes("v5.2", changed("v5.2", function(x, name)
      return is_gradient(name) and decays(name) and x + weight_of("v5.2", name) * 0.01 or x
    end))
    assert(ids(found) == "weight-decay-in-gradient" and found[1].exact, ids(found))
    assert(found[1].title:find("0.01 times the parameter, " .. words, 1, true), found[1].title)
  end
end)

test("a factor, weight decay and a mistake together are three causes", function()
  local mistake
  for _, e in ipairs(gradients.mistakes(cases.v7[2], cases.v7[1].tokens)) do mistake = e.id == "v-first-detached" and e or mistake end
  local g = of("v7", { mistake })
  local found = causes("v7", changed("v7", function(_, name)
    local x = g[name]:reshape(-1)
    if not is_gradient(name) then return x end
    return 2 * (name:find "head" and x + weight_of("v7", name) * 0.1 or x)
  end))
  equal(ids(found), "micro-batches weight-decay-in-gradient v-first-detached")
  assert(found[3].exact and not found[1].exact, found[3].residual)
  for _, name in ipairs(found[3].explains) do assert(name:find "blocks%.0" or name:find "emb" or name:find "ln0", name) end
end)

test("two mistakes of training are found one after the other", function()
  local two = {}
  for _, e in ipairs(gradients.mistakes(cases.v4[2], cases.v4[1].tokens)) do
    if e.id == "decay-gradient-inner" or e.id == "shift-gradient-ffn" then two[#two + 1] = e end
  end
  local found = causes("v4", of("v4", two))
  assert(#found == 2 and found[2].exact, ids(found))
end)

test("parameters without a gradient are listed; mistakes of the forward run are made as well", function()
  local found = causes("v3", changed("v3", function(x, name) return name:find "ln_out" and x * 0 or x end))
  assert(ids(found) == "no-gradient" and #found[1].explains == 2, ids(found))
  local wrong = { { id = "w", edits = { ["att.w"] = { after = function(w) return 2 * w end } } } }
  local p, book, weights = table.unpack(cases.v4, 1, 3)
  local list = compared("v4", of("v4", wrong))
  equal(#gradients.causes(p, book, weights, list, wrong), 0)
  assert(#gradients.causes(p, book, weights, list) == 0 or not gradients.causes(p, book, weights, list)[1].exact)
end)

test("the loss alone, or some gradients alone, are enough", function()
  local function named(id)
    for _, e in ipairs(gradients.mistakes(cases.v2[2], cases.v2[1].tokens)) do if e.id == id then return e end end
  end
  equal(ids(causes("v2", of("v2", { named "loss-without-last" }), "^loss$")), "loss-without-last")
  equal(ids(causes("v2", of("v2", { named "clamp-gradient-passes" }), "0%.att")), "clamp-gradient-passes")
end)
