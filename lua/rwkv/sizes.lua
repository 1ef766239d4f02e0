-- What is counted of released models, to be held against what was published of them (versions/published.lua).
local describe = require "rwkv.models".describe

local sizes = {}

-- FLOPs of the recurrence a token, which papers do not count.
local recurrence = { v4 = function(m) return 22 * m.dim * m.layers end }

local function described(version, model)
  local q = { version = version }
  for name, value in pairs(model) do q[name] = value end
  return describe(q)
end

-- { parameters =, stored = those and the unused ones in files, state_floats =, products = FLOPs a token without the recurrence, or nil }
function sizes.count(version, size)
  local d, extra = described(version, size.model), recurrence[version]
  return { parameters = d.parameters, stored = d.parameters + d.unused, state_floats = d.state_floats,
    products = extra and d.flops_per_token - extra(size.model) }
end

-- Whether a number, rounded as the text is, is the text's.
function sizes.agrees(text, number)
  local decimals, exponent = text:match "^%d+%.?(%d*)(e?)"
  return tonumber(("%%.%d%s"):format(#decimals, exponent == "" and "f" or "e"):format(number)) == tonumber(text)
end

-- nil, or in words the first size of a version's for which a formula of it gives another number than is counted.
function sizes.wrong(version, published, formula)
  for _, size in ipairs(published.sizes) do
    local found, expected = sizes.count(version, size)[formula[1]], formula[3](size.model)
    if found ~= expected then return ("is wrong for %s: %.0f, counted are %.0f"):format(size[1], expected, found) end
  end
end

-- Bits that are recalled for each number of the matrix states: of `pairs` questions, so many right, each one of `choices`.
function sizes.density(version, q)
  local m = q.model
  local states = described(version, m).state_floats - 2 * m.dim * m.layers -- without those of the token shifts
  return q.pairs * q.accuracy * math.log(q.choices, 2) / states
end

return sizes
