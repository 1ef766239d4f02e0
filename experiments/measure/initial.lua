-- Other initial values than the official ones: functions that change a fresh model, for `prepare`. rng: from rwkv.rng.
local rwkv = require "rwkv"

local initial = {}

local function is_mix(name) return name:find "%.x_" or name:find "time_mix" or name:find "time_maa_[xwkvrg]$" end

local function is_zero(t) return rwkv.no_grad(function() return t:abs():max():item() end) == 0 end

local function normal(t, rng, deviation) t:set(rng:tensor("normal", t:shape()) * deviation) end

local function uniform(t, rng, bound) t:set((rng:tensor("uniform", t:shape()) * 2 - 1) * bound) end

-- Every mix of a token with the one before it.
function initial.mixes(model, value)
  for name, t in model:parameters() do
    if is_mix(name) then t:set(value) end
  end
end

-- What many a port starts from: every matrix N(0, 0.02²), every mix one half, everything else as it is (norms 1 and 0).
function initial.naive(model, rng)
  for name, t in model:parameters() do
    local shape = t:shape()
    if is_mix(name) then t:set(0.5)
    elseif #shape == 2 and shape[1] > 1 and not name:find "time_" then normal(t, rng, 0.02) end
  end
end

-- The matrices called weight that officially start at 0 from N(0, 1 / inputs). Those of low-rank maps have other names and stay.
function initial.no_zeros(model, rng)
  for name, t in model:parameters() do
    local shape = t:shape()
    if #shape == 2 and name:find "%.weight$" and is_zero(t) then normal(t, rng, shape[2] ^ -0.5) end
  end
end

-- ---- RWKV-7 in ports ----

-- Embedding, head and the key of channel mixing as PyTorch's and the official modules' constructors leave them, where the function
-- that makes the official start of a whole model has not been called.
function initial.constructors(model, rng)
  local C = model:config().dim
  normal(model:param "emb.weight", rng, 1)
  for name, t in model:parameters() do
    if name == "head.weight" then uniform(t, rng, C ^ -0.5) end
    if name:find "ffn%.key%.weight$" then uniform(t, rng, 0.5 * C ^ -0.5) end
  end
end

-- Where removal keys start at 0 they stay there: the transition diag(w) - kappa (kappa a)' has no slope in kappa = 0.
function initial.no_removal(model)
  for name, t in model:parameters() do
    if name:find "att%.k_k$" then t:set(0) end
  end
end

-- flash-linear-attention until April 2025 (before its PR 365), and the RWKV-7 of zoology: all vectors of time mixing and all mixes
-- 0, its matrices uniform by Xavier Glorot's rule with gain 2^-2.5, the other matrices N(0, 0.02²), all norms 1 and 0.
function initial.fla_early(model, rng)
  for name, t in model:parameters() do
    local shape = t:shape()
    if name:find "ln_x%.weight$" then t:set(1)
    elseif is_mix(name) or name:find "att%.[kr]_[ka]$" or name:find "att%.[wav]0$" then t:set(0)
    elseif #shape == 2 and name:find "%.att%." then uniform(t, rng, 2 ^ -2.5 * (6 / (shape[1] + shape[2])) ^ 0.5)
    elseif #shape == 2 then normal(t, rng, 0.02) end
  end
end

return initial
