-- The changes from the candidates of RWKV-7 to its release (PAPER_NOTES.md, rc.1 to rc.5), each as a hook that takes it back: a list of
-- { label =, hooks = }. All that a candidate has, together, is that candidate (tests/lua/test_v7_steps.lua).
local rwkv = require "rwkv"

local function low_rank(p, x, name, base, tanh_within)
  local low = x:matmul(p[name .. "_w1"])
  return base + (tanh_within and low:tanh() or low):matmul(p[name .. "_w2"])
end
local function factors(p, d, name, rank)
  p[name .. "_w1"], p[name .. "_w2"] = { d.C, rank, init = 0 }, { rank, d.A, init = "orthogonal_wide", gain = 0.1 }
  return p
end

-- kappa = k + tanh(x w1) w2, divided by its length in each head, or over all of them
local function key_norm(name, heads)
  return rwkv.hook { kind = "key_norm", name = name,
    params = function(d) return factors({}, d, "kkk", d.iclr_rank) end,
    apply = function(k, x, p, d) return low_rank(p, x, "kkk", k, true):l2norm(heads(d), 1e-12) end }
end

-- (-w)^part, at most 1
local function power(w, part) return ((-w):clamp(1e-30, 1):log() * part):exp() end

local key_decay = rwkv.hook { kind = "key_scale", name = "by-decay", apply = function(k, _, w) return k * power(w, 0.5) end }
local key_parts = rwkv.hook { kind = "key_scale", name = "by-parts",
  params = function(d)
    local rank = math.max(1, d.iclr_rank // 2)
    return factors(factors({ misc_a = { d.A, init = 0 }, misc_k = { d.A, init = 0 } }, d, "ma", rank), d, "mk", rank)
  end,
  apply = function(k, a, w, xk, xa, p)
    local ma = low_rank(p, xa, "ma", p.misc_a):sigmoid()
    local mk = low_rank(p, xk, "mk", p.misc_k):sigmoid()
    return k * (ma + a * (1 - ma)) * power(w, mk)
  end }

local double = rwkv.hook { kind = "iclr", name = "twice",
  params = function(d) return factors({ aaaaa = { d.A, init = 0 } }, d, "aaa", d.iclr_rank) end,
  apply = function(x, _, p) return low_rank(p, x, "aaa", p.aaaaa):sigmoid() * 2 end }

-- With a tanh both matrices must not start at 0: the output does already.
local tanh_gate = rwkv.hook { kind = "gate", name = "tanh",
  params = function(d)
    return { gate_w1 = { d.C, d.gate_rank, init = "orthogonal_wide", gain = 0.1 },
      gate_w2 = { d.gate_rank, d.A, init = "orthogonal_wide", gain = 0.1 } }
  end,
  apply = function(x, p) return x:matmul(p.gate_w1):tanh():matmul(p.gate_w2) end }

return {
  { label = "mixes that depend on the token", hooks = { shift = "ddlerp" } },
  { label = "removal key: k + low-rank map", hooks = { key_norm = key_norm("low-rank", function(d) return d.H end) } },
  { label = "the same, one length for all heads", hooks = { key_norm = key_norm("low-rank-all", function() return 1 end) } },
  { label = "learning rates up to 2", hooks = { iclr = double } },
  { label = "key that is written: by the decay", hooks = { key_scale = key_decay } },
  { label = "key that is written: by learned parts", hooks = { key_scale = key_parts } },
  { label = "gate with tanh", hooks = { gate = tanh_gate } },
  { label = "no value residual", hooks = { value_residual = "none" } },
  { label = "gated channel mixing (v6's)", hooks = { channel_mix = "gated" } },
}
