-- A conversation in the official World template: "User: ...", an empty line, "Assistant: ...", an empty line, and so on.
--   local c = chat(model, { tokenizer =, start = state or nil, max_tokens =, sampler options, on_token = })
--   c:ask "How are you?" -> the reply;  c:regenerate();  c:reset();  c:go_on(state, unread)
-- Texts hold no empty lines: they end a turn. After "Assistant:" the model writes the space itself.
local generate = require "rwkv.text.generate"

local Chat = {}

local user, assistant, between = "User:", "Assistant:", "\n\n"

-- A text as it stands in a turn: line ends are \n, none of them twice, none around it.
function Chat.turn(text)
  return (text:gsub("\r\n?", "\n"):gsub("\n+", "\n"):gsub("^%s+", ""):gsub("%s+$", ""))
end

-- The conversation goes on from here.
function Chat:go_on(state, unread)
  self.state, self.unread, self.last = state, unread or {}, nil
end

function Chat:reset() self:go_on(self.start) end

-- Writes a reply to the turn, from the state before it. A reply that is interrupted counts as it stands.
local function reply(self, from, unread, text)
  local begun = from:seen() > 0 or #unread > 0
  local ids = table.move(unread, 1, #unread, 1, {})
  for _, id in ipairs(self.tokenizer:encode((begun and between or "") .. user .. " " .. text .. between .. assistant)) do
    ids[#ids + 1] = id
  end
  local q = {}
  for name, value in pairs(self.options) do q[name] = value end
  self.turns = self.turns + 1
  q.tokenizer, q.state, q.stop, q.first = self.tokenizer, from, between .. user, self.turns
  local run = generate.run(self.model, { ids }, q)
  local s = run.sequences[1]
  local ok, message = pcall(function() repeat until not run:step() end)
  if not ok and not self.is_interrupt(message) then error(message, 0) end
  s:interrupt()
  run:read(s)
  self.last = { from = from, unread = unread, text = text }
  self.state, self.unread = s:state(), {}
  return s:text(), s.ended
end

-- The reply, and why it ended. An empty text is an error.
function Chat:ask(text)
  text = Chat.turn(text)
  if text == "" then error("chat: the text is empty", 0) end
  return reply(self, self.state, self.unread, text)
end

-- Another reply to the last text, with other random numbers.
function Chat:regenerate()
  if not self.last then error("chat: there is no reply yet", 0) end
  return reply(self, self.last.from, self.last.unread, self.last.text)
end

return function(model, options)
  local c = setmetatable({ model = model, options = {}, turns = 0 }, { __index = Chat })
  for name, value in pairs(options) do c.options[name] = value end
  c.tokenizer, c.start, c.is_interrupt = options.tokenizer, options.start or model:state(1), options.is_interrupt or function() end
  c.options.start, c.options.is_interrupt = nil, nil
  c:reset()
  return c
end
