-- The weights as a port has loaded them, with the mistakes that are made on the way.
--   weights(stored, version, wrong, format) -> get(name, layer): a list of numbers with its shape, nil where there is none; how
--   many layers there are.
--   stored[name] = { numbers, shape = {..} }
local numbers = require "tests.lua.lib.port.numbers"

local exchanged = {
  ["key-value-exchanged"] = { "key", "value" },
  ["receptance-key-exchanged"] = { "receptance", "key" },
  ["receptance-value-exchanged"] = { "receptance", "value" },
}

-- x_r x_w x_k x_v x_a x_g, read from what was sorted by name
local alphabetical = { r = "a", w = "g", k = "k", v = "r", a = "v", g = "w" }

local function transposed(W)
  local rows, columns = W.shape[1], W.shape[2]
  local y = { shape = { columns, rows } }
  for i = 1, rows do for j = 1, columns do y[(j - 1) * rows + i] = W[(i - 1) * columns + j] end end
  return y
end

-- What stays in float32 in half precision, as in official inference code (in v7 nothing).
local function stays(version, name)
  return version ~= "v7" and (name:find "time_decay$" or name:find "time_first$" or name:find "time_faaaa$" or name:find "ln_x"
    or name:find "ln0" or name == "emb.weight")
end

local function renamed(name, wrong)
  if wrong "tied-head" and name == "head.weight" then return "emb.weight" end
  local part, what, rest = name:match "^(attn?)%.(%l+)(%..+)$"
  for id, pair in pairs(exchanged) do
    if wrong(id) and part then
      local other = what == pair[1] and pair[2] or what == pair[2] and pair[1]
      if other then return ("%s.%s%s"):format(part, other, rest) end
    end
  end
  local ln, kind = name:match "^(ln[12])(%..+)$"
  if wrong "norms-exchanged" and ln then return (ln == "ln1" and "ln2" or "ln1") .. kind end
  local stream = name:match "^att%.x_(%l)$"
  if wrong "mixes-alphabetical" and stream then return "att.x_" .. alphabetical[stream] end
  return name
end

-- The layer whose weights a layer is computed with, where it has them.
local function other_layer(layer, layers, wrong)
  if wrong "layer-0-weights-everywhere" then return 0 end
  if wrong "last-layer-weights-everywhere" then return layers - 1 end
  if wrong "layers-reversed" then return layers - 1 - layer end
  if wrong "layers-alphabetical" then
    local names = numbers.map(layers, function(i) return tostring(i - 1) end)
    table.sort(names)
    return math.tointeger(tonumber(names[layer + 1]))
  end
  return layer
end

return function(stored, version, wrong, format)
  local loaded, layers = {}, 0
  while stored[("blocks.%d.ln1.weight"):format(layers)] do layers = layers + 1 end
  local function load(name, full)
    local W = stored[full] or version == "v1" and full == "emb.weight" and stored["tok_emb.weight"]
    if not W then return nil end
    local what = name:match "^attn?%.(%l+)%.weight$"
    if what and (wrong("transposed-" .. what) or wrong "transposed-all") and #W.shape == 2 and W.shape[1] == W.shape[2] then
      W = transposed(W)
    end
    local h = numbers.rounding[stays(version, name) and format ~= "f64" and "f32" or format]
    local y = { shape = W.shape }
    for i = 1, #W do y[i] = h(W[i]) end
    return y
  end
  local function get(name, layer)
    local asked = (layer or "") .. name
    if loaded[asked] == nil then
      local other = renamed(name, wrong)
      local function of(which) return load(other, which and ("blocks.%d.%s"):format(which, other) or other) end
      loaded[asked] = layer and name:sub(1, 3) ~= "ln0" and of(other_layer(layer, layers, wrong)) or of(layer) or false
    end
    return loaded[asked] or nil
  end
  return get, layers
end
