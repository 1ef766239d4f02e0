-- What the target sampler begins with, written into the directory arg[1]: options, what was seen, logits.
local rwkv = require "rwkv"

-- options: temperature, top_p, presence, frequency, decay, top_k; seen: { id, weight } ..
local function save(name, options, seen, logits)
  local parts = { ("<dddddi4B"):pack(table.unpack(options)) }
  for _, s in ipairs(seen) do parts[#parts + 1] = ("<Bd"):pack(s[1], s[2]) end
  parts[#parts + 1] = string.char(#logits - 1)
  for _, x in ipairs(logits) do parts[#parts + 1] = ("<f"):pack(x) end
  rwkv.write_file(arg[1] .. "/" .. name, table.concat(parts))
end

local logits = { 1.5, -0.25, 3, 0.5, 3, -2, 2.25, 0.5, -math.huge, 1, 0.5, -0.75 }
local many = {}
for i = 1, 256 do many[i] = math.sin(i) * 4 end
save("defaults", { 1, 0.85, 0.2, 0.2, 0.996, 0, 3 }, { { 2, 1 }, { 0, 0 }, { 2, 1 } }, logits)
save("limits", { 0.7, 0.5, 0, 0, 1, 3, 0 }, {}, logits)
save("greedy", { 0, 1, 0, 0, 1, 0, 0 }, {}, logits)
save("hot", { 1e300, 1, 0, 0, 1, 0, 0 }, {}, logits)
save("many", { 2, 0.9, 1, 1, 0.5, 40, 1 }, { { 7, 1 } }, many)
save("extreme", { 1e-300, 0.99999, 1e308, 1e308, 0, 2147483647, 2 }, { { 1, 1e9 }, { 0, 0.5 } }, { 3.4e38, -3.4e38, 1e-45, 0 })
save("wrong", { 1, 0.5, 0, 0, 1, 0, 0 }, {}, { 0 / 0, math.huge })
