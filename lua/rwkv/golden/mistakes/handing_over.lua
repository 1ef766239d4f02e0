-- Right numbers that are handed over in a wrong way: how each gives another tensor from a right one, [B,T,..]. What an entry
-- is: init.lua.
local core = require "rwkv.core"

local list = {}
local function view(id, title, f, sees, names)
  list[#list + 1] = { id = id, title = title, of = "^v", family = "handing over", view = f, sees = sees, names = names }
end

local function at_least(name, n, what)
  return function(c) return c[name] < n and ("it has less than %d %s"):format(n, what) or nil end
end
local sequences, positions = at_least("B", 2, "sequences"), at_least("T", 2, "positions")

-- The entries of an axis in another order: order(i, n) is which of the n stands at place i.
local function reordered(axis, order)
  return function(x)
    local n, parts = x:size(axis), {}
    for i = 1, n do
      local from = order(i, n)
      parts[i] = x:slice(axis, from, from)
    end
    return n > 1 and core.concat(parts, axis) or x
  end
end
local function backwards(i, n) return n + 1 - i end
local function next_one(i, n) return i % n + 1 end
local function one_before(i, n) return (i - 2) % n + 1 end

view("sequences-exchanged", "the sequences of the batch stand in the opposite order", reordered(1, backwards), sequences)
local rolled = reordered(1, one_before)
view("sequences-rolled", "each sequence of the batch stands in the place of the one after", function(x)
  return x:size(1) > 2 and rolled(x) or x -- two would be exchanged
end, at_least("B", 3, "sequences"))
view("time-major", "the numbers are in the order [T,B,..] instead of [B,T,..]", function(x) return x:transpose(1, 2) end, function(c)
  return sequences(c) or positions(c)
end)
view("vocabulary-first", "the numbers are in the order [B,V,T] instead of [B,T,V]", function(x)
  return x:transpose(2, 3)
end, positions, "^logits$")
view("last-position-only", "only the last position is given", function(x) return x:slice(2, -1, -1) end, positions)
view("reversed-in-time", "the last position stands first", reordered(2, backwards), positions)
view("one-position-late", "each position has the numbers of the one before, the first those of the last", reordered(2, one_before), positions)
view("one-position-early", "each position has the numbers of the one after, the last those of the first", reordered(2, next_one), positions)

-- The same where zeros come in.
local function with_zeros(first, last, late)
  return function(x)
    local zeros = x:slice(2, 1, 1) * 0
    if x:size(2) == 1 then return zeros end
    local rest = x:slice(2, first, last)
    return core.concat(late and { zeros, rest } or { rest, zeros }, 2)
  end
end
view("one-position-late-zeros", "each position has the numbers of the one before, the first has zeros", with_zeros(1, -2, true))
view("one-position-early-zeros", "each position has the numbers of the one after, the last has zeros", with_zeros(2, -1, false))

view("log-probabilities", "log-probabilities are given instead of logits", function(x) return x:log_softmax() end, nil,
  "^logits$")
view("softmax", "probabilities are given instead of logits", function(x) return x:softmax() end, nil, "^logits$")

return list
