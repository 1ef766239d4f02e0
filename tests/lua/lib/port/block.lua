-- What the blocks of all versions have in common: layer norms, token shift, residual stream; and channel mixing of v2 to v7.
-- A token is a table of its named numbers, { x =, prev =, xk =, .. , out = }; a sequence a list of tokens.
-- p, the port: version, C, H, N, layers, num (arithmetic), wrong (planted.lua), weight(name, layer), record(name, rows, ..).
local numbers = require "tests.lua.lib.port.numbers"

local map, sigmoid = numbers.map, numbers.sigmoid
local block = {}

-- ---- norms ----

function block.layer_norm(p, x, name, layer)
  local wrong = p.wrong
  local eps = wrong.number "eps-layer-norm-" or 1e-5
  local like = { unbiased = wrong "variance-unbiased", centred = not wrong "layer-norm-rms" }
  return wrong.rounded("layer-norm", p.num.norm(x, p.weight(name .. ".weight", layer), p.weight(name .. ".bias", layer), eps, 1,
    function(_, i) return i end, like))
end

-- x cut off at fp16's largest number, where that mistake is made.
function block.clamped(p, x)
  return p.wrong "fp16-clamped" and p.num.each(function(y) return math.max(-65504, math.min(y, 65504)) end, x) or x
end

-- ---- token shift ----

local function zeros(n) return map(n, function() return 0 end) end
block.zeros = zeros

-- prev of each token; last = the part's input at the last token of what went before
function block.shift(p, part, tokens, last)
  local wrong = p.wrong
  for t, now in ipairs(tokens) do
    local prev = tokens[t - 1] and tokens[t - 1].x or last
    if wrong.every("shift-lost", t) or wrong.every("all-lost", t) or wrong.every("shift-lost-" .. part, t) then prev = zeros(p.C) end
    if wrong.every("shift-border-late", t) then prev = tokens[t - 2] and tokens[t - 2].x or zeros(p.C) end
    if wrong "shift-first" and t == 1 then prev = now.x end
    if wrong "shift-missing" or wrong("shift-missing-" .. part) then prev = now.x end
    now.prev = prev
  end
end

-- Mixes the token and the one before: up to v5 mu weighs the token itself, from v6 on the one before.
function block.mix(p, part, now, name, mu)
  local num, x, prev = p.num, now.x, now.prev
  if p.wrong(("shift-missing-%s-%s"):format(part, name)) then prev = x end
  if p.wrong "mix-direction" or p.wrong("mix-direction-" .. part) then mu = num.each(function(m) return 1 - m end, mu) end
  if p.version:find "^v[67]" then
    now[name] = num.add(x, num.mul(num.sub(prev, x), mu))
  else
    local other = num.each(function(m) return 1 - m end, mu)
    now[name] = num.add(num.mul(x, mu), num.mul(prev, other))
  end
  return now[name]
end

-- What is done to log-decays in all versions.
function block.log_decay(p, w)
  local wrong, num = p.wrong, p.num.wide
  if wrong "decay-twice" then w = num.times(2, w) end
  if wrong "decay-missing" then w = num.times(0, w) end
  if wrong "decay-clamp" then w = num.each(function(x) return math.min(x, -math.exp(-5)) end, w) end
  if wrong "decay-clamp-005" then w = num.each(function(x) return math.max(x, math.log(.005)) end, w) end
  return wrong.rounded("log-decay", w)
end

-- Keys and values as projected.
function block.keys_and_values(p, k, v)
  if p.wrong "keys-taken-for-values" then k, v = v, k end
  return p.wrong.rounded("key", k), p.wrong.rounded("value", v)
end

-- ---- channel mixing ----

local erf_terms = 40 -- of its series, or of its continued fraction
local function erf(x)
  if math.abs(x) > 3 then
    local c = 0
    for n = erf_terms, 1, -1 do c = n / 2 / (math.abs(x) + c) end
    local y = 1 - math.exp(-x * x) / math.sqrt(math.pi) / (math.abs(x) + c)
    return x > 0 and y or -y
  end
  local term, sum = x, x
  for n = 1, 2 * erf_terms do
    term = -term * x * x / n
    sum = sum + term / (2 * n + 1)
  end
  return 2 / math.sqrt(math.pi) * sum
