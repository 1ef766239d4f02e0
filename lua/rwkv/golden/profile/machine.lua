-- Arithmetic that rounds where PyTorch does: each operation gives a number of the format. h rounds to the runtime's format,
-- f to float32. Sums inside a product, a norm or a softmax are exact: they are taken in float32 or better there.
-- "f64" rounds nowhere: what is left is the formulas.
local core = require "rwkv.core"

return function(format)
  local m, dtype = {}, format == "fp16" and "f16" or format
  local function h(x) return x:round(dtype) end
  function m.f(x) return format == "f64" and x or x:round "f32" end
  m.h = h
  function m.mul(a, b) return h(a * b) end
  function m.add(a, b) return h(a + b) end
  function m.sub(a, b) return h(a - b) end
  function m.linear(x, w) return h(x:linear(w)) end
  function m.matmul(x, w) return h(x:matmul(w)) end
  function m.norm(x, w, b) return h(x:layer_norm(w, b, 1e-5)) end
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
  -- The copy head: scores [B,T,T] of earlier tokens, added to the logits [B,T,V] of these tokens.
  function m.add_copies(tokens, scores, logits)
    local T, V, one_hot = logits:size(2), logits:size(3), {}
    for b, sequence in ipairs(tokens) do
      one_hot[b] = {}
      for t, id in ipairs(sequence) do
        local line = {}
        for i = 1, V do line[i] = i == id + 1 and 1 or 0 end
        one_hot[b][t] = line
      end
    end
    return h(logits + h((scores * core.ones(T, T):tril()):bmm(core.tensor(one_hot))))
  end
  return m
end
