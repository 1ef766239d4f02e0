-- model:generate(prompt, options) -> text, state, { ids =, ended = }. See lua/pages/text.md.
local class_of = require "rwkv.class_of"
local core = require "rwkv.core"
local nearest = require "rwkv.nearest"
local run = require "rwkv.text.run"
local sequence = require "rwkv.text.sequence"
local sorted = require "rwkv.sorted"

local generate = {}

-- Options of the sampler, which checks them; and our own, of which types, and in a word.
local of_sampler = { "temperature", "top_p", "top_k", "presence", "frequency", "decay", "seed", "logits", "memory" }
local kinds = {
  tokenizer = { table = true, ["rwkv.tokenizer"] = true, word = "tokenizer" },
  max_tokens = { number = true, word = "number" },
  stop = { string = true, table = true, word = "text or a list of texts" },
  stop_ids = { table = true, word = "list of ids" },
  state = { ["rwkv.state"] = true, table = true, word = "state or a list of states" },
  on_token = { ["function"] = true, word = "function" },
  on_read = { ["function"] = true, word = "function" },
  piece = { number = true, word = "number" },
  first = { number = true, word = "number" },
}
for _, name in ipairs(of_sampler) do kinds[name] = {} end

local function fail(...) error("generate: " .. string.format(...), 0) end

-- A table that is none is asked for what it does not have before anything else is done.
local function check_tokenizer(tokenizer)
  for _, method in ipairs(type(tokenizer) == "table" and { "size", "encode", "bytes", "kind" } or {}) do
    if type(tokenizer[method]) ~= "function" then fail("tokenizer: this table has no method '%s'", method) end
  end
end

local function check_kinds(options)
  if type(options) ~= "table" then fail("expected a table of options, found a %s", type(options)) end
  for name, value in pairs(options) do
    if not kinds[name] then
      fail("there is no option '%s'%s", tostring(name), nearest.listed(name, sorted(kinds)))
    end
    if kinds[name].word and not kinds[name][class_of(value)] then
      fail("%s is a %s, expected a %s", name, (class_of(value):gsub("^rwkv%.", "")), kinds[name].word)
    end
  end
  check_tokenizer(options.tokenizer)
end

-- A list, and nothing beside it.
local function check_list(list, what)
  for key in pairs(list) do
    if math.type(key) ~= "integer" or key < 1 or key > #list then
      fail("%s: expected a list, found the key '%s' beside its %d entries", what, tostring(key), #list)
    end
  end
end

local function whole(options, name, low, otherwise)
  local n = options[name]
  if n == nil then return otherwise end
  return math.tointeger(n) and n >= low and math.tointeger(n) or fail("%s: expected a whole number from %d, found %s", name, low, n)
end

local function stops_of(stop, tokenizer)
  if type(stop) == "string" then stop = { stop } end
  if stop and not tokenizer then fail("stop: texts need a tokenizer; without one there is stop_ids") end
  check_list(stop or {}, "stop")
  for i, text in ipairs(stop or {}) do
    if type(text) ~= "string" or text == "" then fail("stop: text %d is %s, expected some text", i, text == "" and "empty" or "a " .. type(text)) end
  end
  return stop or {}
end

-- Both official vocabularies have the end of a text as id 0; of bytes and characters every id is one.
local with_end = { world = true, bpe = true }

local function stop_ids_of(list, tokenizer, vocab)
  local set = {}
  if not list then return tokenizer and with_end[tokenizer:kind()] and { [0] = true } or set end
  check_list(list, "stop_ids")
  for i, id in ipairs(list) do
    local known = math.tointeger(id)
    if not known or known < 0 or known >= vocab then
      fail("stop_ids: entry %d is %s, expected an id from 0 to %d", i, tostring(id), vocab - 1)
    end
    set[known] = true
  end
  return set
end

-- A prompt as ids.
local function ids_of(prompt, tokenizer, what)
  if type(prompt) == "string" then
    if not tokenizer then fail("%s is text: it needs a tokenizer", what) end
    prompt = tokenizer:encode(prompt)
  elseif type(prompt) ~= "table" then
    fail("%s is a %s, expected text or a list of ids", what, (class_of(prompt):gsub("^rwkv%.", "")))
  end
  check_list(prompt, what)
  if #prompt == 0 then fail("%s is empty: there is nothing to go on from", what) end
  return prompt
end

-- A list of the states that the prompts begin with, as copies.
local function states_of(model, state, count)
  if type(state) == "table" and #state ~= count then fail("state: a list of %d states for %d prompts", #state, count) end
  if type(state) == "table" then check_list(state, "state") end
  local states = {}
  for i = 1, count do
    local from = state
    if type(state) == "table" then from = state[i] end
    if from ~= nil and class_of(from) ~= "rwkv.state" then fail("state: entry %d is a %s, expected a state", i, type(from)) end
    states[i] = from and from:copy() or model:state(1)
    if states[i]:batch() ~= 1 then fail("state %d is a batch of %d; each prompt has a state of its own", i, states[i]:batch()) end
  end
  return states
end

-- The sampler of a sequence, the place-th of all: each has a stream of random numbers of its own.
local function sampler_of(options, tokenizer, place)
  local q = { tokenizer = tokenizer, stream = place - 1 }
  for _, name in ipairs(of_sampler) do q[name] = options[name] end
  return core.sampler(q)
end

-- The sequences of prompts (lists of ids or texts), as a run of the model.
function generate.run(model, prompts, options)
  check_kinds(options)
  local tokenizer, sequences = options.tokenizer, {}
  local max_tokens, piece = whole(options, "max_tokens", 1, 256), whole(options, "piece", 1, 256)
  local stop, stop_ids = stops_of(options.stop, tokenizer), stop_ids_of(options.stop_ids, tokenizer, model:config().vocab)
  local states, first = states_of(model, options.state, #prompts), whole(options, "first", 1, 1)
  for i, prompt in ipairs(prompts) do
    local on_token = options.on_token
    sequences[i] = sequence { ids = ids_of(prompt, tokenizer, #prompts > 1 and ("prompt %d"):format(i) or "the prompt"),
      state = states[i], sampler = sampler_of(options, tokenizer, first + i - 1), max_tokens = max_tokens, stop = stop,
      stop_ids = stop_ids, tokenizer = tokenizer,
      on_token = on_token and function(text, id) return on_token(text, id, i) end }
  end
  return run(model, sequences, { piece = piece, on_read = options.on_read })
end

local function is_batch(prompt) return type(prompt) == "table" and (type(prompt[1]) == "table" or type(prompt[1]) == "string") end

function generate.generate(model, prompt, options)
  local batch = is_batch(prompt)
  if prompt == nil then fail "expected a prompt, text or a list of ids, found nothing" end
  local r = generate.run(model, batch and prompt or { prompt }, options or {})
  repeat until not r:step()
  local texts, states, details = {}, {}, {}
  for i, s in ipairs(r.sequences) do
    r:read(s)
    local ids = s:written()
    texts[i], states[i], details[i] = s:text() or ids, s:state(), { ids = ids, ended = s.ended }
  end
  if batch then return texts, states, details end
  return texts[1], states[1], details[1]
end

return generate
