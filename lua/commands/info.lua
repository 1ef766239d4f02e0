-- aviary info                  the versions, side by side at one size
-- aviary info VERSION          its parameters, and the published sizes
-- aviary info FILE             what a safetensors file is
-- Options for the first two: --layers 12 --dim 768 --vocab 65536 --tokens 1024, and what rwkv.model takes
local rwkv = require "rwkv"
local published = require "rwkv.published"
local visible = require "rwkv.visible"

local o = rwkv.options(arg, { layers = 12, dim = 768, vocab = 65536, tokens = 1024, head_size = 0, dim_att = 0,
  dim_ffn = 0, decay_rank = 0, iclr_rank = 0, value_rank = 0, gate_rank = 0, mix_rank = 0, head_qk = 0, ctx = 0 })

local function grouped(n) -- 1234567 -> 1,234,567
  local s = ("%.0f"):format(n)
  return (s:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", ""))
end

local function describe(version, sizes)
  local q = { version = version }
  for name, value in pairs(sizes) do
    if type(name) == "string" and value ~= 0 then q[name] = value end
  end
  return rwkv.describe(q)
end

local row = "%-6s %-15s %15s %12s %14s %16s"
local function print_table(versions)
  print(row:format("", "", "parameters", "unused", "state floats", "FLOPs per token"))
  for _, v in ipairs(versions) do
    local d = describe(v, o)
    print(row:format(v, d.title, grouped(d.parameters), grouped(d.unused), grouped(d.state_floats),
      grouped(d.flops_per_token)))
  end
end

local function is_version(name)
  for _, v in ipairs(rwkv.versions()) do if v == name then return true end end
end

if not o[1] then
  print(("%d layers, dim %d, vocab %d; state after %d tokens; FLOPs of a forward pass"):format(o.layers, o.dim,
    o.vocab, o.tokens))
  print_table(rwkv.versions())
elseif is_version(o[1]) then
  local v = o[1]
  print(("%d layers, dim %d, vocab %d; state after %d tokens"):format(o.layers, o.dim, o.vocab, o.tokens))
  print_table { v }
  if published[v] then
    print "\npublished sizes"
    for _, size in ipairs(published[v]) do
      local d = describe(v, size)
      print(("%-6s L %2d  dim %4d  vocab %d  parameters %s (with unused %s)  state %s"):format(size[1], size.layers,
        size.dim, size.vocab, grouped(d.parameters), grouped(d.parameters + d.unused), grouped(d.state_floats)))
    end
  end
  print "\nhook slots (lua/pages/hooks.md): what a hook is given -> what it returns; * the version's own, then the built-in ones"
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
  local ok, model = pcall(rwkv.load, o[1])
  local hooked = not ok and select(2, pcall(rwkv.hooks_in, o[1]))
  if not ok and type(hooked) ~= "table" then
    io.stderr:write("info: ", visible.text(model:gsub("^[^\n ]+:%d+: ", "")), "\n")
    os.exit(1)
  end
  if not ok then -- its hooks are a script's: what the file says of itself
    local slots = {}
    for slot, name in pairs(hooked.hooks) do slots[#slots + 1] = slot .. "=" .. name end
    table.sort(slots)
    hooked.hooks = table.concat(slots, " ")
    local names = {}
    for name in pairs(hooked) do names[#names + 1] = name end
    table.sort(names)
    for _, name in ipairs(names) do print(("  %-16s %s"):format(visible.line(name), visible.line(hooked[name]))) end
    os.exit(0)
  end
  print(visible.line(model))
  local names, config = {}, model:config()
  for name in pairs(config) do names[#names + 1] = name end
  table.sort(names)
  if config.hooks then
    local slots = {}
    for slot, name in pairs(config.hooks) do slots[#slots + 1] = slot .. "=" .. name end
    table.sort(slots)
    config.hooks = table.concat(slots, " ")
  end
  for _, name in ipairs(names) do print(("  %-16s %s"):format(visible.line(name), visible.line(config[name]))) end
  print(("  %-16s %s"):format("parameters", grouped(model:param_count())))
  local unused = model:param_count(true) - model:param_count()
  if unused > 0 then print(("  %-16s %s"):format("unused", grouped(unused))) end
  print(("  %-16s %s numbers a sequence"):format("state", grouped(model:state_floats(0))))
  if model:state_floats(1) > model:state_floats(0) then
    print(("  %-16s %s more with every token"):format("", grouped(model:state_floats(1) - model:state_floats(0))))
  end
end
