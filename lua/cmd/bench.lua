-- aviary bench hook [--version v7] [--dim 128] [--seq 256] [--batch 16] [--steps 30]
-- What a hook in Lua costs: a training step of a version with its own decay, and with the same decay written in Lua, in
-- turn. Prints the medians and the median of the ratios of neighbouring steps.
local rwkv = require "rwkv"

local o = rwkv.options(arg, { version = "v7", dim = 128, seq = 256, batch = 16, layers = 2, vocab = 256, steps = 30 })
if o[1] ~= "hook" then
  io.stderr:write "usage: aviary bench hook [--version v4|v5.2|v6|v7] [--dim N] [--seq N] [--batch N] [--steps N]\n"
  os.exit(1)
end

local function low_rank(d, init)
  return { w0 = { d.A, init = init, lr = 2 }, w1 = { d.C, d.decay_rank, init = 0 },
    w2 = { d.decay_rank, d.A, init = "orthogonal_wide", gain = 0.1 } }
end
local function constant(init)
  return { params = function(d) return { w = { d.A, init = init, lr = 2 } } end,
    apply = function(_, p) return -p.w:exp() end }
end
local in_lua = {
  v4 = constant "decay_v4", ["v5.2"] = constant "decay_v5",
  v6 = { params = function(d) return low_rank(d, "decay_v5") end,
    apply = function(x, p) return -(p.w0 + x:matmul(p.w1):tanh():matmul(p.w2)):exp() end },
  v7 = { params = function(d) return low_rank(d, "decay_v7") end,
    apply = function(x, p) return -math.exp(-0.5) * (p.w0 + x:matmul(p.w1):tanh():matmul(p.w2)):sigmoid() end },
}
local hook = in_lua[o.version] or error(("bench hook: no decay in Lua for %s"):format(o.version), 0)
hook.kind, hook.name = "decay", "in-lua"

local function trainer(hooks)
  local model = rwkv.model { version = o.version, layers = o.layers, dim = o.dim, head_size = math.min(64, o.dim),
    vocab = o.vocab, seed = 1, hooks = hooks }
  local opt = rwkv.adamw(model, { lr = 1e-4 })
  local tokens, rng = {}, rwkv.rng(1)
  for b = 1, o.batch do
    tokens[b] = {}
    for t = 1, o.seq do tokens[b][t] = rng:integer(0, o.vocab - 1) end
  end
  tokens = rwkv.tokens(tokens)
  return function()
    local start = rwkv.time()
    local loss = model:loss(tokens, tokens)
    opt:zero_grad()
    loss:backward()
    opt:step()
    return rwkv.time() - start
  end
end

local function median(list)
  table.sort(list)
  return (list[(#list + 1) // 2] + list[#list // 2 + 1]) / 2
end

local own, lua = trainer(), trainer { decay = rwkv.hook(hook) }
local times, ratios = { {}, {} }, {}
for step = 1, o.steps + 2 do
  local a, b
  if step % 2 == 0 then a, b = own(), lua() else b, a = lua(), own() end -- neither is always the first
  if step > 2 then
    times[1][#times[1] + 1], times[2][#times[2] + 1], ratios[#ratios + 1] = a, b, b / a
  end
end
print(("%s, dim %d, T %d, batch %d, %d layers: a step %.1f ms, with its decay in Lua %.1f ms (medians of %d)"):format(
  o.version, o.dim, o.seq, o.batch, o.layers, 1e3 * median(times[1]), 1e3 * median(times[2]), o.steps))
print(("overhead=%.2f%%"):format(100 * (median(ratios) - 1)))
