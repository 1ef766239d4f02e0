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

-- The words that start so many programs, "" for one alone.
function ranks.launcher() return ranks.apart and ("mpirun -n %d "):format(count) or "" end

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

local function in_tree(model, backward, first, n, said)
  local sum = tree(function(shard)
    model:zero_grad()
    local loss, scored, correct = backward(shard)
    return private.gradients(model, { loss, scored, correct, 0, 0 })
  end, first, n)
  private.gradients_say(sum, said)
  return sum
end

-- One after the other where they are made; the devices add them.
local function on_devices(model, backward, first, n, said)
  local beside = { 0, 0, 0, said, 0 }
  model:zero_grad()
  for shard = first, first + n - 1 do
    for i, x in ipairs { backward(shard) } do beside[i] = beside[i] + x end
  end
  return private.gradients_outline(model, beside)
end

-- problem: why this program has none, or nil. Returns the sum, and what is wrong in one of the programs.
local function add_all(model, backward, first, n, said, problem)
  local sum
  if not problem then
    local ok, made = pcall(ranks.devices and on_devices or in_tree, model, backward, first, n, said)
    if ok then sum = made
    else
      problem = made
      core.end_step()
    end
  end
  if not ranks.apart and problem then return nil, problem end
  if problem then sum = (ranks.devices and private.gradients_outline or private.gradients)(model, { 0, 0, 0, 0, 1 }) end
  if ranks.apart then across(sum) end
  if select(5, private.gradients_beside(sum)) > 0 then return nil, problem or "another of the programs has no gradients; it says why" end
  if ranks.devices then private.gradients_sum(sum, model) else private.gradients_put(sum, model) end
  return sum
end

-- ---- what all must have alike ----

local modulus = 9007199254740881 -- a prime below 2^53: a sum is a number that goes from program to program as it is

-- A number that other batches hardly have; how many targets are scored, in all and by shard, a list. each: sequences of a shard.
local function summed(tokens, targets, each, l2wrap)
  local total, by_shard, sum = 0, {}, 1
  local function add(x) sum = (sum * 31 + x + 101) % modulus end
  for _, byte in ipairs { ("%a"):format(l2wrap or 0):byte(1, -1) } do add(byte) end
  for _, n in ipairs(tokens:shape()) do add(n) end
  for b, row in ipairs(targets:tolist()) do
    local n, shard = 0, (b - 1) // each + 1
    for _, target in ipairs(row) do
      if target >= 0 then n = n + 1 end
      add(target)
    end
    total, by_shard[shard] = total + n, (by_shard[shard] or 0) + n
  end
  for _, row in ipairs(ranks.apart and tokens:tolist() or {}) do
    for _, token in ipairs(row) do add(token) end
  end
  return sum, total, by_shard
end

local compared = setmetatable({}, { __mode = "k" }) -- models of which all have had gradients together

-- Of a model's weights, until all have had gradients of it: later they are what the same gradients made of them.
local function sum_of_weights(model)
  if compared[model] then return 0 end
  local digest = ""
  for name, p in model:parameters() do digest = private.sha256(digest .. name .. private.contents(p)) end
  return tonumber(digest:sub(1, 12), 16)
end

-- What this program has to do, or an error.
local function prepared(model, tokens, targets, options, shards)
  local batch, length, of_targets = tokens:shape()[1], tokens:shape()[2], targets:shape()
  if batch ~= of_targets[1] or length ~= of_targets[2] then
    error(("tokens [%d,%d] and targets [%d,%d] differ"):format(batch, length, of_targets[1], of_targets[2]), 0)
  end
  local each, l2wrap = batch // shards, options and options.l2wrap
  local sum, total, by_shard = summed(tokens, targets, each, tonumber(l2wrap))
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
  return backward, ranks.apart and (sum + sum_of_weights(model) + model:param_count() * 65537 + shards) % modulus
end

-- The gradients of a model for a batch, in their place, as if model:loss(..):backward() had been called after zero_grad. shards: how many;
-- ranks.problem has none with them; said: a number beside, which is added up over the programs. Returns the mean loss, { scored =, correct = },
-- and the sum of what was said. What is wrong in one program is an error in all, whoever catches it: all say how it went before they go on.
function ranks.gradients(model, tokens, targets, options, shards, said)
  local mine, ok, backward, sum = shards // count, pcall(prepared, model, tokens, targets, options, shards)
  local problem = not ok and backward or nil
  if ranks.apart then
    local first = private.agree(ok and sum or -1)
    if ok and first ~= sum and first >= 0 then
      problem = ("rank %d has another batch or model than rank 0: all programs must make the same examples and models"):format(rank)
    end
  end
  local beside, others = add_all(model, not problem and backward, rank * mine, mine, said or 0, problem)
  if others then error(others, 0) end
  compared[model] = true
  local loss, n, correct, heard = private.gradients_beside(beside)
  return loss, { scored = math.tointeger(n), correct = math.tointeger(correct) }, heard
end

local function batch_of(name, given)
  local ok, made = true, given
  if type(given) == "table" then ok, made = pcall(core.tokens, given) end
  if not ok or not private.is_tokens(made) then
    error(("gradients: %s: expected [B,T], as rwkv.tokens or as lists, found %s"):format(name,
      not ok and tostring(made) or given == nil and "nothing" or "a " .. type(given)), 0)
  end
  return made
end

-- rwkv.gradients(model, tokens, targets, { shards =, l2wrap = }) -> mean loss (a number), { scored =, correct = }. tokens, targets: [B,T],
-- as model:loss takes them, B a multiple of the shards.
ranks.public = at_caller(function(model, tokens, targets, options)
  local settings, shards = {}, nil
  if not private.is_model(model) then error("gradients: expected a model, and then tokens and targets", 0) end
  if options ~= nil and type(options) ~= "table" then error("gradients: options: expected a table, found a " .. type(options), 0) end
  for name, value in pairs(options or {}) do
    if name == "shards" then shards = value
    elseif name == "l2wrap" then settings[name] = value
    else error(("gradients: there is no option '%s'; there are: l2wrap, shards"):format(tostring(name)), 0) end
  end
  if shards ~= nil and (math.type(shards) ~= "integer" or shards < 1) then
    error(("gradients: shards is %s, expected an integer, a power of two"):format(type(shards) == "string" and '"' .. shards .. '"' or tostring(shards)), 0)
  end
  tokens, targets = batch_of("tokens", tokens), batch_of("targets", targets)
  local batch = tokens:shape()[1]
  shards = shards or ranks.usual(batch)
  local problem = ranks.problem(batch, shards)
  if problem then error("gradients: " .. problem, 0) end
  local loss, score = ranks.gradients(model, tokens, targets, settings, shards)
  return loss, score
end)

return ranks
