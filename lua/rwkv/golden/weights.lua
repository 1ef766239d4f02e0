-- Random weights in which everything matters: decays from slow to fast, mixes on both sides of 0 and 1, low-rank maps as
-- strong as what they are added to, a head whose output is so small that the eps of its norm counts, and, where keys are
-- exponents (v1 to v4), two that reach from -150 to 150, so that clamps and the max trick act.
local core = require "rwkv.core"

-- What stands under a name that ends so; the first that fits. (rng, shape) -> tensor. The last axis of a matrix ".weight"
-- is what is summed over, of a low-rank map the first.
local function normal(deviation, mean)
  return function(rng, shape)
    return core.no_grad(function() return rng:tensor("normal", shape) * deviation + (mean or 0) end)
  end
end
local function uniform(low, high)
  return function(rng, shape)
    return core.no_grad(function() return rng:tensor("uniform", shape) * (high - low) + low end)
  end
end
local function matrix(gain, axis)
  return function(rng, shape) return normal(gain / math.sqrt(shape[axis or #shape]))(rng, shape) end
end

local rules = {
  { "tok_emb%.weight$", normal(1) },
  { "emb%.weight$", normal(0.01) },                   -- so small that the eps of the norm after it counts
  { "^head%.weight$", matrix(2) },
  { "head_[qk]%.weight$", matrix(1.5) },
  { "ln[%w_]*%.weight$", uniform(0.5, 1.5) },
  { "%.bias$", normal(0.3) },
  { "x_%l$", uniform(-0.2, 1.2) },                    -- v7
  { "time_maa_%l$", uniform(-0.2, 1.2) },             -- v6
  { "time_mix[_%l]*$", uniform(-0.2, 1.2) },          -- v2 to v5
  { "time_maa_[rkvw_]*w1$", matrix(1, 1) },
  { "time_maa_[rkvw_]*w2$", function(rng, shape) return matrix(0.5, 2)(rng, shape) end },
  { "time_decay_w1$", matrix(1, 1) },
  { "time_decay_w2$", matrix(1, 1) },
  { "time_decay$", uniform(-4, 1) },                  -- e^w from .98 to .07 a step
  { "time_first$", normal(0.7) },
  { "time_faaaa$", normal(1) },
  { "gate_w[12]$", matrix(1.5, 1) },
  { "att%.w0$", uniform(-5, 1) },                     -- e^w from .996 to .64 a step
  { "att%.[av]0$", normal(1) },
  { "att%.[wavg]1$", matrix(1, 1) },
  { "att%.[wav]2$", matrix(1, 1) },
  { "att%.g2$", matrix(3, 1) },
  { "att%.k_k$", uniform(0.4, 1.6) },
  { "att%.k_a$", uniform(0.3, 1.3) },
  { "att%.r_k$", normal(0.5) },
  { "time_w$", uniform(0.2, 1.2) },                   -- v1
  { "time_%l+$", uniform(0.5, 1.5) },                 -- v1: alpha, beta, gamma, out
  { "%.weight$", matrix(1) },
}

local function random(seed, name, shape)
  for _, rule in ipairs(rules) do
    if name:find(rule[1]) then return rule[2](core.rng(seed, "golden." .. name), shape) end
  end
  error("golden: no rule for the weights " .. name)
end

-- Rows from..to of a matrix times a factor.
local function scale_rows(t, from, to, factor)
  local row = core.zeros(t:shape()[1], 1):tolist()
  for i = 1, #row do row[i][1] = i >= from and i <= to and factor or 1 end
  t:set(core.no_grad(function() return t * core.tensor(row) end))
end

-- Keys of +-150 and +-60 in one layer.
local function extreme_keys(model, version, layers)
  local layer = version == "v1" and 0 or math.min(1, layers - 1)
  local part = version == "v1" and "attn" or "att"
  local key = model:param(("blocks.%d.%s.key.weight"):format(layer, part))
  scale_rows(key, 1, 1, 60)
  scale_rows(key, 2, 2, 25)
  if version ~= "v1" then return end
  -- a shift of all keys of a channel divides out, except where some are cut off: here it is felt
  for layer_of_bias = 0, layers - 1 do
    local bias = model:param(("blocks.%d.attn.key.bias"):format(layer_of_bias))
    local list = bias:tolist()
    list[1], list[#list] = 26, 27
    bias:set(list)
    scale_rows(model:param(("blocks.%d.attn.key.weight"):format(layer_of_bias)), #list, #list, 6)
  end
end

-- The first head's output becomes so small that the norm's eps is a good part of its variance; v6b has one norm, with a
-- smaller eps, for all heads.
local function small_head(model, c)
  local last, factor = c.head_size, 0.04
  if c.version == "v6b" then last, factor = c.dim_att, 0.002 end
  for layer = 0, c.layers - 1 do
    scale_rows(model:param(("blocks.%d.att.receptance.weight"):format(layer)), 1, last, factor)
  end
end

-- Fills a model; afterwards each number is one of dtype's ("f32", "bf16", "f16", "f64").
return function(model, seed, dtype)
  local c = model:config()
  for name, p in model:parameters() do p:set(random(seed, name, p:shape())) end
  if c.version:find "^v[1-4]" then
    extreme_keys(model, c.version, c.layers)
  else
    small_head(model, c)
  end
  for _, p in model:parameters() do p:set(core.no_grad(function() return p:round(dtype) end)) end
end
