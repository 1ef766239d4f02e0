-- What the commands on text share besides what all share: their options, the model and its vocabulary, where text goes.
local core = require "rwkv.core"
local file = require "rwkv.file"
local options = require "rwkv.options"
local sorted = require "rwkv.sorted"
local vocab = require "rwkv.text.vocab"
local visible = require "rwkv.visible"

local command = setmetatable({}, { __index = require "rwkv.command" })

-- The options of the sampler, and what official code has for them.
command.sampling = { temperature = 1.0, top_p = 0.85, top_k = 0, presence = 0.2, frequency = 0.2, decay = 0.996, seed = 0 }

-- The options over several tables of defaults, and one argument without a name.
function command.options(arguments, usage, ...)
  local defaults = {}
  for _, some in ipairs { ... } do
    for name, value in pairs(some) do defaults[name] = value end
  end
  local ok, o = pcall(options, arguments, defaults)
  if not ok then error(("%s\nusage: %s"):format(o, usage), 0) end
  if #o ~= 1 then error("usage: " .. usage, 0) end
  return o
end

local dtypes = { f32 = true, bf16 = true, f16 = true }

-- The options of command.model.
command.loading = { vocab = "", dtype = "", head_size = 0 }

-- The model in the file o[1], its weights as they are there or of --dtype, and its tokenizer.
function command.model(o)
  local path, dtype = o[1], o.dtype
  if dtype ~= "" and not dtypes[dtype] then error(("--dtype: expected f32, bf16 or f16, found '%s'"):format(dtype), 0) end
  local model = file.model(path, { weights = dtype == "" and "packed" or "expanded", head_size = file.head_size(o.head_size) })
  if dtype ~= "" then model = model:pack(dtype) end
  collectgarbage()
  return model, (vocab.find(o.vocab ~= "" and o.vocab or nil, path, model:config().vocab))
end

-- The options of the sampler among those of a command.
function command.of_sampler(o)
  local q = {}
  for _, name in ipairs(sorted(command.sampling)) do q[name] = o[name] end
  return q
end

-- What a file of `generate` or `chat` holds: the state, the ids that come next and that it has not read, and what the
-- sampler knew; of a tuned state only the first.
function command.load_state(model, path)
  local state, meta = model:load_state(path)
  if not meta then return state end
  local unread = {}
  for id in (meta.unread or ""):gmatch "%d+" do unread[#unread + 1] = math.tointeger(id) end
  return state, unread, meta.sampler
end

function command.save_state(path, state, unread, memory)
  state:save(path, { meta = { unread = table.concat(unread, " "), sampler = memory } })
end

-- Text for the standard output, at once: as it is; what comes to a terminal, as it may be shown there.
function command.write(text)
  if text == "" then return end
  io.write(core.is_terminal "output" and visible.text(text) or text)
  io.flush()
end

-- A text as JSON, in which bytes that are no UTF-8 are U+FFFD.
function command.json(text)
  local parts, at = {}, 1
  repeat
    local _, bad = utf8.len(text, at)
    parts[#parts + 1] = text:sub(at, (bad or 0) - 1)
    if bad then parts[#parts + 1] = "\u{fffd}" end
    at = (bad or 0) + 1
  until not bad
  local escaped = table.concat(parts):gsub('[%c"\\]', function(c)
    return c == '"' and '\\"' or c == "\\" and "\\\\" or ("\\u%04x"):format(c:byte())
  end)
  return '"' .. escaped .. '"'
end

-- "12 tokens, 34.5 a second"
function command.rate(tokens, seconds)
  return ("%d tokens%s"):format(tokens, tokens > 0 and seconds > 0 and (", %.4g a second"):format(tokens / seconds) or "")
end

function command.exists(path)
  local f = io.open(path, "rb")
  if f then f:close() end
  return f ~= nil
end

return command
