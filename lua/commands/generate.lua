-- aviary generate MODEL --prompt TEXT    what the model writes after the text, on the standard output as it comes
--   [--prompt-file FILE: the prompt] [--prompts FILE: one a line, or .jsonl with {"prompt": ..}; a batch, JSON lines come out]
--   [--vocab FILE|DIR|bytes] [--max-tokens 256] [--stop TEXT: ends before this text; may be given several times]
--   [--temperature 1] [--top-p 0.85] [--top-k 0] [--presence 0.2] [--frequency 0.2] [--decay 0.996] [--seed 0]
--   [--state FILE: goes on from it, if it is there, and is saved there] [--start FILE: begins with this state, a tuned one, say]
--   [--dtype f32|bf16|f16: of the weights in memory; otherwise as in the file] [--head-size N: where the file does not tell]
--   [--batch 16: prompts at a time]
-- Ctrl-C ends it; the state is saved all the same, and a call with --state alone goes on. Explained in: aviary help text.md
local rwkv = require "rwkv"
local command = require "rwkv.text.command"
local file = require "rwkv.file"
local generate = require "rwkv.text.generate"
local visible = require "rwkv.visible"

local usage = "aviary generate MODEL --prompt TEXT [--vocab FILE] [options]; `aviary help generate` lists them"
local defaults = { prompt = "", prompt_file = "", prompts = "", max_tokens = 256, stop = {}, state = "", start = "", batch = 16 }

-- ---- one prompt ----

-- The state to begin with; the ids that it has not read; what the sampler knew.
local function begin(model, o)
  local directory = o.state:match "^(.*)/[^/]*$"
  if directory and not command.exists(directory .. "/.") then
    error(("--state %s: there is no directory %s"):format(o.state, directory), 0)
  end
  if o.state ~= "" and command.exists(o.state) then
    if o.start ~= "" then error(("--start: %s is there already, and begins the text"):format(o.state), 0) end
    local state, unread, memory = command.load_state(model, o.state)
    if not unread then error(("%s is a tuned state, which --state would overwrite; give it as --start"):format(o.state), 0) end
    return state, unread, memory
  end
  return o.start ~= "" and model:load_state(o.start) or model:state(1), {}, nil
end

local function one(model, tokenizer, o)
  local state, ids, memory = begin(model, o)
  local prompt = o.prompt_file ~= "" and file.bytes(o.prompt_file) or o.prompt
  for _, id in ipairs(tokenizer:encode(prompt)) do ids[#ids + 1] = id end
  if #ids == 0 then
    error(state:seen() > 0 and ("the text in %s ended by itself; it goes on with a --prompt"):format(o.state ~= "" and o.state or o.start)
      or "there is no prompt; give --prompt TEXT or --prompt-file FILE", 0)
  end
  local bar = rwkv.progress("prompt", #ids, "tok")
  local q = command.of_sampler(o)
  q.tokenizer, q.max_tokens, q.stop, q.state, q.memory = tokenizer, o.max_tokens, o.stop, state, memory
  q.on_token = command.write
  q.on_read = function(_, read) bar:update(read) end
  local run = generate.run(model, { ids }, q)
  local s, begun, written_from = run.sequences[1], rwkv.time(), nil
  local interrupted = command.until_interrupt(function()
    while run:step() do
      if not written_from then bar:clear() end
      written_from = written_from or rwkv.time()
    end
  end)
  s:interrupt()
  local now = rwkv.time()
  if rwkv.is_terminal "output" then io.write "\n" end
  io.flush()
  visible.say("%sread %s; wrote %s", interrupted and "interrupted; " or "",
    command.rate(math.min(s:read(), s.prompt), (written_from or now) - begun),
    command.rate(s.count, now - (written_from or now)))
  if o.state ~= "" then
    command.save_state(o.state, s:state(), s:unread(), s.sampler:memory())
    visible.say("the state after %d tokens is in %s", s.batch.state:seen(s.row), o.state)
  end
  return interrupted and command.interrupted or 0
end

-- ---- many prompts ----

local function prompts_in(path)
  local text, list = file.bytes(path), {}
  if path:match "%.jsonl?$" then
    for _, entry in ipairs(require "rwkv.json".lines(text, path)) do
      list[#list + 1] = type(entry.value.prompt) == "string" and entry.value.prompt
        or error(('%s: line %d: expected {"prompt": text}'):format(path, entry.line), 0)
    end
  else
    for line in text:gmatch "[^\n]+" do list[#list + 1] = line:gsub("\r$", "") end
  end
  if #list == 0 then error(path .. ": there is no prompt in it", 0) end
  return list
end

local function many(model, tokenizer, o)
  local prompts, done, begun = prompts_in(o.prompts), 0, rwkv.time()
  local bar = rwkv.progress("prompts", #prompts, "prompts")
  local q = command.of_sampler(o)
  q.tokenizer, q.max_tokens, q.stop = tokenizer, o.max_tokens, o.stop
  q.state = o.start ~= "" and model:load_state(o.start) or nil
  local tokens, interrupted = 0, false
  while done < #prompts and not interrupted do
    local part = table.move(prompts, done + 1, math.min(done + o.batch, #prompts), 1, {})
    q.first = done + 1
    local run = generate.run(model, part, q)
    interrupted = command.until_interrupt(function()
      repeat bar:update(done) until not run:step()
    end)
    for i, s in ipairs(run.sequences) do
      s:interrupt()
      local ids = s:written()
      io.write(('{"prompt": %s, "text": %s, "ids": [%s], "ended": "%s"}\n'):format(command.json(part[i]), command.json(s:text()),
        table.concat(ids, ", "), s.ended))
      tokens = tokens + #ids
    end
    io.flush()
    done = done + #part
  end
  bar:finish(("%d of %d prompts; wrote %s"):format(done, #prompts, command.rate(tokens, rwkv.time() - begun)))
  return interrupted and command.interrupted or 0
end

command.run("generate", function(arguments)
  local o = command.options(arguments, usage, command.loading, command.sampling, defaults)
  local given = (o.prompt ~= "" and 1 or 0) + (o.prompt_file ~= "" and 1 or 0) + (o.prompts ~= "" and 1 or 0)
  if given > 1 then error("give one of --prompt, --prompt-file and --prompts", 0) end
  if o.prompts ~= "" and o.state ~= "" then error("--state is for one prompt; --prompts has many", 0) end
  if not math.tointeger(o.batch) or o.batch < 1 then error(("--batch: expected a whole number from 1, found %s"):format(o.batch), 0) end
  local model, tokenizer = command.model(o)
  return (o.prompts ~= "" and many or one)(model, tokenizer, o)
end)
