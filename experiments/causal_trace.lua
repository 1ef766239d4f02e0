-- Where is a pair kept until it is asked for? MQAR with one value exchanged, and one part of one layer's state put right after one token:
-- causal tracing, as figure 9 of arXiv:2305.13048 does it with a fact of a language model.
--   aviary experiments/causal_trace.lua [--scale quick|small|paper] [--models "v4 v7 mine"] [--seeds 1] [--jobs 2]
-- Writes below runs/causal_trace: causal_trace.tsv, with a row for each part, layer and token (part = final), and
-- causal_trace.figure.tsv, which plots/causal_trace.gp draws, a panel a model and seed. Predicted: in one layer's memory, from the token of
-- the value on, and nowhere else: a token shift brings key and value together, and is over with the next token.
local rwkv = require "rwkv"
local causal_trace = require "experiments.measure.causal_trace"
local models = require "experiments.models"
local mqar = require "experiments.tasks.mqar"

local o = models.options(arg, { models = "v4 v5.2 v6 v7 attention", seeds = 0 })
local s = rwkv.experiment.scale(o, {
  quick = { layers = 2, dim = 64, seq = 32, pairs = 4, vocab = 64, lr = 3e-3, examples = 30000, every = 3000, questions = 100, seeds = 1 },
  small = { layers = 2, dim = 64, seq = 32, pairs = 4, vocab = 64, lr = 3e-3, examples = 100000, every = 5000, questions = 500, seeds = 3 },
  paper = { layers = 12, dim = 256, seq = 512, pairs = 64, vocab = 8192, lr = 1e-3, examples = 6400000, every = 100000, questions = 500,
    seeds = 1 },
})
local pair = s.pairs // 2

local note = ("MQAR, T=%d, K=%d, V=%d, filler 0; %d layers, d=%d, one head; at most %d examples, batch 64, lr %g; pair %d, %d examples asked")
  :format(s.seq, s.pairs, s.vocab, s.layers, s.dim, s.examples, s.lr, pair, s.questions)
local rows, path = rwkv.experiment.run { name = "causal_trace", options = o, keep_models = false,
  configs = rwkv.product({ { "model", models.pick(o.models) }, { "seed", rwkv.seeds(o.seeds > 0 and o.seeds or s.seeds) } },
    { layers = s.layers, dim = s.dim, head_size = math.min(64, s.dim), vocab = s.vocab, seq = s.seq, pairs = s.pairs, filler = "zero",
      tied = 1, lr = s.lr, batch = 64, examples = s.examples, every = s.every, tests = 500, schedule = "cosine", weight_decay = 0.1,
      questions = s.questions, pair = pair }),
  task = mqar.of,
  stop = function(row) return row.accuracy > 0.99 end,
  final = function(model, test, c)
    local found, whole = causal_trace(model, test, c.pair, c.questions)
    for _, row in ipairs(found) do row.clean, row.wrong = whole.clean, whole.wrong end
    return found
  end,
  note = note }

rwkv.experiment.figure(path, { "label", "seed", "layer", "restored", "after", "mean", "clean", "wrong", "parameters", "commit" },
  rwkv.summary(rows, { by = { "label", "seed", "layer", "restored", "after" }, part = "final", value = "probability",
    also = { "clean", "wrong" } }), note)
