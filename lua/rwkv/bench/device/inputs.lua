-- Inputs of a recurrence as a model makes them, of float32's numbers in either precision, and what comes of them.
local rwkv = require "rwkv"

local inputs = {}

local order = { wkv6 = { "r", "w", "k", "v", "u", "S" }, wkv7 = { "r", "w", "k", "v", "a", "b", "S" } }

-- [B,T,C] each, but u [C] and S [B,H,N,N]. Decays are those of RWKV-7's range; a = -kappa of length 1, b = kappa times a rate.
local function make(name, B, H, T, N)
  local rng, x, C = rwkv.rng(1, name), {}, H * N
  local function normal(...) return rng:tensor("normal", ...) end
  x.r, x.k, x.v = normal(B, T, C), normal(B, T, C), normal(B, T, C)
  x.w = normal(B, T, C):sigmoid() * -0.6
  x.S = normal(B, H, N, N)
  if name == "wkv6" then x.u = normal(C)
  else
    x.a = normal(B, T, C):l2norm(H)
    x.b = -x.a * normal(B, T, C):sigmoid()
  end
  for key, t in pairs(x) do x[key] = t:keep() end -- they outlive the steps
  return x
end

-- The sequence is the same in each of B, so that the host makes few numbers.
function inputs.repeated(name, sizes)
  local B, H, T, N = table.unpack(sizes)
  local x = make(name, 1, H, T, N)
  rwkv.no_grad(function()
    for key, t in pairs(x) do
      local shape = t:shape()
      shape[1] = key == "u" and shape[1] or B
      x[key] = (rwkv.zeros(shape) + t):keep()
    end
  end)
  return x
end

function inputs.run(name, x)
  local list = {}
  for i, key in ipairs(order[name]) do list[i] = x[key] end
  return rwkv[name](table.unpack(list))
end

-- Outputs and gradients of a sum in which each output has a weight of its own.
function inputs.results(name, x, weights)
  for _, t in pairs(x) do t:requires_grad(true) end
  local y, S = inputs.run(name, x)
  local results = { y = y:keep(), S1 = S:keep() }
  local loss = (y * weights.y):sum() + (S * weights.S1):sum()
  loss:backward()
  for key, t in pairs(x) do results["g" .. key] = t:grad() end
  return results
end

function inputs.save(path, name, sizes)
  local B, H, T, N = table.unpack(sizes)
  local x = make(name, B, H, T, N)
  local rng = rwkv.rng(2, name)
  local weights = { y = rng:tensor("normal", B, T, H * N), S1 = rng:tensor("normal", B, H, N, N) }
  local list = {}
  local function add(prefix, tensors)
    for key, t in pairs(tensors) do list[#list + 1] = { name = prefix .. key, value = t } end
  end
  add("in.", x)
  add("weight.", weights)
  add("out.", inputs.results(name, x, weights))
  table.sort(list, function(a, b) return a.name < b.name end)
  rwkv.save_tensors(path, list)
end

-- x, weights, results of such a file.
function inputs.load(path)
  local parts = { ["in"] = {}, weight = {}, out = {} }
  for full, entry in pairs(rwkv.load_tensors(path)) do
    local part, key = full:match "^(%w+)%.(%w+)$"
    parts[part][key] = entry.value
  end
  return parts["in"], parts.weight, parts.out
end

return inputs
