-- What the time mixings of v2, v3 and v4 have in common.
local exponential = {}

exponential.mixes = { { "xk", "time_mix_k" }, { "xv", "time_mix_v" }, { "xr", "time_mix_r" } }

function exponential.linear(m, _, x, w) return m.linear(x, w) end
local function log_decay(m, _, w) return m.f(-m.f(w:exp())):reshape(-1) end

-- z(letter): the mix that a map takes; tags: by letter
function exponential.projections(line, z, tags)
  line("w", { "@time_decay" }, log_decay, "-e^time_decay", tags.w)
  line("k", { z "k", "@key.weight" }, exponential.linear, "W_k " .. z "k", tags.k)
  line("v", { z "v", "@value.weight" }, exponential.linear, "W_v " .. z "v", tags.v)
  line("r", { z "r", "@receptance.weight" }, function(m, _, x, w) return m.sigmoid(m.linear(x, w)) end,
    ("sigmoid(W_r %s)"):format(z "r"), tags.r)
end

return exponential
