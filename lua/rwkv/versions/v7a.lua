-- RWKV-7a: RWKV-7 with DeepEmbed, a gate of channel mixing that depends on the token.
local core = require "rwkv.core"
local v7 = require("rwkv.versions.v7").v7

local function row_times(q, M) -- q [B,T,n], M [B,T,n n] row by row -> [B,T,n]
  local B, T, n = q:size(1), q:size(2), q:size(3)
  return q:reshape(B * T, 1, n):bmm(M:reshape(B * T, n, n)):reshape(B, T, n)
end

-- What comes after relu(W_k xk)^2.
local function gated_lines(line)
  line("M", { "#tokens", "/blocks.0.ln0.x", "@s_emb.weight", "@s_emb_x.weight" }, function(m, _, tokens, e, rows, map)
    return m.add(rows:embed(core.tokens(tokens)), m.linear(e, map))
  end, "s_emb[token] + s_emb_x e, e = ln0(emb[token]): 32 rows of 32", "v7a.1")
  line("q", { "x", "@s1" }, function(m, _, x, s1) return m.matmul(x, s1) end, "x s1", "v7a.2")
  line("qM", { "q", "M" }, function(m, _, q, M) return m.h(row_times(q, M)) end, "q M", "v7a.2")
  line("g", { "qM", "@s2", "@s0" }, function(m, _, q, s2, s0) return m.add(m.matmul(q, s2), s0:reshape(-1)) end, "(q M) s2 + s0", "v7a.2")
  line("gated", { "k", "g" }, function(m, _, k, g) return m.mul(k, g) end, "k g", "v7a.3")
  line("out", { "gated", "@value.weight" }, function(m, _, k, w) return m.linear(k, w) end, "W_v (k g)", "v7a.3")
end

local mistakes = {}
local function mistake(id, title, e)
  e.id, e.title, e.of, e.family = id, title, "^v7", "formula"
  mistakes[#mistakes + 1] = e
end
local function edited(id, title, key, edit) mistake(id, title, { edits = { [key] = edit } }) end

edited("gate-of-mix", "the token's gate is made of the mix with the token before (xk) instead of x", "ffn.q", { operands = { [1] = "xk" } })
edited("gate-transposed", "the token's matrix is taken transposed: M q instead of q M", "ffn.qM",
  { around = function(f, m, c, q, M)
    return f(m, c, q, M:reshape(-1, q:size(3), q:size(3)):transpose(2, 3):reshape(M:shape()))
  end })
edited("gate-embedding-raw", "the token's matrix is made of the embedding before its norm (ln0)", "ffn.M", { operands = { [2] = "/emb.x" } })
edited("gate-embedding-missing", "the token's matrix lacks the part that its embedding gives (s_emb_x)", "ffn.M",
  { around = function(f, m, c, tokens, e, rows, map) return f(m, c, tokens, e, rows, map * 0) end })
edited("gate-table-missing", "the token's matrix lacks its own row (s_emb)", "ffn.M",
  { around = function(f, m, c, tokens, e, rows, map) return f(m, c, tokens, e, rows * 0, map) end })
edited("gate-of-token-before", "the token's matrix is that of the token before", "ffn.M", { after = function(M, m) return m.before(M) end })
edited("gate-no-bias", "the token's gate lacks s0", "ffn.g",
  { around = function(f, m, c, q, s2, s0) return f(m, c, q, s2, s0 * 0) end })
edited("gate-sigmoid", "a sigmoid on the token's gate, which has no function at all", "ffn.g", { after = function(g, m) return m.sigmoid(g) end })
edited("gate-tanh", "a tanh between the token's matrix and s2, where there is no function", "ffn.g",
  { around = function(f, m, c, q, s2, s0) return f(m, c, m.h(q:tanh()), s2, s0) end })
edited("gate-missing-ffn", "channel mixing without the token's gate, as in RWKV-7", "ffn.gated", { f = function(_, _, k) return k end })
edited("gate-before-square", "the token's gate stands before the square: (relu(W_k xk) g)^2", "ffn.gated",
  { f = function(m, _, k, g) return m.mul(k, m.h(g * g)) end })

local weights = { { "s_emb%.weight$", "normal", 0.2 }, { "s_emb_x%.weight$", "matrix", 50 }, -- of an embedding that is small
  { "ffn%.s1$", "matrix", 1, 1 }, { "ffn%.s2$", "matrix", 1, 1 }, { "ffn%.s0$", "uniform", 0.5, 1.5 } }
table.move(v7.weights, 1, #v7.weights, #weights + 1, weights)

return {
  v7a = { like = "v7", kin = "v7",
    channel_mix = { tag = "v7.12", mixes = { { "xk", "x_k" } }, rest = gated_lines },
    weights = weights, mistakes = mistakes, in_fla = false, chunks = false,
    look = { "#009B77", 4, 2 },
    published = false },
}
