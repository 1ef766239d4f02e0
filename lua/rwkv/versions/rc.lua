-- The release candidates of RWKV-7: its recurrence behind other maps, and other names. rc4a computes what v7 does.
local names = { x_r = "time_maa_r", x_w = "time_maa_w", x_k = "time_maa_k", x_v = "time_maa_v", x_a = "time_maa_a", x_g = "time_maa_g",
  w0 = "time_decay", w1 = "time_decay_w1", w2 = "time_decay_w2", a0 = "time_aaaaa", a1 = "time_aaa_w1", a2 = "time_aaa_w2",
  v0 = "time_misc_v", v1 = "mv_w1", v2 = "mv_w2", g1 = "gate_w1", g2 = "gate_w2", k_k = "time_misc_kkk", k_a = "time_misc_a",
  r_k = "time_faaaa" }

local weights = { { "time_maa_%l$", "uniform", -0.2, 1.2 }, { "time_maa_w1$", "matrix", 1, 1 }, { "time_maa_w2$", "matrix", 0.5, 2 },
  { "time_decay$", "decays", -9, -5, 1 }, { "time_decay_w1$", "matrix", 1, 1 }, { "time_decay_w2$", "matrix", 3, 1 },
  { "time_faaaa$", "normal", 0.5 }, { "time_aaaaa$", "normal", 1 }, { "time_aaa_w[12]$", "matrix", 1, 1 },
  { "gate_w1$", "matrix", 1, 1 }, { "gate_w2$", "matrix", 3, 1 }, { "time_kkk_w1$", "matrix", 1, 1 }, { "time_kkk_w2$", "matrix", 2, 1 },
  { "m[kav]_w[12]$", "matrix", 1, 1 }, { "time_misc_kkk$", "uniform", 0.4, 1.6 }, { "time_misc_%l$", "normal", 1 } }

local low_mixes = { streams = { "r", "w", "k", "v", "a", "g" }, w1 = "time_maa_w1", w2 = "time_maa_w2" }
local v6_channels = { tag = "v6.5", mixes = { { "xk", "time_maa_k" }, { "xr", "time_maa_r" } }, receptance = true }
local v7_channels = { tag = "v7.12", mixes = { { "xk", "time_maa_k" } }, receptance = false }

-- ---- known mistakes ----

local function edited(id, title, key, edit)
  return { id = id, title = title, of = "^rc", family = "formula", edits = { [key] = edit } }
end
local function tanh(x) return x:tanh() end
local function low_rank(m, x, w1, w2, f)
  local hidden = m.matmul(x, w1)
  return m.matmul(f and m.h(f(hidden)) or hidden, w2)
end
local function norm_all(m, kk) return m.h(kk / m.h(kk:norm(-1, true)):maximum(1e-12)) end
local function norm_heads(m, c, kk) return c.join(norm_all(m, c.split(kk))) end

local key_no_map = edited("key-no-map", "the removal key is k itself, normalised, without its low-rank map", "att.kappa",
  { around = function(f, m, c, k, x, w1, w2) return f(m, c, k, x, w1, w2 * 0) end })
local key_no_tanh = edited("key-map-no-tanh", "the removal key's low-rank map without its tanh", "att.kappa",
  { around = function(_, m, c, k, x, w1, w2)
    local kk = m.add(k, low_rank(m, x, w1, w2))
    return c.facts.low_key_norm == "all" and norm_all(m, kk) or norm_heads(m, c, kk)
  end })
local key_not_normalised = edited("key-not-normalised", "the removal key is not divided by its length", "att.kappa",
  { f = function(m, _, k, x, w1, w2) return m.add(k, low_rank(m, x, w1, w2, tanh)) end })
local key_after_rescale = edited("key-after-rescale", "the removal key is made of the key that is written instead of k0", "att.kappa",
  { operands = { [1] = "k" } })
local gate_sigmoid = edited("gate-sigmoid", "the gate with sigmoid, as in rc4 and v7, instead of tanh", "att.g",
  { f = function(m, _, x, g1, g2) return low_rank(m, x, g1, g2, function(y) return y:sigmoid() end) end })
local gate_tanh = edited("gate-tanh", "the gate with tanh, as in rc2 and rc3, instead of sigmoid", "att.g",
  { f = function(m, _, x, g1, g2) return low_rank(m, x, g1, g2, tanh) end })
local iclr_single = edited("iclr-single", "the learning rate a is sigmoid(..), as from rc3 on, instead of 2 sigmoid(..)", "att.a",
  { after = function(a) return a * 0.5 end })
local over_all = edited("key-norm-over-all", "the removal key is normalised over all channels, as in rc2, instead of in each head",
  "att.kappa", { f = function(m, _, k, x, w1, w2) return norm_all(m, m.add(k, low_rank(m, x, w1, w2, tanh))) end })
local by_head = edited("key-norm-by-head", "the removal key is normalised in each head, as from rc3 on, instead of over all channels",
  "att.kappa", { f = function(m, c, k, x, w1, w2) return norm_heads(m, c, m.add(k, low_rank(m, x, w1, w2, tanh))) end })
local no_decay_scale = edited("key-no-decay-scale", "the key that is written is not scaled by the decay", "att.k",
  { around = function(f, m, c, k, w) return f(m, c, k, w * 0 - 1) end })
