-- The model for the task of compression: a layer more, which decodes the vector at the mark, and which alone reaches the answers.
--
--     z   the vector of the layers before at MARK
--     y_j = gelu(W2 norm(gelu(W1 norm(z + p_j) + b1)) + b2)        at the j-th "?", p_j: sin, cos of j / 10000^(2i/C)
--
-- as in MAD's auto-encoder, with gelu(x) = x sigmoid(1.702 x); the final norm and the head follow. In the layers before, nothing is
-- added to the stream at "?": there it is the embedding of "?", the same everywhere, and no memory of a layer leads past z.
local rwkv = require "rwkv"

local function mark(d) return d.vocab - 2 end
local function question(d) return d.vocab - 1 end

-- [B,T,1]: 1 where this token stands, otherwise 0.
local function where(d, token) return d.tokens:tensor():eq(token):unsqueeze(3) end

local function silent(kind)
  return rwkv.hook { kind = kind, name = "silent_answers", apply = function(y, _, d) return y * (1 - where(d, question(d))) end }
end
local time_out, channel_out = silent "time_out", silent "channel_out"

local function gelu(x) return x * (x * 1.702):sigmoid() end

local decoder = rwkv.hook { kind = "time_mix", name = "readout",
  params = function(d)
    if d.C % 2 ~= 0 then error(("mad: compression: dim is %d, expected an even number: a sine and a cosine"):format(d.C), 0) end
    local list = {}
    for i = 1, 2 do
      list["norm" .. i], list["shift" .. i] = { d.C, init = 1 }, { d.C }
      list[("layer%d.weight"):format(i)], list["bias" .. i] = { d.C, d.C }, { d.C }
    end
    return list
  end,
  state = function(d) return { z = { d.C }, j = { 1 } } end,
  apply = function(x, s, p, d)
    local asked = where(d, question(d))
    local z = s.z:unsqueeze(2) + (x * where(d, mark(d))):cumsum(2)
    local j = s.j:unsqueeze(2) + asked:cumsum(2)
    s.z, s.j = z:slice(2, d.T, d.T):squeeze(2), j:slice(2, d.T, d.T):squeeze(2)
    local angle = j * (rwkv.arange(d.C // 2) * (-2 * math.log(10000) / d.C)):exp()
    local y = z + rwkv.concat({ angle:sin(), angle:cos() }, 3)
    for i = 1, 2 do
      y = gelu(y:layer_norm(p["norm" .. i], p["shift" .. i]):linear(p[("layer%d.weight"):format(i)], p["bias" .. i]))
    end
    return y * asked
  end }

-- The hooks of a model of experiments/models.lua with so many layers, and the decoder as one more.
return function(model, layers)
  local hooks, time_mix, channel_mix = {}, {}, {}
  for slot, hook in pairs(rwkv.experiment.by_layer(model.hooks or {}, layers)) do hooks[slot] = hook end
  local function in_layer(slot, i, own)
    local hook = hooks[slot]
    if type(hook) == "table" and getmetatable(hook) ~= "hook" then hook = hook[i] end
    return hook or own
  end
  for _, slot in ipairs { "time_out", "channel_out" } do
    if hooks[slot] then error(("mad: compression: the model %s has a %s of its own, expected none"):format(model.label, slot), 0) end
  end
  for i = 1, layers do
    time_mix[i] = in_layer("time_mix", i, model.version)
    channel_mix[i] = in_layer("channel_mix", i)
  end
  time_mix[layers + 1], channel_mix[layers + 1] = decoder, "none"
  hooks.time_mix, hooks.channel_mix, hooks.time_out, hooks.channel_out = time_mix, channel_mix, {}, {}
  for i = 1, layers do hooks.time_out[i], hooks.channel_out[i] = time_out, channel_out end
  return hooks
end
