-- Models that others have trained, with logits that others have computed: RWKV-LM's reversal of digits, and three of rwkv.cpp's.
local rwkv = require "rwkv"
if rwkv.precision ~= "float64" then return end
local check = require "tests.lua.lib.check"
local test, shell = check.test, check.shell
rwkv.backend "reference"

local data = "../shared/data/"
local function is_there(name)
  if io.open(data .. name) then return true end
  print(("SKIPPED: %s%s is not there"):format(data, name))
  return false
end

-- ---- reverse_v7 ----

if is_there "reverse_v7/reverse_v7.jsonl" then
  local reverse = ("%s experiments/reverse_v7.lua --data %sreverse_v7 "):format(check.program, data)
  test("a model that reverses digits: all prompts, and the official logits to 1e-9", function()
    local out, status = shell(reverse)
    assert(status == 0, out)
    local right, all, worst = out:match "reversed=(%d+)/(%d+) worst=(%S+)\n$"
    assert(right == "14" and all == "14" and tonumber(worst) <= 1e-9, out)
  end)
  test("it reverses other numbers too, and what is no number is refused", function()
    local out = shell(reverse .. "123456789, 0,")
    assert(out:find("123456789, 987654321#\n0, 0#\nreversed=2/2", 1, true), out)
    local refused, status = shell(reverse .. "12x,")
    assert(status == 1 and refused:find("prompt '12x,': expected digits", 1, true), refused)
  end)
end

-- ---- rwkv.cpp's ----

-- What this proves: the file is read, and a model of a real size is that of the official code and of rwkv.cpp, within what
-- undoing rwkv.cpp's own parametrisation costs (1e-6 in logits). What it does not: in 4v0 channel mixing has hardly any
-- influence, and in 7v0, close to its initial values, decay, learning rate and value residual are below float32's noise.
-- The official numbers of tests/golden prove these.
local function largest_difference(model, tokens, expected)
  return rwkv.no_grad(function()
    local found = (model:forward(tokens:tolist())):reshape(tokens:size(), -1)
    local rows = expected:size() // found:size(2) -- all positions, or the last alone
    return (found:slice(1, -rows, -1) - expected:reshape(rows, -1)):abs():max():item()
  end)
end

local official, rwkvcpp = { tokens = "official_logits_f64", tokens_long = "official_logits_long_f64" },
  { tokens = "logits", tokens_long = "rwkvcpp_logits_long_f32" }

-- list: the expected logits by the tokens they are of; suffix: what their names end in.
local function compare(model, name, list, suffix, tolerance)
  local e = rwkv.load_tensors(data .. name .. ".expected.safetensors")
  for tokens, logits in pairs(list) do
    local d = largest_difference(model, e[tokens].value, e[logits .. suffix].value)
    if not (d <= tolerance) then error(("%s: %s is off by %g"):format(name, logits .. suffix, d)) end
  end
end

-- RWKV-5 with another eps in its group norm than the official 64e-5, as lua/pages/hooks.md shows it.
local function with_eps(path, eps)
  local name = ("group-%g"):format(eps):gsub("%.", "_")
  local norm = rwkv.hook { kind = "norm", name = name, params = function(d) return { scale = { d.A }, bias = { d.A } } end,
    apply = function(y, p, d) return y:group_norm(d.H, p.scale, p.bias, eps) end }
  local from, weights = rwkv.load(path), {}
  for old, t in from:parameters() do
    local new = old:gsub("ln_x%.weight$", "norm." .. name .. ".scale"):gsub("ln_x%.bias$", "norm." .. name .. ".bias")
    weights[new] = t
  end
  local design = from:config()
  design.hooks = { norm = norm }
  return rwkv.model(design):assign(weights)
end

for _, name in ipairs { "tiny-rwkv-4v0-660K", "tiny-rwkv-7v0-834K" } do
  if is_there("tiny/" .. name .. ".safetensors") then
    test(name .. ": official logits to 1e-12, those of rwkv.cpp in float32 to 1e-5", function()
      local model = rwkv.load(data .. "tiny/" .. name .. ".safetensors")
      compare(model, "tiny/" .. name, official, "", 1e-12)
      compare(model, "tiny/" .. name, rwkvcpp, "", 1e-5)
    end)
  end
end

if is_there "tiny/tiny-rwkv-5v1-730K.safetensors" then
  local name = "tiny/tiny-rwkv-5v1-730K"
  test("tiny-rwkv-5v1-730K: with the eps of official code, and with rwkv.cpp's", function()
    local eps_of_rwkvcpp = with_eps(data .. name .. ".safetensors", 1e-5)
    compare(rwkv.load(data .. name .. ".safetensors"), name, official, "_eps64e-5", 1e-12)
    compare(eps_of_rwkvcpp, name, official, "_eps1e-5", 1e-12)
    compare(eps_of_rwkvcpp, name, rwkvcpp, "", 1e-5)
  end)
  test("the eps is felt: with the official one rwkv.cpp's logits are off by more than 1", function()
    local e = rwkv.load_tensors(data .. name .. ".expected.safetensors")
    local model = rwkv.load(data .. name .. ".safetensors")
    assert(largest_difference(model, e.tokens.value, e.logits.value) > 1)
  end)
end

-- ---- what the scripts need ----

test("assign: every parameter, under its name, or nothing at all", function()
  local sizes = { version = "v4", layers = 1, dim = 4, vocab = 5 }
  local from, model = rwkv.model(sizes), rwkv.model { version = "v4", layers = 1, dim = 4, vocab = 5, seed = 9 }
  local weights = {}
  for name, t in from:parameters() do weights[name] = t:keep():reshape(-1) end
  assert(model:assign(weights) == model)
  for name, t in model:parameters() do check.equal(t:tolist(), from:param(name):tolist()) end
  local emb = weights["emb.weight"]
  weights["emb.weight"] = rwkv.zeros(20)
  weights.more = emb
  check.fails(function() model:assign(weights) end, "assign: the model has no parameter more")
  weights.more, weights["head.weight"] = nil, nil
  check.fails(function() model:assign(weights) end, "assign: nothing is given for head.weight")
  weights["head.weight"] = rwkv.zeros(4, 4)
  check.fails(function() model:assign(weights) end, "assign: head.weight is [4,4], expected [5,4]")
  weights["head.weight"] = 3
  check.fails(function() model:assign(weights) end, "assign: head.weight is a number, expected a tensor")
  check.fails(function() model:assign() end, "assign: expected tensors by name, found a nil")
  check.equal(model:param "emb.weight":tolist(), from:param "emb.weight":tolist())
end)
