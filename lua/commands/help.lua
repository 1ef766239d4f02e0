-- aviary help          the commands
-- aviary help NAME     what the pages say about a command, a function or a method: verify, rwkv.model, tensor:linear
local name = arg[1]
if not name then
  print [[
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
aviary help [NAME]                       this list; or a command, function or method explained]]
  return
end

local path = not name:find "[./]" and package.searchpath("commands." .. name, package.path)
if path then -- the comment at its head
  for line in io.lines(path) do
    if not line:find "^%-%-" then break end
    print((line:gsub("^%-%- ?", "")))
  end
  return
end
require "rwkv".help(name)
if not name:find "%.md$" and #require "rwkv.pages".find(name) == 0 then os.exit(1, true) end
