-- Data-parallel training: the gradient of a batch as the sum over its shards, added in a fixed tree. How many programs share the work,
-- started by mpirun, does not change a bit of it: each makes an equal part of the shards, which is a branch of the tree. But where the
-- programs' devices add up by themselves, it is for them in what order.
local at_caller = require "rwkv.at_caller"
local core = require "rwkv.core"

local private = core.private

local ranks = {}

local rank, count = 0, 1
if private.ranks then
  local own, all, on_devices = private.ranks()
  if own then rank, count, ranks.apart = own, all, true end
  if on_devices then ranks.devices = all end
end

-- ranks.apart: whether mpirun has started this program. ranks.devices: of how many programs the devices add up the gradients, nil if they
-- do not.

-- Whether this program writes what all have made.
function ranks.writes() return rank == 0 end

-- The number that rank 0 has; all wait for each other.
function ranks.agree(x) return ranks.apart and private.agree(x) or x end

-- Whether rank 0 has something; all wait for each other.
function ranks.decided(has) return ranks.agree(has and 1 or 0) == 1 end

-- Why a batch cannot be cut into so many shards for these programs, or nothing.
function ranks.problem(batch, shards)
  if shards & (shards - 1) ~= 0 then return ("%d shards, expected a power of two"):format(shards) end
  if batch % shards ~= 0 then return ("%d shards of a batch of %d, expected equal ones"):format(shards, batch) end
  if shards % count ~= 0 then
    return ("%d programs share %d shards, expected as many for each: start 1, 2, 4 .. up to %d"):format(count, shards, shards)
  end
end

-- How many shards a batch has where nobody says: 8, or as many equal ones as there can be.
function ranks.usual(batch)
  local shards = 8
  while batch % shards ~= 0 do shards = shards // 2 end
  return shards
end

-- What follows puts the sum of the gradients of all shards in their place. backward(shard) adds that of one to what is there; this program
-- makes first, .., first + n - 1, n a power of two. Returns what stands beside the sum.

-- The sum of make(first), .., make(first + n - 1), added as a tree.
local function tree(make, first, n)
  if n == 1 then return make(first) end
  local sum = tree(make, first, n // 2)
  private.gradients_add(sum, tree(make, first + n // 2, n // 2))
  return sum
end

-- The branches of all programs, added as the tree goes on; all have the sum.
local function across(sum)
  local apart = 1
  while apart < count do
    if rank % (2 * apart) ~= 0 then
      private.send(sum, rank - apart)
      break
    end
    local theirs = private.gradients_copy(sum)
    private.receive(theirs, rank + apart)
    private.gradients_add(sum, theirs)
    apart = 2 * apart
  end
  private.broadcast(sum)
end

local function add_in_tree(model, backward, first, n, said)
  local sum = tree(function(shard)
    model:zero_grad()
    local loss, scored, correct = backward(shard)
    return private.gradients(model, { loss, scored, correct, 0 })
  end, first, n)
  private.gradients_say(sum, said)
  if ranks.apart then across(sum) end
  private.gradients_put(sum, model)
  return sum
end

-- One after the other where they are made, and then by the devices.
local function add_on_devices(model, backward, first, n, said)
  local beside = { 0, 0, 0, said }
  model:zero_grad()
  for shard = first, first + n - 1 do
    for i, x in ipairs { backward(shard) } do beside[i] = beside[i] + x end
  end
  local outline = private.gradients_outline(model, beside)
  across(outline)
  private.gradients_sum(outline, model)
  return outline
end

-- How many targets are scored, in all and by shard, a list; and a number that other targets hardly have. each: sequences of a shard.
local function scored(targets, each)
  local total, by_shard, sum = 0, {}, 1
  for b, row in ipairs(targets:tolist()) do
    local n, shard = 0, (b - 1) // each + 1
    for _, target in ipairs(row) do
      if target >= 0 then n = n + 1 end
      sum = (sum * 31 + target + 101) % 9007199254740881 -- a prime below 2^53
    end
    total, by_shard[shard] = total + n, (by_shard[shard] or 0) + n
  end
  return total, by_shard, sum
end

-- Fails unless all programs have the same batch and equally large models.
local function check_same(model, tokens, sum, shards)
  local shape = tokens:shape()
  for _, same in ipairs { { "batch", sum }, { "size of a batch", (shape[1] * 65537 + shape[2]) * 65537 + shards },
    { "model", model:param_count() } } do
    if ranks.agree(same[2]) ~= same[2] then
      error(("rank %d has another %s than rank 0: all programs must make the same examples and models"):format(rank, same[1]), 0)
    end
  end
end

-- The gradients of a model for a batch, in their place, as if model:loss(..):backward() had been called after zero_grad. shards: how many;
-- ranks.problem has none with them; said: a number beside, which is added up over the programs. Returns the mean loss, { scored =, correct = }, and the sum of what was said.
function ranks.gradients(model, tokens, targets, options, shards, said)
  local batch = tokens:shape()[1]
  local each = batch // shards
  local total, by_shard, sum_of_targets = scored(targets, each)
  if ranks.apart then check_same(model, tokens, sum_of_targets, shards) end
  if total == 0 then error("no position of the batch is scored", 0) end
  local settings = { total = total }
  for name, value in pairs(options or {}) do settings[name] = value end
  -- Adds the gradient of a shard to what is there. Returns its part of the mean loss, how many are scored and correct.
  local function backward(shard)
    if by_shard[shard + 1] == 0 then return 0, 0, 0 end
    local first, last = shard * each + 1, (shard + 1) * each
    local loss, score = model:loss(tokens:rows(first, last), targets:rows(first, last), settings)
    loss:backward()
    local value = loss:item()
    core.end_step()
    return value, score.scored, score.correct
  end
  local mine = shards // count
  local add = ranks.devices and add_on_devices or add_in_tree
  local loss, n, correct, heard = private.gradients_beside(add(model, backward, rank * mine, mine, said or 0))
  return loss, { scored = math.tointeger(n), correct = math.tointeger(correct) }, heard
end

-- rwkv.gradients(model, tokens, targets, { shards =, l2wrap = }) -> mean loss (a number), { scored =, correct = }. tokens, targets: [B,T],
-- as model:loss takes them, B a multiple of the shards.
ranks.public = at_caller(function(model, tokens, targets, options)
  local settings, shards = {}, nil
  for name, value in pairs(options or {}) do
    if name == "shards" then shards = value
    elseif name == "l2wrap" then settings[name] = value
    else error(("gradients: there is no option '%s'; there are: l2wrap, shards"):format(tostring(name)), 0) end
  end
  if shards ~= nil and (math.type(shards) ~= "integer" or shards < 1) then
    error(("gradients: shards is %s, expected a power of two"):format(tostring(shards)), 0)
  end
  if type(tokens) == "table" then tokens = core.tokens(tokens) end
  if type(targets) == "table" then targets = core.tokens(targets) end
  local batch = tokens:shape()[1]
  shards = shards or ranks.usual(batch)
  local problem = ranks.problem(batch, shards)
  if problem then error("gradients: " .. problem, 0) end
  local loss, score = ranks.gradients(model, tokens, targets, settings, shards)
  return loss, score
end)

return ranks
