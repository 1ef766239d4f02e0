-- Evaluation: a model, a tokenizer and data become a few numbers, and tables that say what they are of. What the kinds share.
local arithmetic = require "rwkv.arithmetic"
local core = require "rwkv.core"
local digest = require "rwkv.digest"
local file = require "rwkv.file"
local models = require "rwkv.models"
local nearest = require "rwkv.nearest"
local options_of = require "rwkv.options"
local provenance = require "rwkv.provenance"
local versions = require "rwkv.versions"

local eval = { names = { "text", "lambada", "choices" } }

local shared = { vocab = "", prefix = "", dtype = "", head_size = 0, out = "", again = false }

local function known(name)
  for _, n in ipairs(eval.names) do
    if n == name then return true end
  end
end

local function one_of(option, value, list)
  for _, name in ipairs(list) do
    if name == value then return end
  end
  error(("option --%s: expected %s, found '%s'"):format(option, table.concat(list, ", "), value), 0)
end

-- The options of a kind: whole numbers from 1, --limit from 0.
local function read_options(arguments, kind)
  local defaults = {}
  for _, list in ipairs { shared, kind.defaults } do
    for name, value in pairs(list) do defaults[name] = value end
  end
  local o = options_of(arguments, defaults)
  for name, default in pairs(kind.defaults) do
    if math.type(default) == "integer" then
      local least, value = name == "limit" and 0 or 1, math.tointeger(o[name])
      if not value or value < least or value > 1 << 24 then
        error(("option --%s: expected a whole number from %d to %d, found %s"):format(name, least, 1 << 24, o[name]), 0)
      end
      o[name] = value
    end
  end
  if o.dtype ~= "" then one_of("dtype", o.dtype, { "f32", "bf16", "f16" }) end
  if o.prefix ~= "" then one_of("prefix", o.prefix, { "zero", "newline", "none" }) end
  return o
end

-- The weights stay as they are in the file, or become what --dtype says.
local function load_model(path, o)
  local head_size = file.head_size(o.head_size)
  if o.dtype == "" then return models.load(path, { weights = "packed", head_size = head_size }) end
  return models.load(path, { head_size = head_size }):pack(o.dtype)
end

-- The tokens in front of every text. Without a name those of official scripts: RWKV-LM RWKV-v7/rwkv_v7_demo.py; ChatRWKV
-- v2/benchmark.py and run_lm_eval.py.
local function prefix_of(name, version, tokenizer)
  if name == "" then name = versions.of(version).begins_with end
  return name == "none" and {} or name == "zero" and { 0 } or tokenizer:encode "\n", name
end

-- "runs/eval/NAME" after the last name in a path without its ending.
local function directory_of(path)
  local name = path:gsub("/+$", ""):match "[^/]*$"
  return "runs/eval/" .. (name:match "^(.+)%.%w+$" or name)
end

-- What is evaluated, as facts of the tables' heads; `same` are those on which the numbers depend.
local function facts_of(e, path, vocab_path, prefix, files)
  local o, facts = e.options, {}
  local function fact(name, value, same) facts[#facts + 1] = { name, value, same = same } end
  fact("command", e.command)
  fact("commit", provenance.commit(), true)
  fact("not of the commit", provenance.text() or "nothing", true)
  fact("arithmetic", ("%s, %s"):format(core.precision, arithmetic.kernels()), true)
  if core.device() then fact("device", core.device()) end
  fact("model", ("%s, %s"):format(path, e.model))
  fact("model sha256", digest.single(path) or digest.model(e.model), true)
  fact("head size", tostring(e.model:config().head_size or "none"), true)
  fact("weights", o.dtype ~= "" and o.dtype or "as in the file", true)
  fact("tokenizer", ("%s, %s"):format(vocab_path, e.tokenizer:kind()))
  fact("tokenizer sha256", digest.file(vocab_path) or "none", true)
  for i, data in ipairs(files) do
    local which = i > 1 and " " .. i or ""
    fact("data" .. which, data)
    e.digests[i] = digest.file(data) or error(("%s: there is no such file"):format(data), 0)
    fact(("data%s sha256"):format(which), e.digests[i], true)
  end
  fact("prefix", prefix, true)
  for _, name in ipairs { "batch", "chunk", "limit", "separator" } do
    if e.kind.defaults[name] then fact(name, tostring(o[name]), true) end
  end
  return facts
end

-- "\n", "\t", "\0", "\\" in an option as the characters that they mean.
local function unescaped(text)
  local characters = { n = "\n", t = "\t", r = "\r", ["0"] = "\0", ["\\"] = "\\" }
  return (text:gsub("\\(.)", function(c)
    return characters[c] or error(("option --separator: expected \\n, \\t, \\r, \\0 or \\\\, found \\%s"):format(c), 0)
  end))
end

-- MODEL and the files: those that an option names, and for texts what follows MODEL.
local function paths_of(name, kind, o)
  local files = { o[kind.needs] ~= "" and o[kind.needs] or nil }
  if kind.needs == "text" then
    table.move(o, 2, #o, #files + 1, files)
  elseif o[2] then
    error(("'%s' is no option"):format(o[2]), 0)
  end
  if not o[1] or #files == 0 then
    error(("usage: aviary eval %s MODEL --%s FILE [options]; `aviary help eval`"):format(name, kind.needs), 0)
  end
  return o[1], files
end

-- Evaluates as the words after `aviary eval NAME` say: MODEL, files and options. tools: find(vocab, path, size) -> tokenizer and
-- its path; plot; command, the line that is run. Returns the line of results.
function eval.run(name, arguments, tools)
  if not known(name) then
    error(("%susage: aviary eval %s MODEL ..; `aviary help eval` explains them"):format(
      name and ("there is no evaluation '%s'%s\n"):format(name, nearest.hint(name, eval.names)) or "", table.concat(eval.names, "|")), 0)
  end
  local kind = require("rwkv.eval." .. name)
  local o = read_options(arguments, kind)
  local path, files = paths_of(name, kind, o)
  local e = { kind = kind, options = o, texts = files, command = tools.command, plot = tools.plot, digests = {},
    out = o.out ~= "" and o.out or directory_of(path) }
  e.model = load_model(path, o)
  local vocab_path, prefix
  local config = e.model:config()
  e.tokenizer, vocab_path = tools.find(o.vocab ~= "" and o.vocab or nil, path, config.vocab)
  if o.separator then o.separator = unescaped(o.separator) end
  e.prefix, prefix = prefix_of(o.prefix, config.version, e.tokenizer)
  e.facts = facts_of(e, path, vocab_path, prefix, files)
  e.title = ("%s: %d layers, dim %d"):format(path:match "[^/]*$", config.layers, config.dim)
  if kind.needs == "data" then e.data = core.read_file(files[1]) end
  core.mkdir(e.out)
  return kind.run(e, function() -- before anything is written that says what it is of
    for i, data in ipairs(files) do
      if digest.file(data) ~= e.digests[i] then error(("%s: was changed while it was evaluated; --again begins anew"):format(data), 0) end
    end
  end)
end

return eval
