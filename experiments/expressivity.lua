-- What one head of RWKV-7 can do, by construction and without training (theorems of arXiv:2503.14456, section on
-- expressivity, which double the in-context learning rate): it tracks swaps, and so every permutation, over any number of
-- steps; and where the eigenvalues of its transition diag(w) - c k (a k)' lie.
--   aviary experiments/expressivity.lua [--scale quick|small|paper] [--out DIR]
-- Writes OUT/expressivity.figure.tsv; plots/expressivity.gp draws it. `aviary --double` does it in float64.
local rwkv = require "rwkv"
local transition = require "experiments.measure.transition"

local o = rwkv.experiment.options(arg, { seed = 0 }, true)
local s = rwkv.experiment.scale(o, { quick = { steps = 10000, words = 4, matrices = 2000, size = 16 },
  small = { steps = 10000, words = 20, matrices = 20000, size = 64 },
  paper = { steps = 1000000, words = 20, matrices = 200000, size = 64 } })
local rows = {}

-- ---- swaps ----

-- The state starts as the identity, [value, key]; a swap of i and j is  S (I - c k k')  with k = (e_i - e_j)/sqrt 2 and c = 2:
-- in wkv7's terms a = -k, b = c k, nothing written, nothing decayed. `exact`: a = -(e_i - e_j), b = e_i - e_j, the same
-- product with no rounding. What is tracked is read off as the largest entry of each column.
local N = 5
local function swap_words(name, c, exact)
  local B, H = s.words, 1
  local rng, S = rwkv.rng(o.seed, "swaps"), {}
  local truth = {}
  for b = 1, B do
    S[b], truth[b] = { {} }, {}
    for i = 1, N do
      S[b][1][i], truth[b][i] = {}, i
      for j = 1, N do S[b][1][i][j] = i == j and 1 or 0 end
    end
  end
  S = rwkv.tensor(S)
  local done, next_report, scale = 0, 1, exact and 1 or 1 / math.sqrt(2)
  while done < s.steps do
    local T = math.min(next_report, s.steps) - done
    local a, b, zero = {}, {}, rwkv.zeros(B, T, N * H)
    for w = 1, B do
      a[w], b[w] = {}, {}
      for t = 1, T do
        local i = rng:integer(1, N)
        local j = (i + rng:integer(1, N - 1) - 1) % N + 1
        a[w][t], b[w][t] = { 0, 0, 0, 0, 0 }, { 0, 0, 0, 0, 0 }
        a[w][t][i], a[w][t][j] = -scale, scale
        b[w][t][i], b[w][t][j] = (exact and 1 or c) * scale, -(exact and 1 or c) * scale
        truth[w][i], truth[w][j] = truth[w][j], truth[w][i] -- columns i and j change places
      end
    end
    S = rwkv.no_grad(function()
      local _, after = rwkv.wkv7(zero, zero, zero, zero, rwkv.tensor(a), rwkv.tensor(b), S)
      return after
    end)
    done = done + T
    local worst, right = 0, 0
    for w, head in ipairs(S:tolist()) do
      local all = true
      for j = 1, N do
        local best = 1
        for i = 1, N do
          local want = truth[w][j] == i and 1 or 0
          worst = math.max(worst, math.abs(head[1][i][j] - want))
          if head[1][i][j] > head[1][best][j] then best = i end
        end
        all = all and best == truth[w][j]
      end
      right = right + (all and 1 or 0)
    end
    rows[#rows + 1] = { part = "swaps", label = name, x = done, error = worst, right = right / B }
    if done >= next_report then next_report = next_report * 2 end
  end
  local last = rows[#rows]
  print(("%-28s after %d swaps: %.0f %% of words tracked, largest error %.2g"):format(name, done, 100 * last.right, last.error))
end

swap_words("c = 2, exact", 2, true)
swap_words("c = 2, normalised keys", 2)
swap_words("c = 1 (as shipped)", 1)

-- ---- eigenvalues ----

local floor = math.exp(-math.exp(-0.5)) -- of w in RWKV-7
local function lowest(name, rates, bound)
  local rng, n, size = rwkv.rng(o.seed, "transitions"), s.matrices, s.size
  local found, low = {}, math.huge
  for first = 1, n, 500 do
    local count = math.min(500, n - first + 1)
    local values = rwkv.no_grad(function()
      local w = rng:tensor("uniform", count, size) ^ 2 * (1 - floor) + floor -- many near the floor, where it is worst
      local few = (rng:tensor("uniform", count, size):lt(0.2) + 0.05) * rng:tensor("normal", count, size)
      local k = few / few:norm(2, true)
      return transition.lowest(w, k, rates(w, rng:tensor("uniform", count, size) ^ 0.25))
    end)
    for _, x in ipairs(values:tolist()) do
      local bin = math.floor(x * 50)
      found[bin], low = (found[bin] or 0) + 1, math.min(low, x)
    end
  end
  for bin = -100, 50 do
    if found[bin] then rows[#rows + 1] = { part = "eigenvalues", label = name, x = (bin + 0.5) / 50, right = found[bin] / n } end
  end
  print(("%-28s smallest eigenvalue found %.4f, bound %.4f"):format(name, low, bound))
end

lowest("a = σ (as shipped)", function(_, sigma) return sigma end, floor - 1)
lowest("a = 2σ", function(_, sigma) return 2 * sigma end, floor - 2)
lowest("a = 2wσ (doubled)", function(w, sigma) return 2 * w * sigma end, -1)

rwkv.experiment.figure(rwkv.experiment.path(o, "expressivity"), { "part", "label", "x", "error", "right" }, rows,
  ("%d words of %d random swaps of 5 things; %d random transitions of size %d"):format(s.words, s.steps, s.matrices, s.size))
