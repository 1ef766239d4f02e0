-- What versions with a matrix for each head (v5 to v7) have in common: how states are carried, the norm by heads.
-- A state is a list of p.H N N numbers, [head][key][value] in v5 and v6, [head][value][key] in v7.
local block = require "tests.lua.lib.port.block"

local heads = {}

function heads.transposed(S, H, N)
  local y = {}
  for h = 0, H - 1 do
    for i = 1, N do for j = 1, N do y[(h * N + i - 1) * N + j] = S[(h * N + j - 1) * N + i] end end
  end
  return y
end

-- The state that a token finds; S: what the token before has left, or nil.
function heads.found(p, S, t)
  local lost = p.wrong.every("state-lost", t) or p.wrong.every("all-lost", t)
  if lost or not S then return block.zeros(p.H * p.N * p.N) end
  local turned = t > 1 and p.wrong.at_end_of("state-transposed", t - 1)
  return turned and heads.transposed(S, p.H, p.N) or S
end

-- The log-decay that token t uses.
function heads.decay_of(p, tokens, t)
  local other = p.wrong "decay-token-before" and tokens[t - 1] or p.wrong "decay-token-after" and tokens[t + 1] or tokens[t]
  return other.w
end

-- Group norm of each head.
function heads.norm(p, y, layer)
  local wrong, N, all = p.wrong, p.N, p.version == "v6b"
  local eps = wrong "norm-eps" and 1e-5 or wrong "norm-eps-by-head" and 1e-5 * N or wrong "norm-eps-squared" and 1e-5 * N * N
    or all and not wrong "norm-by-head" and 1e-5 or 64e-5
  if all then all = not wrong "norm-by-head" else all = wrong "norm-over-all" end
  local like = { unbiased = wrong "variance-unbiased-group", centred = not wrong "group-norm-rms" }
  return p.num.norm(y, p.weight("att.ln_x.weight", layer), p.weight("att.ln_x.bias", layer), eps, all and 1 or p.H,
    all and function(_, i) return i end or p.channel, like)
end

return heads
