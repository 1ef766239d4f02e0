-- Random weights in which everything matters: decays from slow to fast, mixes on both sides of 0 and 1, low-rank maps as
-- strong as what they are added to, and, where keys are exponents (v1 to v4), two that reach from -130 to 130, so that clamps and
-- the max trick act. What a norm divides is small somewhere, so that its eps counts: the residual stream, the output of a head,
-- the removal keys of another.
local core = require "rwkv.core"
local versions = require "rwkv.versions"

-- ---- kinds of random numbers: (numbers of the rule) -> function(rng, shape) -> tensor ----

local kinds = {}
function kinds.normal(deviation)
  return function(rng, shape) return core.no_grad(function() return rng:tensor("normal", shape) * deviation end) end
end
function kinds.uniform(low, high)
  return function(rng, shape)
    return core.no_grad(function() return rng:tensor("uniform", shape) * (high - low) + low end)
  end
end
-- axis: what is summed over; without it the last one
function kinds.matrix(gain, axis)
  return function(rng, shape) return kinds.normal(gain / math.sqrt(shape[axis or #shape]))(rng, shape) end
end
-- What sets the decay: from slow to fast, and the last sixth of the channels (or heads) from slow on to slowest. Official
-- initial values begin at -5 (v2 to v4), -6 (v5, v6) and -8 (v7), training goes further: a decay that is cut off on the way
-- changes the numbers.
function kinds.decays(slowest, slow, fast)
  return function(rng, shape)
    local list = kinds.uniform(slow, fast)(rng, shape):reshape(-1):tolist()
    local count = math.max(1, #list // 6)
    for i = 1, count do list[#list - count + i] = slow + (slowest - slow) * i / count end
    return core.no_grad(function() return core.tensor(list):reshape(shape) end)
  end
end

-- ---- which kind a parameter has ----

local rules_of_all = {
  { "tok_emb%.weight$", "normal", 1 },
  { "emb%.weight$", "normal", 0.01 }, -- so small that the eps of the norm after it counts
  { "^head%.weight$", "matrix", 2 },
  { "head_[qk]%.weight$", "matrix", 1.5 },
  { "ln[%w_]*%.weight$", "uniform", 0.5, 1.5 },
  { "%.bias$", "normal", 0.3 },
  { "%.weight$", "matrix", 1 },
}

local function random(facts, seed, name, shape)
  for _, rules in ipairs { facts.weights, rules_of_all } do
    for _, rule in ipairs(rules) do
      if name:find(rule[1]) then return kinds[rule[2]](table.unpack(rule, 3))(core.rng(seed, "golden." .. name), shape) end
    end
  end
  error("golden: no rule for the weights " .. name)
end

-- Rows from..to of a matrix times a factor.
local function scale_rows(t, from, to, factor)
  local row = core.zeros(t:shape()[1], 1):tolist()
  for i = 1, #row do row[i][1] = i >= from and i <= to and factor or 1 end
  t:set(core.no_grad(function() return t * core.tensor(row) end))
end

-- What the rows of a layer's key weights (counted from 1) make of the tokens, bias aside: { first =, peak = the key farthest from 0 }.
local function keys(model, tokens, layer, key)
  local list = core.no_grad(function()
    local _, _, seen = model:trace_run(tokens)
    for _, s in ipairs(seen) do
      local name = s.name:match(("^blocks%%.%d%%.att%%.(%%l+)$"):format(layer))
      if name == "xk" or name == "z" then return s.value:linear(key):reshape(-1, key:size(1)):transpose():tolist() end
    end
  end)
  for row, found in ipairs(list) do
    local peak = 0
    for _, k in ipairs(found) do if math.abs(k) > math.abs(peak) then peak = k end end
    list[row] = { first = found[1], peak = peak }
  end
  return list
end

-- The row from 3 on, of `count`, whose first key is the largest beside its peak.
local function early(found, count)
  local best = 3
  for row = 3, count do
    if math.abs(found[row].first / found[row].peak) > math.abs(found[best].first / found[best].peak) then best = row end
  end
  return best
end

-- Keys up to 130 and down to -130 in one layer; in v2 and v3 also one of -28 at the first token: e^-28 stands between the eps of
-- the one and that of the other. In v1 also, in every layer, keys about where they are cut off: there alone their bias is felt, for
-- a shift of all keys of a channel divides out.
local function extreme_keys(model, tokens, c, facts)
  local part = facts.parts.att
  for layer = 0, c.layers - 1 do
    local key = model:param(("blocks.%d.%s.key.weight"):format(layer, part))
    local found, rows = keys(model, tokens, layer, key), key:size(1)
    if layer == (facts.key_bias and 0 or math.min(1, c.layers - 1)) then
      scale_rows(key, 1, 1, 130 / found[1].peak)
      scale_rows(key, 2, 2, -130 / found[2].peak)
      local row = facts.early_key and early(found, rows)
      if row then scale_rows(key, row, row, -28 / found[row].first) end
    end
    if facts.key_bias then
      scale_rows(key, rows, rows, 8 / found[rows].peak)
      local bias = model:param(("blocks.%d.%s.key.bias"):format(layer, part))
      local list = bias:tolist()
      list[rows] = 28
      bias:set(list)
    end
  end
end

-- The residual stream becomes so small that the eps of the layer norms counts: at first 1e-5 is as much as its variance. What
-- writes to it is scaled down. A power of two rounds nothing.
local function small_stream(model, facts)
  for name, p in model:parameters() do
    for pattern, factor in pairs(facts.writers) do
      if name:find(pattern) then p:set(core.no_grad(function() return p * factor end)) end
    end
  end
end

-- The first head's output becomes so small that the norm's eps is a good part of its variance; one norm for all heads has a smaller
-- eps. A wide head sums over more keys.
local function small_head(model, c, facts)
  local last, factor = c.head_size, 0.04
  if facts.one_norm then last, factor = c.dim_att, 0.002 end
  factor = factor * math.sqrt(12 / c.head_size)
  for layer = 0, c.layers - 1 do
    scale_rows(model:param(("blocks.%d.att.receptance.weight"):format(layer)), 1, last, factor)
  end
end

-- The last head's removal keys become so short that an eps in their norm counts, about 2e-3, where 1e-6 inside the root is a
-- tenth; in layer 1 about 5e-7, where a largest of 1e-6 acts. What is that short has few digits in fp16, so little is removed there.
local function short_keys(model, c, names)
  local H, N = c.dim // c.head_size, c.head_size
  if H < 2 then return end
  local function in_last_head(layer, name, change)
    name = ("blocks.%d.att.%s"):format(layer, names[name] or name)
    local list = model:param(name):reshape(-1):tolist()
    for i = #list - N + 1, #list do list[i] = change(list[i]) end
    model:param(name):set(core.tensor(list):reshape(model:param(name):shape()))
  end
  for layer = 0, c.layers - 1 do
    local length = (layer == 1 and 5e-7 or 2e-3) / math.sqrt(N)
    in_last_head(layer, "k_k", function(x) return x * length end)
    if layer == 1 then in_last_head(1, "a0", function(x) return x - 8 end) end
  end
end

-- Fills a model that is to read the tokens; afterwards each number is one of dtype's ("f32", "bf16", "f16", "f64").
return function(model, tokens, seed, dtype)
  local c = model:config()
  local facts = versions.of(c.version)
  for name, p in model:parameters() do p:set(random(facts, seed, name, p:shape())) end
  small_stream(model, facts)
  if facts.exponents then extreme_keys(model, tokens, c, facts) else small_head(model, c, facts) end
  if facts.removal_keys then short_keys(model, c, facts.names) end
  for _, p in model:parameters() do p:set(core.no_grad(function() return p:round(dtype) end)) end
end
