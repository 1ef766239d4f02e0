-- The loss of a model at every position of long texts.
local rwkv = require "rwkv"

local positions = {}

-- Cross-entropy in nats of each byte but the first of each row, given those before it. rows: B lists of length + 1 tokens.
-- Read in pieces with the state carried on, so that memory does not grow with the length (but for a state that does).
-- Returns B lists of `length` numbers: [p] after p tokens.
function positions.losses(model, rows, piece)
  local B, length, state, losses = #rows, #rows[1] - 1, model:state(#rows), {}
  for b = 1, B do losses[b] = {} end
  for first = 0, length - 1, piece do
    local T, inputs, targets = math.min(piece, length - first), {}, {}
    for b, row in ipairs(rows) do
      inputs[b] = table.move(row, first + 1, first + T, 1, {})
      for t = 1, T do targets[#targets + 1] = { row[first + t + 1] } end
    end
    local found = rwkv.no_grad(function()
      local logits = model:forward(inputs, state)
      return logits:log_softmax():reshape(B * T, -1):gather(targets)
    end):tolist() -- [B*T,1]
    for b = 1, B do
      for t = 1, T do losses[b][first + t] = -found[(b - 1) * T + t][1] end
    end
  end
  return losses
end

-- The same losses, but each after the last tokens alone: between context/2 and `context` of them, from an empty state. [p] of a p up
-- to context/2 is the loss after all p. context: an even number.
function positions.within(model, rows, context)
  local half, losses = context // 2, {}
  for b, row in ipairs(rows) do
    local length, starts = #row - 1, {}
    for start = 0, length - 1, half do starts[#starts + 1] = start end
    losses[b] = {}
    for first = 1, #starts, 64 do
      local windows, from, last = {}, {}, math.min(first + 63, #starts)
      for i = first, last do
        from[#from + 1] = math.max(0, starts[i] - half)
        windows[#windows + 1] = table.move(row, from[#from] + 1, math.min(starts[i] + half, length) + 1, 1, {})
      end
      for i, l in ipairs(positions.ragged(model, windows)) do
        for p = starts[first + i - 1] - from[i] + 1, #l do losses[b][from[i] + p] = l[p] end
      end
    end
  end
  return losses
end

-- The losses of rows of any lengths, each from an empty state.
function positions.ragged(model, rows)
  local inputs, targets, losses = {}, {}, {}
  for b, row in ipairs(rows) do
    inputs[b], targets[b] = table.move(row, 1, #row - 1, 1, {}), table.move(row, 2, #row, 1, {})
  end
  local at, found = 0, rwkv.no_grad(model.log_likelihood, model, inputs, targets)
  for b, row in ipairs(rows) do
    losses[b] = {}
    for p = 1, #row - 1 do losses[b][p] = -found[at + p] end
    at = at + #row - 1
  end
  return losses
end

-- The last positions of at most `bins` intervals of 1 .. length, as long as the logarithm has it.
function positions.edges(length, bins)
  local edges = {}
  for i = 0, bins do
    local edge = math.floor(length ^ (i / bins) + 0.5)
    if edge > (edges[#edges] or 0) then edges[#edges + 1] = edge end
  end
  return edges
end

-- losses of several texts -> a row an interval: position (the middle, on the logarithmic axis), first, last; loss in nats: the
-- mean over texts of the mean over the interval; bits; stderr: the standard error of that mean over texts, as the
-- positions of a text are not independent; count of losses.
function positions.binned(losses, bins)
  local rows, first, B = {}, 1, #losses
  for _, last in ipairs(positions.edges(#losses[1], bins)) do
    local sum, squares = 0, 0
    for _, l in ipairs(losses) do
      local mean = 0
      for p = first, last do mean = mean + l[p] / (last - first + 1) end
      sum, squares = sum + mean, squares + mean * mean
    end
    local mean = sum / B
    rows[#rows + 1] = { position = (first * last) ^ 0.5, first = first, last = last, loss = mean, bits = mean / math.log(2),
      stderr = B > 1 and (math.max(0, squares / B - mean * mean) / (B - 1)) ^ 0.5 or nil, count = B * (last - first + 1) }
    first = last + 1
  end
  return rows
end

return positions
