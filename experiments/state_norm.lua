-- What is in the matrix states of RWKV-5.2, 6 and 7 while they read a long text: root mean square, largest entry, and stable
-- rank ||S||_F^2 / ||S||_2^2, against the position (appendix J of arXiv:2503.14456).
--   aviary experiments/state_norm.lua [--scale quick|small|paper] [--text FILE] [--models "v6 v7"] [--out DIR]
-- Writes OUT/state_norm.figure.tsv; plots/state_norm.gp draws it. The models are those of experiments/measure/small_models.lua;
-- they are trained once, and on shorter texts than they read here.
local rwkv = require "rwkv"
local matrix = require "experiments.measure.matrix"
local small = require "experiments.measure.small_models"
local quantile = require "experiments.measure.quantile"

local o = small.options(arg, { models = "v5.2 v6 v7" })
local s = rwkv.experiment.scale(o, {
  smoke = { longest = 64, streams = 2 },
  quick = { longest = 4096, streams = 4 },
  small = { longest = 16384, streams = 8 },
  paper = { longest = 65536, streams = 8 },
})
local runs, text, training = small.train(o)
local path = rwkv.experiment.path(o, "state_norm")

-- 1, 2, 3, 4, 6, 8, 12, 16, ..: the powers of two and what is half-way between
local positions, power = { 1 }, 2
while power <= s.longest do
  if power > 2 then positions[#positions + 1] = power * 3 // 4 end
  positions[#positions + 1] = power
  power = power * 2
end

local streams, size = {}, text.size // s.streams
if size < s.longest then error(("the text has %d bytes a stream, expected %d or more"):format(size, s.longest), 0) end
for i = 1, s.streams do streams[i] = text.held((i - 1) * size + 1, s.longest) end

local function next_tokens(first, last)
  local piece = {}
  for i, stream in ipairs(streams) do piece[i] = table.move(stream, first, last, 1, {}) end
  return rwkv.tokens(piece)
end

local names = { "rms", "largest", "stable_rank" }
local found, order = {}, {} -- numbers by model, position and layer, of all streams, heads and seeds

local function keep(label, position, layer, numbers)
  local key = ("%s %d %s"):format(label, position, layer)
  if not found[key] then
    found[key] = { label = label, position = position, layer = layer, trained = training.seq, {}, {}, {} }
    order[#order + 1] = found[key]
  end
  for i = 1, #names do table.move(numbers[i], 1, #numbers[i], #found[key][i] + 1, found[key][i]) end
end

local function measure(S) -- [streams,H,N,N]
  local shape = S:shape()
  return rwkv.no_grad(function()
    S = S:reshape(-1, shape[3], shape[4])
    return rwkv.stack({ matrix.rms(S), matrix.largest(S), matrix.stable_rank(S) }, 1)
  end):tolist()
end

for _, run in ipairs(runs) do
  local state, read = run.model:state(s.streams), 0
  local bar = rwkv.progress(run.label, s.longest, "tokens")
  for _, position in ipairs(positions) do
    while read < position do
      local count = math.min(256, position - read)
      rwkv.no_grad(function()
        run.model:forward(next_tokens(read + 1, read + count), state, { last = true })
      end)
      read = read + count
      bar:update(read)
    end
    for _, name in ipairs(state:names()) do
      local layer = tonumber(name:match "^(%d+)%.att_kv$")
      if layer then
        local numbers = measure(state:get(name))
        keep(run.label, position, layer, numbers)
        keep(run.label, position, "all", numbers)
      end
    end
  end
  bar:finish(("seed %d, loss %.3f"):format(run.seed, run.loss))
end

local rows = {}
for i, row in ipairs(order) do
  for n, name in ipairs(names) do
    table.sort(row[n])
    row[name] = quantile(row[n], 0.5)
    row[name .. "_low"], row[name .. "_high"], row[name .. "_max"] = quantile(row[n], 0.1), quantile(row[n], 0.9), row[n][#row[n]]
  end
  rows[i] = row
  if row.layer == "all" and row.position == s.longest then
    print(("%-6s after %d tokens: rms %.3g, largest entry %.3g (of all %.3g), stable rank %.3g"):format(row.label, row.position,
      row.rms, row.largest, row.largest_max, row.stable_rank))
  end
end

local columns = { "label", "layer", "position", "trained" }
for _, name in ipairs(names) do
  for _, of in ipairs { "", "_low", "_high", "_max" } do columns[#columns + 1] = name .. of end
end
rwkv.experiment.figure(path, columns, rows, ("%s; median, 10 and 90 %% and maximum over heads, %d streams of held-out text, "
  .. "%d seed%s"):format(text.note, s.streams, training.seeds, training.seeds > 1 and "s" or ""))
print((path:gsub("tsv$", "figure.tsv")))
