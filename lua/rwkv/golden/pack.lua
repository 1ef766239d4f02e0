-- The pack: one safetensors file with everything another implementation can be compared with. See lua/doc/golden.md.
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

-- The same backwards: { name = { numbers } }.
function pack.from_json(text)
  local map = {}
  for name, value in (text or ""):gmatch '"([^"]+)": (%[?[^%]\n}]+)' do
    map[name] = {}
    for x in value:gmatch "[^%[%], ]+" do table.insert(map[name], tonumber(x)) end
  end
  return map
end

-- ---- models ----

-- What of a model's sizes stands in the metadata, as rwkv.model takes it.
local function sizes(model)
  local meta = {}
  for name, value in pairs(model:config()) do meta[name] = tostring(value) end
  return meta
end

-- The model in a pack.
function pack.model(p)
  local design = {}
  for name, value in pairs(p.meta.config) do design[name] = value end
  return pack.fill(core.model(design), p)
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

-- Weights under their official names, tokens [B,T], targets [B,T], then the run; extra = { key = text }.
function pack.write(path, model, dtype, tokens, targets, run, extra)
  local list, meta = {}, { format = pack.format, dtype = dtype }
  for name, value in pairs(sizes(model)) do meta["config." .. name] = value end
  for name, value in pairs(extra) do meta[name] = value end
  for name, p in model:parameters() do list[#list + 1] = { name = name, value = p, dtype = dtype } end
  list[#list + 1] = { name = "tokens", value = core.tokens(tokens) }
  if targets then list[#list + 1] = { name = "targets", value = core.tokens(targets) } end
  for _, e in ipairs(run) do
    list[#list + 1] = { name = e.name, value = e.value, shape = e.shape, dtype = e.dtype or "f64" }
  end
  core.save_tensors(path, list, meta)
end

-- -> { tensors = { name = { value =, shape =, dtype = } }, names = in order, meta =, tokens =, targets = }
function pack.read(path)
  local tensors, meta, names = file.tensors(path)
  if meta.format ~= pack.format then
    error(("%s: not a golden pack of the format '%s' (`aviary golden make` writes one)"):format(path, pack.format), 0)
  end
  meta.config = {}
  for key, value in pairs(meta) do
    local name = type(value) == "string" and key:match "^config%.(.+)$"
    if name then meta.config[name] = name == "version" and value or tonumber(value) end
  end
  local p = { path = path, tensors = tensors, names = names, meta = meta }
  for _, name in ipairs { "tokens", "targets" } do
    p[name] = tensors[name] and pack.integers(tensors[name])
  end
  return p
end

-- Tokens [T] or [B,T] of a file as a list of lists.
function pack.integers(entry)
  local list = entry.value:tolist()
  if #entry.shape == 1 then list = { list } end
  for _, row in ipairs(list) do
    for i, id in ipairs(row) do row[i] = math.tointeger(id) end
  end
  return list
end

return pack
