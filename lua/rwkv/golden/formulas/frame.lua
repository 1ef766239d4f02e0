-- What stands around the layers: embedding, norms, the residual stream, head, copy head.
local core = require "rwkv.core"
local channel_mix = require "rwkv.golden.formulas.channel_mix"

local function norm(m, c, x, w, b) return m.layer_norm(x, w, b, c.eps.layer) end
local function add(m, _, x, y) return m.add(x, y) end
local function embed(_, _, tokens, w) return w:embed(core.tokens(tokens)) end
local function last(_, _, x) return x end -- after each token the state is its own input

-- The copy head: how much each token is like the earlier ones, added to the logits of these. scores [B,T,T]
local function add_copies(m, tokens, scores, logits)
  local T, V, one_hot = logits:size(2), logits:size(3), {}
  for b, sequence in ipairs(tokens) do
    one_hot[b] = {}
    for t, id in ipairs(sequence) do
      local line = {}
      for i = 1, V do line[i] = i == id + 1 and 1 or 0 end
      one_hot[b][t] = line
    end
  end
  return m.h(logits + m.h((scores * core.ones(T, T):tril()):bmm(core.tensor(one_hot))))
end

-- own: { time_mix =, channel_mix =, beside = } of the version's formulas; without channel_mix the one that most have. beside: lines
-- of what stands beside time mixing; gives the name of the stream after them
return function(book, c, own)
  local facts = c.facts
  local parts, gain = facts.parts, facts.head_gain
  local tag = c.version:match "^v%d"
  local stream = "emb.x"
  book:add("emb.x", { "#tokens", "@" .. facts.embedding }, embed, "the row of the token")
  if facts.embed_norm then
    book:add("blocks.0.ln0.x", { "emb.x", "@blocks.0.ln0.weight", "@blocks.0.ln0.bias" }, norm, "layer norm (ln0), eps 1e-5")
    stream = "blocks.0.ln0.x"
  end
  for layer = 0, c.layers - 1 do
    local b = ("blocks.%d."):format(layer)
    local function part(name, ln, stored, lines, sum)
      local x, state = b .. name .. ".x", ("state.%d.%s_xx"):format(layer, name == "ffn" and parts.ffn or name)
      book:add(x, { stream, "@" .. b .. ln .. ".weight", "@" .. b .. ln .. ".bias" }, norm,
        ("layer norm (%s) of the residual stream, eps 1e-5"):format(ln))
      book:add(state, { x }, last, "the part's input, for the next token")
      lines(book:part(layer, name, stored), c, layer)
      local into = facts.adds_to_normed and x or stream
      book:add(b .. sum, { into, b .. name .. ".out" }, add, "x + out")
      stream = b .. sum
    end
    local into = stream
    part("att", "ln1", parts.att, own.time_mix, "mid.x")
    if own.beside then stream = own.beside(book, c, layer, into, stream) end
    part("ffn", "ln2", parts.ffn, own.channel_mix or channel_mix, "out.x")
  end
  local ln = facts.final_norm
  book:add("ln_out.y", { stream, "@" .. ln .. ".weight", "@" .. ln .. ".bias" }, norm, "layer norm before the head, eps 1e-5")
  local scaled = gain and { "ln_out.y", "@" .. gain, "@head.weight" } or { "ln_out.y", "@head.weight" }
  local function head(m, _, y, a, b)
    if not gain then return m.linear(y, a) end
    return m.linear(m.mul(y, a:slice(2, 1, y:size(2)):reshape(-1, 1)), b)
  end
  if not c.head_qk then
    book:add("logits", scaled, head, "the head's weight times y")
    return
  end
  book:add("head.logits", scaled, head, "the head's weight times y" .. (gain and " " .. gain or ""))
  local function project(m, _, y, w, bias) return bias and m.linear_bias(y, w, bias) or m.linear(y, w) end
  for _, s in ipairs { "q", "k" } do
    book:add("head." .. s, { "ln_out.y", "@head_" .. s .. ".weight", facts.biases and "@head_" .. s .. ".bias" or nil }, project,
      ("W_%s y of the copy head"):format(s))
  end
  book:add("logits", { "#tokens", "head.q", "head.k", "head.logits" }, function(m, k, tokens, q, key, logits)
    return add_copies(m, tokens, m.h(q:bmm(key:transpose(2, 3)) / k.head_qk), logits)
  end, "logits + (q k / size, of earlier tokens) at these tokens", tag)
end
