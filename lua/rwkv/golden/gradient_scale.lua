-- What is done to right gradients when they are finished: a factor for all (another count, micro-batches, clipping, a loss
-- scale), and weight decay. Each tensor of theirs is fitted as s times the gradient plus lambda times the parameter.
local core = require "rwkv.core"
local compare = require "rwkv.golden.compare"

local scale = {}

-- How far a factor may be from one that has a name: less than theirs are exact, at least as much as rounding moves it.
local function nearness(list)
  local most = 0
  for _, e in ipairs(list) do most = math.max(most, e.result.tol.worst) end
  return math.max(1e-4, math.min(most / 10, 0.02))
end

local function dot(a, b) return (a * b):sum():item() end
local function is_gradient(e) return e.name:find "^grad%." ~= nil end

-- theirs with another value
local function with(e, value)
  return { name = e.name, theirs = e.theirs, result = e.result, entry = { value = value, shape = e.entry.shape, dtype = e.entry.dtype } }
end

local function agrees(p, g, e, s, lambda, w)
  local value = core.no_grad(function()
    return ((e.entry.value:reshape(-1) - (w and w:reshape(-1) * lambda or 0)) / s):keep()
  end)
  local worst, rms = compare.errors(p, e.name, { value = g[e.name], shape = e.entry.shape }, with(e, value).entry)
  return worst >= 0 and worst <= e.result.tol.worst and rms <= e.result.tol.rms
end

-- s and lambda of a tensor, if theirs are s g + lambda w: two numbers, that say something of four or more. A gradient so small
-- that another s would do as well says nothing.
local function fit(p, g, weights, e)
  local ours, w = g[e.name], weights[e.name:sub(6)]
  if ours:size() < 4 then return nil end
  local s, lambda = core.no_grad(function()
    local x, y, z = ours:reshape(-1), w:reshape(-1), e.entry.value:reshape(-1)
    local xx, xy, yy, xz, yz = dot(x, x), dot(x, y), dot(y, y), dot(x, z), dot(y, z)
    local det = xx * yy - xy * xy
    if not (det > 1e-9 * xx * yy) then return xx > 0 and xz / xx or 0, 0 end
    return (xz * yy - yz * xy) / det, (yz * xx - xz * xy) / det
  end)
  if not (s ~= 0 and math.abs(s) < math.huge) or not agrees(p, g, e, s, lambda, w)
    or agrees(p, g, e, s * math.max(1.1, 1 + 3 * e.result.tol.worst), lambda, w) then return nil end
  return s, lambda
end

