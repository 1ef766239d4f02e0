-- A heat map in characters: the darker the character, the larger the number.
local concat, format, rep, floor, max, min = table.concat, string.format, string.rep, math.floor, math.max, math.min
local sub, utf8_length = string.sub, utf8.len

local shades = " .:-=+*#%@"

-- The mean of the numbers of a part of the matrix, NaN if there is none.
local function mean(m, top, bottom, left, right)
  local sum, n = 0, 0
  for i = top, bottom do
    for k = left, right do
      if m[i][k] == m[i][k] then sum, n = sum + m[i][k], n + 1 end
    end
  end
  return sum / n
end

return function(figure, columns, lines)
  local m, out = figure.matrix, {}
  local rows, cells = min(#m, max(1, lines - 5)), min(#m[1], max(1, columns - 10))
  local wide = 2 * cells <= columns - 10 and 2 or 1 -- characters are about twice as high as wide
  local span = figure.high > figure.low and figure.high - figure.low or 1
  local function centred(text)
    return rep(" ", max(0, 8 + (wide * cells - (utf8_length(text) or #text)) // 2)) .. text
  end
  if figure.title then out[#out + 1] = centred(figure.title) end
  local border = rep(" ", 7) .. "+" .. rep("-", wide * cells) .. "+"
  out[#out + 1] = border
  for i = 1, rows do
    local top, bottom, line = (i - 1) * #m // rows + 1, i * #m // rows, {}
    for k = 1, cells do
      local z = mean(m, top, bottom, (k - 1) * #m[1] // cells + 1, k * #m[1] // cells)
      local shade = z == z and min(10, floor((z - figure.low) / span * 10) + 1)
      line[k] = rep(shade and sub(shades, shade, shade) or "?", wide)
    end
    out[#out + 1] = format("%6d |%s|", top, concat(line))
  end
  out[#out + 1] = border
  out[#out + 1] = centred(format("columns 1 to %d;  '%s' %.4g  to  '%s' %.4g", #m[1], sub(shades, 1, 1), figure.low,
    sub(shades, -1), figure.high))
  if figure.xlabel then out[#out + 1] = centred(figure.xlabel) end
  return concat(out, "\n") .. "\n"
end
