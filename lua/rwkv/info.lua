-- What a model's file is: what the core sees of it, its tokenizer, and what is unusual.
local at_caller = require "rwkv.at_caller"
local core = require "rwkv.core"
local models = require "rwkv.models"
local sorted = require "rwkv.sorted"
local versions = require "rwkv.versions"

-- By the size of the vocabulary of released models.
local tokenizers = { [65536] = "World (rwkv_vocab_v20230424.txt)", [50277] = "GPT-NeoX 20B (20B_tokenizer.json)",
  [50304] = "GPT-NeoX 20B (20B_tokenizer.json)", [256] = "bytes" }

local function unusual_of(found)
  local list, c, meta = {}, found.config, found.meta
  local function note(text, ...) list[#list + 1] = text:format(...) end
  if found.prefix ~= "" then note("every name begins with \"%s\"", found.prefix) end
  if found.outside > 0 then note("%d tensors are of no model, and passed over", found.outside) end
  if found.time_states > 0 then note("it has the states of state tuning (time_state), which loading the model leaves out") end
  if not found.pack and #sorted(found.dtypes) > 1 then note "its tensors are of several dtypes" end
  if c.head_size and c.head_size ~= 64 and c.head_size ~= c.dim then
    note("heads of %d, released models have 64", c.head_size)
    if found.family == "fla" then note("fla's group norm has an eps of %g then, official code (and Aviary) 64e-5", c.head_size * 1e-5) end
  end
  local name_of_eps = found.family == "fla" and versions.of(c.version).fla_norm_eps
  if name_of_eps then
    note("fla's group norm has the eps of its config (%s %s), official code (and Aviary) 64e-5", name_of_eps, meta["config." .. name_of_eps] or "1e-5")
  end
  if found.unused > 0 then note("the value residual of block 0 is there, which nothing uses") end
  if c.tied == 1 then note "the embedding is the head" end
  return list
end

-- What is in a golden pack (golden.md), of which this is the model; nil for another file.
local function pack_of(path, meta)
  local format = (meta.format or ""):match "^aviary golden (%d+)$"
  if not format then return nil end
  local pack, tensors, _, names = { format = tonumber(format), left_out = meta.left_out }, core.load_tensors(path)
  pack.tokens = tensors.tokens and tensors.tokens.shape
  for _, name in ipairs(names) do
    local kind = name:match "^(%a+)%." or name
    if kind == "trace" or kind == "state" or kind == "grad" then pack[kind] = (pack[kind] or 0) + 1 end
    if kind == "logits" or kind == "loss" or kind == "targets" then pack[kind] = true end
  end
  return pack
end

-- rwkv.info(path, { head_size = }) -> { config = as rwkv.model takes it, title =, format =, family = of names, prefix =,
-- outside =, tensors =, numbers =, dtypes = { bf16 = numbers }, bytes =, parameters =, unused =, state_floats =,
-- tokenizer = or nil, unusual = { texts }, meta =, pack = nil or, of a golden pack, { format =, tokens = its shape, trace =,
-- state =, grad = how many of these, logits =, loss =, targets = true, left_out = text or nil } }
return at_caller(function(path, options)
  local found = models.info(path, options)
  found.numbers = 0
  for _, n in pairs(found.dtypes) do found.numbers = found.numbers + n end
  found.tokenizer = tokenizers[found.config.vocab]
  found.pack = pack_of(path, found.meta)
  found.unusual = unusual_of(found)
  return found
end)
