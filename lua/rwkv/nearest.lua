-- The word of a list that a misspelt one was meant to be.
local nearest = {}

-- How many letters were added, left out, replaced or swapped with their neighbour.
local function distance(a, b)
  local before, last = {}, {}
  for j = 0, #b do last[j] = j end
  for i = 1, #a do
    local row = { [0] = i }
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      row[j] = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        row[j] = math.min(row[j], before[j - 2] + 1)
      end
    end
    before, last = last, row
  end
  return last[#b]
end

-- hint(word, known) -> ", did you mean 'x'?" with the nearest of a list of names, or "" where none is near: at most about a
-- third of the word is different.
function nearest.hint(word, known)
  local best, least = nil, math.max(1, #word // 3) + 1
  if #word > 64 then return "" end
  for _, name in ipairs(known) do
    local d = distance(word:lower(), name:lower())
    if d < least then best, least = name, d end
  end
  return best and (", did you mean '%s'?"):format(best) or ""
end

return nearest
