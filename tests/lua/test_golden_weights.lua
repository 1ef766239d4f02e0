-- Random weights of golden packs: a wrong eps in any norm changes what the norm gives, in every version and layer.
local rwkv = require "rwkv"
if rwkv.precision ~= "float64" then return end -- as test_golden.lua
local check = require "tests.lua.lib.check"
local pack = require "rwkv.golden.pack"
local test, shell = check.test, check.shell

local path = os.tmpname()

-- The norms of a pack: list of { name = the tensor that it gives, right = eps, wrong = list of eps, f = function(eps) }, each
-- computed anew from what it is given.
local function norms(p)
  local c, list = p.config, {}
  local function numbers(name) return p.tensors[name].value end
  local function add(name, right, wrong, f) list[#list + 1] = { name = "trace." .. name, right = right, wrong = wrong, f = f } end
  local function layer_norm(from, norm, to)
    add(to, 1e-5, { 1e-6, 1e-12, 1e-3 }, function(eps)
      return numbers("trace." .. from):layer_norm(numbers(norm .. ".weight"), numbers(norm .. ".bias"), eps)
    end)
  end
  local stream = "emb.x"
  if p.tensors["blocks.0.ln0.weight"] then
    layer_norm(stream, "blocks.0.ln0", "blocks.0.ln0.x")
    stream = "blocks.0.ln0.x"
  end
  for layer = 0, c.layers - 1 do
    local b = ("blocks.%d."):format(layer)
    local heads = c.head_size and (c.dim_att or c.dim) // c.head_size
    layer_norm(stream, b .. "ln1", b .. "att.x")
    layer_norm(b .. "mid.x", b .. "ln2", b .. "ffn.x")
    stream = b .. "out.x"
    if c.version == "v6b" then
      add(b .. "att.norm", 1e-5, { 1e-6, 1e-12, 64e-5 }, function(eps)
        return numbers("trace." .. b .. "att.wkv"):layer_norm(numbers(b .. "att.ln_x.weight"), numbers(b .. "att.ln_x.bias"), eps)
      end)
    elseif c.version:find "^v[567]" then
      local wrong = { 1e-5, 1e-6, 1e-5 * c.head_size ^ 2 }
      if c.head_size ~= 64 then wrong[4] = 1e-5 * c.head_size end
      add(b .. "att.norm", 64e-5, wrong, function(eps)
        local x, w = numbers("trace." .. b .. "att.wkv"), numbers(b .. "att.ln_x.weight")
        return x:group_norm(heads, w, numbers(b .. "att.ln_x.bias"), eps)
      end)
    end
    if c.version == "v7" then
      local function by_head(f) -- f(key [..,H,N], its length [..,H,1])
        local k = numbers("trace." .. b .. "att.k0") * numbers(b .. "att.k_k"):reshape(-1)
        k = k:reshape(k:size(1), k:size(2), heads, c.head_size)
        return f(k, k:square():sum(-1, true):sqrt())
      end
      add(b .. "att.kappa", 0, { 1e-5, 1e-6 }, function(eps) -- inside the root
        return by_head(function(k, length) return k / (length:square() + eps):sqrt() end)
      end)
      if layer == 1 then
        add(b .. "att.kappa", 1e-12, { 1e-6, 1e-5 }, function(eps)
          return by_head(function(k, length) return k / length:maximum(eps) end)
        end)
      end
    end
  end
  layer_norm(stream, c.version == "v1" and "ln_f" or "ln_out", "ln_out.y")
  return list
end

local function tried(version, options)
  local out, status = shell(("%s golden make %s %s --no-gradients --allow-weak %s"):format(check.program, version, options, path))
  assert(status == 0, out)
  local p, count = pack.read(path), 0
  rwkv.no_grad(function()
    for _, norm in ipairs(norms(p)) do
      local right = p.tensors[norm.name].value:reshape(-1)
      local scale = math.min(1, right:abs():max():item())
      local function off(eps) return (norm.f(eps):reshape(-1) - right):abs():max():item() / scale end
      assert(off(norm.right) < 1e-12, ("%s: %s is off by %g"):format(version, norm.name, off(norm.right)))
      for _, eps in ipairs(norm.wrong) do
        local least = norm.name:find "%.0%." and 0.03 or 0.005 -- in layer 0 also beside the errors of bf16
        assert(off(eps) > least, ("%s: %s moves by %.1e with eps %g, expected %g"):format(version, norm.name, off(eps), eps, least))
        count = count + 1
      end
    end
  end)
  return count
end

for _, version in ipairs { "v1", "v2", "v3", "v4", "v5.0", "v5.1", "v5.2", "v6", "v6a", "v6b", "v7" } do
  test(version .. ": every eps counts in every norm", function()
    assert(tried(version, "") >= 3 * (2 * 3 + 1))
  end)
end
for _, version in ipairs { "v4", "v5.2", "v6", "v6b", "v7" } do
  test(version .. ": every eps counts in eight layers, and with heads of 64", function()
    tried(version, "--layers 8 --len 8 --no-sensitivity")
    tried(version, "--standard --no-sensitivity")
  end)
end

os.remove(path)
