-- The models that are looked into: RWKV-4, 5.2, 6 and 7 trained on the bytes of a text, once for all figures that need them.
--     local o = small.options(arg, { mine = 1 })
--     local runs, text = small.train(o)     -- runs: a list of { label =, seed =, model =, loss = }
--     text.held(first, count)               -- bytes of the last tenth, which nobody was trained on: a list, first from 1
--
-- Without the file that --text names the text is an invented language, so that everything can be run at once: words with
-- frequencies as 1/rank, of which each prefers a few others after it.
local rwkv = require "rwkv"
local models = require "experiments.models"

local small = {}

function small.options(arguments, mine)
  local all = { models = "v4 v5.2 v6 v7", text = "build/bible.txt", trained = "runs/small_models", seeds = 0 }
  for name, value in pairs(mine or {}) do all[name] = value end
  return rwkv.experiment.options(arguments, all)
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

local function invented(bytes)
  local rng, words, parts, length, last = rwkv.rng(0, "invented language"), {}, {}, 0, 1
  for i = 1, 400 do
    local letters = {}
    for j = 1, rng:integer(2, 7) do letters[j] = string.char(96 + rng:integer(1, 26)) end
    words[i] = table.concat(letters)
  end
  while length < bytes do
    if rng:uniform() < 0.5 then
      last = (last * 7 + rng:integer(1, 3)) % #words + 1 -- one of three that this word prefers
    else
      last = math.floor((#words + 1) ^ rng:uniform())
    end
    parts[#parts + 1] = words[last] .. (rng:uniform() < 0.1 and ".\n" or " ")
    length = length + #parts[#parts]
  end
  return table.concat(parts)
end

-- { name =, train = string, held(first, count) = function, size = of what is held out }
function small.text(path)
  local file, text, name = io.open(path, "rb"), nil, path
  if file then
    text = file:read "a"
    file:close()
    if #text < 200000 then error(("--text %s: %d bytes, expected 200000 or more"):format(path, #text), 0) end
  else
    text, name = invented(1000000), "invented language"
    io.stderr:write(("%s is not there; the models learn an invented language\n"):format(path))
  end
  local cut = #text - #text // 10
  local held = text:sub(cut + 1)
  return { name = name, train = text:sub(1, cut), size = #held,
    held = function(first, count) return { held:byte(first, first + count - 1) } end }
end

-- Windows of `seq` bytes at random places; each byte's target is the next.
local function windows(text, seq, seed)
  return { batch = function(_, first, count)
    local inputs, targets = {}, {}
    for i = 1, count do
      local at = rwkv.rng(seed, first + i - 1):integer(1, #text - seq)
      inputs[i], targets[i] = { text:byte(at, at + seq - 1) }, { text:byte(at + 1, at + seq) }
    end
    return rwkv.tokens(inputs), rwkv.tokens(targets)
  end }
end

-- ---- training ----

function small.train(o)
  local s, text = rwkv.experiment.scale({ scale = o.scale }, scales), small.text(o.text) -- --set is for the figure
  if o.seeds > 0 then s.seeds = math.tointeger(o.seeds) end
  local held = string.char(table.unpack(text.held(1, 100000)))
  local rows = rwkv.experiment.run { name = "small_models", options = o, out = o.trained,
    configs = rwkv.product({ { "model", models.pick(o.models) },
      { "seed", rwkv.seeds(s.seeds) } },
      { layers = s.layers, dim = s.dim, head_size = s.head_size, vocab = 256, seq = s.seq, batch = s.batch,
        examples = s.examples, every = s.every, tests = s.tests, lr = 2e-3, warmup = 20, clip = 1, schedule = "cosine",
        final_lr = 0.1, weight_decay = 0.1, text = text.name }),
    task = function(c) return windows(text.train, c.seq, 1000 + c.seed), windows(held, c.seq, 7) end }
  local runs, found = {}, {}
  for _, row in ipairs(rows) do
    if not found[row.run] then
      found[row.run] = { label = row.label, seed = row.seed, path = row.model }
      runs[#runs + 1] = found[row.run]
    end
    found[row.run].loss = row.test_loss
  end
  for _, run in ipairs(runs) do run.model = rwkv.load(run.path) end
  text.note = ("%d layers, d=%d, heads of %d, %d sequences of %d bytes of %s"):format(s.layers, s.dim, s.head_size,
    s.examples, s.seq, text.name:match "[^/]+$")
  return runs, text, s
end

return small
