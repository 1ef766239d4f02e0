-- The head of softmax attention that v7b and v8_rc00_hybrid have beside time mixing: what is the same in both.
local core = require "rwkv.core"

local attention = {}

-- What a token multiplies keys or values with: its row of a table, and of a map of its normalised embedding.
function attention.factor(m, tokens, e, rows, map) return m.add(rows:embed(core.tokens(tokens)), m.linear(e, map)) end

local function scores(m, q, k, cap) return m.h(m.h((q:bmm(k:transpose(2, 3)) / (16 * cap))):tanh() * cap) end

local function mean_of(m, s, v) -- over the positions up to each
  local T = s:size(2)
  local seen = core.ones(T, T):tril()
  return m.h((s * seen + (seen - 1) * 1e30):softmax():bmm(v))
end

-- Lines from Q, K, V on, and the sum with the stream; gives the name of the stream.
function attention.lines(line, book, layer, mid, cap, tag)
  line("out", { "Q", "K", "V" }, function(m, _, q, k, v) return mean_of(m, scores(m, q, k, cap), v) end,
    ("mean of V, weights softmax(%d tanh(Q K / %d)) over the tokens so far"):format(cap, 16 * cap), tag)
  local sum = ("blocks.%d.mid.y"):format(layer)
  book:add(sum, { mid, ("blocks.%d.qkv.out"):format(layer) }, function(m, _, x, y) return m.add(x, y) end, "x + out of the attention")
  return sum
end

-- Known mistakes that both have.
function attention.mistakes()
  local list = {}
  local function mistake(id, title, e)
    e.id, e.title, e.of, e.family = id, title, "^v", "formula"
    list[#list + 1] = e
  end
  mistake("attention-missing", "the attention head is missing", { edits = { ["mid.y"] = { f = function(_, _, x) return x end } } })
  mistake("attention-of-norm", "the attention reads the normalised stream (ln1) instead of the stream as it is",
    { edits = { ["qkv.x"] = { operands = { [1] = "att.x" } } } })
  mistake("attention-no-cap", "the scores are not capped: q k / 16, without the tanh", { edits = { ["qkv.out"] = {
    f = function(m, _, q, k, v) return mean_of(m, m.h(q:bmm(k:transpose(2, 3)) / 16), v) end } } })
  mistake("attention-after-time-mixing", "the attention reads the stream after time mixing instead of before it: one after the other",
    { edits = { ["qkv.x"] = { operands = { [1] = function(layer) return ("/blocks.%d.mid.x"):format(layer) end } } } })
  local function capped(id, title, cap, scale) -- each times that of the version
    mistake(id, title, { edits = { ["qkv.out"] = { f = function(m, c, q, k, v)
      return mean_of(m, m.h(m.h(q:bmm(k:transpose(2, 3)) / (16 * c.facts.cap * scale)):tanh() * (c.facts.cap * cap)), v)
    end } } })
  end
  capped("attention-cap-half", "the scores are capped at half of what they should be, with the slope that is right (of v7b 32 and 512)", 0.5, 0.5)
  capped("attention-cap-double", "the scores are capped at twice what they should be, with the slope that is right (of the hybrid 64 and 1024)", 2, 2)
  capped("attention-scale-half", "the scores are divided by half of what they should be inside the tanh (of v7b 512)", 1, 0.5)
  for _, s in ipairs { "q", "k", "v" } do
    mistake("attention-no-norm-" .. s, ("the attention's %s is not normalised (ln%s)"):format(s, s), { edits = { ["qkv." .. s:upper()] = {
      f = function(m, _, ...) return attention.unnormed(m, ...) end } } })
  end
  mistake("attention-sees-all", "the attention sees the tokens after its own", { whole = true, edits = { ["qkv.out"] = {
    f = function(m, c, q, k, v) return m.h(scores(m, q, k, c.facts.cap):softmax():bmm(v)) end } } })
  return list
end

-- What a norm is taken of: q, k, v, or in v7b their mix with those of the token before.
function attention.unnormed(m, y, mu, _, b)
  return b and m.lerp(y, m.sub(m.before(y), y), mu:reshape(-1)) or y
end

local small = 2 ^ -8
attention.writers = { ["%.ln0%."] = small, ["%.att%.output%."] = small, ["%.ffn%.value%."] = small, ["%.qkv%.lnv%."] = small }

return attention
