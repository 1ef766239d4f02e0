-- Mistakes in what is carried from token to token, and from one call or sequence to the next: states and token shifts. What an
-- entry is: init.lua.
local core = require "rwkv.core"

local list = {}
local function mistake(id, title, of, e)
  e.id, e.title, e.of, e.family = id, title, of, "carrying"
  list[#list + 1] = e
end

-- ---- where a state is carried ----

local states = { -- of each kind of recurrence, the lines that look at tokens before
  { "^v[23]$", { "state.att_aa", "state.att_bb", "att.y" } },
  { "^v4$", { "state.att_aa", "state.att_bb", "state.att_pp", "att.wkv" } },
  { "^v[56]", { "state.att_kv", "att.wkv" } },
  { "^v7$", { "state.att_kv" } },
}
local function edits(keys, edit)
  local map = {}
  for _, key in ipairs(keys) do map[key] = edit end
  return map
end

-- An entry for each kind of recurrence; shifts: lines of token shifts that are edited too.
local function of_state(id, title, edit, sees, shifts)
  for _, e in ipairs(states) do
    local keys = table.move(e[2], 1, #e[2], 1, {})
    mistake(id, title, e[1], { edits = edits(table.move(shifts or {}, 1, shifts and #shifts or 0, #keys + 1, keys), edit), sees = sees })
  end
end
local both = { "att.prev", "ffn.prev" }

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
  of_state("state-lost" .. every, ("the state is zero again %s"):format(when), restarted(n), sees)
  of_state("all-lost" .. every, ("the state and both token shifts are zero again %s"):format(when), restarted(n), sees, both)
  local function shift(id, what, keys)
    mistake(id .. every, ("%s zero again %s"):format(what, when), "^v", { edits = edits(keys, restarted(n)), sees = sees })
  end
  shift("shift-lost-att", "the token shift of time mixing is", { "att.prev" })
  shift("shift-lost-ffn", "the token shift of channel mixing is", { "ffn.prev" })
  shift("shift-lost", "both token shifts are", both)
end

-- ---- from another sequence ----

-- The batch is read as one long sequence.
local one_long = { around = function(f, m, c, ...)
  return f(m, c, over_time(c, function(x) return x:reshape(1, c.B * c.T, -1) end, ...)):reshape(c.B, c.T, -1)
end }
local function single(c) return c.B == 1 and "it has one sequence" or nil end
local goes_on = "%s go on from the sequence before in the batch instead of from zero"
of_state("state-of-sequence-before", goes_on:format "states and token shifts", one_long, single, both)
of_state("sums-of-sequence-before", goes_on:format "states, but not token shifts,", one_long, single)
mistake("shift-of-sequence-before", goes_on:format "token shifts, but not states,", "^v", { edits = edits(both, one_long), sees = single })

mistake("begins-with-token-0", "a token 0 is read first, and what it gives is dropped", "^v", {
  tokens = function(tokens)
    local longer = {}
    for i, sequence in ipairs(tokens) do longer[i] = { 0, table.unpack(sequence) } end
    return longer
  end,
  view = function(value) return value:size(2) > 1 and value:slice(2, 2, -1) or value end,
  sees = function(c) return c.version == "v1" and c.T >= c.ctx and "its sequences are as long as its context" or nil end,
})

-- ---- the state between tokens ----

-- The recurrence with another rule for what goes on (c.kept of the lines).
local function kept(g)
  return { around = function(f, m, c, ...)
    local inner = c.kept
    local function changed(new, t, old) return g(inner(new, t, old), t, old, c) end
    return f(m, setmetatable({ kept = changed }, { __index = c }), ...)
  end }
end

local function border(t, n, c) return t % n == 0 and t < c.T end
local function turned_at(n)
  return kept(function(new, t, _, c) return border(t, n, c) and new:transpose(3, 4) or new end)
end
-- RWKV-7 reads the state after the token, which is turned only after that: turned back for the reading.
local function read_before_turning(n)
  return { around = function(f, m, c, r, S)
    local mask, N = {}, r:size(3) // c.heads
    for t = 1, c.T do mask[t] = { border(t, n, c) and 1 or 0 } end
    local back = S:reshape(-1, N, N):transpose(2, 3):reshape(S:shape())
    return f(m, c, r, core.where(core.tensor(mask), back, S))
  end }
end

for _, n in ipairs { 1, 2, 3, 4, 8, 16, 32, 64, 128 } do
  local id, sees = ("state-transposed-every-%d"):format(n), longer_than(n)
  local title = n == 1 and "the state is transposed after every token" or ("the state is transposed every %d tokens, between calls"):format(n)
  mistake(id, title, "^v[56]", { edits = { ["state.att_kv"] = turned_at(n) }, sees = sees })
  mistake(id, title, "^v7$", { edits = { ["state.att_kv"] = turned_at(n), ["att.wkv"] = read_before_turning(n) }, sees = sees })
  if n > 1 then
    local skipped = kept(function(new, t, old) return t % n == 0 and old or new end)
    of_state(("chunk-border-missing-every-%d"):format(n), ("the last token of every %d is not absorbed by the state"):format(n), skipped, sees)
  end
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
