-- A text that is being written: the ids so far, and how far its state has run through them.
--   local s = sequence { ids = prompt, state =, sampler =, max_tokens =, stop_ids = { [0] = true }, on_token =,
--     tokenizer = or nil, stop = { "\n\n" } }
-- Its state may be a row of a batch. What state:seen() counts is what has been run through: an error, Ctrl-C say, can come
-- at any time and leaves a sequence that can be asked for everything.
local stream = require "rwkv.text.stream"

local Sequence = {}

-- How many of the ids the state has run through; the others.
function Sequence:read() return self.batch.state:seen(self.row) - self.from end
function Sequence:unread() return table.move(self.ids, self:read() + 1, #self.ids, 1, {}) end

-- A copy of its state, out of the batch.
function Sequence:state() return self.batch.state:rows(self.row) end

-- From now on its state is this one, of a batch of one.
function Sequence:leave(state) self.batch, self.row = { state = state }, 1 end

-- The ids that were picked, and their text.
function Sequence:written() return table.move(self.ids, self.prompt + 1, self.prompt + self.count, 1, {}) end
function Sequence:text() return self.stream and table.concat(self.pieces) end

-- The stop text begins at this byte of what was written. What comes from there on is as if it had never been picked: the
-- state is the one of before, and of a token that is cut the first part is a token or several of its own, still unread.
local function take_back(s, at)
  local keep = #s.ids
  while keep > s.prompt and s.ends[keep] >= at do keep = keep - 1 end
  local rest = keep < #s.ids and s.tokenizer:bytes(s.ids[keep + 1]):sub(1, at - 1 - (s.ends[keep] or 0)) or ""
  if keep < s:read() then s:leave(s.kept[keep]) end
  s.count = keep - s.prompt
  for i = #s.ids, keep + 1, -1 do s.ids[i] = nil end
  for _, id in ipairs(rest ~= "" and s.tokenizer:encode(rest) or {}) do s.ids[#s.ids + 1] = id end
end

local function pass(s, piece, id)
  if s.stream then s.pieces[#s.pieces + 1] = piece end
  if s.on_token and s.on_token(piece, id) == false then s.ended = s.ended or "on_token" end
end

-- An id was picked. It is added, unless the text ends before it.
function Sequence:take(id)
  if self.stop_ids[id] then
    self.ended = "stop_id"
    return pass(self, self.stream and self.stream:finish(), nil)
  end
  self.sampler:saw(id)
  self.ids[#self.ids + 1] = id
  self.count = self.count + 1
  if self.count >= self.max_tokens then self.ended = "max_tokens" end
  if not self.stream then return pass(self, nil, id) end
  local bytes = self.tokenizer:bytes(id)
  self.ends[#self.ids] = (self.ends[#self.ids - 1] or 0) + #bytes
  local piece, stop = self.stream:push(bytes)
  if stop then
    self.ended = "stop"
    take_back(self, stop)
  elseif self.ended then
    piece = piece .. self.stream:finish()
  elseif self.stream.may_stop > 0 then
    self.kept[self:read()] = self:state()
  else
    self.kept = {}
  end
  pass(self, piece, id)
end

-- The text ends here, by an error. What was held back goes on; and if the state has read everything, one more id is picked,
-- as what comes next is known to nobody else.
function Sequence:interrupt()
  if self.ended then return end
  if self.prompt > 0 and #self:unread() == 0 then self:take(self.sampler:pick(self.batch.logits, self.row)) end
  if not self.ended then
    self.ended = "interrupted"
    if self.stream then pass(self, self.stream:finish(), nil) end
  end
end

return function(s)
  s.ids = table.move(s.ids, 1, #s.ids, 1, {})
  s.prompt, s.count, s.from = #s.ids, 0, s.state:seen()
  s.batch, s.row = { state = s.state }, 1
  s.stop_ids = s.stop_ids or {}
  if s.tokenizer then s.stream, s.pieces, s.ends, s.kept = stream(s.stop), {}, {}, {} end
  s.state = nil
  return setmetatable(s, { __index = Sequence })
end
