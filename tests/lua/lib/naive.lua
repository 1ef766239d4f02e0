-- The mixers once more, from the equations of their papers, in plain numbers: nothing here is shared with
-- lua/rwkv/mixers. Each is a function of one sequence, naive.NAME(x, p, s, d): x[t][c], parameters p and the state s
-- before as nested lists, sizes d. It returns y[t][c] and the state after.
local naive = {}

-- ---- numbers, vectors, matrices ----

local function sigmoid(x) return 1 / (1 + math.exp(-x)) end
local function silu(x) return x * sigmoid(x) end
local function softplus(x) return math.log(1 + math.exp(x)) end

local function dot(a, b)
  local sum = 0
  for i = 1, #a do sum = sum + a[i] * b[i] end
  return sum
end

-- f of the entries of one or two lists
local function map(f, a, b)
  local out = {}
  for i = 1, #a do out[i] = f(a[i], b and b[i]) end
  return out
end

local function times(matrix, v) return map(function(row) return dot(row, v) end, matrix) end
local function plus(a, b) return map(function(x, y) return x + y end, a, b) end
local function multiply(a, b) return map(function(x, y) return x * y end, a, b) end

-- rows x cols numbers f(i, j)
local function matrix(rows, cols, f)
  local m = {}
  for i = 1, rows do
    m[i] = {}
    for j = 1, cols do m[i][j] = f(i, j) end
  end
  return m
end

local function part(v, h, d) return table.move(v, (h - 1) * d.N + 1, h * d.N, 1, {}) end -- of head h, from 1

