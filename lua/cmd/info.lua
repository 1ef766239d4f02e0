-- aviary info MODEL.safetensors: what a file is.  aviary info: the versions.
local rwkv = require "rwkv"

if not arg[1] then
  print("versions: " .. table.concat(rwkv.versions(), " "))
  return
end
local model = rwkv.load(arg[1])
print(model)
local names, config = {}, model:config()
for name in pairs(config) do names[#names + 1] = name end
table.sort(names)
for _, name in ipairs(names) do print(("  %-12s %s"):format(name, config[name])) end
print(("  %-12s %d"):format("parameters", model:param_count()))
local unused = model:param_count(true) - model:param_count()
if unused > 0 then print(("  %-12s %d"):format("unused", unused)) end
print(("  %-12s %d numbers a sequence"):format("state", model:state_floats()))
