-- Causal softmax attention (Vaswani et al. 2017, arXiv:1706.03762) with rotary positions. The state grows with the text.
local rwkv = require "rwkv.core"
local parts = require "rwkv.mixers.parts"

return {
  kind = "time_mix", name = "attention",
  params = function(d)
    return { ["query.weight"] = parts.map(d.A, d.C), ["key.weight"] = parts.map(d.A, d.C),
      ["value.weight"] = parts.map(d.A, d.C), ["output.weight"] = parts.map(d.C, d.A) }
  end,
  state = function(d) return { keys = { "tokens", d.A }, values = { "tokens", d.A }, position = { 1 } } end,
  flops = function(d, tokens) return 4 * d.A * (tokens + 1) end, -- scores, and what they weigh
  apply = function(x, s, p, d)
    local cos, sin, y
    cos, sin, s.position = parts.rotation(s.position, d)
    local q = parts.rotate(x:linear(p["query.weight"]), cos, sin, d)
    local k = parts.rotate(x:linear(p["key.weight"]), cos, sin, d)
    y, s.keys, s.values = rwkv.attention(q, k, x:linear(p["value.weight"]), d.H, s.keys, s.values)
    return y:linear(p["output.weight"])
  end,
}
