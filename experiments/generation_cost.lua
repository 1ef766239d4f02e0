-- Seconds and memory of generating a text, against how many tokens of it there are, as whole models of one size: Figure 7 of
-- arXiv:2305.13048 (EMNLP version). No model is trained: what the numbers are does not matter to the time.
--   aviary experiments/generation_cost.lua [--scale quick|small|paper] [--models "v4 v7 mine"] [--out DIR]
-- Writes OUT/generation_cost.figure.tsv; plots/generation_cost.gp draws it.
--
-- Predicted: RWKV's and Mamba's seconds are a straight line and their state has one size; attention's seconds are a curve, which with
-- a cache nears T^2, without one T^3, and its cache grows as T.
--
-- Every token is generated in earnest. A model whose state grows is measured without it, too: then each token is a pass over the whole
-- text, to `whole` tokens. The models take turns, `every` tokens each, so that a disturbance meets all. One thread, whose time of the
-- processor is counted (os.clock); on a device the clock on the wall.
local rwkv = require "rwkv"
local others = require "rwkv.bench.others"
local median = require "rwkv.statistics".median
local models = require "experiments.models"
local costs = require "experiments.measure.costs"
local generation = require "experiments.measure.generation"

local o = models.options(arg, { models = "v4 v7 attention mamba" }, true)
local s = rwkv.experiment.scale(o, {
  smoke = { layers = 1, dim = 16, head_size = 8, vocab = 32, tokens = 32, whole = 16, every = 8, tries = 2 },
  quick = { layers = 2, dim = 128, head_size = 64, vocab = 256, tokens = 1024, whole = 256, every = 32, tries = 3 },
  small = { layers = 4, dim = 256, head_size = 64, vocab = 256, tokens = 8192, whole = 512, every = 64, tries = 2 },
  paper = { layers = 32, dim = 2560, head_size = 64, vocab = 50277, tokens = 1024, whole = 1024, every = 16, tries = 3 },
})
for _, name in ipairs { "tokens", "whole" } do
  if s[name] % s.every ~= 0 then error(("%s %d: expected a multiple of every, which is %d"):format(name, s[name], s.every), 0) end
end
rwkv.threads(1)

-- { label =, model =, cache = 1 or 0, tokens =, tries = { { seconds at every, at 2 every, .. }, .. } }
local runs, number = {}, tonumber(rwkv.precision:match "%d+") // 8
for _, m in ipairs(models.pick(o.models)) do
  local model = rwkv.model { version = m.version, layers = s.layers, dim = s.dim, head_size = s.head_size, vocab = s.vocab,
    ctx = s.tokens, hooks = m.hooks and rwkv.experiment.by_layer(m.hooks, s.layers), init = "uniform", seed = 1 }
  runs[#runs + 1] = { label = m.label, model = model, cache = 1, tokens = s.tokens, tries = {} }
  if model:state_floats(2) > model:state_floats(1) then
    runs[#runs + 1] = { label = m.label, model = model, cache = 0, tokens = s.whole, tries = {} }
  end
end

local total, done, before = 0, 0, others.counters()
for _, run in ipairs(runs) do total = total + run.tokens * s.tries end
local bar = rwkv.progress("generation_cost", total, "tokens")
for try = 1, s.tries do
  for _, run in ipairs(runs) do
    run.more = (run.cache == 1 and generation.carried or generation.whole)(run.model)
    run.tries[try] = {}
  end
  for at = s.every, math.max(s.tokens, s.whole), s.every do
    for _, run in ipairs(runs) do
      if at <= run.tokens then
        local list = run.tries[try]
        list[#list + 1] = (list[#list] or 0) + costs.seconds(function() run.more(s.every) end)
        done = done + s.every
        bar:update(done, ("%s at %d, try %d"):format(run.label, at, try))
      end
    end
  end
end
local share = others.share(before, others.counters())
bar:finish(("%d tokens"):format(total))

local rows = {}
for _, run in ipairs(runs) do
  local points = {}
  local function add(part, i, seconds, try)
    local T = i * s.every
    rows[#rows + 1] = { label = run.label, cache = run.cache, part = part, tokens = T, try = try, seconds = seconds,
      state_bytes = run.cache == 1 and run.model:state_floats(T) * number or nil, parameters = run.model:param_count() }
  end
  for i in ipairs(run.tries[1]) do
    local list = {}
    for try, seconds in ipairs(run.tries) do
      list[try] = seconds[i]
      add("try", i, seconds[i], try)
    end
    points[i] = { i * s.every, median(list) }
    add("median", i, points[i][2])
  end
  local last, exponent = points[#points], costs.growth(points)
  rows[#rows + 1] = { label = run.label, cache = run.cache, part = "growth", exponent = exponent, parameters = run.model:param_count() }
  print(("%-16s %-13s %5d tokens in %.2f s, seconds as T^%.2f"):format(run.label, run.cache == 1 and "" or "without cache",
    last[1], last[2], exponent or 0 / 0))
end

local path = rwkv.experiment.path(o, "generation_cost")
rwkv.experiment.figure(path, { "label", "cache", "part", "tokens", "try", "seconds", "state_bytes", "exponent", "parameters" }, rows,
  ("%d layers of width %d, V=%d, one sequence, greedy, one thread; seconds %s, median of %d tries; others took %.0f %% of the machine")
    :format(s.layers, s.dim, s.vocab, costs.clock, s.tries, 100 * (share or 0)))
print((path:gsub("tsv$", "figure.tsv")))
