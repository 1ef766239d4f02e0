-- Mistakes in RWKV-7. What an entry is: init.lua.
local core = require "rwkv.core"
local time = require "rwkv.golden.formulas.over_time"

local list = {}
-- Those of all kin, and of the release candidates; or of v7's lines alone.
local kin, alone = "^v7", "^v7$"
local of
local function mistake(id, title, e)
  e.id, e.title, e.of, e.family = id, title, of, "formula"
  list[#list + 1] = e
end
local function edited(id, title, key, edit) mistake(id, title, { edits = { [key] = edit } }) end
local at, row, column = time.at, time.row, time.column

-- ---- decay, learning rate, gate ----

of = kin

local function tanh(x) return x:tanh() end

-- f(x w1) w2
local function low_rank(m, x, w1, w2, f)
  local hidden = m.matmul(x, w1)
  return m.matmul(f and m.h(f(hidden)) or hidden, w2)
end
local function added(m, w0, low) return m.add(w0:reshape(-1), low) end
local function half(m) return m.exact and math.exp(-0.5) or 0.606531 end

local function decay(id, title, f) edited(id, title, "att.w", { f = f }) end
edited("decay-constant", "the decay's constant is 0.606531 instead of exp(-0.5) (as in official inference code)", "att.w",
  { after = function(w, m) return w * (0.606531 / half(m)) end })
decay("decay-no-half", "the decay without its -0.5: exp(-sigmoid(..)) instead of exp(-exp(-0.5) sigmoid(..))",
  function(m, _, x, w0, w1, w2) return m.f(-added(m, w0, low_rank(m, x, w1, w2, tanh)):sigmoid()) end)
decay("decay-v6", "RWKV-6's decay, exp(-exp(w0 + tanh(x w1) w2))",
  function(m, _, x, w0, w1, w2) return m.f(-m.f(added(m, w0, low_rank(m, x, w1, w2, tanh)):exp())) end)
decay("decay-no-tanh", "the decay's low-rank map without its tanh",
  function(m, _, x, w0, w1, w2) return m.f(-half(m) * m.f(added(m, w0, low_rank(m, x, w1, w2)):sigmoid())) end)
decay("decay-tanh-late", "low-rank order: the decay's tanh stands after both matrices instead of between them",
  function(m, _, x, w0, w1, w2) return m.f(-half(m) * m.f(added(m, w0, m.h(low_rank(m, x, w1, w2):tanh())):sigmoid())) end)
of = alone
edited("iclr-tanh", "a tanh inside the low-rank map of the learning rate a", "att.a",
  { f = function(m, _, x, a0, a1, a2) return m.sigmoid(added(m, a0, low_rank(m, x, a1, a2, tanh))) end })
edited("iclr-doubled", "the learning rate a is 2 sigmoid(..) instead of sigmoid(..)", "att.a",
  { after = function(a) return 2 * a end })

local function gate(id, title, f) edited(id, title, "att.g", { f = f }) end
gate("gate-no-sigmoid", "the gate without the sigmoid between its matrices",
  function(m, _, x, g1, g2) return low_rank(m, x, g1, g2) end)
gate("gate-sigmoid-late", "low-rank order: the gate's sigmoid stands after both matrices instead of between them",
  function(m, _, x, g1, g2) return m.sigmoid(low_rank(m, x, g1, g2)) end)
gate("gate-tanh", "the gate with tanh instead of sigmoid", function(m, _, x, g1, g2) return low_rank(m, x, g1, g2, tanh) end)
of = kin
edited("gate-missing", "the gate is missing", "att.y", { f = function(_, _, y) return y end })
mistake("lora-layout", "low-rank matrices read as [out, in]: they are stored [in, out]", { weight = function(name, get)
  local w = (name:find "att%.[wavg][12]$" or name:find "att%.[%w_]+_w[12]$") and get(name)
  if not w or w:dim() ~= 2 then return nil end
  -- the same numbers in a row, under the other shape
  return w:reshape(w:size(2), w:size(1)):transpose(1, 2)
end })

-- ---- values ----

of = alone

local function later(layer) return layer > 0 end
local function residual(id, title, layers, edit) -- edit.only: layer 0 has no value residual
  edit.only = later
  mistake(id, title, { edits = { ["att.v"] = edit }, sees = function(c)
    return c.layers < layers and ("it has %d layers, that shows in %d"):format(c.layers, layers) or nil
  end })
end
residual("value-residual-missing", "missing value residual: v of every layer is its own", 2, { f = function(_, _, v) return v end })
residual("value-residual-direction", "the value residual mixes the other way: v_first + (v - v_first) sigmoid(..)", 2,
  { around = function(f, m, c, v, first, mix) return f(m, c, first, v, mix) end })
edited("value-residual-tanh", "the value residual's mix without its sigmoid", "att.mix",
  { f = function(m, _, x, v0, v1, v2) return added(m, v0, low_rank(m, x, v1, v2)) end })
residual("value-residual-previous", "the value residual takes the v of the layer before instead of layer 0's", 3,
  { operands = { [2] = function(layer) return ("/blocks.%d.att.v"):format(layer - 1) end } })

-- ---- keys ----

local function key(id, title, edit) edited(id, title, "att.kappa", edit) end
key("key-not-normalised", "the removal key k k_k is not divided by its length",
  { f = function(m, _, k, k_k) return m.mul(k, k_k:reshape(-1)) end })
key("key-norm-over-all", "the removal key is normalised over all channels instead of in each head", { f = function(m, c, k, k_k)
  local kk = m.mul(k, k_k:reshape(-1))
  return m.h(kk / m.h(kk:norm(-1, true)):maximum(c.eps.key))
end })
key("key-without-k_k", "the removal key is k itself, normalised, without k_k",
  { around = function(f, m, c, k, k_k) return f(m, c, k, k_k * 0 + 1) end })
key("key-after-rescale", "k used after its rescale: the removal key is made of k (1 + (a - 1) k_a) instead of k",
  { operands = { [1] = "k" } })
edited("key-no-rescale", "k is not rescaled by the learning rate (k_a = 0)", "att.k", { f = function(_, _, k) return k end })
edited("key-rescale-full", "k times a, without k_a (k_a = 1)", "att.k", { f = function(m, _, k, a) return m.mul(k, a) end })

of = kin

-- ---- the recurrence: S <- S e^w - (S kappa)(kappa a)' + v k', S [value, key] ----

local function state(id, title, edit) edited(id, title, "state.att_kv", edit) end
local function read(id, title, around) edited(id, title, "att.wkv", { around = around }) end
read("read-before-update", "the state is read before the token is written instead of after", function(f, m, c, r, S)
  return f(m, c, r, m.before(S:reshape(S:size(1), S:size(2), -1)))
end)
read("read-transposed", "transposed state: read along the value axis", function(f, m, c, r, S)
  local N = r:size(3) // c.heads
  return f(m, c, r, S:reshape(-1, N, N):transpose(2, 3):reshape(S:shape()))
end)
state("decay-wrong-axis", "the decay multiplies the value axis of the state instead of the key axis",
  { f = function(m, c, w, k, v, kappa, a)
    local W, K, V, R, G = c.split(m.f(w:exp())), c.split(k), c.split(v), c.split(kappa), c.split(m.h(kappa * a))
    local S, states = core.zeros(w:size(1), c.heads, w:size(3) // c.heads, w:size(3) // c.heads), {}
    for t = 1, w:size(2) do
      local removed = (S * row(at(R, t))):sum(-1, true) * row(at(G, t))
      S = m.f(S * column(at(W, t)) - removed + m.h(column(at(V, t)) * row(at(K, t))))
      states[t] = S
    end
    return time.stack(states)
  end })
state("remove-after-decay", "what is removed is looked up in the decayed state instead of the old one",
  { around = function(f, m, c, w, k, v, kappa, a) -- (S e^w) kappa = S (e^w kappa); what is written back is kappa a, as it was
    return f(m, c, w, k, v, kappa * w:exp(), a * (-w):exp())
  end })
state("remove-adds", "the removed part is added: the removal key's sign is lost",
  { around = function(f, m, c, w, k, v, kappa, a) return f(m, c, w, k, v, kappa, -a) end })
state("remove-missing", "nothing is removed: S w + v k, as in RWKV-6",
  { around = function(f, m, c, w, k, v, kappa, a) return f(m, c, w, k, v, kappa, a * 0) end })

-- ---- bonus ----

local function bonus(m, c, r, k, v, r_k)
  return c.join(m.h(m.h((c.split(r) * c.split(k) * r_k):sum(-1, true)) * c.split(v)))
end
edited("bonus-missing", "the bonus (r k r_k) v is missing", "att.ungated", { f = function(_, _, y) return y end })
mistake("bonus-before-norm", "the bonus (r k r_k) v is added before the norm instead of after", { edits = {
  ["att.norm"] = { operands = { [4] = "r", [5] = "k", [6] = "v", [7] = "@r_k" },
    around = function(f, m, c, y, w, b, ...) return f(m, c, m.add(y, bonus(m, c, ...)), w, b) end },
  ["att.ungated"] = { f = function(_, _, y) return y end },
} })
mistake("bonus-after-gate", "the bonus (r k r_k) v is added after the gate instead of before", { edits = {
  ["att.ungated"] = { f = function(_, _, y) return y end },
  ["att.y"] = { operands = { [3] = "r", [4] = "k", [5] = "v", [6] = "@r_k" },
    around = function(f, m, c, y, g, ...) return m.add(f(m, c, y, g), bonus(m, c, ...)) end },
} })
edited("bonus-plain-key", "the bonus uses k from before its rescale", "att.ungated", { operands = { [3] = "k0" } })

return list
