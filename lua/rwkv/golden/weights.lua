-- Random weights in which everything matters: decays from slow to fast, mixes on both sides of 0 and 1, low-rank maps as
-- strong as what they are added to, a head whose output is so small that the eps of its norm counts, and, where keys are
-- exponents (v1 to v4), two that reach from -130 to 130, so that clamps and the max trick act.
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

-- What sets the decay: from slow to fast, and the last sixth of the channels (or heads) from slow on to slowest. Official
-- initial values begin at -5 (v2 to v4), -6 (v5, v6) and -8 (v7), training goes further: a decay that is cut off on the way
-- changes the numbers.
local function decays(slowest, slow, fast)
  return function(rng, shape)
    local list = uniform(slow, fast)(rng, shape):reshape(-1):tolist()
    local count = math.max(1, #list // 6)
    for i = 1, count do list[#list - count + i] = slow + (slowest - slow) * i / count end
    return core.no_grad(function() return core.tensor(list):reshape(shape) end)
  end
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
  { "time_decay$", decays(-9, -4, 1) },               -- e^w from .99988 to .07 a step
  { "time_first$", normal(0.7) },
  { "time_faaaa$", normal(1) },
  { "gate_w[12]$", matrix(1.5, 1) },
  { "att%.w0$", decays(-9, -5, 1) },                  -- e^w from .99993 to .64 a step
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

-- The smallest, the largest and the first key that a row of a layer's key weights (counted from 1) makes of the tokens,
-- bias aside.
local function reach(model, tokens, layer, key, row)
  return core.no_grad(function()
    local _, _, seen = model:trace_run(tokens)
    for _, s in ipairs(seen) do
      local name = s.name:match(("^blocks%%.%d%%.att%%.(%%l+)$"):format(layer))
      if name == "xk" or name == "z" then
        local k = s.value:linear(key:slice(1, row, row))
        return k:min():item(), k:max():item(), k[1][1]:item()
      end
    end
  end)
end

-- Makes the largest size of a row's keys `size`, and the key that has it positive or negative.
local function stretch(model, tokens, layer, key, row, size, sign)
  local low, high = reach(model, tokens, layer, key, row)
  local peak = -low > high and low or high
  scale_rows(key, row, row, size / math.abs(peak) * (peak > 0 and sign or -sign))
end

-- Keys up to 130 and down to -130 in one layer. In v1 also, in every layer, keys about where they are cut off: there alone
-- their bias is felt, for a shift of all keys of a channel divides out.
local function extreme_keys(model, tokens, c)
  local v1 = c.version == "v1"
  for layer = 0, c.layers - 1 do
    local key = model:param(("blocks.%d.%s.key.weight"):format(layer, v1 and "attn" or "att"))
    local rows = key:size(1)
    if layer == (v1 and 0 or math.min(1, c.layers - 1)) then
      stretch(model, tokens, layer, key, 1, 130, 1)
      stretch(model, tokens, layer, key, 2, 130, -1)
      local _, _, first = reach(model, tokens, layer, key, 3) -- e^-28 stands between the eps of v2 and that of v3
      scale_rows(key, 3, 3, -28 / first)
    end
    if v1 then
      stretch(model, tokens, layer, key, rows, 8, 1)
      local bias = model:param(("blocks.%d.attn.key.bias"):format(layer))
      local list = bias:tolist()
      list[rows] = 28
      bias:set(list)
    end
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

-- Fills a model that is to read the tokens; afterwards each number is one of dtype's ("f32", "bf16", "f16", "f64").
return function(model, tokens, seed, dtype)
  local c = model:config()
  for name, p in model:parameters() do p:set(random(seed, name, p:shape())) end
  if c.version:find "^v[1-4]" then
    extreme_keys(model, tokens, c)
  else
    small_head(model, c)
  end
  for _, p in model:parameters() do p:set(core.no_grad(function() return p:round(dtype) end)) end
end
