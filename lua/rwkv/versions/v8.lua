-- The first public code of RWKV-8: RWKV-7 whose channel mixing is multiplied by a vector of the token; the hybrid has a head of
-- softmax attention beside time mixing, too, and no norm of the embedding.
local attention = require "rwkv.versions.attention"
local core = require "rwkv.core"
local v7 = require("rwkv.versions.v7").v7

local function linear(m, _, x, w) return m.linear(x, w) end
local function row(tokens, rows) return rows:embed(core.tokens(tokens)) end

local function multiplied_lines(line)
  line("y", { "k", "@value.weight" }, linear, "W_v k", "v8.1")
  line("d", { "#tokens", "@enn.weight" }, function(_, _, tokens, rows) return row(tokens, rows) end, "enn[token]", "v8.1")
  line("out", { "y", "d" }, function(m, _, y, d) return m.mul(y, d) end, "y d", "v8.1")
end

local function beside(book, c, layer, x, mid)
  local line = book:part(layer, "qkv")
  line("x", { "/" .. x }, function(_, _, stream) return stream end, "the residual stream as it is", "v8.2")
  line("kk", { "x", "@kk.weight" }, linear, "W_kk x", "v8.2")
  line("vv", { "x", "@vv.weight" }, linear, "W_vv x", "v8.2")
  line("q", { "x", "@qq.weight" }, linear, "W_qq x", "v8.2")
  line("k", { "kk", "@kkup.weight", "#tokens", "@ennk.weight" }, function(m, _, kk, up, tokens, rows)
    return m.mul(m.linear(kk, up), row(tokens, rows))
  end, "(W_kkup kk) ennk[token]", "v8.2")
  line("v", { "vv", "@vvup.weight", "#tokens", "@emm.weight" }, function(m, _, vv, up, tokens, rows)
    return m.mul(m.h(m.linear(vv, up):tanh()), row(tokens, rows))
  end, "tanh(W_vvup vv) emm[token]", "v8.2")
  for _, s in ipairs { "q", "k", "v" } do
    line(s:upper(), { s, "@ln" .. s .. ".weight", "@ln" .. s .. ".bias" }, function(m, k, y, w, b)
      return m.layer_norm(y, w, b, k.eps.layer)
    end, ("layer norm (ln%s) of %s"):format(s, s), "v8.3")
  end
  return attention.lines(line, book, layer, mid, c.facts.cap, "v8.4")
end

-- ---- known mistakes ----

local function edited(list, id, title, key, edit)
  list[#list + 1] = { id = id, title = title, of = "^v8", family = "formula", edits = { [key] = edit } }
end
local multiplied = {}
edited(multiplied, "vector-missing", "channel mixing without the token's vector, as in RWKV-7", "ffn.out", { f = function(_, _, y) return y end })
edited(multiplied, "vector-of-token-before", "the token's vector is that of the token before", "ffn.d",
  { after = function(d, m) return m.before(d) end })
edited(multiplied, "vector-of-token-before-0", "the token's vector is that of the token before, of token 0 at the first", "ffn.d",
  { f = function(_, _, tokens, rows)
    local before = {}
    for b, list in ipairs(tokens) do before[b] = table.move(list, 1, #list - 1, 2, { 0 }) end
    return row(before, rows)
  end })
edited(multiplied, "vector-on-input", "the token's vector multiplies the input of channel mixing instead of its output", "ffn.k",
  { operands = { [3] = "d" }, around = function(f, m, c, x, w, d) return f(m, c, m.mul(x, d), w) end })
multiplied[#multiplied].edits["ffn.out"] = { f = function(_, _, y) return y end }
edited(multiplied, "vector-added", "the token's vector is added to the output of channel mixing instead of multiplied with it", "ffn.out",
  { f = function(m, _, y, d) return m.add(y, d) end })
edited(multiplied, "vector-plus-one", "channel mixing is multiplied by 1 + the token's vector", "ffn.out",
  { f = function(m, _, y, d) return m.mul(y, m.add(1, d)) end })

local attended = attention.mistakes()
edited(attended, "attention-v-no-tanh", "the attention's values without their tanh", "qkv.v",
  { f = function(m, _, vv, up, tokens, rows) return m.mul(m.linear(vv, up), row(tokens, rows)) end })
edited(attended, "attention-k-tanh", "a tanh on the attention's keys, which have none", "qkv.k",
  { f = function(m, _, kk, up, tokens, rows) return m.mul(m.h(m.linear(kk, up):tanh()), row(tokens, rows)) end })
edited(attended, "embedding-normalised", "the embedding is normalised, as in the other versions (here without weights, of which packs have none)",
  "emb.x", { around = function(f, m, c, tokens, rows)
    local x = f(m, c, tokens, rows)
    return m.layer_norm(x, core.ones(x:size(3)), core.zeros(x:size(3)), c.eps.layer)
  end })
table.move(multiplied, 1, #multiplied, #attended + 1, attended)

local function weights(...)
  local list = { ... }
  return table.move(v7.weights, 1, #v7.weights, #list + 1, list)
end
local enn = { "enn%.weight$", "uniform", 0.5, 1.5 }
local channels = { tag = "v7.12", mixes = { { "xk", "x_k" } }, rest = multiplied_lines }

return {
  v8_rc00 = { like = "v7", kin = "v7", channel_mix = channels, weights = weights(enn), mistakes = multiplied, in_fla = false,
    chunks = false, look = { "#6a0dad", 5, 2 }, published = false },
  v8_rc00_hybrid = { like = "v8_rc00", lines = { beside = beside }, cap = 32, embed_norm = false, mistakes = attended, half = false,
    weights = weights(enn, { "qkv%.ennk%.weight$", "uniform", 0.5, 1.5 }, { "qkv%.emm%.weight$", "uniform", 0.5, 1.5 },
      { "qkv%.vv%.weight$", "matrix", 100 }, { "qkv%.lnq%.weight$", "uniform", 4, 12 }, { "qkv%.lnk%.bias$", "normal", 4 }),
    writers = attention.writers, unused = { "^blocks%.0%.ln0%.", "^blocks%.0%.att%.v[012]$" }, scale_free = { "%.k_k$", "%.qkv%.[qek][qmnk]" }, look = { "#b19cd9", 7, 3 } },
}