-- The heads' vectors heads[h], one after the other.
local function joined(heads)
  local out = {}
  for _, v in ipairs(heads) do table.move(v, 1, #v, #out + 1, out) end
  return out
end

-- Mean 0 and variance 1.
local function normalised(v)
  local mean, variance = 0, 0
  for _, x in ipairs(v) do mean = mean + x / #v end
  for _, x in ipairs(v) do variance = variance + (x - mean) ^ 2 / #v end
  return map(function(x) return (x - mean) / math.sqrt(variance + 1e-5) end, v)
end

local function unit(v)
  local length = math.max(math.sqrt(dot(v, v)), 1e-6)
  return map(function(x) return x / length end, v)
end

-- Of every token: W x, and that cut into heads.
local function linear(W, x) return map(function(row) return times(W, row) end, x) end
local function heads_of(rows, d)
  return map(function(row) return matrix(d.H, d.N, function(h, n) return row[(h - 1) * d.N + n] end) end, rows)
end

-- ---- rotary positions: channels n and n + N/2 of a head are a complex number that is turned by position theta_n ----

local function turned(v, position, d)
  local out, half = {}, d.N // 2
  for n = 1, half do
    local radius, angle = math.sqrt(v[n] ^ 2 + v[n + half] ^ 2), math.atan(v[n + half], v[n])
    angle = angle + position * 10000 ^ (-2 * (n - 1) / d.N)
    out[n], out[n + half] = radius * math.cos(angle), radius * math.sin(angle)
  end
  return out
end

local function turned_heads(rows, position, d)
  local out = {}
  for t, heads in ipairs(rows) do
    out[t] = map(function(v) return turned(v, position + t - 1, d) end, heads)
  end
  return out
end

-- ---- softmax attention, Vaswani et al. 2017, eq. 1 ----

function naive.attention(x, p, s, d)
  local q = turned_heads(heads_of(linear(p["query.weight"], x), d), s.position[1], d)
  local k = turned_heads(heads_of(linear(p["key.weight"], x), d), s.position[1], d)
  local v, y, keys, values = linear(p["value.weight"], x), {}, { table.unpack(s.keys) }, { table.unpack(s.values) }
  for t = 1, #x do
    keys[#keys + 1], values[#values + 1] = joined(k[t]), v[t]
    local out = {}
    for h = 1, d.H do
      local total, sum = 0, matrix(1, d.N, function() return 0 end)[1]
      for u = 1, #keys do
        local weight = math.exp(dot(q[t][h], part(keys[u], h, d)) / math.sqrt(d.N))
        total = total + weight
        sum = plus(sum, map(function(z) return weight * z end, part(values[u], h, d)))
      end
      out[h] = map(function(z) return z / total end, sum)
    end
    y[t] = times(p["output.weight"], joined(out))
  end
  return y, { keys = keys, values = values, position = { s.position[1] + #x } }
end

-- ---- those that are a sum over the past, with a factor for what has decayed since ----

-- past(h, t, u) is the vector [N] of factors with which the token u counts at token t, u = 0 for the start state S0
-- [H][N key][N value]:  y_t = sum_u (q_t past(t,u) k_u) v_u + (q_t past(t,0))' S0;  S_T likewise.
local function decayed_sums(q, k, v, S0, past, d)
  local T, y, S = #q, {}, {}
  for t = 1, T do
    local out = {}
    for h = 1, d.H do
      local reach = multiply(q[t][h], past(h, t, 0))
      out[h] = map(function() return 0 end, reach)
      for j = 1, d.N do out[h] = plus(out[h], map(function(z) return reach[j] * z end, S0[h][j])) end
      for u = 1, t do
        local weight = dot(multiply(q[t][h], past(h, t, u)), k[u][h])
        out[h] = plus(out[h], map(function(z) return weight * z end, v[u][h]))
      end
    end
    y[t] = out
  end
  for h = 1, d.H do
    S[h] = matrix(d.N, d.N, function(j, i)
      local sum = past(h, T, 0)[j] * S0[h][j][i]
      for u = 1, T do sum = sum + past(h, T, u)[j] * k[u][h][j] * v[u][h][i] end
      return sum
    end)
  end
  return y, S
end

local function all_same(x, d) return matrix(1, d.N, function() return x end)[1] end

-- Katharopoulos et al. 2020, eq. 8: sums over the past of phi(q_t).phi(k_u), over the same without values
function naive.linear_attention(x, p, s, d)
  local function phi(v) return map(function(z) return z > 0 and z + 1 or math.exp(z) end, v) end
  local q = heads_of(map(phi, linear(p["query.weight"], x)), d)
  local flat_k = map(phi, linear(p["key.weight"], x))
  local k = heads_of(flat_k, d)
  local sums, S = decayed_sums(q, k, heads_of(linear(p["value.weight"], x), d), s.S,
    function() return all_same(1, d) end, d)
  local y, z = {}, s.z
  for t = 1, #x do
    z = plus(z, flat_k[t])
    local out = {}
    for h = 1, d.H do
      local norm = dot(q[t][h], part(z, h, d))
      out[h] = map(function(number) return number / norm end, sums[t][h])
    end
    y[t] = times(p["output.weight"], joined(out))
  end
  return y, { S = S, z = z }
end

-- Swish gate and output of what the heads have read, each normalised.
local function gated_output(x, heads, p, scale)
  return map(function(row, read)
    local normal = joined(map(normalised, read))
    if scale then normal = multiply(normal, scale) end
    if p["gate.weight"] then normal = multiply(normal, map(silu, times(p["gate.weight"], row))) end
    return times(p["output.weight"], normal)
  end, x, heads)
end

local function divided(rows, by) -- [t][h][n]
  return map(function(heads) return map(function(v) return map(function(z) return z / by end, v) end, heads) end, rows)
end

-- Sun et al. 2023, the parallel form: (Q K' . D) V with D_nm = gamma^(n-m), gamma = 1 - 2^(-5-h), h from 0
function naive.retnet(x, p, s, d)
  local q = turned_heads(heads_of(linear(p["query.weight"], x), d), s.position[1], d)
  local k = turned_heads(heads_of(linear(p["key.weight"], x), d), s.position[1], d)
  local y, S = decayed_sums(divided(q, math.sqrt(d.N)), k, heads_of(linear(p["value.weight"], x), d), s.S,
    function(h, t, u) return all_same((1 - 2 ^ (-5 - (h - 1))) ^ (t - u), d) end, d)
  return gated_output(x, y, p), { S = S, position = { s.position[1] + #x } }
end

-- Yang et al. 2023, section 4, the parallel form: (q . b_t)(k / b_u), b_t the product of alpha up to t
function naive.gla(x, p, s, d)
  local function alpha(row)
    local raw = plus(times(p["decay2.weight"], times(p["decay1.weight"], row)), p.decay_bias)
    return map(function(z) return sigmoid(z) ^ (1 / 16) end, raw)
  end
  local a = heads_of(map(alpha, x), d)
  local q = divided(heads_of(linear(p["query.weight"], x), d), math.sqrt(d.N))
  local y, S = decayed_sums(q, heads_of(linear(p["key.weight"], x), d), heads_of(linear(p["value.weight"], x), d), s.S,
    function(h, t, u)
      local product = all_same(1, d)
      for i = u + 1, t do product = multiply(product, a[i][h]) end
      return product
    end, d)
  return gated_output(x, y, p, p.scale), { S = S }
end

-- ---- delta rules ----

-- y_t[c] = sum_i weight[c][i] x_{t-W+i}[c], bias, SiLU; past holds the W - 1 rows before. Also: the last W - 1 rows.
local function convolved(x, past, weight, bias)
  local all = { table.unpack(past) }
  table.move(x, 1, #x, #all + 1, all)
  local W = #past + 1
  local y = matrix(#x, #weight, function(t, c)
    local sum = bias and bias[c] or 0
    for i = 1, W do sum = sum + weight[c][i] * all[t + i - 1][c] end
    return silu(sum)
  end)
  return y, table.move(all, #all - W + 2, #all, 1, {})
end

local function product(a, b)
  return matrix(#a, #b[1], function(i, j)
    local sum = 0
    for n = 1, #b do sum = sum + a[i][n] * b[n][j] end
    return sum
  end)
end

-- S <- alpha S (I - beta k k') + beta v k', y_t = S_t q_t, S [N value][N key]; so often a token as there are keys. beta(row)
-- and alpha(row): a number for each head, of beta first those of the first key, then those of the second.
local function delta_rule(x, p, s, d, beta, alpha)
  local after, streams = {}, {}
  for _, name in ipairs { "query", "key", "value" } do
    local rows
    rows, after[name] = convolved(linear(p[name .. ".weight"], x), s[name], p[name .. "_conv"])
    streams[name] = rows
  end
  after.S = { table.unpack(s.S) }
  local y = {}
  for t = 1, #x do
    local out, b, a = {}, beta(x[t]), alpha and alpha(x[t])
    for h = 1, d.H do
      for i = h, #b, d.H do -- the heads of the first key, then of the second
        local k, v = unit(part(streams.key[t], i, d)), part(streams.value[t], i, d)
        local transition = matrix(d.N, d.N, function(m, n) return (m == n and 1 or 0) - b[i] * k[m] * k[n] end)
        local kept = product(after.S[h], transition)
        after.S[h] = matrix(d.N, d.N, function(m, n) return (a and a[h] or 1) * kept[m][n] + b[i] * v[m] * k[n] end)
      end
      out[h] = times(after.S[h], unit(part(streams.query[t], h, d)))
    end
    y[t] = out
  end
  return gated_output(x, y, p, p.scale), after
end

local function rates(p, range)
  return function(row) return map(function(z) return range * sigmoid(z) end, times(p["beta.weight"], row)) end
end

function naive.deltanet(x, p, s, d) return delta_rule(x, p, s, d, rates(p, 1)) end
function naive.deltanet_negative(x, p, s, d) return delta_rule(x, p, s, d, rates(p, 2)) end
function naive.deltaproduct(x, p, s, d) return delta_rule(x, p, s, d, rates(p, 2)) end

function naive.gated_deltanet(x, p, s, d) -- Yang et al. 2024, eq. 10; alpha as in Mamba-2
  return delta_rule(x, p, s, d, rates(p, 1), function(row)
    local step = map(softplus, plus(times(p["decay.weight"], row), p.decay_bias))
    return map(function(z, rate) return math.exp(-math.exp(rate) * z) end, step, p.log_rate)
  end)
end

-- ---- Mamba, Gu & Dao 2023, algorithm 2 and figure 3 ----

function naive.mamba(x, p, s, d)
  local D, N, R = 2 * d.C, 16, #p.delta[1]
  local both = linear(p["input.weight"], x)
  local inside = matrix(#x, D, function(t, c) return both[t][c] end)
  local u, past = convolved(inside, s.past, p.conv, p.conv_bias)
  local h, y = matrix(D, N, function(c, n) return s.h[c][n] end), {}
  for t = 1, #x do
    local chosen, gated = times(p["select.weight"], u[t]), {}
    for c = 1, D do
      local step = softplus(dot(p.delta[c], table.move(chosen, 1, R, 1, {})) + p.delta_bias[c])
      local read = p.skip[c] * u[t][c]
      for n = 1, N do
        h[c][n] = math.exp(-step * math.exp(p.log_A[c][n])) * h[c][n] + step * chosen[R + n] * u[t][c]
        read = read + chosen[R + N + n] * h[c][n]
      end
      gated[c] = read * silu(both[t][D + c])
    end
    y[t] = times(p["output.weight"], gated)
  end
  return y, { h = h, past = past }
end

-- ---- ROSA, RWKV-LM RWKV-v8/251105_reverse_run.py: of runs of symbols ----

local function same_symbol(a, b, group, bits)
  for c = (group - 1) * bits + 1, group * bits do if (a[c] > 0) ~= (b[c] > 0) then return false end end
  return true
end

local function rosa(bits, none)
  return function(x, p, s, d)
    local queries, keys, values, runs, y = { table.unpack(s.queries) }, { table.unpack(s.keys) }, { table.unpack(s.values) }, {}, {}
    for e, row in ipairs(s.runs) do runs[e] = { table.unpack(row) } end
    local shift = s.shift
    for t = 1, #x do
      local function of(which)
        local mixed = map(function(now, before) return { now, before } end, x[t], shift)
        mixed = map(function(two, mu) return two[1] + (two[2] - two[1]) * mu end, mixed, p["x_" .. which])
        return plus(times(p[which .. ".weight"], mixed), p[which .. ".bias"])
      end
      local q, out = of "q", {}
      queries[#queries + 1] = q
      keys[#keys + 1], values[#values + 1], runs[#keys + 1], shift = of "k", of "v", {}, x[t]
      for group = 1, d.C // bits do
        local longest, place = 0, nil
        for e = #keys, 1, -1 do
          runs[e][group] = same_symbol(q, keys[e], group, bits) and 1 + (e > 1 and runs[e - 1][group] or 0) or 0
          if e < #keys and runs[e][group] > longest then longest, place = runs[e][group], e + 1 end
        end
        for c = (group - 1) * bits + 1, group * bits do
          out[c] = place and (values[place][c] > 0 and p.emb[c] or -p.emb[c]) or none * p.emb[c]
        end
      end
      y[t] = plus(times(p["o.weight"], out), p["o.bias"])
    end
    return y, { queries = queries, keys = keys, values = values, runs = runs, shift = shift }
  end
end
naive.rosa, naive.rosa_4bit = rosa(1, -1), rosa(4, 0)

return naive
