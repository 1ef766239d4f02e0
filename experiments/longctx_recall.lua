-- A needle in a haystack: trained on short texts, asked in texts up to 16 times as long, the needle at every depth. A small form
-- of the passkey tests of RWKV-7 (arXiv:2503.14456), from scratch.
--   aviary experiments/longctx_recall.lua [--scale quick|small|paper] [--models "v4 v7 mine"] [--seeds 3] [--jobs 2]
-- Writes below runs/longctx_recall: longctx_recall.tsv, with a row for a length and a depth (part = final), and
-- longctx_recall.figure.tsv, the mean over seeds, which plots/longctx_recall.gp draws.
local rwkv = require "rwkv"
local models = require "experiments.models"
local needle = require "experiments.tasks.needle"

local o = models.options(arg, { models = "v4 v5.2 v6 v7 attention", seeds = 0 })
local s = rwkv.experiment.scale(o, {
  quick = { dim = 64, seq = 64, examples = 25600, lr = 2e-3, seeds = 1, depths = 5, asked = 40 },
  small = { dim = 64, seq = 128, examples = 64000, lr = 2e-3, seeds = 2, depths = 9, asked = 100 },
  paper = { dim = 256, seq = 1024, examples = 640000, lr = 1e-3, seeds = 5, depths = 11, asked = 200 },
})

local note = ("4 digits of 10 after a mark, filler of 20 tokens; 2 layers, d=%d, trained on %d examples of %d tokens; %d answers a "
  .. "cell and seed"):format(s.dim, s.examples, s.seq, s.asked)
local rows, path = rwkv.experiment.run { name = "longctx_recall", options = o,
  configs = rwkv.product({ { "model", models.pick(o.models) }, { "seed", rwkv.seeds(o.seeds > 0 and o.seeds or s.seeds) } },
    { layers = 2, dim = s.dim, head_size = 64, vocab = 32, seq = s.seq, digits = 4, distractors = 0, batch = 64,
      examples = s.examples, every = s.examples // 10, tests = 200, lr = s.lr, schedule = "cosine", warmup = 10, clip = 1,
      depths = s.depths, asked = s.asked }),
  task = needle.of,
  final = function(model, test, c)
    local list = {}
    for _, times in ipairs { 1, 2, 4, 8, 16 } do
      for d = 1, c.depths do
        local depth = (d - 1) / (c.depths - 1)
        local task, whole, single = test:at(times * c.seq, depth), 0, 0
        for first = 1, c.asked, 20 do
          local w, one = task:right(model, first, math.min(20, c.asked - first + 1), 512)
          whole, single = whole + w, single + one
        end
        list[#list + 1] = { length = times * c.seq, depth = depth, accuracy = whole / c.asked,
          digits_right = single / (c.asked * c.digits), count = c.asked }
      end
    end
    return list
  end,
  note = note }

local means = rwkv.summary(rows, { by = { "label", "length", "depth" }, part = "final",
  also = { "accuracy", "digits_right" }, keep = { "count", "seq" } })
rwkv.experiment.figure(path, { "label", "length", "depth", "accuracy", "low", "high", "digits_right", "count", "runs", "seq",
  "parameters", "commit" }, means, note)
