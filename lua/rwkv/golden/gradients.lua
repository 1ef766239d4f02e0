-- Loss and gradients from the lines (formulas/), and what is wrong with somebody else's: mistakes that no forward run shows.
local core = require "rwkv.core"
local compare = require "rwkv.golden.compare"
local machine = require "rwkv.golden.machine"
local formulas = require "rwkv.golden.formulas"
local mistakes = require "rwkv.golden.mistakes"
local progress = require "rwkv.progress"
local scale = require "rwkv.golden.gradient_scale"
local training = require "rwkv.golden.mistakes.training"

local gradients = {}

-- ---- computing ----

-- { loss = tensor, ["grad.NAME"] = tensor of NAME's shape } with the mistakes of a list made; nats.
-- fields = { tokens =, targets = [B,T] lists, weights = { name = tensor } }; a parameter that is not used has gradient 0.
function gradients.of(book, fields, list)
  local leaves, g = {}, {}
  for name, value in pairs(fields.weights) do leaves[name] = value:detach():requires_grad() end
  local env = mistakes.env(book, { machine = machine "f64", tokens = fields.tokens, gradient = true,
    weight = function(name) return leaves[name] end }, list)
  local logits, loss = formulas.run(book, env).logits, nil
  for _, e in ipairs(list) do loss = e.loss and e.loss(logits, fields.targets) or loss end
  loss = loss or logits:cross_entropy(fields.targets)
  loss:backward()
  g.loss = loss:keep()
  for name, leaf in pairs(leaves) do g["grad." .. name] = core.no_grad(function() return leaf:grad() or leaf * 0 end) end
  core.end_step()
  core.no_grad(function()
    for _, e in ipairs(list) do
      for name, value in pairs(e.gradients and e.gradients(g) or {}) do g[name] = value:keep() end
    end
  end)
  return g
end

-- The mistakes of training that a run of these sizes can show.
function gradients.mistakes(book, tokens)
  local c, known = formulas.env(book, { tokens = tokens }).c, {}
  for _, e in ipairs(training) do
    if book.config.version:find(e.of) and not (e.sees and e.sees(c)) then known[#known + 1] = e end
  end
  return known
end

-- ---- causes ----

-- How far theirs are from a run: { [name] = { worst =, ok = whether that is within tolerance } }
local function judged(p, g, list)
  local verdicts = {}
  for _, e in ipairs(list) do
    local worst, rms = compare.errors(p, e.name, { value = g[e.name], shape = e.entry.shape }, e.entry)
    verdicts[e.name] = { worst = worst, ok = worst >= 0 and worst <= e.result.tol.worst and rms <= e.result.tol.rms }
  end
  return verdicts
end

-- What a run explains that `now` does not: the names, their worst error in it and now; whether it leaves nothing that is off.
-- Nothing, if it makes something wrong that is right now.
local function explained(list, now, with)
  local names, residual, without, exact = {}, 0, 0, true
  for _, e in ipairs(list) do
    local before, after = now[e.name], with[e.name]
    if before.ok and not after.ok then return nil end
    exact = exact and after.ok
    if after.ok and not before.ok then
      names[#names + 1] = e.name
      residual, without = math.max(residual, after.worst), math.max(without, before.worst)
    end
  end
  return #names > 0 and { explains = names, residual = residual, without = without, exact = exact } or nil
end

-- Whether cause a explains more than b: all, or more names, or the same ones much better.
local function better(a, b)
  if a.exact ~= b.exact then return a.exact end
  if #a.explains ~= #b.explains then return #a.explains > #b.explains end
  return 10 * a.residual < b.residual
end

-- What a run gives of the list, and whether that is all gradients of the pack.
local function comparable(p, weights, list)
  local kept, gradients_of_theirs, all = {}, 0, 0
  for _, e in ipairs(list) do
    local gradient = e.name:find "^grad%." and weights[e.name:sub(6)]
    if (gradient or e.name == "loss") and not e.result.problem then kept[#kept + 1] = e end
    gradients_of_theirs = gradients_of_theirs + (gradient and 1 or 0)
  end
  for _, name in ipairs(p.names) do all = all + (name:find "^grad%." and 1 or 0) end
  return kept, gradients_of_theirs == all
end

-- Theirs beside a run, { g =, now = verdicts, steps = causes }. With `finished`, what was done to finished gradients is taken out of
-- theirs before: that is fitted to each run anew.
local function beside(q, g, finished)
  local r = { g = g, list = q.list, now = judged(q.p, g, q.list), steps = {} }
  for _, step in ipairs(finished and scale.found(q.p, g, q.fields.weights, q.list, r.now, q.complete) or {}) do
    local list = step.undo(r.list)
    local now = judged(q.p, g, list)
    local c = explained(list, r.now, now)
    if c then
      r.list, r.now, c.id, c.title = list, now, step.id, step.title
      r.steps[#r.steps + 1] = c
    end
  end
  return r
end

-- Of all known mistakes of training the one that explains most beside those that are made, with those that explain the same.
local function best(q, now, made, finished)
  local found
  for i, e in ipairs(q.fields.known) do
    q.bar:update(i - 1, e.id)
    local tried = table.move(made, 1, #made, 1, {})
    tried[#tried + 1] = e
    local r = beside(q, gradients.of(q.book, q.fields, tried), finished)
    local c = explained(q.list, now, r.now)
    if c and found and not better(c, found) and not better(found, c) then
      found.others[#found.others + 1] = { id = e.id, title = e.title }
    elseif c and (not found or better(c, found)) then
      found, c.id, c.title, c.mistake, c.r, c.others = c, e.id, e.title, e, r, {}
    end
    collectgarbage()
  end
  return found
end

local function off(list, now)
  for _, e in ipairs(list) do if not now[e.name].ok then return true end end
  return false
end

local function nothing(e)
  return core.no_grad(function() return e.entry.value:abs():max():item() end) == 0
end

-- Parameters whose gradient is lost in a way that is not known.
local function lost(list, now)
  local c = { id = "no-gradient", title = "these parameters have no gradient (all is 0)", explains = {}, residual = 0, without = 0,
    exact = true }
  for _, e in ipairs(list) do
    if not now[e.name].ok and nothing(e) then
      c.explains[#c.explains + 1], c.without = e.name, math.max(c.without, now[e.name].worst)
    elseif not now[e.name].ok then
      c.exact = false
    end
  end
  return #c.explains > 0 and c or nil
end

-- Why loss and gradients of theirs are off. p: the pack; weights: { name = tensor }; list: of what was compared the loss and
-- the gradients, each { name =, entry = theirs, result = { tol = } }; forward: mistakes that were found in the forward numbers.
-- -> list of { id =, title =, explains = { names }, residual = the worst error of these with the mistake made, without = and
--   without it, exact = whether nothing is off any more, others = { { id =, title = } } that explain the same, or nil }, in the
--   order in which they were found; each is made for the next ones. And the names of what none explains.
function gradients.causes(p, book, weights, list, forward)
  local q = { p = p, book = book, fields = { tokens = p.tokens, targets = p.targets, weights = weights,
    known = gradients.mistakes(book, p.tokens) } }
  local made, causes, finished = table.move(forward or {}, 1, #(forward or {}), 1, {}), {}, false
  q.list, q.complete = comparable(p, weights, list)
  q.bar = progress("gradients", #q.fields.known, "mistakes")
  local r, most = beside(q, gradients.of(book, q.fields, made)), #made + 4
  while off(r.list, r.now) and #made < most do
    local undone = not finished and beside(q, r.g, true) or r
    local c = (undone == r or off(undone.list, undone.now)) and best(q, r.now, made, finished) or nil
    if c and (c.exact or #undone.steps == 0 or finished) then
      made[#made + 1], r = c.mistake, c.r
      causes[#causes + 1] = c
    elseif not finished then
      finished, r = true, undone
    else
      break
    end
  end
  q.bar:clear()
  table.move(causes, 1, #causes, #r.steps + 1)
  table.move(r.steps, 1, #r.steps, 1, causes)
  local without_gradient = lost(r.list, r.now)
  causes[#causes + 1] = without_gradient
  for _, c in ipairs(causes) do c.mistake, c.r = nil, nil end
  local known, left = {}, {}
  for _, name in ipairs(without_gradient and without_gradient.explains or {}) do known[name] = true end
  for _, e in ipairs(r.list) do if not r.now[e.name].ok and not known[e.name] then left[#left + 1] = e.name end end
  return causes, left
end

return gradients
