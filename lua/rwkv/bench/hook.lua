-- aviary bench hook: what a hook in Lua costs. A training step of a version with its own decay, and with the same decay
-- written in Lua, in turn; the medians and the median of the ratios of neighbouring steps. The last line: overhead=...%
local rwkv = require "rwkv"
local common = require "rwkv.bench.common"
local median = require "rwkv.statistics".median

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

local function trainer(o, hooks)
  local model = rwkv.model { version = o.version, layers = o.layers, dim = o.dim, head_size = math.min(64, o.dim),
    vocab = o.vocab, seed = 1, hooks = hooks }
  local opt = rwkv.adamw(model, { lr = 1e-4 })
  local tokens = common.random_tokens(o.batch, o.seq, o.vocab)
  return common.stepper(model, opt, tokens, tokens)
end

return function(arguments)
  local o = common.options(arguments, { version = "v7", dim = 128, seq = 256, batch = 16, layers = 2, vocab = 256,
    steps = 30, threads = rwkv.threads() })
  local hook = in_lua[o.version] or common.fail("no decay in Lua for %s; there is one for v4, v5.2, v6, v7", o.version)
  hook.kind, hook.name = "decay", "in-lua"
  local own, lua = trainer(o), trainer(o, { decay = rwkv.hook(hook) })
  local times, ratios = { {}, {} }, {}
  local bar = rwkv.progress("hook", o.steps + 2, "steps")
  for step = 1, o.steps + 2 do
    local a, b
    if step % 2 == 0 then a, b = own(), lua() else b, a = lua(), own() end -- neither is always the first
    if step > 2 then
      times[1][#times[1] + 1], times[2][#times[2] + 1], ratios[#ratios + 1] = a, b, b / a
    end
    bar:update(step)
  end
  if rwkv.is_terminal() then bar:finish() end
  print(("%s, dim %d, T %d, batch %d, %d layers: a step %.1f ms, with its decay in Lua %.1f ms (medians of %d)"):format(
    o.version, o.dim, o.seq, o.batch, o.layers, 1e3 * median(times[1]), 1e3 * median(times[2]), o.steps))
  print(("overhead=%.2f%%"):format(100 * (median(ratios) - 1)))
end