local function median(list)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  return sorted[(#sorted + 1) // 2]
end

-- ---- the factor ----

local function same(a, b, near) return math.abs(a / b - 1) < near end

-- What a factor of the loss means: { factor, words }.
local function counts(p)
  local B, N = #p.targets, 0
  for _, row in ipairs(p.targets) do
    for _, id in ipairs(row) do N = N + (id >= 0 and 1 or 0) end
  end
  return {
    { N, "summed over the tokens, not averaged" },
    { N / (N - B), "divided by the tokens less one a sequence" },
    { N / (N - 1), "divided by the tokens less one" },
    { N / B, "summed over the tokens of a sequence, averaged over the sequences" },
    { B, "averaged over the tokens of a sequence, summed over the sequences" },
    { 1 / B, "averaged over the tokens, and divided by the number of sequences once more" },
    { 1 / N, "averaged over the tokens twice" },
    { 1 / math.log(2), "in bits instead of nats" },
  }
end

local function words_of(p, s, near)
  for _, e in ipairs(counts(p)) do if e[1] > 0 and e[1] < math.huge and same(e[1], s, near) then return e[2] end end
  return nil
end

local norms = { 0.1, 0.2, 0.25, 0.3, 0.5, 1, 2, 3, 5, 10 }

-- Why gradients have a factor that the loss does not have.
local function gradient_factor(p, list, s, complete, near)
  if s < 0 then return "gradient-scale", ("all gradients, but not the loss, are %.6g times the right ones"):format(s) end
  local power = math.log(s, 2)
  local whole = math.floor(power + 0.5)
  if whole >= 4 and same(2.0 ^ whole, s, near) then
    return "loss-scale", ("all gradients are 2^%d = %d times too large: a loss scale is not taken out"):format(whole, 1 << whole)
  end
  local square = 0
  for _, e in ipairs(list) do
    if is_gradient(e) then square = square + core.no_grad(function() return dot(e.entry.value, e.entry.value) end) end
  end
  for _, norm in ipairs(s < 1 and complete and norms or {}) do
    if same(math.sqrt(square), norm, near) then
      return "gradient-clipped", ("the gradients are clipped to a norm of %g: all are %.4g times the right ones"):format(norm, s)
    end
  end
  local k = math.floor(s + 0.5)
  if k >= 2 and k <= 8 and same(k, s, near) then
    return "micro-batches", ("all gradients are %d times too large: summed over %d micro-batches, each averaged"):format(k, k)
  end
  local words = words_of(p, s, near)
  return "gradient-scale", ("all gradients, but not the loss, are %.6g times the right ones%s"):format(s, words and ": " .. words or "")
end

local function scaled(list, s, loss, gradients)
  local others = {}
  for i, e in ipairs(list) do
    local changed = gradients and is_gradient(e) or loss and e.name == "loss"
    others[i] = changed and with(e, core.no_grad(function() return (e.entry.value / s):keep() end)) or e
  end
  return others
end

-- The factor of most tensors; 1 if there is none. A single tensor that fits by chance (few of its numbers are large) is none.
local function common(list, fits, near)
  local values, with_it, gradients = {}, 0, 0
  for _, f in pairs(fits) do values[#values + 1] = f.s end
  local s = values[1] and median(values) or 1
  for _, f in pairs(fits) do with_it = with_it + (same(f.s, s, near) and 1 or 0) end
  for _, e in ipairs(list) do gradients = gradients + (is_gradient(e) and 1 or 0) end
  return not same(s, 1, near) and with_it >= math.min(2, gradients) and 2 * with_it > #values and s or 1
end

local function factor(p, g, list, fits, now, complete)
  local near = nearness(list)
  local s, loss = common(list, fits, near), 1
  for _, e in ipairs(list) do
    if e.name == "loss" and not now.loss.ok then loss = e.entry.value:reshape(-1):tolist()[1] / g.loss:item() end
  end
  local words = loss ~= 1 and words_of(p, loss, near)
  if s ~= 1 and same(s, loss, near) then
    return s, { id = "loss-count", title = ("loss and gradients are %.6g times the right ones: the loss is %s"):format(s,
      words or "multiplied by something"), undo = function(l) return scaled(l, s, true, true) end }
  elseif s ~= 1 then
    local id, title = gradient_factor(p, list, s, complete, near)
    return s, { id = id, title = title, undo = function(l) return scaled(l, s, false, true) end }
  elseif words then
    return s, { id = "loss-count", title = ("the loss alone is %.6g times the right one: %s"):format(loss, words),
      undo = function(l) return scaled(l, loss, true, false) end }
  end
  return s, nil
end

-- ---- weight decay ----

local function axes(e)
  local n = 0
  for _, size in ipairs(e.entry.shape) do n = n + (size > 1 and 1 or 0) end
  return n
end

local kinds = {
  { "all parameters", function() return true end },
  { "all matrices", function(e) return axes(e) >= 2 end },
  { "all matrices but embedding and head", function(e) return axes(e) >= 2 and not e.name:find "emb" and not e.name:find "head" end },
  { "all that is called .weight", function(e) return e.name:find "%.weight$" ~= nil end },
  { "all matrices called .weight", function(e) return axes(e) >= 2 and e.name:find "%.weight$" ~= nil end },
  { "all vectors", function(e) return axes(e) < 2 end },
}

-- In words, which parameters decay; the list has all of which it can be said: { e =, decays = }
local function which(told)
  for _, kind in ipairs(kinds) do
    local fits = true
    for _, t in ipairs(told) do fits = fits and kind[2](t.e) == t.decays end
    if fits then return kind[1] end
  end
  local names = {}
  for _, t in ipairs(told) do if t.decays then names[#names + 1] = t.e.name:sub(6) end end
  return #names <= 4 and table.concat(names, ", ")
    or ("%d parameters, %s, %s .. %s"):format(#names, names[1], names[2], names[#names])
end

local function largest(x) return core.no_grad(function() return x:abs():max():item() end) end

local function decay(p, g, weights, list, fits, s)
  local found, near = {}, nearness(list)
  for _, e in ipairs(list) do
    local f = fits[e.name]
    if f and same(f.s, s, near) and not agrees(p, g, e, s, 0) then found[#found + 1] = f.lambda / s end
  end
  if #found == 0 then return nil end
  local lambda, told, decays = median(found), {}, {}
  for _, e in ipairs(list) do
    local w = weights[e.name:sub(6)]
    if is_gradient(e) and largest(w) > 0 then
      local with_it, without_it = agrees(p, g, e, s, lambda * s, w), agrees(p, g, e, s, 0)
      decays[e.name] = with_it and not without_it
      if with_it ~= without_it then told[#told + 1] = { e = e, decays = with_it } end
    end
  end
  return { id = "weight-decay-in-gradient", title = ("weight decay is added to the gradients: %.4g times the parameter%s, of %s"):format(
    lambda * s, s ~= 1 and (" (%.4g without the factor)"):format(lambda) or "", which(told)), undo = function(l)
      local others = {}
      for i, e in ipairs(l) do
        others[i] = decays[e.name] and with(e, core.no_grad(function()
          return (e.entry.value:reshape(-1) - weights[e.name:sub(6)]:reshape(-1) * lambda):keep()
        end)) or e
      end
      return others
    end }
end

-- ---- the whole ----

-- g, weights, list, now: as in gradients.lua. -> list of { id =, title =, undo = function(list) -> the list without it }, to be
-- undone one after the other. complete: whether the list has all gradients.
function scale.found(p, g, weights, list, now, complete)
  local fits = {}
  for _, e in ipairs(list) do
    local s, lambda
    if is_gradient(e) then s, lambda = fit(p, g, weights, e) end
    if s then fits[e.name] = { s = s, lambda = lambda } end
  end
  local s, step = factor(p, g, list, fits, now, complete)
  local steps = { step }
  steps[#steps + 1] = decay(p, g, weights, list, fits, s)
  return steps
end

return scale
