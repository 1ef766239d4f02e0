-- The models that are looked into: RWKV-4, 5.2, 6 and 7 trained on the bytes of a text, once for all figures that need them.
--     local o = small.options(arg, { mine = 1 })
--     local runs, read = small.train(o)     -- runs: a list of { label =, seed =, model =, loss = }
--     read.held(first, count)               -- bytes of the last tenth, which nobody was trained on: a list, first from 1
--
-- Without the file that --text names the text is an invented language, so that everything can be run at once.
local rwkv = require "rwkv"
local models = require "experiments.models"
local text = require "experiments.tasks.text"

local small = {}

function small.options(arguments, mine)
  local all = { models = "v4 v5.2 v6 v7", text = "build/bible.txt", trained = "runs/small_models", seeds = 0 }
  for name, value in pairs(mine or {}) do all[name] = value end
  return models.options(arguments, all)
end

local scales = {
  smoke = { layers = 2, dim = 32, head_size = 16, seq = 32, batch = 4, examples = 8, every = 8, tests = 2, seeds = 1 },
  quick = { layers = 4, dim = 64, head_size = 32, seq = 256, batch = 8, examples = 2000, every = 400, tests = 50,
    seeds = 1 },
  small = { layers = 4, dim = 64, head_size = 32, seq = 512, batch = 8, examples = 5000, every = 1000, tests = 100,
    seeds = 2 },
  paper = { layers = 12, dim = 256, head_size = 64, seq = 512, batch = 16, examples = 100000, every = 5000, tests = 200,
    seeds = 1 },
}

-- ---- the text ----

-- { name =, path =, cut = where the last tenth begins, size = its bytes, held(first, count) = function }. A text that has to be
-- invented is written into the folder.
function small.text(path, folder)
  local file, name = io.open(path, "rb"), path
  if file then
    file:close()
  else
    io.stderr:write(("%s is not there; the models learn an invented language\n"):format(path))
    path, name = folder .. "/invented.txt", "invented language"
    rwkv.mkdir(folder)
    text.invent(path, 1000000)
  end
  local all = text.new { path = path, seq = 1 }
  if all.to < 200000 then error(("--text %s: %d bytes, expected 200000 or more"):format(path, all.to), 0) end
  local cut = all.to - all.to // 10
  return { name = name, path = path, cut = cut, size = all.to - cut,
    held = function(first, count) return all:bytes(cut + first - 1, count) end }
end

-- ---- training ----

function small.train(o)
  local s, read = rwkv.experiment.scale({ scale = o.scale }, scales), small.text(o.text, o.trained) -- --set is for the figure
  if o.seeds > 0 then s.seeds = math.tointeger(o.seeds) end
  local rows = rwkv.experiment.run { name = "small_models", options = o, out = o.trained,
    configs = rwkv.product({ { "model", models.pick(o.models) },
      { "seed", rwkv.seeds(s.seeds) } },
      { layers = s.layers, dim = s.dim, head_size = s.head_size, vocab = 256, seq = s.seq, batch = s.batch,
        examples = s.examples, every = s.every, tests = s.tests, lr = 2e-3, warmup = 20, clip = 1, schedule = "cosine",
        final_lr = 0.1, weight_decay = 0.1, text = read.name }),
    task = function(c)
      return text.new { path = read.path, to = read.cut, seq = c.seq, seed = 1000 + c.seed },
        text.new { path = read.path, from = read.cut, to = read.cut + math.min(read.size, 100000), seq = c.seq, seed = 7 }
    end }
  local runs, found = {}, {}
  for _, row in ipairs(rows) do
    if not found[row.run] then
      found[row.run] = { label = row.label, seed = row.seed, path = row.model }
      runs[#runs + 1] = found[row.run]
    end
    found[row.run].loss = row.test_loss
  end
  for _, run in ipairs(runs) do run.model = rwkv.load(run.path) end
  read.note = ("%d layers, d=%d, heads of %d, %d sequences of %d bytes of %s"):format(s.layers, s.dim, s.head_size,
    s.examples, s.seq, read.name:match "[^/]+$")
  return runs, read, s
end

return small
