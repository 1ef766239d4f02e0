-- Mistakes in numbers: constants, norms, activations, and rounding in the wrong place. What an entry is: init.lua.
local versions = require "rwkv.versions"

local list = {}
local function mistake(id, title, of, keys, edit)
  local edits = {}
  for _, key in ipairs(keys) do edits[key] = edit end
  list[#list + 1] = { id = id, title = title, of = of, family = "numbers", edits = edits }
end
local any, grouped, v7 = "^v", "^v[567]", "^v7$"

-- A line computed with another eps.
local function with_eps(which, eps)
  return { around = function(f, m, c, ...)
    local other = setmetatable({ [which] = eps }, { __index = c.eps })
    return f(m, setmetatable({ eps = other }, { __index = c }), ...)
  end }
end

-- ---- layer norms ----

local layer_norms = { "ln0.x", "att.x", "ffn.x", "ln_out.y" }
for _, text in ipairs { "1e-3", "1e-6", "1e-8", "1e-12", "0" } do
  local eps = math.max(tonumber(text), 1e-37) -- a norm takes no eps of 0
  mistake("eps-layer-norm-" .. text, ("the eps of the layer norms is %s instead of 1e-5"):format(text), any, layer_norms, with_eps("layer", eps))
end

-- Of groups of n numbers: x norm'ed with a variance that is n / (n - 1) larger.
local function unbiased(n_of)
  return { around = function(f, m, c, x, w, b)
    local n = n_of(x, c)
    local s = n > 1 and math.sqrt(n / (n - 1)) or 1
    return f(m, c, x * s, w * (1 / s), b)
  end }
end
-- x divided by the root of its mean square, groups of the last axis each by itself.
local function rms(groups_of, which)
  return { f = function(m, c, x, w, b)
    local shape = x:shape()
    local cut = x:reshape(shape[1], shape[2], groups_of(c), -1)
    return m.h((cut / (cut:square():mean(-1, true) + c.eps[which]):sqrt()):reshape(shape) * w + b)
  end }
end
local function one() return 1 end
local function groups(c) return versions.of(c.version).one_norm and 1 or c.heads end

mistake("variance-unbiased", "the layer norms divide by n - 1 in their variance instead of by n", any, layer_norms,
  unbiased(function(x) return x:size(-1) end))
mistake("layer-norm-rms", "RMS norms in the place of the layer norms: the mean is not taken off", any, layer_norms, rms(one, "layer"))
mistake("variance-unbiased-group", "the norm after the recurrence divides by n - 1 in its variance instead of by n", grouped, { "att.norm" },
  unbiased(function(x, c) return x:size(-1) // groups(c) end))
mistake("group-norm-rms", "an RMS norm after the recurrence: the mean is not taken off", grouped, { "att.norm" }, rms(groups, "group"))

-- ---- the removal key's norm ----

local function key_norm(id, title, length) -- of k0 k_k [B,T,H,N] -> [B,T,H,1]
  mistake(id, title, v7, { "att.kappa" }, { f = function(m, c, k, k_k)
    local kk = c.split(m.mul(k, k_k:reshape(-1)))
    return c.join(m.h(kk / m.h(length(kk)):maximum(1e-37)))
  end })
end
for _, text in ipairs { "1e-6", "1e-5", "1e-3" } do
  mistake("eps-key-norm-" .. text, ("the removal key is divided by at least %s instead of 1e-12"):format(text), v7, { "att.kappa" },
    with_eps("key", tonumber(text)))
end
for _, text in ipairs { "1e-8", "1e-6", "1e-5" } do
  key_norm("eps-key-norm-inside-" .. text, ("%s is added inside the root of the removal key's length"):format(text), function(kk)
    return (kk:square():sum(-1, true) + tonumber(text)):sqrt()
  end)
end
key_norm("key-norm-l1", "the removal key is divided by the sum of its absolute values instead of its length", function(kk)
  return kk:abs():sum(-1, true)
end)
key_norm("key-norm-rms", "the removal key is divided by the root of the mean of its squares instead of its length", function(kk)
  return kk:square():mean(-1, true):sqrt()
end)

-- ---- activations, cut-offs ----

-- The error function: its series in terms that are all positive, e^-x^2 times the sum of 2^n x^(2n+1) / (2n+1)!!
local function erf(x)
  x = x:clamp(-6, 6)
  local term, square = x, x:square() * 2
  local sum = term
  for n = 1, 150 do
    term = term * square * (1 / (2 * n + 1))
    sum = sum + term
  end
  return sum * (-x:square()):exp() * (2 / math.sqrt(math.pi))
end

local function activation(id, name, f)
  local edit = { f = function(m, _, x, w, b) return m.h(f(b and m.linear_bias(x, w, b) or m.linear(x, w))) end }
  mistake(id, ("channel mixing with %s instead of mish"):format(name), "^v1$", { "ffn.k" }, edit)
  mistake(id, ("channel mixing with %s instead of relu squared"):format(name), "^v[2-7]", { "ffn.k" }, edit)
end
activation("ffn-gelu", "gelu", function(x) return x * (erf(x * math.sqrt(0.5)) + 1) * 0.5 end)
activation("ffn-gelu-tanh", "gelu, in its form with tanh,", function(x)
  return x * (((x + x ^ 3 * 0.044715) * math.sqrt(2 / math.pi)):tanh() + 1) * 0.5
end)
activation("ffn-silu", "silu", function(x) return x:silu() end)

mistake("decay-clamp-005", "a decay faster than .005 a step is cut off there, as in chunked forms", "^v[2-6]", { "att.w" },
  { after = function(w) return w:maximum(math.log(0.005)) end })
mistake("fp16-clamped", "the residual stream, keys and hidden channels are cut off at 65504, fp16's largest", any,
  { "att.k", "att.e", "ffn.k", "mid.x", "out.x" }, { after = function(x) return x:clamp(-65504, 65504) end })

-- ---- rounding ----

local state_lines = { "state.att_aa", "state.att_bb", "state.att_pp", "state.att_kv" }
local places = { -- name, what, versions, lines
  { "log-decay", "the log-decay is", "^v[2-7]", { "att.w" } },
  { "norm", "what the norm after the recurrence gives is", grouped, { "att.norm" } },
  { "layer-norm", "what the layer norms give is", any, layer_norms },
  { "residual", "the residual stream is", any, { "mid.x", "out.x" } },
  { "logits", "the logits are", any, { "logits" } },
  { "key", "the key is", "^v[2-6]", { "att.k" } }, -- of v1 it is an exponential, too large for fp16
  { "key", "the key as projected is", v7, { "att.k0" } },
  { "value", "the value is", "^v[1-6]", { "att.v" } },
  { "value", "the value as projected is", v7, { "att.v0" } },
  { "receptance", "the receptance is", any, { "att.r" } },
}
for _, name in ipairs { "bf16", "fp16" } do
  local dtype = name == "fp16" and "f16" or name
  local function rounded(x) return x:round(dtype) end
  local function place(where, what, of, keys, edit)
    mistake(("rounded-%s-%s"):format(name, where), ("%s rounded to %s"):format(what, name), of, keys, edit)
  end
  for _, e in ipairs(places) do place(e[1], e[2], e[3], e[4], { after = rounded }) end
  place("decay", "the decay, e^w, is", "^v[2-7]", state_lines, { around = function(f, m, c, w, ...)
    return f(m, c, rounded(w:exp()):log(), ...)
  end })
  place("state", "the state is, after every token,", name == "bf16" and "^v[2-7]" or "^v[4-7]", state_lines, { -- e^k is too large for fp16
    around = function(f, m, c, ...)
      local function carry(S, t) return rounded(c.carry(S, t)) end
      return f(m, setmetatable({ carry = carry }, { __index = c }), ...)
    end,
    after = rounded })
end

return list