local function parts(id, title, around) return edited(id, title, "att.k", { around = around }) end
local scales = {
  parts("key-no-decay-scale", "the key that is written is not scaled by the decay (mk)",
    function(f, m, c, k, a, w, ma, mk) return f(m, c, k, a, w, ma, mk * 0) end),
  parts("key-no-iclr-scale", "the key that is written is not scaled by the learning rate (ma)",
    function(f, m, c, k, a, w, ma, mk) return f(m, c, k, a, w, ma * 0 + 1, mk) end),
  parts("key-parts-exchanged", "ma and mk are exchanged", function(f, m, c, k, a, w, ma, mk) return f(m, c, k, a, w, mk, ma) end),
  parts("key-scale-v7", "the key that is written is k0 (1 + (a - 1) ma), as v7's with ma for k_a",
    function(_, m, _, k, a, _, ma) return m.mul(k, m.add(1, m.mul(m.sub(a, 1), ma))) end),
}
scales[#scales + 1] = parts("key-scale-of-decay", "the key that is written is scaled by e^(w mk), w the log-decay, instead of e^(s mk), w = -e^s",
  function(_, m, _, k, a, w, ma, mk)
    return m.h(m.mul(k, m.add(ma, m.mul(a, m.sub(1, ma)))) * m.f((w * mk):exp()))
  end)
scales[#scales + 1] = edited("key-after-parts", "the removal key is made of k0 (ma + a (1 - ma)) instead of k0", "att.kappa",
  { operands = { [5] = "a", [6] = "ma" }, around = function(f, m, c, k, x, w1, w2, a, ma)
    return f(m, c, m.mul(k, m.add(ma, m.mul(a, m.sub(1, ma)))), x, w1, w2)
  end })
local mix_order = { id = "mix-order-rkvwag", title = "low-rank order: the six mixes read as r, k, v, w, a, g instead of r, w, k, v, a, g",
  of = "^rc", family = "formula", change = function(c) c.mix_order = { r = 1, k = 2, v = 3, w = 4, a = 5, g = 6 } end }
local mix_constant = { id = "mix-constant", title = "the mixes do not depend on the token, as from rc4a on", of = "^rc", family = "formula",
  weight = function(name, of) return name:find "time_maa_w2$" and of(name) * 0 or nil end }
local mix_order_v6 = { id = "mix-order-wkvrag", title = "low-rank order: the six mixes read as w, k, v, r, a, g instead of r, w, k, v, a, g",
  of = "^rc", family = "formula", change = function(c) c.mix_order = { w = 1, k = 2, v = 3, r = 4, a = 5, g = 6 } end }
local mix_direction = { id = "mix-direction-constant", of = "^rc", family = "formula",
  title = "mix direction of the vectors alone: time_maa weighs the token itself, the low-rank maps the one before",
  weight = function(name, of) return name:find "att%.time_maa_[rwkvag]$" and 1 - of(name) or nil end }
local iclr_doubled = edited("iclr-doubled", "the learning rate a is 2 sigmoid(..), as in rc2, instead of sigmoid(..)", "att.a",
  { after = function(a) return a * 2 end })
local no_gate = edited("ffn-no-gate", "channel mixing without its receptance gate", "ffn.out", { f = function(m, _, _, k, w) return m.linear(k, w) end })
local gate_linear = edited("ffn-gate-linear", "channel mixing gated without the sigmoid", "ffn.r", { f = function(m, _, x, w) return m.linear(x, w) end })
local function later(layer) return layer > 0 end
local no_residual = edited("value-residual-missing", "missing value residual: v of every layer is its own", "att.v",
  { only = later, f = function(_, _, v) return v end })

local function mistakes(...)
  local list = { key_no_map, key_no_tanh, key_not_normalised, key_after_rescale, mix_order, mix_constant, mix_order_v6, mix_direction }
  for _, e in ipairs { ... } do list[#list + 1] = e end
  return list
end

-- ---- the facts ----

local idle = { "^blocks%.0%.att%.time_misc_v$", "^blocks%.0%.att%.mv_w[12]$" }

local function candidate(facts)
  facts.like, facts.kin, facts.names, facts.weights = "v7", "v7rc", names, weights
  facts.low_mixes, facts.removal_keys, facts.scale_free = low_mixes, false, {}
  facts.published = false
  return facts
end
local ranks = { decay_rank = 5, iclr_rank = 4, gate_rank = 6, mix_rank = 4, key_norm_rank = 3 }
local function with(more)
  for name, rank in pairs(ranks) do more[name] = more[name] or rank end
  return more
end

return {
  rc2 = candidate { ranks = ranks, unused = {}, channel_mix = v6_channels, value_residual = false, double_iclr = true, tanh_gate = true,
    low_key_norm = "all", key_scale = "decay", mistakes = mistakes(gate_sigmoid, iclr_single, by_head, no_decay_scale, no_gate, gate_linear),
    look = { "#b7410e", 6, 3 } },
  rc3 = candidate { ranks = with { key_iclr_rank = 2, key_decay_rank = 7 }, unused = {}, channel_mix = v6_channels, value_residual = false,
    tanh_gate = true, low_key_norm = "heads", key_scale = "parts",
    mistakes = mistakes(gate_sigmoid, over_all, iclr_doubled, no_gate, gate_linear, table.unpack(scales)), look = { "#c97b4a", 8, 4 } },
  rc4 = candidate { ranks = with { key_iclr_rank = 2, key_decay_rank = 7, value_rank = 8 }, channel_mix = v7_channels,
    low_key_norm = "heads", key_scale = "parts", unused = idle,
    mistakes = mistakes(gate_tanh, over_all, no_residual, iclr_doubled, table.unpack(scales)), look = { "#e3a27a", 9, 2 } },
  rc4a = { like = "v7", kin = "v7", published = false, names = names, weights = weights, channel_mix = v7_channels, scale_free = { "%.time_misc_kkk$" },
    unused = idle, look = { "#f0c9a8", 12, 3 } },
}
