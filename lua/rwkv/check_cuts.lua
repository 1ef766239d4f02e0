-- model:check_cuts(tokens, tolerance) -> the largest difference. A model must give the same logits however a sequence is
-- cut, and none may depend on what comes after it. Runs `tokens` (by default 12 of its vocabulary) whole, cut at every
-- place, one by one, and with another end; fails above the tolerance (1e-4 in float32, 1e-9 in float64) with the place.
local core = require "rwkv.core"
local one_sequence = require "rwkv.one_sequence"

local function rows(logits) -- [1,T,V] -> list of T lists
  return logits:tolist()[1]
end

return function(model, tokens, tolerance)
  if tolerance == nil then tolerance = core.precision == "float64" and 1e-9 or 1e-4 end
  if type(tolerance) ~= "number" or not (tolerance >= 0 and tolerance < math.huge) then
    error(("check_cuts: the tolerance is %s, expected a number from 0"):format((tostring(tolerance):gsub("^%-nan", "nan"))), 0)
  end
  if tokens == nil then
    tokens = {}
    for i = 1, 12 do tokens[i] = (7 * i) % model:config().vocab end
  end
  tokens = one_sequence("check_cuts", model, tokens)
  local T, worst = #tokens, 0
  local whole = core.no_grad(function() return rows(model:forward(tokens)) end)
  local function compare(found, count, what)
    for t = 1, count do
      for i, x in ipairs(found[t]) do
        local off = math.abs(x - whole[t][i]) / math.max(1, math.abs(whole[t][i]))
        if not (off <= tolerance) then
          error(("check_cuts: %s, the logits of token %d are off by %.3g (at most %g)"):format(what, t, off, tolerance), 0)
        end
        worst = math.max(worst, off)
      end
    end
  end
  local function in_pieces(ends) -- where the pieces end
    local state, found, from = model:state(1), {}, 1
    for _, to in ipairs(ends) do
      core.no_grad(function()
        for _, row in ipairs(rows(model:forward({ table.unpack(tokens, from, to) }, state))) do found[#found + 1] = row end
      end)
      from = to + 1
    end
    return found
  end
  for cut = 1, T - 1 do compare(in_pieces { cut, T }, T, "cut after token " .. cut) end
  local each = {}
  for t = 1, T do each[t] = t end
  compare(in_pieces(each), T, "token by token")
  local other = { table.unpack(tokens) }
  other[T] = (other[T] + 1) % model:config().vocab
  compare(core.no_grad(function() return rows(model:forward(other)) end), T - 1, "with another last token")
  return worst
end
