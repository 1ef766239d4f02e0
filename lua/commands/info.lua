-- aviary info                  the versions, side by side at one size
-- aviary info VERSION          its parameters, and the published sizes
-- aviary info FILE             what a model's file (or directory, or index) is, without reading its numbers; --head-size N
-- aviary info --devices        the devices that --backend cuda finds, or why it finds none
-- Options for the first two: --layers 12 --dim 768 --vocab 65536 --tokens 1024, and what rwkv.model takes
local rwkv = require "rwkv"
local command = require "rwkv.command"
local core = require "rwkv.core"
local devices = require "rwkv.devices"
local nearest = require "rwkv.nearest"
local published_sizes = require "rwkv.sizes"
local sorted = require "rwkv.sorted"
local visible = require "rwkv.visible"
local versions = require "rwkv.versions"

local defaults = { layers = 12, dim = 768, vocab = 65536, tokens = 1024, devices = false }
local no_options = { pre_ffn = true, tiny_att_layer = true, tiny_att = true, tied = true }
for _, name in ipairs(core.size_names()) do defaults[name] = defaults[name] or not no_options[name] and 0 or nil end
local o

local function grouped(n) -- 1234567 -> 1,234,567
  local s = ("%.0f"):format(n)
  return (s:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", ""))
end

local function describe(version, sizes)
  local q = { version = version }
  for name, value in pairs(sizes) do
    if type(name) == "string" and value and value ~= 0 then q[name] = value end
  end
  return rwkv.describe(q)
end

local row = "%-14s %-18s %15s %12s %14s %16s"
local function print_table(names)
  print(row:format("", "", "parameters", "unused", "state floats", "FLOPs per token"))
  for _, v in ipairs(names) do
    local d = describe(v, o)
    print(row:format(v, d.title, grouped(d.parameters), grouped(d.unused), grouped(d.state_floats),
      grouped(d.flops_per_token)))
  end
end

local function is_version(name)
  for _, v in ipairs(rwkv.versions()) do if v == name then return true end end
end

-- What looks like a version and is none is no file, unless there is one.
local function refuse_version(name)
  local file = io.open(name)
  if file then return file:close() end
  error(("there is no version and no file '%s'%s"):format(visible.line(name), nearest.listed(name, rwkv.versions())), 0)
end

-- ---- released models ----

local counts = { { "parameters", "parameters" }, { "stored", "with unused" }, { "products", "FLOPs in products" },
  { "state_floats", "state" } }

local function print_published(version, p)
  print(("\npublished sizes; in brackets as published (%s)"):format(p.source))
  for _, size in ipairs(p.sizes) do
    local m, found = size.model, published_sizes.count(version, size)
    local parts = { ("%-6s L %2d  dim %4d  vocab %d"):format(size[1], m.layers, m.dim, m.vocab) }
    for _, c in ipairs(counts) do
      local n, text = found[c[1]], size[c[1]]
      if n and not (c[1] == "stored" and n == found.parameters) then
        parts[#parts + 1] = ("%s %s%s"):format(c[2], grouped(n), text and (" [%s]"):format(text) or "")
      end
    end
    print(table.concat(parts, "  "))
  end
  print "\nformulas; D dim, L layers, V vocab"
  for _, f in ipairs(p.formulas) do
    local verdict = published_sizes.wrong(version, p, f) or "counts every size above"
    print(("  %-14s %s%s %s (%s)"):format(f[1], f[2], (" "):rep(50 - utf8.len(f[2])), verdict, f[4]))
  end
  if p.density then
    print(("  %-14s %.4f [%s] bits a number of the matrix states, %d pairs, %.2f %% recalled (%s)"):format("MQAR",
      published_sizes.density(version, p.density), p.density.published, p.density.pairs, 100 * p.density.accuracy, p.density.source))
  end
end

-- ---- files ----

local function line(name, text, ...) print(("  %-16s %s"):format(visible.line(name), visible.line(text:format(...)))) end

local function slots_text(hooks)
  local slots = {}
  for slot, name in pairs(hooks) do
    slots[#slots + 1] = slot .. "=" .. (type(name) == "table" and table.concat(name, ",") or name) -- by layer
  end
  table.sort(slots)
  return table.concat(slots, " ")
end

local function sizes(config)
  for _, name in ipairs(sorted(config)) do
    line(name, "%s", type(config[name]) == "table" and slots_text(config[name]) or tostring(config[name]))
  end
end

-- A file whose hooks are a script's: what it says of itself.
local function print_hooked(path, message)
  local ok, hooked = pcall(rwkv.hooks_in, path)
  if ok and hooked then return sizes(hooked) end
  error(message, 0)
end

-- Of a golden pack: what there is beside the model.
local function print_pack(pack)
  local parts = {}
  for _, e in ipairs { { "logits", "logits" }, { "trace", "%d intermediates" }, { "state", "%d states" }, { "loss", "loss" },
    { "grad", "%d gradients" } } do
    local value = pack[e[1]]
    if value then parts[#parts + 1] = value == true and e[2] or e[2]:format(value) end
  end
  line("golden pack", "format %d, tokens [%s]: %s%s", pack.format, table.concat(pack.tokens or {}, ","),
    table.concat(parts, ", "), pack.left_out and "; without " .. pack.left_out or "")
end

local function print_file(path)
  local ok, found = pcall(rwkv.info, path, { head_size = require "rwkv.file".head_size(o.head_size) })
  if not ok then return print_hooked(path, found) end
  print(("%s: %s"):format(visible.line(path), found.title))
  if found.pack then print_pack(found.pack) end
  sizes(found.config)
  line("parameters", "%s", grouped(found.parameters))
  if found.unused > 0 then line("unused", "%s", grouped(found.unused)) end
  line("state", "%s numbers a sequence", grouped(found.state_floats))
  line("format", "%s, %d tensors, %s bytes", found.format, found.tensors, grouped(found.bytes))
  local dtypes = {}
  for _, name in ipairs(sorted(found.dtypes)) do
    dtypes[#dtypes + 1] = ("%s %.4g %%"):format(name, 100 * found.dtypes[name] / math.max(found.numbers, 1))
  end
  line("numbers", "%s", table.concat(dtypes, ", "))
  line("names", "%s", found.family)
  line("tokenizer", "%s", found.tokenizer or ("none is known for a vocabulary of %d"):format(found.config.vocab))
  for _, text in ipairs(found.unusual) do line("unusual", "%s", text) end
end

command.run("info", function(arguments)
  o = rwkv.options(arguments, defaults)
  if o[2] or (o.devices and o[1]) then
    error(("'%s' is one argument too many"):format(o[2] or o[1]), 0)
  elseif o.devices then
    for _, device in ipairs(devices()) do print(visible.line(device)) end
  elseif not o[1] then
    print(("%d layers, dim %d, vocab %d; state after %d tokens; FLOPs of a forward pass"):format(o.layers, o.dim,
      o.vocab, o.tokens))
    print_table(rwkv.versions())
  elseif is_version(o[1]) then
    local v = o[1]
    print(("%d layers, dim %d, vocab %d; state after %d tokens"):format(o.layers, o.dim, o.vocab, o.tokens))
    print_table { v }
    local published = versions.of(v).published
    if published then print_published(v, published) end
    print "\nhook slots (aviary help hooks.md): what a hook is given -> what it returns; * the version's own, then the built-in ones"
    for _, s in ipairs(rwkv.hook_slots(v)) do
      local names = { "*" .. s.own }
      for _, name in ipairs(s.builtin) do if name ~= s.own then names[#names + 1] = name end end
      print(("  %-15s %-22s -> %s"):format(s.slot, table.concat(s.inputs, " "), s.returns))
      print(("  %-15s %s"):format("", table.concat(names, " ")))
      if s.streams then print(("  %-15s streams: %s"):format("", table.concat(s.streams, " "))) end
    end
    local model = rwkv.model { version = v, layers = 2, dim = 128, head_size = 64, vocab = 256 }
    print "\nparameters, at 2 layers, dim 128, head size 64, vocab 256 (block 1 stands for all that follow)"
    for name, t in model:parameters() do
      print(("  %-34s [%s]"):format(name, table.concat(t:shape(), ",")))
    end
  else
    if o[1]:find "^[vV]?[%d.]+%a?$" then refuse_version(o[1]) end
    print_file(o[1])
  end
end)
