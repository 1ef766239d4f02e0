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
local fill = require "rwkv.golden.weights"
local visible = require "rwkv.visible"
local weights_file = require "rwkv.golden.weights_file"

local make = {}

local defaults = { layers = 3, dim = 24, heads = 2, vocab = 23, len = 24, batch = 1, seed = 0, dtype = "f32", ctx = 0, head_qk = 0,
  weights = "", tokens = "", no_gradients = false, trace = "", no_trace = false, no_sensitivity = false, allow_weak = false,
  no_weights = false, with_weights = false, profile = "", head_size = 0,
  port = "", names = "", ids = "" }

-- Options that say what a file has decided already.
local decided = { weights = { "layers", "dim", "heads", "vocab", "ctx", "head_qk", "dtype" }, tokens = { "len", "batch" } }

local function check_options(o)
  for option, others in pairs(decided) do
    for _, name in ipairs(o[option] ~= "" and others or {}) do
      if o[name] ~= defaults[name] then
        error(("--%s %s: --%s %s has its own"):format(name:gsub("_", "-"), o[name], option, o[option]), 0)
      end
    end
  end
  if o.trace ~= "" and o.no_trace then error(("--trace %s and --no-trace exclude each other"):format(o.trace), 0) end
  if o.no_weights and o.with_weights then error("--no-weights and --with-weights exclude each other", 0) end
  port.check(o)
  if o.weights == "" and o.no_weights then error("--no-weights: random weights stand in no file; the pack holds them", 0) end
end

-- Ranks of low-rank maps, all different: one in the place of another is noticed.
local ranks = { v6 = { decay_rank = 5, mix_rank = 4 }, v6a = { decay_rank = 5, mix_rank = 4, gate_rank = 6 },
  v6b = { decay_rank = 5, mix_rank = 4 }, v7 = { decay_rank = 5, iclr_rank = 4, value_rank = 3, gate_rank = 6 } }

local function design(version, o)
  local q = { version = version, layers = o.layers, dim = o.dim, vocab = o.vocab, head_size = o.dim // o.heads }
  for name, rank in pairs(ranks[version] or {}) do q[name] = rank * math.max(1, o.dim // 16) end
  if version == "v1" then q.ctx = math.max(o.len + 3, o.ctx) end
  if version:find "^v[123]$" then q.head_qk = o.head_qk > 0 and o.head_qk or 12 elseif o.head_qk > 0 then q.head_qk = o.head_qk end
  if version == "v4" then q.head_size = nil end
  return core.model(q)
end

local function random_tokens(o, stream, vocab)
  local rng, rows = core.rng(o.seed, "golden." .. stream), {}
  for b = 1, o.batch do
    rows[b] = {}
    for t = 1, o.len do rows[b][t] = rng:integer(0, vocab - 1) end
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
  for _, what in ipairs { "sensitivity", "weights", "intermediates", "gradients" } do
    if out[what] then words[#words + 1] = what end
  end
  if #words > 0 then extra.left_out = table.concat(words, " ") end
  if o.trace ~= "" then extra.trace = o.trace end
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

-- Writes the pack. Returns the table of sensitivity, nil if that was left out, and what was, in words, or nil.
function make.pack(version, o, path)
  core.backend "reference"
  check_options(o)
  file.check_writable(path)
  local given = o.weights ~= ""
  -- Nobody can choose other weights for a released model: what would only be allowed is not measured.
  local out = { sensitivity = o.no_sensitivity or (given and o.allow_weak), intermediates = o.no_trace, gradients = o.no_gradients }
  local model = given and released(version, o, out.sensitivity and out.gradients) or design(version, o)
  local vocab = model:config().vocab
  local tokens, targets = random_tokens(o, "tokens", vocab), random_tokens(o, "targets", vocab)
  if o.tokens ~= "" then tokens, targets = tokens_of(o.tokens, vocab) end
  if not given then fill(model, tokens, o.seed, o.dtype) end
  port.write(o, model, not given and o.dtype or nil, tokens, targets)
  local extra, list = origin(o, out), nil
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
  local result = run(model, tokens, { targets = targets, gradients = not out.gradients, progress = bar,
    trace = o.trace ~= "" and o.trace or not o.no_trace })
  bar:clear()
  add_profiles(model, tokens, result, o.profile, extra)
  local dtype = not out.weights and (given and dtype_of(model) or o.dtype) or nil
  pack.write(path, model, dtype, tokens, targets, result, extra)
  return list, extra.left_out
end

function make.command(arguments)
  local o = options_of(arguments, defaults)
  local version, path = o[1], o[2]
  if #o == 1 and o.weights ~= "" then version, path = nil, o[1] end
  if not path or #o > 2 then error("usage: aviary golden make VERSION [OPTIONS] OUT.safetensors", 0) end
  local list, left_out = make.pack(version, o, path)
  local written <close> = io.open(path, "rb")
  local text = ("%s: %d bytes"):format(visible.line(path), written:seek "end")
  if list then
    table.sort(list, function(a, b) return a.stirred < b.stirred end)
    text = text .. ("; of %d parameters the least influential is %s: 1 %% of it moves a logit by %.1e of the largest"):format(
      #list, list[1].name, list[1].stirred)
  end
  print(text .. (left_out and "; without " .. left_out or ""))
end

return make
