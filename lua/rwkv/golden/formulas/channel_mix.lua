-- Channel mixing of v2 to v7.
local shift = require "rwkv.golden.formulas.shift"

return function(line, c)
  local is = c.facts.channel_mix
  local tag = is.tag
  shift.lines(line, c, "state.ffn_xx", is.mixes, tag)
  line("k", { "xk", "@key.weight" }, function(m, _, x, w) return m.relu2(m.linear(x, w)) end, "relu(W_k xk)^2", tag)
  if is.rest then return is.rest(line, c) end
  if not is.receptance then
    line("out", { "k", "@value.weight" }, function(m, _, k, w) return m.linear(k, w) end, "W_v k", tag)
    return
  end
  line("r", { "xr", "@receptance.weight" }, function(m, _, x, w) return m.sigmoid(m.linear(x, w)) end, "sigmoid(W_r xr)", tag)
  line("out", { "r", "k", "@value.weight" }, function(m, _, r, k, w) return m.mul(r, m.linear(k, w)) end, "r (W_v k)", tag)
end
