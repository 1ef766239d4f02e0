-- aviary help          the commands
-- aviary help NAME     what the pages say about a command, a function, a method, a slot, a version or an equation:
--                      verify, rwkv.model, tensor:linear, decay, v7, v7.3
local command = require "rwkv.command"
local head_comment = require "rwkv.head_comment"
local notes = require "rwkv.notes"
local pages = require "rwkv.pages"

local commands = [[
aviary verify WEIGHTS GOLDEN [--tol X]   compare a model with golden numbers, gradients included
aviary golden make VERSION OUT           numbers that other implementations can be compared with
aviary golden diff PACK THEIRS           what is off in theirs, where first, and why
aviary info [MODEL]                      the versions, or what a model file is
aviary convert IN OUT [OPTIONS]          a model in another format (.safetensors .pth .npz), type, or in shards
aviary generate MODEL --prompt TEXT      what a model writes after a text
aviary chat MODEL                        a conversation with it
aviary embed MODEL < LINES               a vector for each line
aviary eval KIND MODEL [OPTIONS]         how good: perplexity of a text, LAMBADA, multiple choice
aviary tokenize --vocab FILE [--decode]  text as token ids, and back
aviary bench NAME [OPTIONS]              how fast: train, decode, prefill, ops, scaling, hook, tokenize, all, peers
aviary help [NAME]                       this list; or a command, function, method, slot, version or equation explained
COMMAND --help explains each.]]

command.run("help", function(arguments)
  local name = arguments[1]
  if not name then return print(commands) end
  local comment = not name:find "[./]" and package.searchpath("commands." .. name, package.path) and head_comment(name)
  if comment then
    io.write(comment)
    return 0
  end
  require "rwkv".help(name)
  local found = name:find "%.md$" or #pages.find(name) > 0 or #notes.equations(name) > 0 or notes.version(name)
  return found and 0 or 1
end)
