-- What the target names begins with, written into the directory arg[1]: the names and shapes of small models of all versions,
-- official ones and those of other families, by the tables of ref/io.
local rwkv = require "rwkv"

local function line(name, shape) return name .. " " .. table.concat(shape, " ") .. "\n" end

local function save(name, list, metadata)
  local lines = {}
  for i, t in ipairs(list) do lines[i] = line(t.name, t.shape) end
  rwkv.write_file(arg[1] .. "/" .. name, table.concat(lines) .. (metadata or ""))
end

local function parameters(version)
  local list = {}
  local heads = version >= "v5"
  local model = rwkv.model { version = version, layers = 1, dim = 4, head_size = heads and 2 or nil, vocab = 3,
    ctx = version == "v1" and 8 or nil }
  for name, t in model:parameters() do list[#list + 1] = { name = name, shape = t:shape() } end
  return list
end

-- What a family's table says of an official name: theirs, and how their tensor differs.
local function rules(source, section)
  local map = {}
  local text = rwkv.read_file("ref/io/" .. source)
  local shared = text:match "#define NORMS(.-)\n\n" or text:match "#define SHARED(.-)\n\n" or ""
  for _, part in ipairs { text:match "global%[%] = {(.-)\n};", shared, text:match(section .. "%[%] = {(.-)\n};") } do
    for official, theirs, change in part:gmatch '{"([^"]+)",%s*"([^"]+)",%s*([A-Z_0-9]+)' do
      map[official] = map[official] or { theirs = theirs, change = change }
    end
    for official, theirs in part:gmatch 'NORM%("([^"]+)",%s*"([^"]+)"%)' do
      for _, kind in ipairs { ".weight", ".bias" } do map[official .. kind] = { theirs = theirs .. kind, change = "AS_IS" } end
    end
  end
  return map
end

local function theirs(list, map, before)
  local out, rows = {}, {}
  for _, t in ipairs(list) do
    local block, rest = t.name:match "^blocks%.(%d+)%.(.+)"
    local global = map[t.name]
    local rule, s, n = global or map[rest], t.shape, 1
    for _, size in ipairs(s) do n = n * size end
    if rule then
      local name = global and rule.theirs or before .. block .. "." .. rule.theirs
      local in_rows = rule.change == "ROW" or rule.change == "SHEET"
      if rule.change == "TRANSPOSED" or rule.change == "MIX_W1" then
        s = table.move(s, 1, #s, 1, {})
        s[#s - 1], s[#s] = s[#s], s[#s - 1]
      end
      if rule.change == "MIX_W2" then s = { s[3], 5 * s[2] } end
      if rule.change == "FLAT" then s = { n } end
      if in_rows then
        if rows[name] then rows[name].shape[1] = rows[name].shape[1] + 1 end
        s = rule.change == "ROW" and { 1, n } or { 1, 1, 1, n }
      end
      if not rows[name] then out[#out + 1] = { name = name, shape = s } end
      if in_rows then rows[name] = rows[name] or out[#out] end
    end
  end
  return out
end

for _, version in ipairs(rwkv.versions()) do save(version, parameters(version)) end
save("fla6", theirs(parameters "v6", rules("names_fla.c", "v6"), "model.layers."))
save("fla7", theirs(parameters "v7", rules("names_fla.c", "v7"), "model.layers."))
save("llama6", theirs(parameters "v6", rules("names_llama.c", "v6"), "blk."))
save("llama7", theirs(parameters "v7", rules("names_llama.c", "v7"), "blk."), "@rwkv7.wkv.head_size 2\n")
save("transformers", theirs(parameters "v4", rules("names_transformers.c", "blocks"), "rwkv.blocks."))
local wrapped = parameters "v7"
for _, t in ipairs(wrapped) do t.name = "module.model." .. t.name end
wrapped[#wrapped + 1] = { name = "step", shape = { 1 } }
save("wrapped", wrapped)
local flat = parameters "v7"
for _, t in ipairs(flat) do
  if t.name:find "r_k" then t.shape = { 4 } end
end
save("flat", flat, "@head_size 2\n@config.head_dim 2\n")
save("hooked", parameters "v7", "@version v7\n@aviary.hooks gate=silu decay=own\n@aviary.sizes layers=1 vocab=3 dim=4\n")
