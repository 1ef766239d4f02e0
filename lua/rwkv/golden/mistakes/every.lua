-- Mistakes that can be made in more than one version. An entry:
--   id      a short name, stable
--   title   what was done, and in brackets what is right
--   of      a pattern of the versions it can be made in
--   hooks   function(W) -> { slot = hook }, or
--   weights function(map, config, tensor): changes the weights that the reference is run with, map[name] = tensor, or
--   view    function(map): changes the numbers of a right run, map[name] = { value =, shape = }
local core = require "rwkv.core"
local parts = require "rwkv.golden.mistakes.parts"

local list = {}
local function mistake(e) list[#list + 1] = e end

-- ---- norm ----

local grouped = "^v[57]" -- and v6, v6a
local function norm(id, title, eps_of)
  for _, of in ipairs { grouped, "^v6a?$" } do
    mistake { id = id, title = title, of = of, hooks = function(W)
      return { norm = parts.hook("norm", function(y, _, d) return parts.group_norm(W, d, y, eps_of(d)) end) }
    end }
  end
end
norm("norm-eps", "group-norm eps 1e-5 instead of 64e-5", function() return 1e-5 end)
norm("norm-eps-by-head", "group-norm eps grows with the head size, 1e-5 * N instead of 64e-5", function(d) return 1e-5 * d.N end)
norm("norm-eps-squared", "group-norm eps 1e-5 * N^2 instead of 64e-5", function(d) return 1e-5 * d.N * d.N end)

for _, of in ipairs { grouped, "^v6a?$" } do
  mistake { id = "norm-over-all", title = "one norm over all channels instead of one for each head", of = of, hooks = function(W)
    return { norm = parts.hook("norm", function(y, _, d)
      return y:layer_norm(W(d, "att.ln_x.weight"), W(d, "att.ln_x.bias"), 64e-5)
    end) }
  end }
end

-- ---- decay ----

local decayed = "^v[4-7]"
local function decay(id, title, change)
  mistake { id = id, title = title, of = decayed, hooks = function(W)
    return { decay = parts.hook("decay", function(x, _, d) return change(parts.decay(W, d, x), d) end) }
  end }
end
decay("decay-twice", "decay applied twice (e^2w for e^w)", function(w) return 2 * w end)
decay("decay-missing", "no decay (e^w = 1)", function(w) return w * 0 end)
local slowest = "a decay slower than .9933 a step (e^w with w = -e^-5) is cut off there"
decay("decay-clamp", slowest, function(w) return w:minimum(-math.exp(-5)) end)
mistake { id = "decay-clamp", title = slowest, of = "^v[23]$", weights = function(map)
  for name, t in pairs(map) do if name:find "time_decay$" then map[name] = t:maximum(-5) end end
end }
mistake { id = "decay-twice", title = "decay applied twice (e^2w for e^w)", of = "^v[23]$", weights = function(map)
  for name, t in pairs(map) do if name:find "time_decay$" then map[name] = t + math.log(2) end end
end }

-- ---- token shift ----

-- mu -> 1 - mu, in v6 also what the low-rank maps add to it
local function turn(pattern)
  return function(map)
    for name, t in pairs(map) do
      if name:find(pattern) then
        if name:find "time_mix" or name:find "time_maa_%l$" or name:find "%.x_%l$" then map[name] = 1 - t end
        if name:find "time_maa_[rkvw_]*w2$" then map[name] = -t end
      end
    end
  end
end
mistake { id = "mix-direction", title = "mix direction: mu weighs the other token of the two", of = "^v[2-7]", weights = turn "" }
mistake { id = "mix-direction-att", title = "mix direction in time mixing: mu weighs the other token", of = "^v[2-7]",
  weights = turn "%.att%." }
mistake { id = "mix-direction-ffn", title = "mix direction in channel mixing: mu weighs the other token", of = "^v[2-7]",
  weights = turn "%.ffn%." }

local function shift(id, title, f)
  mistake { id = id, title = title, of = "^v", hooks = function(W) return parts.shifts(W, f) end }
end
shift("shift-first", "the first token is shifted onto itself instead of zeros", function(x, prev, first)
  return first and x or prev
end)
shift("shift-missing", "no token shift: every mix is of the token itself", function(x) return x end)

-- ---- channel mixing ----

mistake { id = "ffn-relu", title = "channel mixing with relu instead of its square", of = "^v[2-7]", hooks = function(W)
  return { channel_mix = parts.channel_mix(W, { act = function(k) return k:relu() end }) }
end }
mistake { id = "ffn-no-gate", title = "channel mixing without its receptance gate", of = "^v[2-6]", hooks = function(W)
  return { channel_mix = parts.channel_mix(W, { gate = function(r) return r * 0 + 1 end }) }
end }
mistake { id = "ffn-gate-linear", title = "channel mixing gated without the sigmoid", of = "^v[2-6]", hooks = function(W)
  return { channel_mix = parts.channel_mix(W, { gate = function(r) return r end }) }
end }

-- ---- embedding ----

mistake { id = "ln0-twice", title = "ln0 applied twice (to an embedding that it was folded into)", of = "^v[3-7]",
  weights = function(map)
    map["emb.weight"] = map["emb.weight"]:layer_norm(map["blocks.0.ln0.weight"], map["blocks.0.ln0.bias"], 1e-5)
  end }

-- ---- copy head ----

local function copy_head(id, title, factor)
  mistake { id = id, title = title, of = "^v[123]$", weights = function(map, c)
    for name, t in pairs(map) do if name:find "^head_q" then map[name] = t * factor(c) end end
  end }
end
copy_head("no-copy-head", "the copy head (head_q, head_k) is missing", function() return 0 end)
copy_head("copy-head-256", "the copy head divides by 256 instead of by its width", function(c) return c.head_qk / 256 end)
copy_head("copy-head-sqrt", "the copy head divides by the root of its width, as attention does, instead of by the width",
  function(c) return math.sqrt(c.head_qk) end)

-- ---- state ----

mistake { id = "state-transposed", title = "the state is written transposed (v5, v6: [key, value], v7: [value, key]); the rest is right",
  of = "^v[5-7]", view = function(map)
    for name, e in pairs(map) do
      if name:find "att_kv$" then
        local n = e.shape[#e.shape]
        map[name] = { shape = e.shape, value = core.no_grad(function()
          return e.value:reshape(-1, n, n):transpose(2, 3):reshape(-1):keep()
        end) }
      end
    end
  end }

return list
