-- The writing of several sequences. Prompts are read one after the other, in pieces; then all write as one batch, a token a
-- step.
--   local run = new(model, sequences, { piece = 256, on_read = function(sequence, read, total) end })
--   repeat until not run:step()
local core = require "rwkv.core"

-- A token comes into a text as a whole, Ctrl-C or not; for a stock Lua there is no such thing.
local uninterrupted = core.private.uninterrupted or function(f, ...) return f(...) end

local Run = {}

-- Runs a batch through ids, one list a sequence; its logits are then those after the last ones. Both come about in one
-- call, so that no interrupt comes between.
local function forward(model, batch, ids)
  batch.logits = batch.logits or core.zeros(batch.state:batch(), 1, model:config().vocab)
  core.no_grad(function() model:forward(ids, batch.state, { last = true, into = batch.logits }) end)
end

-- Runs a sequence, of a batch of its own, through what it has not read.
function Run:read(s)
  local total = #s.ids
  for from = s:read() + 1, total, self.piece do
    local to = math.min(from + self.piece - 1, total)
    forward(self.model, s.batch, table.move(s.ids, from, to, 1, {}))
    if self.on_read then self.on_read(s, to, total) end
  end
end

-- One batch of these sequences.
local function join(sequences)
  if #sequences == 1 and sequences[1].batch.state:batch() == 1 then return sequences end
  local states, rows = {}, {}
  for i, s in ipairs(sequences) do
    states[i] = s:state()
    rows[i] = core.no_grad(function() return s.batch.logits:slice(1, s.row, s.row) end)
  end
  local batch = { state = states[1]:join(table.unpack(states, 2)), logits = core.no_grad(core.concat, rows, 1) }
  for row, s in ipairs(sequences) do s.batch, s.row = batch, row end
  return sequences
end

-- A token for each sequence of the group. Those that go on.
local function write(model, group)
  local batch, going, ids = group[1].batch, {}, {}
  for _, s in ipairs(group) do
    s:take(s.sampler:pick(batch.logits, s.row))
    if not s.ended then
      going[#going + 1] = s
      ids[#ids + 1] = { s.ids[#s.ids] }
    elseif #group > 1 and s.batch == batch then
      s:leave(s:state())
    end
  end
  if #going == 0 then return going end
  if #going < #group then join(going) end
  forward(model, going[1].batch, ids)
  return going
end

-- A prompt is read, or then a token written for each; whether there is more to do.
function Run:step()
  self.at = self.at + 1
  if self.sequences[self.at] then
    self:read(self.sequences[self.at])
    return true
  end
  self.going = uninterrupted(write, self.model, self.going or join(self.sequences))
  return #self.going > 0
end

return function(model, sequences, options)
  return setmetatable({ model = model, sequences = sequences, piece = options and options.piece or 256,
    on_read = options and options.on_read, at = 0 }, { __index = Run })
end
