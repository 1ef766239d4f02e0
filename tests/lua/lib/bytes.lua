-- A World vocabulary for tests: a token a byte, whose id is the byte + 1, and more of them; the longest is taken at each place.
local rwkv = require "rwkv"

local bytes = {}

-- Its text. more: texts that are tokens besides, from 257 on
function bytes.vocabulary(more)
  local lines = {}
  for b = 0, 255 do lines[b + 1] = ("%d b'\\x%02x' 1\n"):format(b + 1, b) end
  for i, text in ipairs(more or {}) do
    local literal = text:gsub(".", function(c) return ("\\x%02x"):format(c:byte()) end)
    lines[#lines + 1] = ("%d b'%s' %d\n"):format(256 + i, literal, #text)
  end
  return table.concat(lines)
end

function bytes.with(more)
  local path = os.tmpname()
  rwkv.write_file(path, bytes.vocabulary(more))
  local tokenizer = rwkv.tokenizer(path)
  os.remove(path)
  return tokenizer
end

return bytes
