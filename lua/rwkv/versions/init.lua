-- What is a version's own in the library, beside its C (ref/vN.c): a file for each family, which gives a table for each of its versions.
--   versions.of("v7") -> { .. }; what a version does not say is as in `usual`
local versions = {}

local small = 2 ^ -8

local usual = {
  like = nil,              -- the version whose facts are its own where it says nothing itself
  kin = nil,               -- the version whose known mistakes can be made in it, too

  -- ---- sizes ----
  heads = true,            -- it has heads of their own size
  least_heads = 1,
  context = false,         -- it has parameters for every position: `ctx`
  copy_head = nil,         -- it can have one: "usual", so that packs of golden have it, or "possible"
  ranks = {},              -- of its low-rank maps in these packs, for each 16 channels: all different, so that an exchange is noticed

  -- ---- names ----
  embedding = "emb.weight",
  parts = { att = "att", ffn = "ffn" }, -- how the parts of a block are called in names of parameters
  final_norm = "ln_out",
  head_gain = nil,         -- a parameter by which the output is multiplied before the head
  biases = false,          -- linear maps have biases

  -- ---- formulas (golden/formulas) ----
  formulas = nil,          -- the file that has its time mixing, and its channel mixing if it is not `channel_mix`
  lines = {},              -- in the place of the file's: { time_mix =, channel_mix =, beside = function(book, c, layer, x, mid) }
  mistakes = {},           -- its own, beside those of golden/mistakes
  names = {},              -- its names for parameters that the file's lines call otherwise
  channel_mix = { tag = "v4.9", mixes = { { "xk", "time_mix_k" }, { "xr", "time_mix_r" } }, receptance = true },
                           -- rest: function(line, c) of the lines after k, in the place of those that most have
  embed_norm = true,       -- a norm stands between the embedding and the first block
  adds_to_normed = false,  -- what a part returns is added to its normed input
  lerps_to_prev = false,   -- mixes weigh the token before: x + (prev - x) mu; else the token itself: mu x + (1 - mu) prev
  value_residual = false,
  one_mix = nil,           -- the parameter of the one mix that all take (v2)
  sums_read = nil,         -- the line that reads the sums of keys and values (v2 to v4)
  bonus = nil,             -- the parameter (v5, v6); bonus_exponent: what counts is e^ of it
  bonus_exponent = false,
  gate = nil,              -- (v5, v6) "silu" of a linear map, or "low rank": tanh within
  cap = nil,               -- of the scores of an attention head beside time mixing (attention.lua)
  double_iclr = false,     -- (v7's kin) the learning rate is 2 sigmoid(..)
  tanh_gate = false,       -- the gate has a tanh within, not a sigmoid
  low_key_norm = nil,      -- the removal key is k + a low-rank map: "heads", each divided by its length, or "all" together
  key_scale = nil,         -- what the key that is written is multiplied with: "decay" or "parts"; else 1 + (a - 1) k_a
  low_mixes = nil,         -- mixes that depend on the token: { streams =, w1 =, w2 = names of the low-rank map }

  -- ---- numbers ----
  half = true,             -- official inference code computes it in bf16 and fp16, too
  group_eps = 64e-5,       -- of the norm after the recurrence
  sums_eps = 1e-8,         -- what stands in the denominator of sums (v2, v3)
  one_norm = false,        -- that norm is over all channels
  stays_float32 = { "time_decay$", "time_first$", "time_faaaa$", "ln_x", "ln0", "^emb%.weight$" }, -- what inference code keeps so
  unused = {},             -- patterns of parameters without effect, by design
  scale_free = {},         -- patterns of those whose size is without effect, by design

  -- ---- random weights in which everything matters (golden/weights.lua) ----
  -- Rules of its own, which come before those of all: { pattern of a name's end, kind, numbers }. These are of v2 to v5.
  weights = { { "time_mix[_%l]*$", "uniform", -0.2, 1.2 }, { "time_first$", "normal", 0.7 }, { "time_faaaa$", "normal", 1 },
    { "time_decay$", "decays", -9, -4, 1 } }, -- e^w from .99988 to .07 a step
  exponents = false,       -- keys are exponents: some are made extreme
  early_key = false,       -- one of -28 at the first token, between the eps of this version and that of another
  key_bias = false,        -- keys have a bias, which is felt where they are cut off
  removal_keys = false,    -- keys are normalised: some are made short
  -- What writes to the residual stream, scaled down so that the eps of the layer norms counts.
  writers = { ["^tok_emb%."] = small, ["%.ln0%."] = small, ["%.attn?%.output%."] = small, ["%.ffn%.value%."] = small,
    ["%.mlp%.weight%."] = small },

  -- ---- other implementations ----
  chunks = true,           -- PyTorch can compute it by chunks; else token by token
  in_fla = true,           -- flash-linear-attention trains it
  fla_norm_eps = nil,      -- the name in fla's config of the eps of its group norm, where that is not the official one

  -- ---- texts ----
  begins_with = "newline", -- what official scripts put in front of a text: "newline" or "zero", token 0

  -- ---- pictures and released sizes ----
  look = nil,              -- colour, point, dash: as plots/common.gp has them
  published = nil,         -- published.lua
}
-- The file is called as the version or as the longest beginning of its name that has one: v6a's facts stand in v6.lua.
local function file_of(name)
  for length = #name, 2, -1 do
    local module = "rwkv.versions." .. name:sub(1, length)
    local found, facts = pcall(require, module)
    if found then return facts end
    local missing = ("module '%s'"):format(module)
    if not tostring(facts):find("no " .. missing, 1, true) and not tostring(facts):find(missing .. " not found", 1, true) then
      error(facts, 0)
    end
  end
end

-- What is known of a version; of one that has no file here, what is usual.
local known = {}
function versions.of(name)
  if not known[name] then
    local facts = (file_of(name) or {})[name] or {}
    known[name] = setmetatable(facts, { __index = facts.like and versions.of(facts.like) or usual })
  end
  return known[name]
end

-- Whether a version, or the one that it calls kin, has a name like this pattern.
function versions.is(name, pattern)
  local kin = versions.of(name).kin
  return name:find(pattern) ~= nil or kin ~= nil and kin:find(pattern) ~= nil
end

-- Whether a parameter is without effect, by design.
function versions.is_unused(name, parameter)
  for _, pattern in ipairs(versions.of(name).unused) do if parameter:find(pattern) then return true end end
  return false
end

return versions
