-- The pack: one safetensors file with everything another implementation can be compared with. See lua/pages/golden.md.
local core = require "rwkv.core"
local file = require "rwkv.file"

local pack = { format = "aviary golden 1" }

-- ---- json, as far as metadata needs it: numbers by name ----

local function number(x) return math.type(x) == "integer" and ("%d"):format(x) or ("%.3g"):format(x) end

-- list of { name, number, number, .. } -> {"name": number, ..} or {"name": [number, number], ..}
function pack.json(list)
  local parts = {}
  for i, e in ipairs(list) do
    local numbers = {}
    for j = 2, #e do numbers[j - 1] = number(e[j]) end
    parts[i] = ('"%s": %s'):format(e[1], #e > 2 and "[" .. table.concat(numbers, ", ") .. "]" or numbers[1])
  end
  return "{" .. table.concat(parts, ",\n ") .. "}"
end

local not_finite = { inf = math.huge, nan = 0 / 0, ["-nan"] = 0 / 0 }

-- The same backwards: { name = { numbers } }; nil if it is something else.
function pack.from_json(text)
  local map = {}
  for name, value in text:gmatch '"([^"]+)": (%[?[^%]\n}]+)' do
    map[name] = {}
    for x in value:gmatch "[^%[%], ]+" do
      local read = tonumber(x) or not_finite[x]
      if not read then return nil end
      table.insert(map[name], read)
    end
  end
  return map
end

-- ---- models ----

-- What of a model's sizes stands in the metadata, as rwkv.model takes it.
local function sizes(model)
  local meta = {}
  for name, value in pairs(model:config()) do
    if type(value) ~= "table" then meta[name] = tostring(value) end
  end
  return meta
end

-- Puts the pack's weights into a model of its sizes; those that hooks have displaced stay out.
function pack.fill(model, p)
  for name, t in model:parameters() do
    local weight = p.tensors[name]
    if weight then t:set(weight.value:reshape(t:shape())) end
  end
  core.end_step()
  return model
end

-- ---- files ----

-- Weights under their official names (dtype nil: without them; nor those of which stays_out(version, name) is true, if there is
-- such a function), tokens [B,T], targets [B,T], then the run; extra = { key = text }.
function pack.write(path, model, dtype, tokens, targets, run, extra, stays_out)
  local list, meta = {}, { format = pack.format, dtype = dtype }
  for name, value in pairs(sizes(model)) do meta["config." .. name] = value end
  for name, value in pairs(extra) do meta[name] = value end
  for name, p in model:parameters() do
    if dtype and not (stays_out and stays_out(model:config().version, name)) then
      list[#list + 1] = { name = name, value = p, dtype = dtype }
    end
  end
  list[#list + 1] = { name = "tokens", value = core.tokens(tokens) }
  if targets then list[#list + 1] = { name = "targets", value = core.tokens(targets) } end
  for _, e in ipairs(run) do
    list[#list + 1] = { name = e.name, value = e.value, shape = e.shape, dtype = e.dtype or "f64" }
  end
  core.save_tensors(path, list, meta)
end

local function bad(path, what, ...) error(path .. ": " .. what:format(...), 0) end

-- The sizes of the model, as rwkv.model takes them.
local function config_of(path, meta)
  local config = {}
  for key, value in pairs(meta) do
    local name = key:match "^config%.(.+)$"
    if name then config[name] = name == "version" and value or tonumber(value) or bad(path, "its %s is '%s'", key, value) end
  end
  local ok, why = pcall(core.describe, config)
  return ok and config or bad(path, "%s", why)
end

-- { profile = { name = { worst error, root of the mean square } } }
local function errors_of(path, meta)
  local errors = {}
  for key, text in pairs(meta) do
    local profile = key:match "^error%.(.+)$"
    if profile then
      errors[profile] = pack.from_json(text)
      for _, e in pairs(errors[profile] or bad(path, "its %s is '%.40s'", key, text)) do
        if #e ~= 2 then bad(path, "its %s does not have two numbers for each name", key) end
      end
    end
  end
  return errors
end

-- -> { path =, tensors = { name = { value =, shape =, dtype = } }, names = in order, meta =, config =, errors = by profile,
--   tokens =, targets = }
function pack.read(path)
  local tensors, meta, names = file.tensors(path)
  if meta.format ~= pack.format then
    bad(path, "not a golden pack of the format '%s' (`aviary golden make` writes one)", pack.format)
  end
  local p = { path = path, tensors = tensors, names = names, meta = meta }
  p.config, p.errors = config_of(path, meta), errors_of(path, meta)
  p.tokens = tensors.tokens and pack.tokens(path, "tokens", tensors.tokens, p.config.vocab)
    or bad(path, "it has no tokens")
  p.targets = tensors.targets and pack.tokens(path, "targets", tensors.targets, p.config.vocab)
  if p.targets and (#p.targets ~= #p.tokens or #p.targets[1] ~= #p.tokens[1]) then
    bad(path, "targets of [%d,%d] for tokens of [%d,%d]", #p.targets, #p.targets[1], #p.tokens, #p.tokens[1])
  end
  return p
end

-- Tokens or targets [T] or [B,T] of a file as a list of lists. Targets may be below 0: they are not scored.
function pack.tokens(path, name, entry, vocab)
  local axes = #entry.shape
  if axes < 1 or axes > 2 or entry.value:size() == 0 then
    bad(path, "%s of shape [%s], expected [T] or [B,T]", name, table.concat(entry.shape, ","))
  end
  local list = entry.value:tolist()
  if type(list[1]) ~= "table" then list = { list } end
  for _, row in ipairs(list) do
    for i, id in ipairs(row) do
      row[i] = math.tointeger(id)
      if not row[i] or row[i] >= vocab or row[i] < (name == "targets" and -2 ^ 31 + 1 or 0) then
        bad(path, "%s hold %s, expected whole numbers below the vocabulary's %d", name, id, vocab)
      end
    end
  end
  return list
end

return pack
