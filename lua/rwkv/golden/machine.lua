-- Arithmetic that rounds where PyTorch does: each operation gives a number of the format. h rounds to the runtime's format,
-- f to float32. Sums inside a product, a norm or a softmax are exact: they are taken in float32 or better there.
--   machine("f64"): rounds nowhere (exact); "f32", "bf16", "fp16"; stays(name) -> whether a parameter stays in float32 there
-- "bf16-weights", "fp16-weights": the weights alone are rounded, the arithmetic is float32 (as ggml computes).
local core = require "rwkv.core"
local versions = require "rwkv.versions"

local function same(x) return x end

return function(format)
  local weights = format:match "^(%w+)%-weights$"
  local dtype = weights and "f32" or format == "fp16" and "f16" or format
  local m = { format = format, exact = format == "f64" }
  local h = m.exact and same or function(x) return x:round(dtype) end
  m.h = h
  m.f = m.exact and same or function(x) return x:round "f32" end
  -- A parameter as this arithmetic holds it. Of most versions some stay in float32, and so does what is folded into the embedding when
  -- it is loaded.
  local held = weights and (weights == "fp16" and "f16" or weights) or dtype
  function m.weight(name, p, version)
    if m.exact then return p end
    for _, pattern in ipairs(versions.of(version).stays_float32) do
      if name:find(pattern) then return p:round "f32" end
    end
    return p:round(held)
  end
  function m.mul(a, b) return h(a * b) end
  function m.add(a, b) return h(a + b) end
  function m.sub(a, b) return h(a - b) end
  function m.linear(x, w) return h(x:linear(w)) end
  function m.linear_bias(x, w, b) return h(h(x:linear(w)) + b) end
  function m.matmul(x, w) return h(x:matmul(w)) end
  function m.layer_norm(x, w, b, eps) return h(x:layer_norm(w, b, eps)) end
  function m.group_norm(x, groups, w, b, eps) return m.f(x:group_norm(groups, w, b, eps)) end
  function m.sigmoid(x) return h(x:sigmoid()) end
  function m.relu2(x) return h(x:relu():square()) end
  -- x mu + prev (1 - mu), as written up to v5
  function m.mix(x, prev, mu) return h(h(x * mu) + h(prev * h(1 - mu))) end
  -- x + (prev - x) mu, as written from v6 on; dx = prev - x
  function m.lerp(x, dx, mu) return h(x + h(dx * mu)) end
  -- The token before, zeros before the first; x [B,T,C]
  function m.before(x)
    local prev = x:shift(core.zeros(x:size(1), x:size(3)))
    return prev
  end
  return m
end
