-- An implementation of RWKV-1 to 7 that shares nothing with the project: lists of numbers and loops, token by
-- token. It can be told to make a mistake; what each is called: lua/rwkv/golden/mistakes/.
--   port(weights, version, tokens, mistake) -> { name = { numbers, shape = {..} } } under the names of a pack
-- weights[name] = { flat list of numbers, shape = {..} }; 2 heads or any, from the shapes.
local floor, exp, max, sqrt = math.floor, math.exp, math.max, math.sqrt

local function map(n, f)
  local y = {}
  for i = 1, n do y[i] = f(i) end
  return y
end
local function sigmoid(x) return 1 / (1 + exp(-x)) end
local function silu(x) return x * sigmoid(x) end
local function tanh(x) return 2 * sigmoid(2 * x) - 1 end
local function each(f, x) return map(#x, function(i) return f(x[i]) end) end
local function add(x, y) return map(#x, function(i) return x[i] + y[i] end) end
local function times(x, y) return map(#x, function(i) return x[i] * y[i] end) end

-- W [out,in], as Linear has it; b: a bias
local function linear(W, x, b)
  return map(W.shape[1], function(i)
    local sum, at = b and b[i] or 0, (i - 1) * #x
    for j = 1, #x do sum = sum + W[at + j] * x[j] end
    return sum
  end)
end

-- W [in,out], or the same numbers as [out,in] (a mistake)
local function low(W, x, wrong_layout)
  local out = W.shape[#W.shape]
  return map(out, function(i)
    local sum = 0
    for j = 1, #x do sum = sum + W[wrong_layout and (i - 1) * #x + j or (j - 1) * out + i] * x[j] end
    return sum
  end)
end

-- Norms of `groups` groups of channels.
local function norm(x, w, b, groups, eps)
  local n, y = #x // groups, {}
  for g = 0, groups - 1 do
    local mean, var = 0, 0
    for i = g * n + 1, (g + 1) * n do mean = mean + x[i] / n end
    for i = g * n + 1, (g + 1) * n do var = var + (x[i] - mean) ^ 2 / n end
    for i = g * n + 1, (g + 1) * n do y[i] = (x[i] - mean) / sqrt(var + eps) * w[i] + b[i] end
  end
  return y
end

return function(weights, version, tokens, mistake)
  local function wrong(name) return mistake == name end
  local called = version == "v1" and { emb = "tok_emb.weight", norm = "ln_f" } or { emb = "emb.weight", norm = "ln_out" }
  local C = weights[called.norm .. ".weight"].shape[1]
  local per_head = { v7 = "r_k", ["v5.0"] = "time_first" }
  local heads = weights["blocks.0.att." .. (per_head[version] or "time_faaaa")]
  local H = heads and heads.shape[1] or 1
  local N, state, out = C // H, {}, {}
  local current = not version:find "^v[67]" -- the mix weighs the token itself

  local function zeros() return map(C, function() return 0 end) end
  local function record(name, x, ...)
    local e = out[name] or { shape = { 1, #tokens, ... } }
    if #e.shape == 2 then e.shape[3] = #x end
    for i = 1, #x do e[#e + 1] = x[i] end
    out[name] = e
  end

  local function layer(i)
    local function W(name) return weights[("blocks.%d.%s"):format(i, name)] or error("no weight " .. name) end
    local s = state[i] or { att = zeros(), ffn = zeros(), first = true }
    state[i] = s

    local function mix(x, prev, mu)
      return map(C, function(c)
        local m = mu[c]
        if wrong "mix-direction" then m = 1 - m end
        return current and x[c] * m + prev[c] * (1 - m) or x[c] + (prev[c] - x[c]) * m
      end)
    end
    local function before(part, x)
      local prev = wrong "shift-first" and s.first and x or s[part]
      s[part] = x
      return prev
    end
    local function ln(name, x) return norm(x, W(name .. ".weight"), W(name .. ".bias"), 1, 1e-5) end
    local function ln_x(y)
      if version == "v6b" and not wrong "norm-by-head" then return ln("att.ln_x", y) end
      local eps = wrong "norm-eps" and 1e-5 or 64e-5
      return norm(y, W "att.ln_x.weight", W "att.ln_x.bias", wrong "norm-over-all" and 1 or H, eps)
    end
    local function cut(w) return wrong "decay-clamp" and math.min(w, -exp(-5)) or w end
    local function fade(w) return exp(wrong "decay-twice" and 2 * w or cut(w)) end

    local att = {}

    -- v1: half of the channels are those of the token before; linear maps have biases
    local function halves(x, prev)
      return map(C, function(c) return ((c <= C // 2) ~= wrong "shift-halves" and prev or x)[c] end)
    end
    local function biased(name, x) return linear(W(name .. ".weight"), x, W(name .. ".bias")) end

    function att.v1(x, prev, t)
      local z, time_w = halves(x, prev), W "attn.time_w"
      local channels, ctx, K, V = C // time_w.shape[1], time_w.shape[2], s.K or {}, s.V or {} -- channels of a head
      s.K, s.V = K, V
      K[t] = each(function(k) return exp(wrong "no-clamp" and k or max(-60, math.min(k, 30))) end, biased("attn.key", z))
      V[t] = biased("attn.value", z)
      local r = biased("attn.receptance", z)
      if not wrong "receptance-linear" then r = each(sigmoid, r) end
      local alpha, beta = W "attn.time_alpha", W "attn.time_beta"
      if wrong "alpha-beta-swapped" then alpha, beta = beta, alpha end
      local y = map(C, function(c)
        local row, above, below = (c - 1) // channels * ctx, 0, 0
        for u = 1, t do
          local at = wrong "time-w-reversed" and t - u + 1 or ctx - (t - u)
          local w = time_w[row + at] * alpha[row + u] * beta[row + t]
          above = above + w * K[u][c] * V[u][c]
          below = below + (wrong "denominator-weighted" and w or 1) * K[u][c]
        end
        return above / below
      end)
      local gamma = wrong "no-gamma" and 1 or W "attn.time_gamma"[t]
      local function scaled(v) return each(function(e) return e * gamma end, v) end
      if wrong "gamma-before-bias" then return biased("attn.output", scaled(times(r, y))) end
      return scaled(biased("attn.output", times(r, y)))
    end

    local function mlp(x, prev)
      local z = halves(x, prev)
      local k = each(function(e) return e * tanh(max(e, 0) + math.log(1 + exp(-math.abs(e)))) end, biased("mlp.key", z))
      return times(each(sigmoid, biased("mlp.receptance", z)), biased("mlp.weight", times(k, biased("mlp.value", z))))
    end

    function att.v3(x, prev) -- v2: the same with one mix, and an eps of 1e-16
      local function z(stream) return mix(x, prev, W(version == "v2" and "att.time_mix" or "att.time_mix_" .. stream)) end
      local k, v = linear(W "att.key.weight", z "k"), linear(W "att.value.weight", z "v")
      local r = linear(W "att.receptance.weight", z "r")
      if not wrong "receptance-linear" then r = each(sigmoid, r) end
      local eps = (version == "v2") ~= wrong "k-eps" and 1e-16 or 1e-8
      s.a, s.b = s.a or zeros(), s.b or zeros()
      local y = map(C, function(c)
        local e = exp(wrong "no-clamp" and k[c] or math.min(k[c], 60))
        local u, w = wrong "bonus-missing" and 1 or exp(W "att.time_first"[c]), fade(-exp(W "att.time_decay"[c]))
        local result = (s.a[c] + u * e * v[c]) / (s.b[c] + u * e + eps)
        s.a[c], s.b[c] = w * s.a[c] + e * v[c], w * s.b[c] + e
        return result
      end)
      record(("state.%d.att_aa"):format(i), s.a)
      record(("state.%d.att_bb"):format(i), s.b)
      return times(r, y)
    end
    att.v2 = att.v3

    function att.v4(x, prev)
      local k = linear(W "att.key.weight", mix(x, prev, W "att.time_mix_k"))
      local v = linear(W "att.value.weight", mix(x, prev, W "att.time_mix_v"))
      local r = linear(W "att.receptance.weight", mix(x, prev, W "att.time_mix_r"))
      if not wrong "receptance-linear" then r = each(sigmoid, r) end
      s.a, s.b, s.m = s.a or zeros(), s.b or zeros(), s.m or map(C, function() return -1e38 end)
      local y = map(C, function(c)
        local w, u, key, m = -exp(W "att.time_decay"[c]), W "att.time_first"[c], k[c], s.m[c]
        w = wrong "decay-twice" and 2 * w or cut(w)
        if wrong "key-clamp" then key = math.min(key, 60) end
        if wrong "bonus-exp" then u = exp(u) end
        local top = max(m, u + key)
        local old, new = exp(m - top), exp(u + key - top)
        local result = (old * s.a[c] + new * v[c]) / (old * s.b[c] + new)
        if wrong "bonus-in-state" then key = key + u end
        if wrong "decay-own" then m, key = m + w, key + w else m = m + w end
        top = max(m, key)
        old, new = exp(m - top), exp(key - top)
        s.a[c], s.b[c], s.m[c] = old * s.a[c] + new * v[c], old * s.b[c] + new, top
        return result
      end)
      record(("state.%d.att_aa"):format(i), s.a)
      record(("state.%d.att_bb"):format(i), s.b)
      record(("state.%d.att_pp"):format(i), s.m)
      return times(r, y)
    end

    -- v5, v6: S [head][key][value]
    local function per_channel(t) return #t == C and t or map(C, function(c) return t[(c - 1) // N + 1] end) end
    local function matrix_state(r, k, v, w, g)
      local u = per_channel(version == "v5.0" and W "att.time_first" or W "att.time_faaaa")
      if version == "v5.0" and not wrong "bonus-no-exp" then u = each(exp, u) end
      s.S = s.S or map(C * N, function() return 0 end)
      local y = zeros()
      for h = 0, H - 1 do
        for a = 1, N do
          for b = 1, N do
            local key, value, at = h * N + a, h * N + b, (h * N + a - 1) * N + b
            local kv, bonus = k[key] * v[value], wrong "bonus-exp" and exp(u[key]) or u[key]
            local d = fade(w[wrong "decay-wrong-axis" and value or key])
            y[value] = y[value] + r[key] * (s.S[at] + bonus * kv)
            if wrong "bonus-in-state" then s.S[at] = s.S[at] * d + bonus * kv
            elseif wrong "decay-own" then s.S[at] = (s.S[at] + kv) * d
            else s.S[at] = s.S[at] * d + kv end
          end
        end
      end
      record(("state.%d.att_kv"):format(i), s.S, H, N, N)
      if not g then return ln_x(y) end
      if version == "v6a" and not wrong "gate-silu" then return times(ln_x(y), g) end
      return times(ln_x(y), each(wrong "gate-sigmoid" and sigmoid or silu, g))
    end

    att["v5.2"] = function(x, prev)
      local r = linear(W "att.receptance.weight", mix(x, prev, W "att.time_mix_r"))
      if wrong "receptance-sigmoid" then r = each(sigmoid, r) end
      return matrix_state(r, linear(W "att.key.weight", mix(x, prev, W "att.time_mix_k")),
        linear(W "att.value.weight", mix(x, prev, W "att.time_mix_v")),
        each(function(d) return -exp(d) end, per_channel(W "att.time_decay")),
        version ~= "v5.0" and linear(W "att.gate.weight", mix(x, prev, W "att.time_mix_g")) or nil)
    end
    att["v5.0"], att["v5.1"] = att["v5.2"], att["v5.2"]

    function att.v6(x, prev)
      local maps = version == "v6b" and "att.time_maa_rkvw_w" or "att.time_maa_w"
      local hidden, w2 = each(tanh, low(W(maps .. 1), mix(x, prev, W "att.time_maa_x"))), W(maps .. 2)
      local rank, order = w2.shape[2], (version == "v6b" or wrong "mix-order-rkvwg") and "rkvwg" or "wkvrg"
      local function z(stream)
        local n, mu = order:find(stream, 1, true) - 1, W("att.time_maa_" .. stream)
        return mix(x, prev, map(C, function(c)
          local m = mu[c]
          for j = 1, rank do m = m + hidden[n * rank + j] * w2[(n * rank + j - 1) * C + c] end
          return m
        end))
      end
      local flipped = wrong "lora-layout"
      local inner = low(W "att.time_decay_w1", z "w", flipped)
      if not wrong "decay-no-tanh" then inner = each(tanh, inner) end
      inner = low(W "att.time_decay_w2", inner, flipped)
      local w = each(function(d) return -exp(d) end, add(W "att.time_decay", inner))
      local g
      if version == "v6" then g = linear(W "att.gate.weight", z "g") end
      if version == "v6a" then
        g = low(W "att.gate_w1", z "g", flipped)
        g = low(W "att.gate_w2", wrong "gate-no-tanh" and g or each(tanh, g), flipped)
      end
      return matrix_state(linear(W "att.receptance.weight", z "r"), linear(W "att.key.weight", z "k"),
        linear(W "att.value.weight", z "v"), w, g)
    end
    att.v6a, att.v6b = att.v6, att.v6

    function att.v7(x, prev)
      local flipped = wrong "lora-layout"
      local function z(stream) return mix(x, prev, W("att.x_" .. stream)) end
      local function two(stream, f)
        local inner = low(W("att." .. stream .. "1"), z(stream), flipped)
        return low(W("att." .. stream .. "2"), f and each(f, inner) or inner, flipped)
      end
      local r, k = linear(W "att.receptance.weight", z "r"), linear(W "att.key.weight", z "k")
      local v = linear(W "att.value.weight", z "v")
      local d = wrong "decay-tanh-late" and each(tanh, two "w") or two("w", not wrong "decay-no-tanh" and tanh or nil)
      local half = wrong "decay-constant" and 0.606531 or exp(-0.5)
      local w = each(function(y) return -half * sigmoid(y) end, add(W "att.w0", d))
      local a = each(sigmoid, add(W "att.a0", two "a"))
      local g = wrong "gate-sigmoid-late" and each(sigmoid, two "g") or two("g", sigmoid)
      if i > 0 and not wrong "value-residual-missing" then
        local share = each(sigmoid, add(W "att.v0", two "v"))
        v = map(C, function(c) return v[c] + (state.v_first[c] - v[c]) * share[c] end)
      end
      if i == 0 then state.v_first = v end
      local plain, k_a = k, W "att.k_a"
      k = map(C, function(c) return k[c] * (1 + (a[c] - 1) * k_a[c]) end)
      local kappa = times(wrong "key-after-rescale" and k or plain, W "att.k_k")
      for h = 0, H - 1 do
        local length = 0
        for c = h * N + 1, (h + 1) * N do length = length + kappa[c] ^ 2 end
        length = wrong "key-not-normalised" and 1 or max(sqrt(length), 1e-12)
        for c = h * N + 1, (h + 1) * N do kappa[c] = kappa[c] / length end
      end

      s.S = s.S or map(C * N, function() return 0 end)
      local y = zeros()
      for h = 0, H - 1 do
        for b = 1, N do -- values
          local row, removed = (h * N + b - 1) * N, 0
          for c = 1, N do
            local seen = s.S[row + c] * (wrong "remove-after-decay" and fade(w[h * N + c]) or 1)
            removed = removed - seen * kappa[h * N + c]
          end
          for c = 1, N do -- keys
            local key = h * N + c
            if wrong "read-before-update" then y[h * N + b] = y[h * N + b] + s.S[row + c] * r[key] end
            local change = wrong "remove-missing" and 0 or removed * kappa[key] * a[key]
            s.S[row + c] = s.S[row + c] * fade(w[key]) + change + v[h * N + b] * k[key]
          end
        end
        for b = 1, N do
          for c = 1, N do
            local at = wrong "read-transposed" and (h * N + c - 1) * N + b or (h * N + b - 1) * N + c
            if not wrong "read-before-update" then y[h * N + b] = y[h * N + b] + s.S[at] * r[h * N + c] end
          end
        end
      end
      local seen = s.S
      if wrong "state-transposed" then
        seen = map(#s.S, function(n)
          local h, b, c = (n - 1) // (N * N), (n - 1) // N % N, (n - 1) % N
          return s.S[(h * N + c) * N + b + 1]
        end)
      end
      record(("state.%d.att_kv"):format(i), seen, H, N, N)

      local bonus, r_k = {}, W "att.r_k"
      for h = 0, H - 1 do
        local sum = 0
        for c = h * N + 1, (h + 1) * N do sum = sum + r[c] * (wrong "bonus-plain-key" and plain or k)[c] * r_k[c] end
        for c = h * N + 1, (h + 1) * N do bonus[c] = sum * v[c] end
      end
      y = wrong "bonus-before-norm" and ln_x(add(y, bonus)) or wrong "bonus-missing" and ln_x(y) or add(ln_x(y), bonus)
      return times(y, g)
    end

    local function channel_mix(x, prev)
      local names = { v7 = "ffn.x_", v6 = "ffn.time_maa_" }
      local function mu(stream) return W(version == "v2" and "ffn.time_mix" or (names[version:sub(1, 2)] or "ffn.time_mix_") .. stream) end
      local k = linear(W "ffn.key.weight", mix(x, prev, mu "k"))
      k = each(function(y) y = max(y, 0) return wrong "ffn-relu" and y or y * y end, k)
      local y = linear(W "ffn.value.weight", k)
      if version == "v7" or wrong "ffn-no-gate" then return y end
      return times(each(sigmoid, linear(W "ffn.receptance.weight", mix(x, prev, mu "r"))), y)
    end

    return function(x, t)
      local normed = ln("ln1", x)
      if version == "v2" then x = normed end
      local y = att[version](normed, before("att", normed), t)
      if version ~= "v1" then y = linear(W "att.output.weight", y) end
      record(("blocks.%d.att.out"):format(i), y)
      x = add(x, y)
      normed = ln("ln2", x)
      if version == "v2" then x = normed end
      y = (version == "v1" and mlp or channel_mix)(normed, before("ffn", normed))
      record(("blocks.%d.ffn.out"):format(i), y)
      x = add(x, y)
      record(("blocks.%d.out.x"):format(i), x)
      s.first = false
      return x
    end
  end

  -- v1 to v3: for every earlier token how much this one asks for it
  local keys = {}
  local function copies(logits, x, position)
    local Q, width = weights["head_q.weight"], weights["head_q.weight"].shape[1]
    local q = linear(Q, x, weights["head_q.bias"])
    keys[position] = linear(weights["head_k.weight"], x, weights["head_k.bias"])
    local by = wrong "copy-head-256" and 256 or wrong "copy-head-sqrt" and sqrt(width) or width
    for u = 1, position do
      local token, sum = floor(tokens[u]) + 1, 0
      for j = 1, width do sum = sum + q[j] * keys[u][j] end
      logits[token] = logits[token] + sum / by
    end
  end

  for position, token in ipairs(tokens) do
    local x = map(C, function(c) return weights[called.emb][floor(token) * C + c] end)
    for _ = 1, (version == "v1" or version == "v2") and 0 or wrong "ln0-twice" and 2 or 1 do
      x = norm(x, weights["blocks.0.ln0.weight"], weights["blocks.0.ln0.bias"], 1, 1e-5)
    end
    local i = 0
    while weights[("blocks.%d.ln1.weight"):format(i)] do
      x = layer(i)(x, position)
      i = i + 1
    end
    x = norm(x, weights[called.norm .. ".weight"], weights[called.norm .. ".bias"], 1, 1e-5)
    local out_x, time_out = x, weights.time_out
    if time_out and not wrong "no-time-out" then out_x = each(function(e) return e * time_out[position] end, x) end
    local logits = linear(weights["head.weight"], out_x)
    if weights["head_q.weight"] and not wrong "no-copy-head" then copies(logits, x, position) end
    record("logits", logits)
  end
  return out
end
