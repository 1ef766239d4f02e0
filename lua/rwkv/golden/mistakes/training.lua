-- Mistakes that show in gradients alone. What an entry is: init.lua; edits leave the value of their line as it is. Also:
--   loss        function(logits, targets) -> what is differentiated, in the place of the mean cross-entropy
--   gradients   function(g) -> { ["grad.NAME"] = tensor }: those that are others; g: the right ones
local core = require "rwkv.core"
local versions = require "rwkv.versions"

local list = {}
local function mistake(id, title, of, e)
  e.id, e.title, e.of, e.family = id, title, of, "training"
  list[#list + 1] = e
end
local function edited(id, title, of, key, edit) mistake(id, title, of, { edits = { [key] = edit } }) end

-- The value of y with the gradient of `like`; the value of x with its gradient times s.
local function straight(y, like) return like + (y - like):detach() end
local function scaled(x, s) return x * s + (x - x * s):detach() end
local function detached(x) return x:detach() end

-- around(f, m, c, operands...) in which these operands get no gradient
local function cut(...)
  local places = { ... }
  return function(f, m, c, ...)
    local operands = table.pack(...)
    for _, i in ipairs(places) do operands[i] = operands[i]:detach() end
    return f(m, c, table.unpack(operands, 1, operands.n))
  end
end

-- ---- keys ----

-- clamp(k): what the exponential is taken of, with another gradient
local function clamp(id, title, of, change)
  local edit = of == "^v1$" and { f = function(m, _, x, w, b) return change(m.linear_bias(x, w, b), -60, 30):exp() end }
    or { f = function(_, _, k) return change(k, -math.huge, 60):exp() end }
  edited(id, title, of, of == "^v1$" and "att.k" or "att.e", edit)
end
for _, of in ipairs { "^v1$", "^v[23]$" } do
  clamp("clamp-gradient-passes", "keys that are cut off get the gradient that they would have uncut; it is 0 there", of,
    function(k, low, high) return straight(k:clamp(low, high), k) end)
  clamp("clamp-gradient-missing", "keys get no gradient: it is lost where they are cut off, for those that are not cut too", of,
    function(k, low, high) return k:clamp(low, high):detach() end)
end
edited("key-norm-gradient", "no gradient goes through the length that the removal key is divided by", "^v7$", "att.kappa",
  { f = function(m, c, k, k_k)
    local kk = c.split(m.mul(k, k_k:reshape(-1)))
    return c.join(kk / kk:norm(-1, true):maximum(c.eps.key):detach())
  end })

-- ---- value residual ----

local function deep(layers)
  return function(c) return c.layers < layers and ("it has %d layers, that shows in %d"):format(c.layers, layers) or nil end
end
local function v_first(id, title, layers, only)
  mistake(id, title, "^v7$", { edits = { ["att.v"] = { only = only, around = cut(2) } }, sees = deep(layers) })
end
v_first("v-first-detached", "no gradient goes from the value residual into layer 0's v", 2, function(layer) return layer > 0 end)
v_first("v-first-last-layer", "layer 0's v gets the value residual's gradient of the last layer alone, not of all (written over)", 3,
  function(layer, c) return layer > 0 and layer < c.layers - 1 end)
v_first("v-first-next-layer", "layer 0's v gets the value residual's gradient of layer 1 alone, not of all (written over)", 3,
  function(layer) return layer > 1 end)

-- ---- decay ----

edited("decay-gradient-inner", "the gradient of time_decay lacks the factor e^time_decay", "^v[2-5]", "att.w",
  { after = function(w, _, c, d)
    return straight(w, -(w:dim() == 2 and d:reshape(c.heads, -1) + w:detach() * 0 or d:reshape(-1)))
  end })
edited("decay-gradient-inner", "the gradient of the decay's exponent lacks the factor e^exponent", "^v6", "att.w",
  { after = function(w, _, _, x, w0, w1, w2) return straight(w, -(w0:reshape(-1) + x:matmul(w1):tanh():matmul(w2))) end })
edited("decay-gradient-inner", "the gradient of the decay lacks the derivative of its sigmoid", "^v7", "att.w",
  { after = function(w, _, _, x, w0, w1, w2)
    return straight(w, -math.exp(-0.5) * (w0:reshape(-1) + x:matmul(w1):tanh():matmul(w2)))
  end })
edited("decay-gradient-outer", "the gradient of w lacks the factor e^w: it is that of e^w", "^v[2-7]", "att.w",
  { after = function(w) return scaled(w, (-w):exp():detach()) end })
edited("decay-gradient-sign", "the gradient of w has the other sign", "^v[2-7]", "att.w",
  { after = function(w) return scaled(w, -1) end })

-- ---- bonus ----

mistake("bonus-no-gradient", "the bonus (time_first, time_faaaa, r_k) gets no gradient", "^v[2-7]", { weight = function(name, of)
  return (name:find "time_first$" or name:find "time_faaaa$" or name:find "%.r_k$") and of(name):detach() or nil
end })
-- version, the line with the bonus, places of the operands in it; v2, v3: the keys are e
for _, e in ipairs { { "^v[23]$", "att.y", 2, 3 }, { "^v4$", "att.wkv", 2, 3 }, { "^v[56]", "att.wkv", 2, 3 }, { "^v7", "att.ungated", 3, 4 } } do
  edited("bonus-key-gradient", "the bonus gives no gradient to the keys", e[1], e[2], { around = cut(e[3]) })
  edited("bonus-value-gradient", "the bonus gives no gradient to the values", e[1], e[2], { around = cut(e[4]) })
end
edited("bonus-receptance-gradient", "the bonus gives no gradient to the receptance", "^v7", "att.ungated", { around = cut(2) })

-- ---- what goes from token to token ----

local before = { after = detached }
mistake("shift-gradient", "no gradient goes through the token shift to the token before", "^v",
  { edits = { ["att.prev"] = before, ["ffn.prev"] = before } })
edited("shift-gradient-att", "no gradient goes through the token shift of time mixing", "^v", "att.prev", before)
edited("shift-gradient-ffn", "no gradient goes through the token shift of channel mixing", "^v", "ffn.prev", before)

-- 1 at the tokens (from 1) that begin a chunk of n, [1,T,1]
local function borders(T, n, late)
  local mask = {}
  for t = 1, T do mask[t] = { (t - late) % n == 0 and t > late and 1 or 0 } end
  return core.tensor { mask }
end
-- x [B,T,A] without gradient at tokens that begin a chunk (late = 1), or that end one (late = 0)
local function cut_at(x, n, late)
  local mask = borders(x:size(2), n, late)
  return x * (1 - mask) + (x * mask):detach()
end

local function every(n, id, title, with_shift)
  local read = { around = function(f, m, c, u, k, v, ...)
    local states = { ... }
    for i, s in ipairs(states) do states[i] = cut_at(s, n, 0) end
    return f(m, c, u, k, v, table.unpack(states))
  end }
  local function reads(line)
    return { only = function(_, c) return versions.of(c.version).sums_read == line end, around = read.around }
  end
  local shift = with_shift and { after = function(prev) return cut_at(prev, n, 1) end } or nil
  mistake(("%s-every-%d"):format(id, n), title:format(n), "^v[2-7]", {
    change = function(c)
      function c.carry(S, t) return (t - 1) % n == 0 and S:detach() or S end
    end,
    edits = { ["att.prev"] = shift, ["ffn.prev"] = shift, ["att.wkv"] = reads("att.wkv"), ["att.y"] = reads("att.y") },
    sees = function(c) return c.T and c.T <= n and ("it has %d tokens"):format(c.T) or nil end,
  })
end
for _, n in ipairs { 1, 2, 4, 8, 16, 32, 64, 128 } do
  every(n, "state-gradient", n == 1 and "no gradient goes through the state from token to token"
    or "the state's gradient is cut every %d tokens")
  every(n, "chunk-gradient", n == 1 and "no gradient goes from token to token" or
    "no gradient goes over the border of a chunk of %d tokens, neither through the state nor through the token shift", true)
end

-- ---- norms ----

-- A norm over the last axis of x [..,N], whose mean or variance gets no gradient.
local function norm(x, eps, of)
  local mean, var = x:mean(-1, true), x:var(-1, true, false)
  if of.mean then mean = mean:detach() end
  if of.variance then var = var:detach() end
  return (x - mean) / (var + eps):sqrt()
end
local function layer_norm(of)
  return { f = function(_, c, x, w, b) return norm(x, c.eps.layer, of) * w + b end }
end
local function group_norm(of)
  return { f = function(_, c, x, w, b)
    if versions.of(c.version).one_norm then return norm(x, c.eps.group, of) * w + b end
    return c.join(norm(c.split(x), c.eps.group, of)) * w + b
  end }
end
for _, e in ipairs { { "", "mean and the variance", mean = true, variance = true }, { "-mean", "mean", mean = true },
  { "-variance", "variance", variance = true } } do
  local edit = layer_norm(e)
  mistake("layer-norm-gradient" .. e[1], ("no gradient goes through the %s of the layer norms"):format(e[2]), "^v",
    { edits = { ["ln0.x"] = edit, ["att.x"] = edit, ["ffn.x"] = edit, ["ln_out.y"] = edit } })
  edited("group-norm-gradient" .. e[1], ("no gradient goes through the %s of the norm after the recurrence"):format(e[2]), "^v[5-7]",
    "att.norm", group_norm(e))
end

-- ---- channel mixing ----

edited("relu-gradient-half", "the gradient of relu(x)^2 is relu(x) instead of 2 relu(x)", "^v[2-7]", "ffn.k",
  { after = function(k) return scaled(k, 0.5) end })

-- ---- loss ----

-- The targets with some of them unscored or others: change(row, t) -> target
local function other_targets(change)
  return function(logits, targets)
    local rows = {}
    for b, row in ipairs(targets) do
      rows[b] = {}
      for t = 1, #row do rows[b][t] = change(row, t) end
    end
    return logits:cross_entropy(rows)
  end
end
local function long(c) return c.T == 1 and "it has one token a sequence" or nil end
mistake("l2wrap", "L2Wrap (1e-4 times the largest logit) is in the gradient, as in the official trainers", "^v",
  { loss = function(logits, targets) return logits:cross_entropy(targets, 1e-4) end })
mistake("loss-without-last", "the last token of a sequence is not scored", "^v",
  { loss = other_targets(function(row, t) return t < #row and row[t] or -1 end), sees = long })
mistake("loss-without-first", "the first token of a sequence is not scored", "^v",
  { loss = other_targets(function(row, t) return t > 1 and row[t] or -1 end), sees = long })
mistake("loss-shifted-twice", "the targets are shifted once more: each logit is scored with the target after its own", "^v",
  { loss = other_targets(function(row, t) return row[t + 1] or -1 end), sees = long })

-- ---- embedding and head ----

local function embedding(g) return g["grad.emb.weight"] and "grad.emb.weight" or "grad.tok_emb.weight" end
local function tied(g) return g[embedding(g)] + g["grad.head.weight"] end
mistake("tied-gradient", "embedding and head get the sum of their gradients, as if they were one (tied)", "^v",
  { gradients = function(g) return { [embedding(g)] = tied(g), ["grad.head.weight"] = tied(g) } end })
mistake("tied-gradient-embedding", "the embedding gets the head's gradient too, as if they were one (tied)", "^v",
  { gradients = function(g) return { [embedding(g)] = tied(g) } end })

return list
