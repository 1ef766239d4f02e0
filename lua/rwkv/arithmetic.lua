-- What computes, in words, for the heads of tables.
local core = require "rwkv.core"

local arithmetic = {}

-- What the numbers depend on: "fast kernels", "cuda kernels, products in tf32".
function arithmetic.kernels()
  local matmul = core.matmul()
  return ("%s kernels%s"):format(core.backend(), matmul == "full" and "" or ", products in " .. matmul)
end

-- "fast kernels, float32"; "cuda kernels, products in tf32, float32, on NVIDIA H100"
function arithmetic.text()
  local device = core.device()
  return ("%s, %s%s"):format(arithmetic.kernels(), core.precision, device and ", on " .. device or "")
end

return arithmetic
