-- Mistakes in what is carried from token to token, and from one call or sequence to the next: states and token shifts. What an
-- entry is: init.lua.
local core = require "rwkv.core"
local versions = require "rwkv.versions"

local list = {}
local function mistake(id, title, of, e)
  e.id, e.title, e.of, e.family = id, title, of, "carrying"
  list[#list + 1] = e
end

-- ---- where a state is carried ----

local states = { -- of each kind of recurrence the lines of its state, and the line that reads the state of the token before
  { "^v[23]$", { "state.att_aa", "state.att_bb" }, { "att.y" } },
  { "^v4$", { "state.att_aa", "state.att_bb", "state.att_pp" }, { "att.wkv" } },
  { "^v[56]", { "state.att_kv" }, { "att.wkv" } },
  { "^v7$", { "state.att_kv" }, {} },
}
local shifts = { "att.prev", "ffn.prev" }

local function edits(edit, ...) -- of all these lists of lines
  local map = {}
  for _, keys in ipairs { ... } do
    for _, key in ipairs(keys) do map[key] = edit end
  end
  return map
end

-- An entry for each kind of recurrence: an edit of the lines of its state, of the one that reads it, of other lines.
local function of_state(id, title, sees, edit, reading, others)
  for _, e in ipairs(states) do
    mistake(id, title, e[1], { edits = edits(edit, e[2], reading and e[3] or {}, others or {}), sees = sees })
  end
end

-- The operands of a line with those that go over time, [B,T,..], changed by g.
local function over_time(c, g, ...)
  local operands = table.pack(...)
  for i, x in ipairs(operands) do
    if x:dim() > 2 and x:size(1) == c.B and x:size(2) == c.T then operands[i] = g(x) end
  end
  return table.unpack(operands)
end

-- ---- lost ----

-- Every n tokens a line begins as at the first one.
local function restarted(n)
  return { around = function(f, m, c, ...)
    local rows = {}
    for first = 1, c.T, n do
      local last = math.min(first + n - 1, c.T)
      rows[#rows + 1] = f(m, c, over_time(c, function(x) return x:slice(2, first, last) end, ...))
    end
    return #rows == 1 and rows[1] or core.concat(rows, 2)
  end }
end
local function longer_than(n)
  return function(c) return c.T <= n and ("its sequences have no more than %d tokens"):format(n) or nil end
end

for _, n in ipairs { 1, 2, 3, 4, 8, 16, 32, 64, 128 } do
  local every, when = n > 1 and "-every-" .. n or "", n > 1 and ("every %d tokens"):format(n) or "before every token"
  local sees = longer_than(n)
  of_state("state-lost" .. every, ("the state is zero again %s"):format(when), sees, restarted(n), true)
  of_state("all-lost" .. every, ("the state and both token shifts are zero again %s"):format(when), sees, restarted(n), true, shifts)
  local function shift(id, what, keys)
    mistake(id .. every, ("%s zero again %s"):format(what, when), "^v", { edits = edits(restarted(n), keys), sees = sees })
  end
  shift("shift-lost-att", "the token shift of time mixing is", { "att.prev" })
  shift("shift-lost-ffn", "the token shift of channel mixing is", { "ffn.prev" })
  shift("shift-lost", "both token shifts are", shifts)
end

-- ---- from another sequence ----

-- The batch is read as one long sequence.
local one_long = { around = function(f, m, c, ...)
  return f(m, c, over_time(c, function(x) return x:reshape(1, c.B * c.T, -1) end, ...)):reshape(c.B, c.T, -1)
end }
local function single(c) return c.B == 1 and "it has one sequence" or nil end
local goes_on = "%s go on from the sequence before in the batch instead of from zero"
of_state("state-of-sequence-before", goes_on:format "states and token shifts", single, one_long, true, shifts)
of_state("sums-of-sequence-before", goes_on:format "states, but not token shifts,", single, one_long, true)
mistake("shift-of-sequence-before", goes_on:format "token shifts, but not states,", "^v", { edits = edits(one_long, shifts), sees = single })
for _, e in ipairs(list) do
  if e.id:find "sequence%-before$" then e.whole = true end -- what is wrong at the first position comes from the last
end

mistake("begins-with-token-0", "a token 0 is read first, and what it gives is dropped", "^v", {
  tokens = function(tokens)
    local longer = {}
    for i, sequence in ipairs(tokens) do longer[i] = { 0, table.unpack(sequence) } end
    return longer
  end,
  view = function(value) return value:size(2) > 1 and value:slice(2, 2, -1) or value end,
  sees = function(c) return versions.of(c.version).context and c.T >= c.ctx and "its sequences are as long as its context" or nil end,
})

-- ---- the state between tokens ----

local function border(t, n) return t % n == 0 end

for _, n in ipairs { 1, 2, 3, 4, 8, 16, 32, 64, 128 } do
  local edit = { around = function(f, m, c, ...)
    local function carry(S, t) return border(t - 1, n) and c.carry(S, t):transpose(3, 4) or c.carry(S, t) end
    return f(m, setmetatable({ carry = carry }, { __index = c }), ...)
  end }
  mistake(("state-transposed-every-%d"):format(n), n == 1 and "the state is transposed after every token"
    or ("the state is transposed every %d tokens, between calls"):format(n), "^v[5-7]",
    { edits = edits(edit, { "state.att_kv", "att.wkv" }), sees = longer_than(n) })
end

-- ---- borders of chunks, off by one ----

local function picked(x, positions)
  local rows = {}
  for i, t in ipairs(positions) do rows[i] = x:slice(2, t, t) end
  return #rows == 1 and rows[1] or core.concat(rows, 2)
end

-- The last token of every n is absorbed no time, or twice: as the first of the next piece once more.
local function absorbed(times, n)
  return { around = function(f, m, c, ...)
    local read, after = {}, {} -- positions that are read, and up to which of these each state comes
    for t = 1, c.T do
      for _ = 1, border(t, n) and (times == 0 or t < c.T) and times or 1 do read[#read + 1] = t end
      after[t] = #read
    end
    return picked(f(m, c, over_time(c, function(x) return picked(x, read) end, ...)), after)
  end }
end
local function two_before(n) -- prev
  return { after = function(prev, m, c, x)
    local mask = {}
    for t = 1, c.T do mask[t] = { t > 1 and border(t - 1, n) and 1 or 0 } end
    return core.where(core.tensor(mask), m.before(m.before(x)), prev)
  end }
end
for _, n in ipairs { 2, 3, 4, 8, 16, 32, 64, 128 } do
  local every, sees = "-every-" .. n, longer_than(n)
  of_state("chunk-border-missing" .. every, ("the last token of every %d is not absorbed by the state"):format(n), sees, absorbed(0, n))
  of_state("chunk-border-twice" .. every, ("the last token of every %d is absorbed by the state twice"):format(n), sees, absorbed(2, n))
  mistake("shift-border-late" .. every, ("after every %d tokens the token shift is of the token two before"):format(n), "^v",
    { edits = edits(two_before(n), shifts), sees = sees })
end

-- ---- decay of another token ----

local function neighbour(id, title, g)
  mistake(id, title, "^v[67]", { edits = { ["state.att_kv"] = { around = function(f, m, c, w, ...) return f(m, c, g(w, m), ...) end } },
    sees = longer_than(1) })
end
neighbour("decay-token-before", "the decay of a token is that of the token before it", function(w, m) return m.before(w) end)
neighbour("decay-token-after", "the decay of a token is that of the token after it; the last keeps its own", function(w)
  return w:size(2) > 1 and core.concat({ w:slice(2, 2, -1), w:slice(2, -1, -1) }, 2) or w
end)

return list
