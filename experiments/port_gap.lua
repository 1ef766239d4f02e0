-- What the known differences of public ports of RWKV-7 cost in training, one by one, on text and on recall (MQAR).
-- A public comparison (github.com/YS-Tang/RWKV-FLA-comparison: 12 layers, d=768, V=65536, minipile, 2000 steps of 48 x 512) has the
-- official program at 2.965, flash-linear-attention's time mixing in it at 3.018 with the official initial values and at 3.670
-- without. By its code the last one never loads a start: embedding, head and the key of channel mixing stay as PyTorch's constructors
-- left them (the second arm), while fla's time mixing starts as the official one. And the optimizer knows parameters by their
-- official names: under fla's w0 has the single rate and the low-rank matrices are decayed.
-- Predicted: an embedding from N(0, 1) and the starts of early 2025 cost much, the rest little.
--   make text; aviary experiments/port_gap.lua [--scale quick|small|paper] [--text FILE] [--jobs 2]
-- Writes below runs/port_gap: port_gap.tsv and port_gap.figure.tsv, which plots/port_gap.gp draws.
local rwkv = require "rwkv"
local arms = require "experiments.measure.arms"
local initial = require "experiments.measure.initial"

local o = rwkv.experiment.options(arg, { text = "" })
local s = rwkv.experiment.scale(o, arms.scales {
  quick = { examples = 800, words_examples = 300, words_lr = 1e-3, words_vocab = 4096 }, -- too short for recall
  small = { examples = 4800, words_examples = 2400, words_lr = 1e-3, words_vocab = 4096, mqar_examples = 16000, mqar_lr = 3e-3 },
  paper = { words_examples = 96000, words_lr = 6e-4, words_vocab = 32768, mqar_examples = 160000, mqar_lr = 3e-3 },
})

-- ---- the differences ----

local function norm(name, eps)
  return rwkv.hook { kind = "norm", name = name,
    params = function(d) return { scale = { d.A, init = "ln_x" }, bias = { d.A } } end,
    apply = function(y, p, d) return y:group_norm(d.H, p.scale, p.bias, eps(d)) end }
end

-- The log-decay of z = w0 + tanh(x w1) w2.
local function decay(name, rate, log_decay)
  return rwkv.hook { kind = "decay", name = name,
    params = function(d) return { w0 = { d.A, init = "decay_v7", lr = rate }, w1 = { d.C, d.decay_rank, init = 0 },
      w2 = { d.decay_rank, d.A, init = "orthogonal_wide", gain = 0.1 } } end,
    apply = function(x, p) return log_decay(p.w0 + x:matmul(p.w1):tanh():matmul(p.w2)) end }
end
local function official(z) return -math.exp(-0.5) * z:sigmoid() end
local function unbounded(z) return -(z - 0.5):exp() end             -- where z is far below 0 it is the official one
local function clamped(z) return -(z:minimum(0) - 0.5):exp() end    -- the same bound, but no slope beyond it

local starts = {
  naive = function(model, c) initial.naive(model, rwkv.rng(c.seed, "naive")) end,
  constructors = function(model, c) initial.constructors(model, rwkv.rng(c.seed, "constructors")) end,
  ["fla 2025"] = function(model, c) initial.fla_early(model, rwkv.rng(c.seed, "fla 2025")) end,
  ["no removal"] = function(model) initial.no_removal(model) end,
}

local of_all = {
  { label = "official" },
  { label = "embedding N(0, 1), PyTorch's head", start = "constructors" },
  { label = "all matrices N(0, 0.02²), mixes 1/2", start = "naive" },
  { label = "fla's start until April 2025", start = "fla 2025" },
  { label = "removal key starts at 0 (k_k = 0)", start = "no removal" },
  { label = "w0 at the single rate", hooks = { decay = decay("single-rate", 1, official) } },
  { label = "decay without a bound", hooks = { decay = decay("unbounded", 2, unbounded) } },
  { label = "decay clamped hard", hooks = { decay = decay("clamped", 2, clamped) } },
  { label = "no value residual", hooks = { value_residual = "none" } },
  { label = "no norm of the embedding (ln0)", hooks = { embed_norm = "none" } },
  { label = "eps of the group norm 1e-5", hooks = { norm = norm("eps-1e-5", function() return 1e-5 end) } },
}
-- On recall mqar_init has the first two of these, and with heads of 64 the third is the official one.
local of_bytes = {
  { label = "weight decay on everything", decay_all = true },
  { label = "eps of Adam 1e-8", eps = 1e-8 },
  { label = "eps of the group norm 1e-5 × head size", hooks = { norm = norm("eps-by-head", function(d) return 1e-5 * d.N end) } },
  { label = "low ranks as in fla: 64 64 16 128", decay_rank = 64, iclr_rank = 64, value_rank = 16, gate_rank = 128 },
}

local function panel(title, task, first, more)
  return { panel = title, task = task, version = "v7", settings = { eps = 1e-18 },
    arms = table.move(more, 1, #more, #first + 1, { table.unpack(first) }) }
end
local panels = { panel("text: bytes", "text", of_all, of_bytes),
  panel(("text: %d words"):format(s.words_vocab), "words", { table.unpack(of_all, 1, 6) }, {}) }
if s.mqar_examples then panels[3] = panel("recall (MQAR)", "mqar", of_all, {}) end

arms.run { name = "port_gap", options = o, scale = s, starts = starts, panels = panels,
  note = "RWKV-7, one difference of public ports in each arm; eps of Adam 1e-18" }
