-- Recurrences in plain Lua, whose numbers are float64 in every program, to hold the kernels against; and RWKV-4's weighted
-- mean as it was computed before it had a running maximum. Inputs: see experiments/measure/wkv_inputs.lua.
--
-- A sequence is a list over time of lists over the channels of one head. A recurrence goes on where its last call ended:
--     local exact, kernel = wkv.exact.v7(64), wkv.kernel.v7(64)
--     local y, z = exact(x), kernel(x)         -- x = { r =, w =, k =, v =, a =, b = }
local rwkv = require "rwkv"

local exp, max = math.exp, math.max
local wkv = { exact = {}, kernel = {} }

-- [v4.4] to [v4.6]: w, u of a channel; sums as a e^p, b e^p
function wkv.exact.v4(C)
  local a, b, p = {}, {}, {}
  for c = 1, C do a[c], b[c], p[c] = 0, 0, -math.huge end
  return function(x)
    local y = {}
    for t, k in ipairs(x.k) do
      local v, row = x.v[t], {}
      for c = 1, C do
        local now = x.u[c] + k[c]
        local q = max(p[c], now)
        local old, new = exp(p[c] - q), exp(now - q)
        row[c] = (old * a[c] + new * v[c]) / (old * b[c] + new)
        local faded = p[c] + x.w[c]
        q = max(faded, k[c])
        old, new = exp(faded - q), exp(k[c] - q)
        a[c], b[c], p[c] = old * a[c] + new * v[c], old * b[c] + new, q
      end
      y[t] = row
    end
    return y
  end
end

local function zeros(N)
  local S = {}
  for i = 1, N do
    S[i] = {}
    for j = 1, N do S[i][j] = 0 end
  end
  return S
end

-- [v5.4], [v5.5] with a decay for every token; S [key, value]
function wkv.exact.v6(N)
  local S = zeros(N)
  return function(x)
    local y = {}
    for t, r in ipairs(x.r) do
      local k, v, w, row = x.k[t], x.v[t], x.w[t], {}
      for i = 1, N do row[i] = 0 end
      for j = 1, N do
        local Sj, rj, kj, keep, bonus = S[j], r[j], k[j], exp(w[j]), x.u[j]
        for i = 1, N do
          local kv, s = kj * v[i], Sj[i]
          row[i] = row[i] + rj * (s + bonus * kv)
          Sj[i] = keep * s + kv
        end
      end
      y[t] = row
    end
    return y
  end
end

-- [v7.8], [v7.9] with a = -kappa, b = kappa * iclr; S [value, key]
function wkv.exact.v7(N)
  local S = zeros(N)
  return function(x)
    local y, keep = {}, {}
    for t, r in ipairs(x.r) do
      local k, v, a, b, row = x.k[t], x.v[t], x.a[t], x.b[t], {}
      for j = 1, N do keep[j] = exp(x.w[t][j]) end
      for i = 1, N do
        local Si, vi, removed, out = S[i], v[i], 0, 0
        for j = 1, N do removed = removed + Si[j] * a[j] end
        for j = 1, N do
          local s = Si[j] * keep[j] + removed * b[j] + vi * k[j]
          Si[j] = s
          out = out + s * r[j]
        end
        row[i] = out
      end
      y[t] = row
    end
    return y
  end
end

-- ---- the program's kernels ----

-- A function as wkv.exact has them, of a call(x, state...) -> y, state...
local function kernel(call, ...)
  local state = { ... }
  return function(x)
    local inputs = {}
    for name, list in pairs(x) do inputs[name] = rwkv.tensor(type(list[1]) == "table" and { list } or list) end
    local results = { rwkv.no_grad(call, inputs, table.unpack(state)) }
    state = { table.unpack(results, 2) }
    return results[1]:tolist()[1]
  end
end

local function nothing(...) return rwkv.zeros(1, ...) end

function wkv.kernel.v4(C)
  return kernel(function(x, a, b, p) return rwkv.wkv4(x.w, x.u, x.k, x.v, a, b, p) end, nothing(C), nothing(C),
    rwkv.full(-1e38, 1, C))
end

function wkv.kernel.v6(N)
  return kernel(function(x, S) return rwkv.wkv6(x.r, x.w, x.k, x.v, x.u, S) end, nothing(1, N, N))
end

function wkv.kernel.v7(N)
  return kernel(function(x, S) return rwkv.wkv7(x.r, x.w, x.k, x.v, x.a, x.b, S) end, nothing(1, N, N))
end

-- ---- ways to compute RWKV-4's weighted mean: w u [C], k v [B,T,C] ----

-- [v4.4] to [v4.6] as they are written, in the program's precision: e^k overflows and underflows
function wkv.naive(w, u, k, v)
  local keep, y = w:exp(), {}
  local A, B = nothing(1, w:size()), nothing(1, w:size())
  for t = 1, k:size(2) do
    local kt, vt = k:slice(2, t, t), v:slice(2, t, t)
    local now, e = (u + kt):exp(), kt:exp()
    y[t] = (A + now * vt) / (B + now)
    A, B = keep * A + e * vt, keep * B + e
  end
  return rwkv.concat(y, 2)
end

-- RWKV-2 and RWKV-3: keys cut at 60, eps in the denominator [v2.2], [v2.4]
function wkv.clamped(w, u, k, v, eps)
  local none = rwkv.zeros(k:size(1), w:size())
  return (rwkv.wkv2(w, u, k:minimum(60):exp(), v, none, none, eps))
end

-- The sums with the running maximum, as RWKV-4 has them.
function wkv.safe(w, u, k, v)
  local none = rwkv.zeros(k:size(1), w:size())
  return (rwkv.wkv4(w, u, k, v, none, none, none - 1e38))
end

return wkv
