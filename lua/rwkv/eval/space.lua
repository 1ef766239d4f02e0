-- White space of Unicode, in UTF-8.
local space = {}

local wide = { ["\u{85}"] = true, ["\u{a0}"] = true, ["\u{1680}"] = true, ["\u{2028}"] = true, ["\u{2029}"] = true,
  ["\u{202f}"] = true, ["\u{205f}"] = true, ["\u{3000}"] = true }
for code = 0x2000, 0x200a do wide[utf8.char(code)] = true end

-- How many bytes of white space there are at the end of text:sub(1, stop).
local function last_space(text, stop)
  if text:find("^[\t-\r\28-\32]", stop) then return 1 end
  for n = 2, 3 do
    if stop >= n and wide[text:sub(stop - n + 1, stop)] then return n end
  end
  return 0
end

-- A text without the white space at its end, and this.
function space.split(text)
  local stop = #text
  while stop > 0 and last_space(text, stop) > 0 do stop = stop - last_space(text, stop) end
  return text:sub(1, stop), text:sub(stop + 1)
end

return space
