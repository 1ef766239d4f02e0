-- Channel mixing of v2 to v7.
local shift = require "rwkv.golden.formulas.shift"

local tags = { v2 = "v2.6", v3 = "v2.6", v4 = "v4.9", v5 = "v4.9", v6 = "v6.5", v7 = "v7.12" }

return function(line, c)
  local v, tag = c.version:match "^v%d", tags[c.version:match "^v%d"]
  local mixes = { v2 = { { "xk", "time_mix" }, { "xr", "time_mix" } }, v6 = { { "xk", "time_maa_k" }, { "xr", "time_maa_r" } }, v7 = { { "xk", "x_k" } } }
  shift.lines(line, c, "state.ffn_xx", mixes[v] or { { "xk", "time_mix_k" }, { "xr", "time_mix_r" } }, tag)
  line("k", { "xk", "@key.weight" }, function(m, _, x, w) return m.relu2(m.linear(x, w)) end, "relu(W_k xk)^2", tag)
  if v == "v7" then
    line("out", { "k", "@value.weight" }, function(m, _, k, w) return m.linear(k, w) end, "W_v k", tag)
    return
  end
  line("r", { "xr", "@receptance.weight" }, function(m, _, x, w) return m.sigmoid(m.linear(x, w)) end, "sigmoid(W_r xr)", tag)
  line("out", { "r", "k", "@value.weight" }, function(m, _, r, k, w) return m.mul(r, m.linear(k, w)) end, "r (W_v k)", tag)
end
