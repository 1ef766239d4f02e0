-- What the target sampler begins with: the struct of options as in memory, an id, a weight, and logits in float32.
local options = "ddi4xxxxddd"
local function write(name, q, logits)
  local file = io.open(("%s/%s"):format(arg[1], name), "wb")
  file:write(string.pack("<" .. options .. "i4d", q[1], q[2], q[3], q[4], q[5], q[6], 5, 1))
  for _, x in ipairs(logits) do file:write(string.pack("<f", x)) end
  file:close()
end
write("plain", { 1, 0.85, 0, 0.2, 0.2, 0.996 }, { 1, 2, 3, 4, 5, -1 / 0, 0, 3 })
write("greedy", { 0, 1, 0, 0, 0, 1 }, { 1, 2, 3, 3 })
write("few", { 0.5, 1, 2, 0, 0, 1 }, { 1, 2, 3, 3, -1e30 })
write("hot", { 1e300, 0.5, 3, 1e300, 1, 0 }, { 1e38, -1e38, 0 })
