-- Sizes of many matrices at a time, S [n,N,M] -> [n]: what is in a matrix state.
local rwkv = require "rwkv"

local matrix = {}

function matrix.rms(S) return S:square():flatten(2, 3):mean(2):sqrt() end

function matrix.largest(S) return S:abs():flatten(2, 3):max(2) end

-- ||S||_2 by power iteration: of G = S S', which after `squarings` squarings has been applied 2^squarings times. The
-- estimate is a Rayleigh quotient, so never too large; a second singular value hardly below the first does no harm.
function matrix.spectral(S, squarings)
  local n, N = S:size(1), S:size(2)
  local G = S:bmm(S:transpose(2, 3))
  local function scaled(P) return P / P:abs():flatten(2, 3):max(2):maximum(1e-30):reshape(n, 1, 1) end
  local P = scaled(G)
  for _ = 1, squarings or 12 do P = scaled(P:bmm(P)) end
  local x = P:bmm(rwkv.rng(0, "spectral"):tensor("normal", n, N, 1)):flatten(2, 3)
  x = (x / x:norm(2, true):maximum(1e-30)):reshape(n, N, 1)
  return S:transpose(2, 3):bmm(x):flatten(2, 3):norm(2)
end

-- ||S||_F^2 / ||S||_2^2, from 1 (one direction) to min(N, M); 0 of a zero matrix
function matrix.stable_rank(S)
  local frobenius = S:square():flatten(2, 3):sum(2)
  return frobenius / matrix.spectral(S):square():maximum(1e-30)
end

return matrix
