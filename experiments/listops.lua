-- ListOps from scratch: the value of nested lists of digits, one answer a sequence. RWKV's line of the Long Range Arena is in
-- arXiv:2305.13048, Table 4; ours are short expressions. Two guesses stand beside the models: the most frequent value, and the most
-- frequent one by the outermost operator. Who is above the second has looked inside. Predicted: RWKV above attention.
--   aviary experiments/listops.lua [--scale quick|small|paper] [--models "v4 v7 mine"] [--seeds 3] [--jobs 2]
-- Writes below runs/listops: listops.tsv, all curves, and listops.figure.tsv, the curves of the best learning rates, accuracy by the
-- number of lists, and the guesses, which plots/listops.gp draws.
local rwkv = require "rwkv"
local models = require "experiments.models"
local rates = require "experiments.rates"
local listops = require "experiments.tasks.listops"

local o = models.options(arg, { models = "", seeds = 0 })
local s = rwkv.experiment.scale(o, {
  quick = { models = "v4 v7 attention", low = 4, high = 16, depth = 3, arguments = 5, layers = 2, dim = 32, head_size = 16,
    lr = { 5e-3 }, lr_of_vectors = { 1e-2 }, lr_of_attention = { 2e-3 }, seeds = 1, batch = 32, examples = 12800, every = 3200,
    tests = 500 },
  small = { models = "v4 v6 v7 attention", low = 8, high = 24, depth = 3, arguments = 5, layers = 2, dim = 64, head_size = 32,
    lr = { 3e-3 }, lr_of_vectors = { 5e-3 }, lr_of_attention = { 1e-3 }, seeds = 2, batch = 32, examples = 72000, every = 6000,
    tests = 1000 },
  paper = { models = "v4 v5.2 v6 v7 attention mamba deltanet", low = 500, high = 2000, depth = 10, arguments = 10, layers = 6, dim = 512,
    head_size = 64, lr = { 3e-4, 1e-3 }, lr_of_vectors = { 3e-4, 1e-3 }, lr_of_attention = { 3e-4, 1e-3 }, seeds = 3, batch = 32,
    examples = 960000, every = 48000, tests = 2000 },
})

-- Accuracy by the number of lists: of 1, 2, .. lists, and in the last row of all that have as many or more.
local function by_lists(model, task, count)
  local most, asked, right = 6, {}, {}
  for first = 1, count, 50 do
    local inputs, targets = task:batch(first, math.min(50, count - first + 1))
    local best = rwkv.no_grad(function() return (model:forward(inputs)):argmax() end)
    inputs, targets = inputs:tolist(), targets:tolist()
    for b, row in ipairs(inputs) do
      local n = math.min(listops.lists(row), most)
      for t, target in ipairs(targets[b]) do
        if target >= 0 then
          asked[n] = (asked[n] or 0) + 1
          right[n] = (right[n] or 0) + (best[(b - 1) * #row + t] == target and 1 or 0)
        end
      end
    end
  end
  local rows = {}
  for n = 1, most do
    if asked[n] then rows[#rows + 1] = { lists = n, accuracy = right[n] / asked[n], count = asked[n] } end
  end
  return rows
end

local compared = rates.each(models.pick(o.models ~= "" and o.models or s.models), s)
local note = ("ListOps: %d to %d tokens, lists up to %d deep with up to %d arguments; %d layers, d=%d, heads of %d, batch %d, %d "
  .. "examples, lr %s, of v1 to v4 %s, of attention %s"):format(s.low, s.high, s.depth, s.arguments, s.layers,
  s.dim, s.head_size, s.batch, s.examples, table.concat(s.lr, ", "),
  table.concat(s.lr_of_vectors, ", "), table.concat(s.lr_of_attention, ", "))
local rows, path = rwkv.experiment.run { name = "listops", options = o, keep_models = false,
  configs = rwkv.product({ { "model", compared }, { "seed", rwkv.seeds(o.seeds > 0 and o.seeds or s.seeds) } },
    { low = s.low, high = s.high, seq = s.high, depth = s.depth, arguments = s.arguments, vocab = listops.vocab, layers = s.layers,
      dim = s.dim, head_size = s.head_size, set = 96000, beta2 = 0.999, weight_decay = 0.1, clip = 1,
      warmup = s.examples // s.batch // 20, schedule = "cosine", batch = s.batch, examples = s.examples, every = s.every,
      tests = s.tests }),
  task = listops.of,
  final = function(model, test, c) return by_lists(model, test, c.tests) end,
  note = note }

local best = rwkv.best(rows, { over = "lr", by = { "label" } })
local drawn = rwkv.summary(best, { by = { "label", "examples" }, keep = { "lr" }, each = true })
for _, row in ipairs(drawn) do row.measured = "curve" end
for _, row in ipairs(rwkv.summary(best, { by = { "label", "lists" }, part = "final", keep = { "lr", "count" }, each = true })) do
  row.measured = "lists"
  drawn[#drawn + 1] = row
end
-- Guesses, in the test and in one as the Long Range Arena draws it.
local _, test = listops.of { low = s.low, high = s.high, depth = s.depth, arguments = s.arguments, seed = 0, set = 96000 }
local arena = listops.new { low = 501, high = 1999, depth = 10, arguments = 10, seed = 7 }
for _, t in ipairs { { "guess", test, s.tests }, { "arena", arena, 2000 } } do
  local value, by_operator = listops.guesses(t[2], t[3])
  for _, guess in ipairs { { "guess: most frequent value", value }, { "guess: the same by outermost operator", by_operator } } do
    drawn[#drawn + 1] = { label = guess[1], measured = t[1], count = t[3], median = guess[2], commit = drawn[1].commit }
  end
end
rwkv.experiment.figure(path, { "label", "measured", "examples", "lists", "count", "median", "low", "high", "runs", "seed", "value",
  "lr", "parameters", "state_floats", "commit" }, drawn, note)
