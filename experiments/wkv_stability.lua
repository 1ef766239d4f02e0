-- Numbers in the recurrences: what becomes of RWKV-4's weighted mean when keys are large, without the running maximum and
-- with what RWKV-2 and RWKV-3 had in its place (appendix of arXiv:2305.13048); and how rounding errors grow with the
-- length of a sequence in RWKV-4, 6 and 7. No model is trained.
--   aviary experiments/wkv_stability.lua [--scale quick|small|paper] [--out DIR]
-- Writes OUT/wkv_stability.figure.tsv; plots/wkv_stability.gp draws it.
--
-- The kernels run in the precision of the program; what they are held against is computed in plain Lua, in float64
-- (experiments/measure/wkv.lua). `aviary --double` shows what is left when nothing is rounded to float32.
local rwkv = require "rwkv"
local wkv = require "experiments.measure.wkv"
local inputs = require "experiments.measure.wkv_inputs"

local o = rwkv.experiment.options(arg, {}, true)
local s = rwkv.experiment.scale(o, {
  smoke = { tokens = 16, step = 40, longest = 64, seeds = 2 },
  quick = { tokens = 128, step = 4, longest = 16384, seeds = 1 },
  small = { tokens = 256, step = 2, longest = 16384, seeds = 3 },
  paper = { tokens = 1024, step = 1, longest = 262144, seeds = 5 },
})
local channels, piece, window = 64, 1024, 16

local rows = {}

-- Sum of squares of y - exact and of exact; how many numbers of y are finite, of how many.
local function compare(sums, y, exact)
  for t, row in ipairs(y) do
    for c, e in ipairs(exact[t]) do
      local d = row[c] - e
      sums.all = sums.all + 1
      if d - d == 0 then
        sums.error, sums.size, sums.finite = sums.error + d * d, sums.size + e * e, sums.finite + 1
      end
    end
  end
  return sums
end

-- Values of several seeds as one row: their mean, and the lowest and the highest.
local function add(row, values)
  local sum = 0
  for _, e in ipairs(values) do sum = sum + e end
  row.error, row.low, row.high = sum / #values, math.min(table.unpack(values)), math.max(table.unpack(values))
  rows[#rows + 1] = row
end

local function new_sums() return { error = 0, size = 0, finite = 0, all = 0 } end
local function relative(sums) return sums.finite > 0 and math.sqrt(sums.error / sums.size) or 1 end

-- ---- large keys ----

local forms = {
  { "naive", wkv.naive },
  { "v2", function(w, u, k, v) return wkv.clamped(w, u, k, v, 1e-16) end },
  { "v3", function(w, u, k, v) return wkv.clamped(w, u, k, v, 1e-8) end },
  { "v4", wkv.safe },
}

-- Every form on keys around `offset` with deviation `spread`; x is the one of the two that varies.
local function key_size(part, x, offset, spread)
  local found = {}
  for seed = 0, s.seeds - 1 do
    local w, u = inputs.constants_v4(channels)
    local k, v = inputs.keys_v4(rwkv.rng(seed, "keys"), s.tokens, channels, offset, spread)
    local exact = wkv.exact.v4(channels) { w = w, u = u, k = k, v = v }
    for i, form in ipairs(forms) do
      local y = rwkv.no_grad(function()
        return form[2](rwkv.tensor(w), rwkv.tensor(u), rwkv.tensor { k }, rwkv.tensor { v })
      end)
      local sums = compare(new_sums(), y:tolist()[1], exact)
      found[i] = found[i] or { finite = 1 }
      found[i][#found[i] + 1] = relative(sums)
      found[i].finite = math.min(found[i].finite, sums.finite / sums.all)
    end
  end
  for i, form in ipairs(forms) do
    add({ label = form[1], part = part, kernels = rwkv.backend(), x = x, finite = found[i].finite }, found[i])
  end
end

for offset = -120, 120, s.step do key_size("offset", offset, offset, 1) end
for i = 0, 80, s.step do key_size("spread", 10 ^ (i / 40), 0, 10 ^ (i / 40)) end

-- ---- long sequences ----

-- The relative error at the `window` positions before each power of two, for both kinds of kernels.
local function growth(version)
  local chosen, found = rwkv.backend(), {}
  local kinds = { "fast", "reference" }
  for seed = 0, s.seeds - 1 do
    local rng, exact = rwkv.rng(seed, version), wkv.exact[version](channels)
    local kernels = { wkv.kernel[version](channels), wkv.kernel[version](channels) }
    local at, read = window, 0
    while read < s.longest do
      local count = math.min(piece, math.max(at, read) - read, s.longest - read)
      local x = inputs[version](rng, count, channels)
      local y = exact(x)
      read = read + count
      for i, kind in ipairs(kinds) do
        rwkv.backend(kind)
        local z = kernels[i](x)
        if read == at then
          local sums = compare(new_sums(), table.move(z, count - window + 1, count, 1, {}),
            table.move(y, count - window + 1, count, 1, {}))
          found[kind .. at] = found[kind .. at] or {}
          table.insert(found[kind .. at], relative(sums))
        end
      end
      rwkv.backend(chosen)
      if read == at then at = at * 2 end
    end
  end
  for _, kind in ipairs(kinds) do
    local at = window
    while at <= s.longest do
      add({ label = version, part = "length", kernels = kind, x = at, finite = 1 }, found[kind .. at])
      at = at * 2
    end
  end
end

for _, version in ipairs { "v4", "v6", "v7" } do growth(version) end

local path = rwkv.experiment.path(o, "wkv_stability")
rwkv.experiment.figure(path, { "label", "part", "kernels", "x", "error", "low", "high", "finite" }, rows,
  ("large keys: %d tokens of %d channels, w and u as RWKV-4's in block 6 of 12; lengths: one head of %d, %d seed%s"):format(
    s.tokens, channels, channels, s.seeds, s.seeds > 1 and "s" or ""))
print((path:gsub("tsv$", "figure.tsv")))
