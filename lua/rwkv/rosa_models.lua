-- The models with ROSA layers that RWKV-LM has in RWKV-v8/: a file's tensors under their official names -> what it computes.
--   rosa_models.load(path) -> { kind =, logits = function(tokens [B,T] lists) -> [B,T,V] }
--     "counting": 251016_rosa_1bit_run.py, 251018_rosa_4bit_run.py       "reverse": 251105_reverse_run.py, 260123_reverse_run.py
--     "language model": 260212_rosa1bitLM_L12.py, 260222_rosa4bitLM_L12.py; bits says which, as no shape tells: 1 or 4
-- A language model is v7 with another time mixing, so it has `model` as well, which trains.
local core = require "rwkv.core"
local models = require "rwkv.models"
local visible = require "rwkv.visible"

local rosa_models = {}

-- What followed the last time that the tokens went on as they did just now, after each token; -1 where nothing did. list [T]
function rosa_models.next_tokens(list)
  for i, id in ipairs(list) do
    if math.type(id) ~= "integer" or id < 0 then
      error(("next_tokens: entry %d is %s, expected a whole number from 0"):format(i, tostring(id)), 2)
    end
  end
  local runs, next_ones = {}, {}
  for i = 1, #list do
    local longest, at = 0, nil
    for e = i, 1, -1 do -- the latest of equal ones comes first
      runs[e] = list[e] == list[i] and (runs[e - 1] or 0) + 1 or 0
      if e < i and runs[e] > longest then longest, at = runs[e], e end
    end
    next_ones[i] = at and list[at + 1] or -1
  end
  return next_ones
end

local function linear(p, name, x) return x:linear(p[name .. ".weight"], p[name .. ".bias"]) end
local function norm(p, name, x) return x:layer_norm(p[name .. ".weight"], p[name .. ".bias"], 1e-5) end
local function flat(x) return x:reshape(-1) end

-- ---- counting ----

-- The rows for what followed, zeros where nothing did.
local function embed_next(rows, tokens)
  local found, mask = {}, {}
  for b, list in ipairs(tokens) do
    found[b], mask[b] = rosa_models.next_tokens(list), {}
    for t, id in ipairs(found[b]) do
      mask[b][t] = { id < 0 and 0 or 1 }
      found[b][t] = math.max(id, 0)
    end
  end
  return rows:embed(core.tokens(found)) * core.tensor(mask)
end

local function counting(p)
  local bits, none = 1, "zero"
  if p["rosa3.emb0"] then bits, none = 4, "low" end
  return function(tokens)
    local x = p["e.weight"]:embed(core.tokens(tokens)) + embed_next(p["emb_rosa.emb.weight"], tokens)
    for i, map in ipairs { "lin", "lin1", "lin2", false } do
      local name = "rosa" .. i
      if not p[name .. ".emb0"] then break end
      x = x + core.rosa_self(x, flat(p[name .. ".emb0"]), flat(p[name .. ".emb1"]), bits, none)
      if map and p[map .. ".weight"] then x = x + linear(p, map, x) end
    end
    return linear(p, "o", x)
  end
end

-- ---- RWKV-7 and ROSA side by side ----

local function before(x) return (x:shift(core.zeros(x:size(1), x:size(3)))) end
local function mix(x, prev, mu) return x:lerp(prev, flat(mu)) end

local function rosa_qkv(p, name, x)
  local prev = before(x)
  local function map(s) return linear(p, name .. "." .. s, mix(x, prev, p[name .. ".x_" .. s])) end
  local emb = flat(p[name .. ".rosa_qkv.emb"])
  return linear(p, name .. ".o", (core.rosa(map "q", map "k", map "v", -emb, emb, 1, "low")))
end

