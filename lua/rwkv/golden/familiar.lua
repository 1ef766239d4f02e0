-- familiar(p, x) -> the name of a constant that x is, to five digits, among those that a port may have forgotten or used twice:
-- "1/sqrt(N)", with the sizes of the pack p; nil if it is none. B sequences, T positions, N head size, C channels, H heads.
local place = require "rwkv.golden.place"

local function ratio(n) return n > 1 and n / (n - 1) or 1 end -- of an unbiased variance to a biased one

-- { name, value, the name of 1/value }
local function constants(p)
  local c, B, T = p.config, #p.tokens, #p.tokens[1]
  local N, C, H, V, L = c.head_size or 1, c.dim, place.heads(p), c.vocab, c.layers
  return { { "2", 2, "1/2" }, { "sqrt(N)", N ^ 0.5, "1/sqrt(N)" }, { "N", N, "1/N" }, { "ln 2", math.log(2), "1/ln 2" },
    { "sqrt(C)", C ^ 0.5, "1/sqrt(C)" }, { "C", C, "1/C" }, { "H", H, "1/H" }, { "B", B, "1/B" }, { "T", T, "1/T" },
    { "T/(T-1)", ratio(T), "(T-1)/T" }, { "B T", B * T, "1/(B T)" }, { "V", V, "1/V" }, { "B T V", B * T * V, "1/(B T V)" },
    { "layers", L, "1/layers" }, { "N/(N-1)", ratio(N), "(N-1)/N" }, { "sqrt(N/(N-1))", ratio(N) ^ 0.5, "sqrt((N-1)/N)" },
    { "C/(C-1)", ratio(C), "(C-1)/C" }, { "sqrt(2)", 2 ^ 0.5, "1/sqrt(2)" }, { "e", math.exp(1), "1/e" },
    { "e^0.5", math.exp(0.5), "e^-0.5" }, { "4", 4, "1/4" }, { "8", 8, "1/8" }, { "10", 10, "1/10" } }
end

return function(p, x)
  local size, sign = math.abs(x), x < 0 and "-" or ""
  local function is(value) return math.abs(size - value) <= 1e-5 * value end
  if is(1) then return x < 0 and "-1" or nil end
  for _, c in ipairs(constants(p)) do
    if is(c[2]) then return sign .. c[1] end
    if is(1 / c[2]) then return sign .. c[3] end
  end
end
