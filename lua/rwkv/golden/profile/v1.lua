-- RWKV-1 with the roundings of its training code in float32; it has no other. W.name: all weights. -> { name = value }
local core = require "rwkv.core"

local function flat(t) return t:reshape(-1) end

return function(m, c, W, tokens)
  local f, seen = m.f, {}
  local function linear(x, name) return f(f(x:linear(W[name .. ".weight"])) + W[name .. ".bias"]) end
  local function norm(x, name) return m.norm(x, W[name .. ".weight"], W[name .. ".bias"]) end
  local function shifted(x)
    local half = c.dim // 2
    return core.concat({ m.before(x):slice(3, 1, half), x:slice(3, half + 1) }, 3)
  end
  -- weights of an earlier token u for t: time_w from its end by distance, alpha of u, beta of t -> [H] of a head
  local function weight(a, t, u)
    local w = flat(W[a .. "time_w"]:slice(2, c.ctx - (t - u), c.ctx - (t - u)))
    return f(f(w * flat(W[a .. "time_alpha"]:slice(3, u, u))) * flat(W[a .. "time_beta"]:slice(2, t, t)))
  end
  local function attention(x, a, see)
    local z = shifted(x)
    local k, v, r = f(linear(z, a .. "key"):clamp(-60, 30):exp()), linear(z, a .. "value"), m.sigmoid(linear(z, a .. "receptance"))
    see("z", z) see("k", k) see("v", v) see("r", r)
    local B, T, A, rows, sum = x:size(1), x:size(2), k:size(3), {}, 0
    local kv = f(k * v)
    for t = 1, T do
      local total = 0
      for u = 1, t do
        local w = (weight(a, t, u):reshape(-1, 1) + core.zeros(c.head_size)):reshape(-1)
        total = total + kv:slice(2, u, u) * w
      end
      sum = f(k:slice(2, t, t) + sum)
      rows[t] = f(f(total) / sum)
    end
    local y = core.concat(rows, 2):reshape(B, T, A)
    see("y", y)
    return f(linear(f(r * y), a .. "output") * W[a .. "time_gamma"]:slice(1, 1, T))
  end
  local function mlp(x, a, see)
    local z = shifted(x)
    local k, v, r = f(linear(z, a .. "key"):mish()), linear(z, a .. "value"), m.sigmoid(linear(z, a .. "receptance"))
    see("z", z) see("k", k) see("v", v) see("r", r)
    return f(r * linear(f(k * v), a .. "weight"))
  end

  local x = W["tok_emb.weight"]:embed(core.tokens(tokens))
  for layer = 0, c.layers - 1 do
    local b = ("blocks.%d."):format(layer)
    for _, part in ipairs { { "att", "ln1", "attn.", attention }, { "ffn", "ln2", "mlp.", mlp } } do
      local function see(name, t) seen[b .. part[1] .. "." .. name] = t end
      local normed = norm(x, b .. part[2])
      see("x", normed)
      local out = part[4](normed, b .. part[3], see)
      see("out", out)
      x = f(x + out)
    end
    seen[b .. "out.x"] = x
  end
  local y = norm(x, "ln_f")
  seen["ln_out.y"] = y
  local scaled = f(y * W.time_out:slice(2, 1, y:size(2)):reshape(-1, 1))
  local scores = f(linear(y, "head_q"):bmm(linear(y, "head_k"):transpose(2, 3)) / c.head_qk)
  seen.logits = m.add_copies(tokens, scores, f(scaled:linear(W["head.weight"])))
  return seen
end