local function time_mix(p, name, x, first)
  local function of(s) return p[name .. "." .. s] end
  local prev, z = before(x), {}
  for _, s in ipairs { "r", "w", "k", "v", "a", "g" } do z[s] = mix(x, prev, of("x_" .. s)) end
  local function low(s, y, f)
    y = y:matmul(of(s .. "1"))
    return (f and f(y) or y):matmul(of(s .. "2"))
  end
  local B, T, C, H = x:size(1), x:size(2), x:size(3), of("r_k"):size(1)
  local r, k, v = z.r:linear(of "receptance.weight"), z.k:linear(of "key.weight"), z.v:linear(of "value.weight")
  local w = (flat(of "w0") + low("w", z.w, function(y) return y:tanh() end)):sigmoid() * -math.exp(-0.5)
  local a = (flat(of "a0") + low("a", z.a)):sigmoid()
  local g = low("g", z.g, function(y) return y:sigmoid() end)
  first.v = first.v or v
  if first.v ~= v then v = v + (first.v - v) * (flat(of "v0") + low("v", z.v)):sigmoid() end
  local kappa = (k * flat(of "k_k")):l2norm(H, 1e-12)
  k = k * (1 + (a - 1) * flat(of "k_a"))
  local y = core.wkv7(r, w, k, v, -kappa, kappa * a, core.zeros(B, H, C // H, C // H))
  y = y:group_norm(H, of "ln_x.weight", of "ln_x.bias", 64e-5)
  local function heads(t) return t:reshape(B, T, H, -1) end
  y = y + ((heads(r) * heads(k) * of "r_k"):sum(-1, true) * heads(v)):reshape(B, T, C)
  return (y * g):linear(of "output.weight")
end

local function channel_mix(p, name, x)
  return mix(x, before(x), p[name .. ".x_k"]):linear(p[name .. ".key.weight"]):relu2():linear(p[name .. ".value.weight"])
end

local function reverse(p)
  return function(tokens)
    local x, first, i = p["e.weight"]:embed(core.tokens(tokens)), {}, 1 -- no ln0
    while p[("ln%da.weight"):format(i)] do
      local a = time_mix(p, "rwkv" .. i, norm(p, ("ln%da"):format(i), x), first)
      x = x + a + rosa_qkv(p, "rosa" .. i, norm(p, ("ln%dc"):format(i), x))
      x = x + channel_mix(p, "ffn" .. i, norm(p, ("ln%db"):format(i), x))
      i = i + 1
    end
    return linear(p, "o", norm(p, "lno", x))
  end
end

-- ---- language models ----

local function language_model(p, bits)
  local mixer = bits == 4 and "rosa_4bit" or "rosa"
  local layers, vocab, dim = 0, p["emb.weight"]:size(1), p["emb.weight"]:size(2)
  while p[("blocks.%d.ln3.weight"):format(layers)] do layers = layers + 1 end
  local model = models.model { version = "v7", layers = layers, dim = dim, vocab = vocab, head_size = dim,
    dim_ffn = p["blocks.0.ffn.key.weight"]:size(1), hooks = { time_mix = mixer } }
  for name, t in model:parameters() do
    local official = name:gsub("%.ln1%.", ".ln3."):gsub("%.att%.time_mix%." .. mixer .. "%.", ".rosa."):gsub("%.rosa%.emb$",
      ".rosa.rosa_qkv.emb")
    if not p[official] then error("the file lacks " .. visible.line(official), 0) end
    t:set(p[official]:reshape(t:shape()))
  end
  return model
end

-- ---- files ----

function rosa_models.load(path, bits)
  local p = {}
  for name, e in pairs(core.load_tensors(path)) do p[name] = e.value end
  if bits and not p["blocks.0.rosa.rosa_qkv.emb"] then error(visible.line(path) .. ": no language model, so no bits are to be said", 0) end
  if p["emb_rosa.emb.weight"] then return { kind = "counting", logits = counting(p) } end
  if p["rosa1.rosa_qkv.emb"] then return { kind = "reverse", logits = reverse(p) } end
  if not p["blocks.0.rosa.rosa_qkv.emb"] then
    error(visible.line(path) .. ": no model with ROSA layers: it has neither emb_rosa.emb.weight nor rosa1.rosa_qkv.emb nor "
      .. "blocks.0.rosa.rosa_qkv.emb", 0)
  end
  if bits ~= 1 and bits ~= 4 then error(visible.line(path) .. ": a language model; bits must be 1 or 4", 0) end
  local model = language_model(p, bits)
  return { kind = "language model", model = model, logits = function(tokens) return (model:forward(tokens)) end }
end

return rosa_models
