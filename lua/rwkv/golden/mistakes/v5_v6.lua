-- Mistakes in RWKV-5 and RWKV-6, whose state is a matrix S [key, value]. What an entry is: init.lua.
local core = require "rwkv.core"
local time = require "rwkv.golden.formulas.over_time"
local versions = require "rwkv.versions"

local list = {}
local function mistake(id, title, of, e)
  e.id, e.title, e.of, e.family = id, title, of, "formula"
  list[#list + 1] = e
end
local function edited(id, title, of, key, edit) mistake(id, title, of, { edits = { [key] = edit } }) end
local at, column = time.at, time.column
local both, by_channel = "^v[56]", "^v[56][^.]*%.?[^01]*$" -- where decay and bonus are numbers of a channel

-- ---- the recurrence: y = r (S + u k v), S <- S e^w + k v ----

-- A parameter of a head or a channel -> [A]; the bonus, and a parameter that means 1.
local function per_channel(c, u) return (u:reshape(c.heads, -1) + core.zeros(c.heads, c.dim_att // c.heads)):reshape(-1) end
local function bonus_of(m, c, u) return per_channel(c, versions.of(c.version).bonus_exponent and m.f(u:exp()) or u) end
local function bonus_1(c, u) return versions.of(c.version).bonus_exponent and u * 0 or u * 0 + 1 end

local function decay_of(m, w) return m.f(w:exp()):reshape(w:dim() < 3 and { -1 } or w:shape()) end -- [A] or [B,T,A]

-- S [B,T,..] -> list of [B,H,key,value]
local function matrices(c, S)
  local list_of, N = {}, c.dim_att // c.heads
  for t = 1, S:size(2) do list_of[t] = at(S, t):reshape(S:size(1), c.heads, N, N) end
  return list_of
end
local function transposed(c, S)
  local N = c.dim_att // c.heads
  return S:reshape(-1, N, N):transpose(2, 3):reshape(S:shape())
end

edited("decay-own", "a token's own k v is decayed when it is stored: (S + k v) e^w instead of S e^w + k v", both, "state.att_kv",
  { around = function(f, m, c, w, k, v) return f(m, c, w, m.f(k * decay_of(m, w)), v) end })
edited("decay-before-read", "the state is decayed before it is read instead of after", both, "att.wkv",
  { operands = { [6] = "w" }, around = function(f, m, c, r, k, v, u, S, w)
    local states, W = matrices(c, S), w:dim() == 3 and c.split(m.f(w:exp()))
    for t = 1, #states - 1 do
      states[t] = m.f(states[t] * (W and column(at(W, t + 1)) or m.f(w:exp()):reshape(1, c.heads, -1, 1)))
    end
    return f(m, c, r, k, v, u, time.stack(states))
  end })
edited("read-after-update", "the state is read after the token is stored (1 + u) instead of before (u)", both, "att.wkv",
  { around = function(f, m, c, r, k, v, u, S)
    local R, y = c.split(r), {}
    for t, now in ipairs(matrices(c, S)) do y[t] = m.f((column(at(R, t)) * now):sum(-2)) end
    return m.f(f(m, c, r, k, v, u, S * 0) + c.join(time.stack(y)))
  end })
edited("bonus-in-state", "the bonus u is stored too: S e^w + u k v", both, "state.att_kv",
  { operands = { [4] = function(_, c) return "@" .. versions.of(c.version).bonus end },
    around = function(f, m, c, w, k, v, u) return f(m, c, w, m.f(k * bonus_of(m, c, u)), v) end })
edited("read-transposed", "transposed state: read along the value axis", both, "att.wkv",
  { around = function(f, m, c, r, k, v, u, S)
    return f(m, c, r, v, m.f(k * bonus_of(m, c, u)), bonus_1(c, u), transposed(c, S))
  end })
edited("decay-wrong-axis", "the decay multiplies the value axis of the state instead of the key axis", by_channel, "state.att_kv",
  { around = function(f, m, c, w, k, v) return transposed(c, f(m, c, w, v, k)) end })
edited("bonus-wrong-axis", "the bonus u multiplies the value axis instead of the key axis", by_channel, "att.wkv",
  { around = function(f, m, c, r, k, v, u, S) return f(m, c, r, k, m.f(v * u:reshape(-1)), bonus_1(c, u), S) end })

-- ---- bonus ----

for _, of in ipairs { "^v5.[12]$", "^v6" } do
  edited("bonus-exp", "the bonus is exp(time_faaaa) instead of time_faaaa", of, "att.wkv",
    { around = function(f, m, c, r, k, v, u, S) return f(m, c, r, k, v, m.f(u:exp()), S) end })
end
edited("bonus-no-exp", "the bonus is time_first instead of exp(time_first)", "^v5.0$", "att.wkv",
  { around = function(f, m, c, r, k, v, u, S) return f(m, c, r, m.f(k * per_channel(c, u)), v, bonus_1(c, u), S) end })
edited("bonus-missing", "the bonus u is missing", both, "att.wkv",
  { around = function(f, m, c, r, k, v, u, S) return f(m, c, r, k * 0, v, u, S) end })

-- ---- receptance, gate ----

edited("receptance-sigmoid", "a sigmoid on the receptance, as in RWKV-4", both, "att.r",
  { after = function(r, m) return m.sigmoid(r) end })

local function gate(id, title, of, f) edited(id, title, of, "att.g", { f = f }) end
for _, of in ipairs { "^v5.[12]$", "^v6$" } do
  gate("gate-sigmoid", "the gate with sigmoid instead of silu", of, function(m, _, x, w) return m.sigmoid(m.linear(x, w)) end)
  gate("gate-linear", "the gate without silu", of, function(m, _, x, w) return m.linear(x, w) end)
  edited("gate-missing", "the gate is missing", of, "att.y", { f = function(_, _, norm) return norm end })
end

-- ---- RWKV-6a and 6b ----

edited("gate-silu", "a silu on the gate, as in RWKV-6", "^v6a$", "att.g", { after = function(g, m) return m.h(g:silu()) end })
gate("gate-no-tanh", "the gate's low-rank map without its tanh", "^v6a$", function(m, _, x, w1, w2)
  return m.matmul(m.matmul(x, w1), w2)
end)
edited("norm-by-head", "a norm for each head with eps 64e-5, as in RWKV-6, instead of one over all channels with 1e-5", "^v6b$",
  "att.norm", { f = function(m, c, y, w, b) return m.h(m.group_norm(y, c.heads, w, b, 64e-5)) end })

-- ---- RWKV-6's low-rank maps ----

edited("decay-no-tanh", "the decay's low-rank map without its tanh", "^v6", "att.w", { f = function(m, _, x, w0, w1, w2)
  return m.f(-m.f(m.f(w0:reshape(-1) + m.matmul(m.matmul(x, w1), w2)):exp()))
end })
edited("decay-constant", "the decay does not depend on the token, as in RWKV-5", "^v6", "att.w",
  { around = function(f, m, c, x, w0, w1, w2) return f(m, c, x, w0, w1, w2 * 0) end })
mistake("mix-constant", "the mixes do not depend on the token, as in RWKV-5", "^v6",
  { weight = function(name, of) return name:find "time_maa_[rkvw_]*w2$" and of(name) * 0 or nil end })

-- The five mixes in another order: stream i of the low-rank map goes to another mix.
local function order(from)
  return { change = function(c)
    c.mix_order = {}
    for i = 1, #from do c.mix_order[from:sub(i, i)] = i end
  end }
end
mistake("mix-order-rkvwg", "low-rank order: the five mixes read as r, k, v, w, g instead of w, k, v, r, g", "^v6a?$", order "rkvwg")
mistake("mix-order-rwkvg", "low-rank order: the five mixes read as r, w, k, v, g instead of w, k, v, r, g", "^v6a?$", order "rwkvg")
mistake("mix-order-kvrwg", "low-rank order: the five mixes read as k, v, r, w, g instead of w, k, v, r, g", "^v6a?$", order "kvrwg")
mistake("lora-layout", "low-rank matrices read as [out, in]: they are stored [in, out]", "^v6", { weight = function(name, of)
  if not (name:find "decay_w[12]$" or name:find "gate_w[12]$") then return nil end
  local w = of(name)
  return w:reshape(w:size(2), w:size(1)):transpose(1, 2)
end })

return list
