-- States in files: safetensors, a tensor for each part of the state under its name (state:names()), and in the metadata
-- what model it is of and how many tokens each sequence has seen. What grows with the tokens is as long as the longest. A file of state tuning holds blocks.N.att.time_state [H,N,N] instead.
local core = require "rwkv.core"
local sorted = require "rwkv.sorted"
local Tensor = core.Tensor

local format, own = "aviary state", "state." -- what metadata of ours begins with; the rest is the user's

-- "2", "decay=floor gate=none" and, of a slot layer by layer, "time_mix=v7,attention" for the values of a config
local function text_of(value)
  if type(value) ~= "table" then return tostring(value) end
  if #value > 0 then return table.concat(value, ",") end
  local parts = {}
  for _, name in ipairs(sorted(value)) do parts[#parts + 1] = name .. "=" .. text_of(value[name]) end
  return table.concat(parts, " ")
end

-- ---- writing ----

local function save(state, path, options)
  options = options or {}
  if type(options) ~= "table" then error(("save: expected a table of options, found a %s"):format(type(options)), 0) end
  for name in pairs(options) do
    if name ~= "meta" then error(("save: there is no option '%s'; there is: meta"):format(tostring(name)), 0) end
  end
  local meta, entries, seen = {}, {}, {}
  if options.meta ~= nil and type(options.meta) ~= "table" then
    error(("save: meta is a %s, expected a table of texts"):format(type(options.meta)), 0)
  end
  for key, value in pairs(options.meta or {}) do
    if type(key) == "string" and (key == "format" or key:sub(1, #own) == own) then
      error(("save: '%s' in meta is the library's own"):format(key), 0)
    end
    meta[key] = value
  end
  for i, name in ipairs(state:names()) do entries[i] = { name = name, value = state:get(name) } end
  for b = 1, state:batch() do seen[b] = state:seen(b) end
  for name, value in pairs(state:config()) do meta[own .. name] = text_of(value) end
  meta.format, meta[own .. "seen"] = format, table.concat(seen, " ")
  core.save_tensors(path, entries, meta)
end

-- ---- reading ----

local function wrong(path, ...) error(path .. ": " .. string.format(...), 0) end

local function shape_text(shape) return "[" .. table.concat(shape, ",") .. "]" end

local function same_shape(a, b)
  if #a ~= #b then return false end
  for i, size in ipairs(a) do if b[i] ~= size then return false end end
  return true
end

-- Of which sizes, hooks and so on the file's model was, against those of this one.
local function check_design(path, meta, config)
  local expected = {}
  for name, value in pairs(config) do expected[own .. name] = text_of(value) end
  for name in pairs(meta) do
    if name:sub(1, #own) == own and name ~= own .. "seen" then expected[name] = expected[name] or "none" end
  end
  local order = sorted(expected)
  table.sort(order, function(a, b) -- the version first, as the sizes follow from it
    local first = own .. "version"
    if (a == first) ~= (b == first) then return a == first end
    return a < b
  end)
  for _, name in ipairs(order) do
    local found = meta[name] or "none"
    if found ~= expected[name] then
      wrong(path, "the state is of another model: its %s is %s, the model's is %s", name:sub(#own + 1), found, expected[name])
    end
  end
end

local function seen_of(path, meta)
  local seen = {}
  for word in (meta[own .. "seen"] or ""):gmatch "%S+" do
    seen[#seen + 1] = word:match "^%d+$" and math.tointeger(tonumber(word))
      or wrong(path, "the tokens seen are '%s', expected whole numbers", word:sub(1, 40))
  end
  if #seen == 0 then wrong(path, "the file does not say how many tokens the state has seen") end
  return seen
end

-- Before memory is taken by what the file says it has to hold that much: what grows with the tokens is as long as the longest
-- sequence.
local function check_sizes(path, tensors, seen, model)
  local at_start, after_one, longest = model:state(1), model:state { 1 }, 0
  for _, n in ipairs(seen) do longest = math.max(longest, n) end
  for _, name in ipairs(at_start:names()) do
    local shape, grown = at_start:get(name):shape(), after_one:get(name):shape()
    for i, size in ipairs(shape) do if grown[i] ~= size then shape[i] = longest end end
    shape[1] = #seen
    local entry = tensors[name] or wrong(path, "the state has no %s", name)
    if not same_shape(shape, entry.shape) then
      wrong(path, "%s is %s, expected %s: a batch of %d that has seen %d tokens", name, shape_text(entry.shape),
        shape_text(shape), #seen, longest)
    end
  end
end

local dtypes = { float64 = { f32 = true, f64 = true }, float32 = { f32 = true } }

local function check_dtypes(path, tensors, names)
  for _, name in ipairs(names) do
    local dtype = tensors[name].dtype
    if not dtypes[core.precision][dtype] then
      wrong(path, "%s is of %s, which this program (%s) cannot hold as it is%s", name, dtype, core.precision,
        dtype == "f64" and "; aviary --double can" or "")
    end
  end
end

local function read_state(model, path, tensors, meta)
  check_design(path, meta, model:config())
  local seen, names, known = seen_of(path, meta), model:state(1):names(), {}
  check_sizes(path, tensors, seen, model)
  check_dtypes(path, tensors, names)
  for _, name in ipairs(names) do known[name] = true end
  for _, name in ipairs(sorted(tensors)) do
    if not known[name] then wrong(path, "%s is no part of such a state", name) end
  end
  local state = model:state(seen)
  for _, name in ipairs(names) do state:set(name, tensors[name].value) end
  local rest = {}
  for key, value in pairs(meta) do
    if key ~= "format" and key:sub(1, #own) ~= own then rest[key] = value end
  end
  return state, rest
end

-- A tuned state stands in the file as the training kernels index it, [head, value, key]. So does v7's own; that of v6 is
-- [head, key, value].
local tuned_is_transposed = { v6 = true, v6a = true, v6b = true, v7 = false }

local tuned_dtypes = { f64 = true, f32 = true, bf16 = true, f16 = true }

-- The tuned state of a layer in a file, which may be one of a whole model, or nil.
local function tuned_in(path, layer)
  local name = ("blocks.%d.att.time_state"):format(layer)
  return core.load_tensors(path, name)[name], name
end

local function read_tuned(model, path)
  local config, state = model:config(), model:state(1)
  local transposed = tuned_is_transposed[config.version]
  if transposed == nil then
    wrong(path, "a tuned state (time_state) is for v6 and v7, the model is of version %s", config.version)
  end
  for layer = 0, config.layers - 1 do
    local entry, name = tuned_in(path, layer)
    local part = layer .. ".att_kv"
    local shape = state:get(part):shape()
    if not entry then wrong(path, "%s is missing; the model has %d layers", name, config.layers) end
    if not tuned_dtypes[entry.dtype] then wrong(path, "%s is of %s, expected f32, bf16, f16 or f64", name, entry.dtype) end
    if not same_shape(entry.shape, { table.unpack(shape, 2) }) then
      wrong(path, "%s is %s, expected %s", name, shape_text(entry.shape), shape_text { table.unpack(shape, 2) })
    end
    state:set(part, core.no_grad(function()
      local value = transposed and Tensor.transpose(entry.value, 2, 3) or entry.value
      return Tensor.reshape(value, shape)
    end))
  end
  local beyond, name = tuned_in(path, config.layers)
  if beyond then wrong(path, "%s: the model has only %d layers", name, config.layers) end
  return state
end

-- load_state(path) -> the state, the user's metadata; of a tuned state nil
local function load_state(model, path)
  local tensors, meta = core.load_tensors(path, "blocks.0.att.time_state")
  if meta.format == format then return read_state(model, path, (core.load_tensors(path)), meta) end
  if next(tensors) then return read_tuned(model, path) end
  wrong(path, "no state: neither written by state:save nor a tuned one (blocks.N.att.time_state)")
end

-- f, whose errors name itself in the place of the function of the core that it calls.
local function called(name, f)
  local function finish(ok, ...)
    if ok then return ... end
    local message = ...
    error(type(message) == "string" and message:gsub("%f[%w_]%a+_tensors%f[^%w_]", name) or message, 0)
  end
  return function(...) return finish(pcall(f, ...)) end
end

return { save = called("save", save), load = called("load_state", load_state) }
