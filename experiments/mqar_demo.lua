-- Recall: RWKV versions learn MQAR from the same examples with the same budget.
--   aviary experiments/mqar_demo.lua [--scale smoke|small] [--versions "v4 v7"] [--seed 0] [--out DIR]
-- Writes OUT/mqar_demo.tsv; plots/mqar_demo.gp draws it. What is finished is not run again; a run that
-- was stopped goes on from its last evaluation. DIR is below runs/, or below what aviary --output says.
local rwkv = require "rwkv"
local tsv = require "rwkv.tsv"
local mqar = require "experiments.tasks.mqar"

local o = rwkv.options(arg, { scale = "small", versions = "v1 v2 v3 v4 v5.0 v5.1 v5.2 v6 v7", seed = 0,
  out = "runs/mqar_demo" })
local scales = {
  smoke = { examples = 256, every = 128, tests = 50, dim = 32, vocab = 64, seq = 32, pairs = 4 },
  small = { examples = 16000, every = 2000, tests = 500, dim = 64, vocab = 256, seq = 64, pairs = 8 },
}
local s = scales[o.scale] or error(("--scale %s: expected smoke or small"):format(o.scale), 0)

local config = { layers = 2, dim = s.dim, head_size = s.dim, vocab = s.vocab, seq = s.seq, pairs = s.pairs,
  filler = "zero", batch = 64, examples = s.examples, lr = 3e-3, beta1 = 0.9, beta2 = 0.99, eps = 1e-8,
  weight_decay = 0.1, warmup_steps = 10, seed = o.seed }
local columns = { "version", "examples", "accuracy", "loss", "seed", "commit", "parameters", "state_floats",
  "layers", "dim", "head_size", "vocab", "seq", "pairs", "filler", "batch", "lr", "beta1", "beta2", "eps",
  "weight_decay", "warmup_steps", "backend", "seconds" }

local train = mqar.new{ vocab = s.vocab, seq = s.seq, pairs = s.pairs, random_filler = false, seed = 1000 + o.seed }
local test = mqar.new{ vocab = s.vocab, seq = s.seq, pairs = s.pairs, random_filler = false, seed = 7 }

local function test_accuracy(model)
  local correct, scored = 0, 0
  for first = 1, s.tests, 50 do
    rwkv.no_grad(function()
      local _, score = model:loss(test:batch(first, math.min(50, s.tests - first + 1)))
      correct, scored = correct + score.correct, scored + score.scored
    end)
  end
  return correct / scored
end

-- Trains one version; returns its rows. `path` without ending: of its results and its checkpoint.
local function run(version, path)
  local model = rwkv.model{ version = version, layers = config.layers, dim = config.dim,
    head_size = config.head_size, vocab = config.vocab, ctx = config.seq, seed = config.seed }
  local rows, seen, seconds = {}, 0, 0
  local function optimizer()
    return rwkv.adamw(model, { lr = config.lr, betas = { config.beta1, config.beta2 }, eps = config.eps,
      weight_decay = config.weight_decay, warmup = config.warmup_steps })
  end
  local opt = optimizer()
  local checkpoint = io.open(path .. ".checkpoint")
  if checkpoint then
    checkpoint:close()
    model = rwkv.load(path .. ".checkpoint")
    opt = optimizer()
    opt:restore(path .. ".checkpoint")
    rows, seen = tsv.read(path .. ".partial"), opt:steps() * config.batch
    while rows[#rows].examples > seen do rows[#rows] = nil end -- stopped between the two files
    seconds = rows[#rows].seconds
  end

  local function record(loss)
    local row = { version = version, examples = seen, accuracy = test_accuracy(model), loss = loss,
      commit = rwkv.commit, parameters = model:param_count(), state_floats = model:state_floats(config.seq),
      backend = rwkv.backend(), seconds = seconds }
    for name, value in pairs(config) do row[name] = row[name] or value end
    rows[#rows + 1] = row
    return row
  end

  local bar = rwkv.progress(version, config.examples, "examples", seen)
  local start, sum, steps = rwkv.time() - seconds, 0, 0
  if seen == 0 then record(math.log(config.vocab)) end
  while seen < config.examples do
    local loss = model:loss(train:batch(seen + 1, config.batch))
    opt:zero_grad()
    loss:backward()
    opt:step()
    seen, sum, steps = seen + config.batch, sum + loss:item(), steps + 1
    bar:update(seen, ("loss %.3f"):format(sum / steps))
    if seen // s.every > (seen - config.batch) // s.every or seen >= config.examples then
      seconds = rwkv.time() - start
      record(sum / steps)
      sum, steps = 0, 0
      if seen < config.examples then
        tsv.write(path .. ".partial", columns, rows)
        model:save(path .. ".checkpoint", { optimizer = opt })
      end
    end
  end
  bar:finish(("accuracy %.3f, loss %.3f, %d parameters, state %d floats"):format(rows[#rows].accuracy,
    rows[#rows].loss, model:param_count(), model:state_floats(config.seq)))
  return rows
end

-- A finished run is one file, named by everything that decides its numbers.
local function key(version)
  local parts = {}
  for name, value in pairs(config) do parts[#parts + 1] = name .. "=" .. tostring(value) end
  table.sort(parts)
  local hash = 5381
  for c in (table.concat(parts, " ") .. rwkv.commit .. rwkv.backend()):gmatch "." do
    hash = (hash * 33 + c:byte()) & 0xffffffff
  end
  return ("%s-%08x"):format(version, hash)
end

rwkv.mkdir(o.out)
local all = {}
for version in o.versions:gmatch "%S+" do
  local path = o.out .. "/" .. key(version)
  local rows = tsv.read(path .. ".tsv")
  if rows then
    io.stderr:write(("%-10s accuracy %.3f (finished before: %s.tsv)\n"):format(version, rows[#rows].accuracy, path))
  else
    rows = run(version, path)
    if not rwkv.commit:find "+" then tsv.write(path .. ".tsv", columns, rows) end
    os.remove(path .. ".checkpoint")
    os.remove(path .. ".partial")
  end
  for _, row in ipairs(rows) do all[#all + 1] = row end
end

local c = config
tsv.write(o.out .. "/mqar_demo.tsv", columns, all, {
  ("aviary experiments/mqar_demo.lua --scale %s --seed %d (commit %s, %s kernels, %s)"):format(o.scale, o.seed,
    rwkv.commit, rwkv.backend(), rwkv.precision),
  ("MQAR: T=%d, K=%d pairs, V=%d, filler 0; %d layers, d=%d, batch %d, AdamW lr %g, weight decay %g on matrices")
    :format(c.seq, c.pairs, c.vocab, c.layers, c.dim, c.batch, c.lr, c.weight_decay) })
