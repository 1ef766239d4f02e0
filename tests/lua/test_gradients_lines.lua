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

-- What pack.read gives of a pack of two sequences, its lines, its weights, what is right, and the model.
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
  return p, formulas.of(model:config()), weights, right, model
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

local function named(version, id)
  for _, e in ipairs(gradients.mistakes(cases[version][2], cases[version][1].tokens)) do if e.id == id then return e end end
  error(version .. " has no " .. id)
end

-- The model's gradients after losses were differentiated, against those with a mistake made.
local function same_as_model(version, id)
  local g, model = of(version, { named(version, id) }), cases[version][5]
  for name, parameter in model:parameters() do
    local ours, theirs = g["grad." .. name], parameter:grad()
    local d = theirs and core.no_grad(function() return ((ours - theirs):abs() / math.max(1, theirs:abs():max():item())):max():item() end)
    assert(not d or d < 1e-10, ("%s %s: %g"):format(version, name, d or 0))
  end
  model:zero_grad()
end

test("gradients cut at the borders of chunks are those of a model that is trained chunk by chunk", function()
  for _, version in ipairs(versions) do
    local p, model = cases[version][1], cases[version][5]
    if version ~= "v1" and version ~= "v2" and version ~= "v3" then -- their copy head sees all tokens
      model:zero_grad()
      local state = model:state(2)
      for t = 1, 10, 4 do
        local function part(rows)
          return { { table.unpack(rows[1], t, math.min(t + 3, 10)) }, { table.unpack(rows[2], t, math.min(t + 3, 10)) } }
        end
        model:loss(part(p.tokens), part(p.targets), { state = state, total = 20 }):backward()
        core.end_step()
      end
      same_as_model(version, "chunk-gradient-every-4")
    end
  end
end)

test("L2Wrap is the reference's", function()
  for _, version in ipairs(versions) do
    local p, model = cases[version][1], cases[version][5]
    model:zero_grad()
    model:loss(p.tokens, p.targets, { l2wrap = 1e-4 }):backward()
    core.end_step()
    same_as_model(version, "l2wrap")
  end
end)

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
  local g = of("v7", { named("v7", "v-first-detached") })
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
  local found = causes("v4", of("v4", { named("v4", "decay-gradient-inner"), named("v4", "shift-gradient-ffn") }))
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
  equal(ids(causes("v2", of("v2", { named("v2", "loss-without-last") }), "^loss$")), "loss-without-last")
  equal(ids(causes("v2", of("v2", { named("v2", "clamp-gradient-passes") }), "0%.att")), "clamp-gradient-passes")
end)

test("the page lists the mistakes of training", function()
  local file <close> = io.open "lua/pages/golden.md"
  local page = file:read "a"
  for _, e in ipairs(require "rwkv.golden.mistakes.training") do
    local n = e.id:match "every%-(%d+)$"
    local id, title = e.id, e.title
    if n and n ~= "1" then id, title = id:gsub("%d+$", "N"), title:gsub(n .. " tokens", "N tokens") end
    local row = ("| `%s` | %s |"):format(id, title)
    assert(page:find(row, 1, true), row .. " is not on the page")
  end
end)
