-- Text that comes from files and scripts, as it may be shown and written into reports: control characters (they move the
-- cursor, hide what stands before, end an XML file), bytes that are no UTF-8 and U+FFFE, U+FFFF become \xHH.
local visible = {}

local function escaped(bytes)
  return (bytes:gsub(".", function(byte) return ("\\x%02x"):format(byte:byte()) end))
end

local function with_valid_utf8(text)
  local parts, at = {}, 1
  repeat
    local _, bad = utf8.len(text, at)
    parts[#parts + 1] = text:sub(at, (bad or 0) - 1)
    if bad then
      parts[#parts + 1] = escaped(text:sub(bad, bad))
      at = bad + 1
    end
  until not bad
  return table.concat(parts)
end

-- Several lines: ends of lines stay.
function visible.text(text)
  return (with_valid_utf8(tostring(text)):gsub("[\0-\9\11-\31\127]", escaped):gsub("\xc2[\x80-\x9f]", escaped)
    :gsub("\xef\xbf[\xbe\xbf]", escaped))
end

-- What stands in one line: a name, a label, a path.
function visible.line(text) return (visible.text(text):gsub("\n", escaped)) end

-- A line on the error output: format and arguments as string.format takes them.
function visible.say(...) io.stderr:write(visible.text(string.format(...)), "\n") end

return visible
