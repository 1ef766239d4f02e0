-- RWKV-7b: RWKV-7a with a head of softmax attention beside time mixing, whose keys and values are multiplied by vectors of tokens.
local attention = require "rwkv.versions.attention"
local core = require "rwkv.core"
local v7a = require("rwkv.versions.v7a").v7a

local function matmul(m, _, x, w) return m.matmul(x, w) end
local function linear(m, _, x, w) return m.linear(x, w) end

local function beside(book, c, layer, x, mid)
  local line = book:part(layer, "qkv")
  line("x", { "/" .. x }, function(_, _, stream) return stream end, "the residual stream as it is", "v7b.1")
  line("kk", { "x", "@k1" }, matmul, "x k1", "v7b.1")
  line("vv", { "x", "@v1" }, matmul, "x v1", "v7b.1")
  line("q", { "x", "@qq.weight" }, linear, "W_qq x", "v7b.1")
  line("state.qkv_q", { "q" }, function(_, _, q) return q end, "q, for the next token")
  line("k", { "kk", "@k2", "#tokens", "/blocks.0.ln0.x", "@k_emb.weight", "@k_emb_x.weight" }, function(m, _, kk, k2, ...)
    return m.mul(m.matmul(kk, k2), attention.factor(m, ...))
  end, "(kk k2) (k_emb[token] + k_emb_x e), e = ln0(emb[token])", "v7b.1")
  line("v", { "vv", "@v2", "#tokens", "/blocks.0.ln0.x", "@v_emb.weight", "@v_emb_x.weight" }, function(m, _, vv, v2, ...)
    return m.mul(m.h(m.matmul(vv, v2):tanh()), attention.factor(m, ...))
  end, "tanh(vv v2) (v_emb[token] + v_emb_x e)", "v7b.1")
  for _, s in ipairs { "q", "k", "v" } do
    line(s:upper(), { s, "@x_" .. s, "@ln" .. s .. ".weight", "@ln" .. s .. ".bias" }, function(m, k, y, mu, w, b)
      return m.layer_norm(m.lerp(y, m.sub(m.before(y), y), mu:reshape(-1)), w, b, k.eps.layer)
    end, ("layer norm (ln%s) of %s + (that of the token before - %s) x_%s"):format(s, s, s, s), "v7b.3")
  end
  return attention.lines(line, book, layer, mid, c.facts.cap, "v7b.4")
end

local weights = { { "qkv%.[kv]2$", "matrix", 1, 1 }, { "qkv%.k1$", "matrix", 1, 1 }, { "qkv%.[kv]_emb_x%.weight$", "matrix", 60 },
  { "qkv%.[kv]_emb%.weight$", "uniform", 0.5, 1.5 }, { "qkv%.v1$", "matrix", 200, 1 }, { "qkv%.lnq%.weight$", "uniform", 4, 12 },
  { "qkv%.lnk%.bias$", "normal", 4 } }
table.move(v7a.weights, 1, #v7a.weights, #weights + 1, weights)

local mistakes = attention.mistakes()
local function edited(id, title, key, edit)
  mistakes[#mistakes + 1] = { id = id, title = title, of = "^v7b$", family = "formula", edits = { [key] = edit } }
end
for _, s in ipairs { "q", "k", "v" } do
  edited("attention-no-shift-" .. s, ("the attention's %s is not mixed with that of the token before"):format(s), "qkv." .. s:upper(),
    { around = function(f, m, c, y, mu, w, b) return f(m, c, y, mu * 0, w, b) end })
end
local function all_shifts(id, title, edit)
  mistakes[#mistakes + 1] = { id = id, title = title, of = "^v7b$", family = "formula",
    edits = { ["qkv.Q"] = edit, ["qkv.K"] = edit, ["qkv.V"] = edit } }
end
all_shifts("attention-no-shift", "the attention's q, k and v are not mixed with those of the token before",
  { around = function(f, m, c, y, mu, w, b) return f(m, c, y, mu * 0, w, b) end })
all_shifts("attention-mix-direction", "mix direction of the attention's q, k and v: x_q, x_k, x_v weigh the other token of the two",
  { around = function(f, m, c, y, mu, w, b) return f(m, c, y, 1 - mu, w, b) end })
all_shifts("attention-shift-first", "the attention's first q, k and v are mixed with themselves instead of with zeros",
  { f = function(m, c, y, mu, w, b)
    local prev = y:size(2) > 1 and core.concat({ y:slice(2, 1, 1), y:slice(2, 1, y:size(2) - 1) }, 2) or y
    return m.layer_norm(m.lerp(y, m.sub(prev, y), mu:reshape(-1)), w, b, c.eps.layer)
  end })
mistakes[#mistakes + 1] = { id = "attention-factors-of-x", of = "^v7b$", family = "formula",
  title = "the factors of the attention's keys and values are made of the stream x instead of the normalised embedding",
  edits = { ["qkv.k"] = { operands = { [4] = "x" } }, ["qkv.v"] = { operands = { [4] = "x" } } } }
edited("attention-v-no-tanh", "the attention's values without their tanh", "qkv.v",
  { f = function(m, _, vv, v2, ...) return m.mul(m.matmul(vv, v2), attention.factor(m, ...)) end })
edited("attention-k-tanh", "a tanh on the attention's keys, which have none", "qkv.k",
  { f = function(m, _, kk, k2, ...) return m.mul(m.h(m.matmul(kk, k2):tanh()), attention.factor(m, ...)) end })
for _, s in ipairs { "k", "v" } do
  edited(("attention-%s-embedding-missing"):format(s), ("the attention's %s lack the factor's part of the embedding (%s_emb_x)"):format(
    s == "k" and "keys" or "values", s), "qkv." .. s, { around = function(f, m, c, y, w, tokens, e, rows, map)
      return f(m, c, y, w, tokens, e, rows, map * 0)
    end })
end
table.move(v7a.mistakes, 1, #v7a.mistakes, #mistakes + 1, mistakes)

return {
  v7b = { like = "v7a", kin = "v7", lines = { beside = beside }, cap = 64,
    weights = weights, mistakes = mistakes, writers = attention.writers, half = false,
    scale_free = { "%.k_k$", "%.qkv%.qq%.", "%.qkv%.k[12]$" },
    look = { "#1f6f8b", 3, 4 } },
}
