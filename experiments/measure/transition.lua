-- The transition of RWKV-7, diag(w) - kappa (a kappa)' [v7.8]: what a token does to the state before its own value comes in.
--     transition.lowest(w, kappa, a)         -- [n,N] each, w the decay itself -> [n], the smallest eigenvalue of each
--     transition.of_tokens(model, tokens)    -- of the first layer: a list over the heads of numbers, one a token
local rwkv = require "rwkv"
local matrix = require "experiments.measure.matrix"

local transition = {}

-- With u = sqrt(a) kappa (elementwise) it is similar to the symmetric diag(w) - u u': its eigenvalues are real, at most 1, and
-- 1 minus the smallest is the norm of 1 - diag(w) + u u'.
function transition.lowest(w, kappa, a)
  local n, N = w:size(1), w:size(2)
  local u = a:sqrt() * kappa
  local rest = rwkv.eye(N):reshape(1, N, N) * (1 - w):reshape(n, N, 1) + u:reshape(n, N, 1):bmm(u:reshape(n, 1, N))
  return 1 - matrix.spectral(rest)
end

-- tokens: a list, one sequence.
function transition.of_tokens(model, tokens)
  return rwkv.no_grad(function()
    local _, _, seen = model:trace_run(tokens)
    local named, sizes = {}, model:config()
    for _, s in ipairs(seen) do named[s.name] = s.value end
    local T, N = #tokens, sizes.head_size
    local H = named["blocks.0.att.kappa"]:size() // (T * N)
    local function of_heads(name)
      local x = named["blocks.0.att." .. name]
      if x:size() == H * N then x = x:reshape(1, H * N) + rwkv.zeros(T, H * N) end -- one for all tokens
      return x:reshape(T * H, N)
    end
    local values, heads = transition.lowest(of_heads("w"):exp(), of_heads "kappa", of_heads "a"):tolist(), {}
    for h = 1, H do
      heads[h] = {}
      for t = 1, T do heads[h][t] = values[(t - 1) * H + h] end
    end
    return heads
  end)
end

return transition