end

local other_activations = {
  ["ffn-gelu"] = function(x) return 0.5 * x * (1 + erf(x / math.sqrt(2))) end,
  ["ffn-gelu-tanh"] = function(x) return 0.5 * x * (1 + numbers.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ^ 3))) end,
  ["ffn-silu"] = numbers.silu,
}

-- k through the activation of a wrong port, or through right(k).
function block.activation(p, k, right)
  for id, f in pairs(other_activations) do if p.wrong(id) then return block.clamped(p, p.num.each(f, k)) end end
  return block.clamped(p, right(k))
end

local function relu_squared(p)
  return function(k)
    k = p.num.each(function(x) return math.max(x, 0) end, k)
    return p.wrong "ffn-relu" and k or p.num.mul(k, k)
  end
end

local mixes = { v2 = "ffn.time_mix", v6 = "ffn.time_maa_", v7 = "ffn.x_" }

function block.channel_mix(p, layer, tokens)
  local num, wrong, v = p.num, p.wrong, p.version:sub(1, 2)
  local function W(name) return p.weight("ffn." .. name, layer) end
  local function mu(stream) return p.weight((mixes[v] or "ffn.time_mix_") .. (v == "v2" and "" or stream), layer) end
  for _, now in ipairs(tokens) do
    now.k = block.activation(p, num.linear(W "key.weight", block.mix(p, "ffn", now, "xk", mu "k")), relu_squared(p))
    now.out = num.linear(W "value.weight", now.k)
    if v ~= "v7" then
      now.r = num.linear(W "receptance.weight", block.mix(p, "ffn", now, "xr", mu "r"))
      if not wrong "ffn-gate-linear" then now.r = num.each(sigmoid, now.r) end
      if not wrong "ffn-no-gate" then now.out = num.mul(now.r, now.out) end
    end
  end
end

-- ---- a block ----

-- Where the stream is halved after every sixth layer, what is added later is halved as often, or should be.
local function rescaled(p, layer, out)
  return p.wrong "residual-rescaled" and p.num.times(0.5 ^ (layer // 6), out) or out
end
local function halved(p, layer, stream)
  local here = (p.wrong "residual-rescaled" or p.wrong "residual-rescaled-unmatched") and layer % 6 == 5
  return here and p.num.times(0.5, stream) or stream
end

local function add_to(p, part, stream, out)
  local wrong, num = p.wrong, p.num
  if wrong("residual-missing-" .. part) then stream = out
  else
    if wrong("residual-twice-" .. part) then stream = num.add(stream, out) end
    stream = num.add(stream, out)
  end
  return block.clamped(p, wrong.rounded("residual", stream))
end

-- The streams of all tokens through a block; state: what the layer keeps of the tokens before.
--   time_mix(p, layer, tokens, state), channel_mix: fill in .out
function block.run(p, layer, streams, state, time_mix, channel_mix)
  local v1, v2, wrong, given = p.version == "v1", p.version == "v2", p.wrong, streams
  local function part(name, ln, mix, sum)
    local read = wrong "parallel-ffn" and name == "ffn" and given or streams
    local tokens, xs = {}, {}
    for t, x in ipairs(read) do
      xs[t] = block.layer_norm(p, x, ln, layer)
      tokens[t] = { x = xs[t] }
    end
    block.shift(p, name, tokens, state[name] or zeros(p.C))
    state[name] = xs[#xs]
    p.record(("state.%d.%s_xx"):format(layer, v1 and name == "ffn" and "mlp" or name), xs)
    mix(p, layer, tokens, state)
    local sums = {}
    for t, now in ipairs(tokens) do
      now.out = rescaled(p, layer, now.out)
      sums[t] = add_to(p, name, v2 and now.x or streams[t], now.out)
      if name == "ffn" then sums[t] = halved(p, layer, sums[t]) end
    end
    p.record_tokens(("blocks.%d.%s."):format(layer, name), tokens)
    streams = sums
    p.record(("blocks.%d.%s"):format(layer, sum), sums)
  end
  part("att", "ln1", time_mix, "mid.x")
  part("ffn", "ln2", channel_mix, "out.x")
  return streams
end

return block
