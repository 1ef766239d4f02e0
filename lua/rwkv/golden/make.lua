-- aviary golden make: see lua/commands/golden.lua.
local compare = require "rwkv.golden.compare"
local core = require "rwkv.core"
local file = require "rwkv.file"
local names = require "rwkv.golden.names"
local options_of = require "rwkv.options"
local pack = require "rwkv.golden.pack"
local port = require "rwkv.golden.port"
local profile = require "rwkv.golden.profile"
local progress = require "rwkv.progress"
local run = require "rwkv.golden.run"
local sensitivity = require "rwkv.golden.sensitivity"
local sizes = require "rwkv.golden.sizes"
local fill = require "rwkv.golden.weights"
local versions = require "rwkv.versions"
local visible = require "rwkv.visible"
local weights_file = require "rwkv.golden.weights_file"

local make = {}

local defaults = { seed = 0, dtype = "f32", weights = "", tokens = "", no_gradients = false, trace = "", no_trace = false,
  no_sensitivity = false, allow_weak = false, no_weights = false, with_weights = false, no_unused = false, profile = "",
  head_size = 0, port = "", names = "", ids = "" }
for name, value in pairs(sizes.defaults) do defaults[name] = value end

-- Options that say what a file has decided already.
local decided = { weights = { "dtype" }, tokens = { "len", "batch" } }
for name in pairs(sizes.defaults) do
  if name ~= "len" and name ~= "batch" then table.insert(decided.weights, name) end
end
table.sort(decided.weights)

local function contains(list, word)
  for _, e in ipairs(list) do if e == word then return true end end
  return false
end

local function check_options(o)
  for option, others in pairs(decided) do
    for _, name in ipairs(o[option] ~= "" and others or {}) do
      if o[name] and o[name] ~= defaults[name] then
        local value = o[name] == true and "" or " " .. o[name]
        error(("--%s%s: --%s %s has its own"):format(name:gsub("_", "-"), value, option, o[option]), 0)
      end
    end
  end
  if not contains({ "f32", "bf16", "f16", "f64" }, o.dtype) then
    error(("--dtype %s: expected f32, bf16, f16 or f64"):format(o.dtype), 0)
  end
  if not math.tointeger(o.seed) or o.seed < 0 then error(("--seed: expected a whole number from 0, found %s"):format(o.seed), 0) end
  if o.weights == "" and o.head_size ~= defaults.head_size then
    error("--head-size: of a file of weights; of random ones --dim and --heads say it", 0)
  end
  if o.trace ~= "" and o.no_trace then error(("--trace %s and --no-trace exclude each other"):format(o.trace), 0) end
  if o.no_weights and o.with_weights then error("--no-weights and --with-weights exclude each other", 0) end
  port.check(o)
  if o.weights == "" and o.no_weights then error("--no-weights: random weights stand in no file; the pack holds them", 0) end
end

local function random_tokens(seed, stream, vocab, T, B)
  local rng, rows = core.rng(seed, "golden." .. stream), {}
  for b = 1, B do
    rows[b] = {}
    for t = 1, T do rows[b][t] = rng:integer(0, vocab - 1) end
  end
  return rows
end

-- "FILE" or "FILE:NAME" -> tokens, targets (nil where the file has none)
local function tokens_of(text, vocab)
  local path, name = text:match "^(.*):([%w_]+)$"
  path = path or text
  local tensors = file.tensors(path)
  local tokens = tensors[name or "tokens"] or error(("%s: there is no tensor \"%s\""):format(path, name or "tokens"), 0)
  local targets = not name and tensors.targets
  return pack.tokens(path, "tokens", tokens, vocab), targets and pack.tokens(path, "targets", targets, vocab) or nil
end

local function refuse_weak(list, hint)
  for _, e in ipairs(list) do
    if not e.ok then
      error(("this pack would be weak: %s changes no logit by more than %.1e of the largest (scaled by 1.01) or %.1e (each number"
        .. " 1 %% up or down), expected %.0e; %s"):format(e.name, e.scaled, e.stirred, sensitivity.least, hint), 0)
    end
  end
end

