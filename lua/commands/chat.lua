-- aviary chat MODEL    a conversation, in the template of the World models; a line is a turn
--   [--vocab FILE|DIR|bytes] [--start FILE: begins with this state, a tuned one, say] [--max-tokens 2048: of a reply]
--   [--temperature 1] [--top-p 0.3] [--top-k 0] [--presence 0.5] [--frequency 0.5] [--decay 0.996] [--seed 0]
--   [--dtype f32|bf16|f16: of the weights in memory; otherwise as in the file] [--head-size N: where the file does not tell]
--   /reset          begins anew              /regenerate     another reply to the last text
--   /save FILE      the state as a file      /load FILE      goes on from such a file
--   /help           these                    /quit           ends it, as the end of the input does
--   //text          a text that begins with a slash
-- Ctrl-C ends a reply. From a pipe it reads texts and writes replies, one a line. Explained in: aviary help text.md
local rwkv = require "rwkv"
local command = require "rwkv.text.command"
local chat = require "rwkv.text.chat"
local visible = require "rwkv.visible"

local usage = "aviary chat MODEL [--vocab FILE] [options]; `aviary help chat` lists them"
-- The sampler's are those of the official chat.
local defaults = { start = "", max_tokens = 2048, top_p = 0.3, presence = 0.5, frequency = 0.5 }

local at_terminal = rwkv.is_terminal "output"

-- A reply as it comes: at a terminal after "Assistant:", elsewhere without the space before it, and on a line of its own.
local function shown(write_reply)
  local first = true
  if at_terminal then command.write "Assistant:" end
  return function(piece)
    if not at_terminal then
      piece = piece:gsub("\n", "\\n")
      if first then piece = piece:gsub("^ +", "") end
    end
    first = first and piece == ""
    write_reply(piece)
  end
end

local function answer(c, ask, ...)
  c.options.on_token = shown(command.write)
  local ok, message = pcall(ask, c, ...)
  command.write(at_terminal and "\n\n" or "\n")
  if not ok then error(message, 0) end
end

local function said(...) if at_terminal then visible.say(...) end end

local commands = {}

function commands.reset(c)
  c:reset()
  said "begun anew"
end

function commands.regenerate(c) answer(c, c.regenerate) end

function commands.save(c, path)
  if path == "" then error("/save: which file?", 0) end
  command.save_state(path, c.state, c.unread)
  said("the state after %d tokens is in %s", c.state:seen(), path)
end

function commands.load(c, path)
  if path == "" then error("/load: which file?", 0) end
  c:go_on(command.load_state(c.model, path))
  said("goes on after %d tokens", c.state:seen())
end

function commands.help() visible.say "/reset /regenerate /save FILE /load FILE /help /quit; //text begins with a slash" end

-- What the line asks for; false at the end.
local function obey(c, line)
  local name, rest = line:match "^/(%a+)%s*(.-)%s*$"
  if name == "quit" then return false end
  if name then
    local f = commands[name] or error(("there is no /%s; /help lists what there is"):format(name), 0)
    f(c, rest)
  elseif line:find "%S" then
    answer(c, c.ask, (line:gsub("^//", "/")))
  end
  return true
end

command.run("chat", function(arguments)
  local o = command.options(arguments, usage, command.loading, command.sampling, defaults)
  local model, tokenizer = command.model(o)
  local q = command.of_sampler(o)
  q.tokenizer, q.max_tokens, q.is_interrupt = tokenizer, o.max_tokens, command.is_interrupt
  q.start = o.start ~= "" and model:load_state(o.start) or nil
  rwkv.sampler(command.of_sampler(o)) -- what is wrong with its options is said before the first text
  local c, status = chat(model, q), 0
  if at_terminal then commands.help() end
  while true do
    if at_terminal then command.write "User: " end
    local dropped, line = command.until_interrupt(io.read, "l")
    if not dropped and not line then break end
    local ok, more = true, true
    if dropped then said "the line was dropped" else ok, more = pcall(obey, c, line) end
    if not ok then
      visible.say("chat: %s", tostring(more):gsub("^[^\n ]+%.lua:%d+: ", ""))
      if not at_terminal then status = 1 end
    elseif not more then
      break
    end
  end
  return status
end)
