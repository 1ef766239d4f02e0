-- Random inputs for RWKV's recurrences, of one head, with decays and bonuses of the official initial values in block 6 of
-- 12. They are float32 numbers, so that programs of both precisions see the same:
--     local x = inputs.v7(rwkv.rng(1), 100, 64)      -- 100 tokens of 64 channels, as experiments/measure/wkv.lua takes them
local inputs = {}

local exp = math.exp
local depth = 6 / 11 -- block / (blocks - 1)

local function single(x) return (string.unpack("f", string.pack("f", x))) end -- the nearest float32

local function channels(C, f) -- f of c = 0 .. C-1
  local row = {}
  for c = 1, C do row[c] = single(f(c - 1)) end
  return row
end

-- T lists of C numbers f(z, c), z normal
local function random(rng, T, C, f)
  local list = {}
  for t = 1, T do
    list[t] = channels(C, function(c)
      local z = rng:normal()
      return f and f(z, c) or z
    end)
  end
  return list
end

local function sigmoid(x) return 1 / (1 + exp(-x)) end
local function ramp(c, C) return (c / (C - 1)) ^ (0.7 + 1.3 * depth) end

-- log-decay w and bonus u, [C]
function inputs.constants_v4(C)
  return channels(C, function(c) return -exp(-5 + 8 * ramp(c, C)) end),
    channels(C, function(c) return math.log(0.3) + 0.5 * ((c + 1) % 3 - 1) end)
end

function inputs.v4(rng, T, C)
  local w, u = inputs.constants_v4(C)
  return { w = w, u = u, k = random(rng, T, C), v = random(rng, T, C) }
end

function inputs.v6(rng, T, N)
  return { r = random(rng, T, N), k = random(rng, T, N), v = random(rng, T, N),
    w = random(rng, T, N, function(z, c) return -exp(-6 + 5 * ramp(c, N) + 0.5 * z) end),
    u = channels(N, function(c) return depth * (1 - c / (N - 1)) + 0.1 * ((c + 1) % 3 - 1) end) }
end

-- a = -kappa, b = kappa * rate, with kappa the normalised key
function inputs.v7(rng, T, N)
  local x = { r = random(rng, T, N), v = random(rng, T, N), k = {}, a = {}, b = {},
    w = random(rng, T, N, function(z, c)
      return -exp(-0.5) * sigmoid(-5.5 + 6 * (c / (N - 1)) ^ (1 + depth ^ 0.3) + z)
    end) }
  local keys = random(rng, T, N)
  local rates = random(rng, T, N, function(z) return sigmoid(z - 0.19) end)
  for t, key in ipairs(keys) do
    local length, rate = 0, rates[t]
    for _, z in ipairs(key) do length = length + z * z end
    length = math.sqrt(length)
    x.k[t] = channels(N, function(c) return key[c + 1] * rate[c + 1] end)
    x.a[t] = channels(N, function(c) return -key[c + 1] / length end)
    x.b[t] = channels(N, function(c) return key[c + 1] / length * rate[c + 1] end)
  end
  return x
end

-- Keys and values for RWKV-4, T lists of C numbers: keys around `offset` with deviation `spread`.
function inputs.keys_v4(rng, T, C, offset, spread)
  return random(rng, T, C, function(z) return offset + spread * z end), random(rng, T, C)
end

return inputs