-- What each profile gets wrong, for the metadata: error.f32 = {"logits": [worst, rms], ..}; the numbers of one as tensors.
local function add_profiles(model, tokens, result, wanted, extra)
  if wanted ~= "" and not profile.has(model, wanted) then
    local has = table.concat(profile.of(model), ", ")
    error(("--profile %s: expected %s"):format(wanted, has ~= "" and has or "none, for such a model there is none"), 0)
  end
  for _, format in ipairs(profile.of(model)) do
    local numbers, errors = profile.run(model, tokens, format), {}
    local bar = progress(format .. " errors", #result, "tensors")
    for i = 1, #result do
      bar:update(i - 1)
      local e = result[i]
      local short = names.short(e.name)
      local value = (names.kind(e.name) == "trace" or e.name == "logits") and numbers[short]
      local theirs = value and { value = value, shape = e.shape }
      if value then errors[#errors + 1] = { short, compare.errors({ tokens = tokens }, e.name, e, theirs) } end
      if value and format == wanted then
        result[#result + 1] = { name = format .. "." .. e.name, value = value, shape = e.shape, dtype = "f32" }
      end
    end
    bar:clear()
    extra["error." .. format] = pack.json(errors)
  end
end

-- What of a pack stays out of it, and of which file its weights are: for the metadata.
local function origin(o, out)
  local extra = {}
  if o.weights == "" then
    extra.seed = ("%d"):format(o.seed)
  else
    local f = weights_file.describe(o.weights)
    extra["weights.file"], extra["weights.bytes"], extra["weights.sha256"] = f.file, ("%d"):format(f.bytes), f.sha256
    out.weights = not o.with_weights and (o.no_weights or f.bytes > weights_file.large)
  end
  local words = {}
  for _, what in ipairs { "sensitivity", "weights", "unused", "intermediates", "gradients" } do
    if out[what] then words[#words + 1] = what end
  end
  if #words > 0 then extra.left_out = table.concat(words, " ") end
  if sizes.trace(o) ~= "" then extra.trace = sizes.trace(o) end
  return extra
end

-- The model in a file; its matrices stay as they are in it if nothing is to change them or needs their gradients.
local function released(version, o, packed)
  local model = file.model(o.weights, { weights = packed and "packed" or "expanded",
    head_size = file.head_size(o.head_size) })
  local found = model:config().version
  if version and version ~= found then error(("%s: a model of %s, not of %s"):format(o.weights, found, version), 0) end
  return model
end

-- What the weights of a file are written as: float32 holds all that is not of a file in float64.
local function dtype_of(model)
  for _, p in model:parameters() do
    local t = p:keep()
    local exact = core.no_grad(function() return (t:round "f32" - t):abs():max():item() == 0 end)
    if not exact then return "f64" end
  end
  return "f32"
end

-- Writes the pack. Returns the table of sensitivity, nil if that was left out; what was, in words, or nil; and a list of what such
-- a pack cannot show.
function make.pack(version, options, path)
  local o = setmetatable({}, { __index = defaults })
  for name, value in pairs(options) do o[name] = value end
  core.backend "reference"
  check_options(o)
  file.check_writable(path)
  local given = o.weights ~= ""
  local asked = sizes.given(not given and contains(core.versions(), version) and version or nil, o)
  local len, batch = sizes.tokens(o, asked)
  -- Nobody can choose other weights for a released model: what would only be allowed is not measured.
  local out = { sensitivity = o.no_sensitivity or (given and o.allow_weak), intermediates = o.no_trace,
    gradients = o.no_gradients, unused = o.no_unused }
  local model = given and released(version, o, out.sensitivity and out.gradients)
    or core.model(sizes.model(version, o, asked, len))
  local vocab = model:config().vocab
  local tokens, targets = random_tokens(o.seed, "tokens", vocab, len, batch), random_tokens(o.seed, "targets", vocab, len, batch)
  if o.tokens ~= "" then tokens, targets = tokens_of(o.tokens, vocab) end
  if not given then fill(model, tokens, o.seed, o.dtype) end
  port.write(o, model, not given and o.dtype or nil, tokens, targets)
  if o.no_unused and not versions.of(model:config().version).unused[1] then
    error(("--no-unused: every parameter of %s has an effect"):format(model:config().version), 0)
  end
  local extra, list, blind = origin(o, out), nil, sizes.blind(model:config(), tokens, not given)
  if #blind > 0 then extra.blind = table.concat(blind, "\n") end
  if not out.sensitivity then
    list = sensitivity.measure(model, tokens)
    if not o.allow_weak then
      refuse_weak(list, given and "--no-sensitivity does not ask" or "try another --seed")
    end
    local rows = {}
    for i, e in ipairs(list) do rows[i] = { e.name, e.scaled, e.stirred } end
    extra.sensitivity = pack.json(rows)
  end
  local bar = progress("golden", #tokens[1], "tokens")
  local trace = sizes.trace(o)
  local result = run(model, tokens, { targets = targets, gradients = not out.gradients, progress = bar,
    trace = trace ~= "" and trace or not o.no_trace })
  bar:clear()
  add_profiles(model, tokens, result, o.profile, extra)
  local dtype = not out.weights and (given and dtype_of(model) or o.dtype) or nil
  pack.write(path, model, dtype, tokens, targets, result, extra, o.no_unused and versions.is_unused)
  return list, extra.left_out, blind
end

function make.command(arguments)
  local o = options_of(arguments, defaults)
  local version, path = o[1], o[2]
  if #o == 1 and o.weights ~= "" then version, path = nil, o[1] end
  if not path or #o > 2 then error("usage: aviary golden make VERSION [OPTIONS] OUT.safetensors", 0) end
  local list, left_out, blind = make.pack(version, o, path)
  local written <close> = io.open(path, "rb")
  local text = ("%s: %d bytes"):format(visible.line(path), written:seek "end")
  if list then
    table.sort(list, function(a, b) return a.stirred < b.stirred end)
    text = text .. ("; of %d parameters the least influential is %s: 1 %% of it moves a logit by %.1e of the largest"):format(
      #list, list[1].name, list[1].stirred)
  end
  print(text .. (left_out and "; without " .. left_out or ""))
  for _, what in ipairs(blind) do print("  it cannot show " .. what) end
end

return make
