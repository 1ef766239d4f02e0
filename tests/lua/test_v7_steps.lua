-- The changes from RWKV-7's candidates to its release, as hooks (experiments/measure/v7_steps.lua): all that a candidate has, in v7 and
-- with the candidate's weights, gives the candidate's logits and gradients. In float64, by the reference.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local steps = require "experiments.measure.v7_steps"
rwkv.need_double()
rwkv.backend "reference"

local function hook(slot, name) -- of the steps
  for _, step in ipairs(steps) do
    local h = step.hooks[slot]
    if h and (h == name or type(h) == "table" and h.name == name) then return h end
  end
  error(slot .. " " .. name)
end

local candidates = {
  rc2 = { shift = "ddlerp", key_norm = hook("key_norm", "low-rank-all"), iclr = hook("iclr", "twice"), key_scale = hook("key_scale", "by-decay"),
    gate = hook("gate", "tanh"), value_residual = "none", channel_mix = "gated" },
  rc3 = { shift = "ddlerp", key_norm = hook("key_norm", "low-rank"), key_scale = hook("key_scale", "by-parts"), gate = hook("gate", "tanh"),
    value_residual = "none", channel_mix = "gated" },
  rc4 = { shift = "ddlerp", key_norm = hook("key_norm", "low-rank"), key_scale = hook("key_scale", "by-parts") },
}

-- Names of the release, and of its hooks, for the candidate's parameters.
local own = { ["att.time_decay"] = "att.w0", ["att.time_decay_w1"] = "att.w1", ["att.time_decay_w2"] = "att.w2",
  ["att.time_aaaaa"] = "att.a0", ["att.time_aaa_w1"] = "att.a1", ["att.time_aaa_w2"] = "att.a2", ["att.gate_w1"] = "att.g1",
  ["att.gate_w2"] = "att.g2", ["att.time_misc_v"] = "att.v0", ["att.mv_w1"] = "att.v1", ["att.mv_w2"] = "att.v2",
  ["att.time_faaaa"] = "att.r_k", ["ffn.time_maa_k"] = "ffn.x_k" }
local function place(version, name) -- of a parameter without its block; nil: it is part of a table
  local hooks = candidates[version]
  local last = name:match "([^.]+)$"
  if name:find "kkk_w" then return ("att.key_norm.%s.%s"):format(hooks.key_norm.name, (last:gsub("^time_", ""))) end
  if name:find "^att%.m[ka]_w" or name:find "time_misc_[ka]$" then return "att.key_scale.by-parts." .. last:gsub("^time_", "") end
  if hooks.iclr and name:find "time_aaa" then return "att.iclr.twice." .. last:gsub("^time_", "") end
  if hooks.gate and name:find "gate_w" then return "att.gate.tanh." .. last end
  if hooks.channel_mix and name:find "^ffn%." then
    return "ffn.channel_mix.gated." .. name:gsub("^ffn%.", ""):gsub("time_maa_", "mu_")
  end
  if name:find "time_maa_" and name:find "^att" then return nil end
  return own[name] or name
end

local function with_weights_of(old, new, version)
  local layers = old:config().layers
  for name, t in old:parameters() do
    local block, rest = name:match "^(blocks%.%d+%.)(.*)$"
    local there = block and place(version, rest)
    if not block then new:param(name):set(t)
    elseif there then new:param(block .. there):set(t:reshape(new:param(block .. there):shape())) end
  end
  for layer = 0, layers - 1 do
    local b = ("blocks.%d.att."):format(layer)
    local function of(s) return old:param(b .. "time_maa_" .. s) end
    local mu = {}
    for i, s in ipairs { "r", "w", "k", "v", "a", "g" } do mu[i] = of(s):reshape(1, -1) end
    new:param(b .. "shift.ddlerp.mu_x"):set(of("x"):reshape(-1))
    new:param(b .. "shift.ddlerp.mu"):set(rwkv.concat(mu, 1))
    new:param(b .. "shift.ddlerp.w1"):set(of("w1"):transpose(1, 2):reshape(new:param(b .. "shift.ddlerp.w1"):shape()))
    new:param(b .. "shift.ddlerp.w2"):set(of "w2")
  end
end

for version, hooks in pairs(candidates) do
  check.test(version .. " is v7 with the steps that lead to it taken back", function()
    local old = rwkv.model { version = version, layers = 3, dim = 16, head_size = 8, vocab = 13, decay_rank = 3, iclr_rank = 4,
      gate_rank = 5, mix_rank = 2, key_norm_rank = 4, key_iclr_rank = 2, key_decay_rank = 2,
      value_rank = version == "rc4" and 3 or nil }
    local rng = rwkv.rng(1)
    for _, p in old:parameters() do p:set(rwkv.no_grad(function() return p + rng:tensor("normal", p:shape()) * 0.3 end)) end
    local new = rwkv.model { version = "v7", layers = 3, dim = 16, head_size = 8, vocab = 13, decay_rank = 3, iclr_rank = 4, value_rank = 3,
      gate_rank = 5, mix_rank = 2, dim_ffn = old:config().dim_ffn, hooks = hooks }
    rwkv.no_grad(with_weights_of, old, new, version)
    local tokens, targets = { { 1, 2, 3, 4, 5, 6, 7 }, { 9, 9, 2, 1, 0, 12, 3 } }, { { 2, 3, 4, 5, 6, 7, 8 }, { 9, 2, 1, 0, 12, 3, 4 } }
    check.equal(new:forward(tokens):tolist(), old:forward(tokens):tolist(), 1e-12)
    old:loss(tokens, targets):backward()
    new:loss(tokens, targets):backward()
    for _, name in ipairs { "emb.weight", "blocks.0.att.key.weight", "blocks.1.att.value.weight", "blocks.2.att.receptance.weight" } do
      check.equal(new:param(name):grad():tolist(), old:param(name):grad():tolist(), 1e-12)
    end
    rwkv.end_step()
  end)
end
