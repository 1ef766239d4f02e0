-- aviary bench hook: what a hook in Lua costs. A training step of a version with its own decay, or its own recurrence, and
-- with the same written in Lua, in turn; the medians and the median of the ratios of neighbouring steps. The last line:
-- overhead=...%; of a recurrence also what reading a text costs.
local rwkv = require "rwkv"
local common = require "rwkv.bench.common"
local others = require "rwkv.bench.others"
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


-- The recurrences, a token at a time: they are recorded (lua/pages/hooks.md).
local function column(x) return x:unsqueeze(-1) end
local function row(x) return x:unsqueeze(-2) end
local function v6(now, s)
  local kv = column(now.k) * row(now.v)
  local y = (column(now.r) * (s.S + column(now.u) * kv)):sum(-2)
  s.S = s.S * column(now.w:exp()) + kv
  return y
end
local steps = {
  ["v5.2"] = { step = v6 }, v6 = { step = v6 },
  v7 = { step = function(now, s)
    local removed = (s.S * row(now.a)):sum(-1, true)
    s.S = s.S * row(now.w:exp()) + removed * row(now.b) + column(now.v) * row(now.k)
    return (s.S * row(now.r)):sum(-1)
  end },
}
local slots = { decay = in_lua, recurrence = steps }

-- Functions that take a step, or read the tokens, and return the seconds.
local function subject(o, hooks)
  local model = rwkv.model { version = o.version, layers = o.layers, dim = o.dim, head_size = math.min(o.head_size, o.dim),
    vocab = o.vocab, seed = 1, hooks = hooks }
  local parameters, held, at = model:parameters()
  local _, first = parameters(held, at)
  local opt = rwkv.adamw(model, { lr = 1e-4 })
  local tokens = common.random_tokens(o.batch, o.seq, o.vocab)
  local step = common.stepper(model, opt, tokens, tokens)
  local function timed(f)
    return function()
      local start = rwkv.time()
      f()
      rwkv.no_grad(function() return first:slice(1, 1, 1):sum():item() end) -- what waits is done once somebody looks
      return rwkv.time() - start
    end
  end
  return { train = timed(step), read = timed(function()
    rwkv.no_grad(function() model:forward(tokens, nil, { last = true }):sum():item() end)
  end) }
end

-- Medians of both, and of the ratios of neighbours; neither is always the first.
local function in_turn(name, own, lua, steps_of, tries)
  local bar = rwkv.progress(name, steps_of + 2, "steps")
  local quiet, times, ratios = others.measure(tries, function()
    local both, parts = { {}, {} }, {}
    for step = 1, steps_of + 2 do
      local a, b
      if step % 2 == 0 then a, b = own(), lua() else b, a = lua(), own() end
      if step > 2 then both[1][#both[1] + 1], both[2][#both[2] + 1], parts[#parts + 1] = a, b, b / a end
      bar:update(step)
    end
    return both, parts
  end)
  if rwkv.is_terminal() then bar:finish() end
  return quiet, 1e3 * median(times[1]), 1e3 * median(times[2]), median(ratios)
end

return function(arguments)
  local o = common.options(arguments, { version = "v7", slot = "decay", dim = 128, head_size = 64, seq = 256, batch = 16,
    layers = 2, vocab = 256, steps = 30, threads = rwkv.threads(), tries = others.most })
  local forms = slots[o.slot] or common.fail("option --slot: expected decay or recurrence, found '%s'", o.slot)
  local form = forms[o.version]
  if not form then
    local known = {}
    for version in pairs(forms) do known[#known + 1] = version end
    table.sort(known)
    common.fail("no %s in Lua for %s; there is one for %s", o.slot, o.version, table.concat(known, ", "))
  end
  form.kind, form.name = o.slot, "in-lua"
  local own, lua = subject(o), subject(o, { [o.slot] = rwkv.hook(form) })
  local quiet, a, b, ratio = in_turn("hook", own.train, lua.train, o.steps, o.tries)
  print(("%s, dim %d, T %d, batch %d, %d layers: a step %.1f ms, with its %s in Lua %.1f ms (medians of %d)"):format(
    o.version, o.dim, o.seq, o.batch, o.layers, a, o.slot, b, o.steps))
  common.say_others(quiet)
  if o.slot == "recurrence" then
    local c, d, reading
    quiet, c, d, reading = in_turn("read", own.read, lua.read, o.steps, o.tries)
    print(("reading %.1f ms, with its recurrence in Lua %.1f ms: overhead %.2f%%"):format(c, d, 100 * (reading - 1)))
    common.say_others(quiet)
  end
  print(("overhead=%.2f%%"):format(100 * (ratio - 1)))
end
