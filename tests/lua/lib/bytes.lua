-- Tokenizers for tests: a token a byte; and the longest of a list of tokens, as World has it.
local bytes = {}

local function tokenizer(kind, list)
  local by_text, longest = {}, 1
  for id, text in pairs(list) do by_text[text], longest = id, math.max(longest, #text) end
  local t = {}
  function t.encode(_, text)
    local ids, at = {}, 1
    while at <= #text do
      for n = math.min(longest, #text - at + 1), 1, -1 do
        local id = by_text[text:sub(at, at + n - 1)]
        if id then
          ids[#ids + 1], at = id, at + n
          break
        end
        assert(n > 1, "no token")
      end
    end
    return ids
  end
  function t.bytes(_, id) return list[id] or "" end
  function t.size() return #list + 1 end
  function t.kind() return kind end
  return t
end

-- more: texts that are tokens besides, from 256 on
function bytes.with(more, kind)
  local list = {}
  for b = 0, 255 do list[b] = string.char(b) end
  for i, text in ipairs(more or {}) do list[255 + i] = text end
  return tokenizer(kind or "world", list)
end

return bytes
