-- The text of a sequence as its bytes come: what is certain goes on, what may yet change is held back. That is a character
-- of UTF-8 whose last bytes are missing, and what may be the beginning of a stop text. Bytes that are no UTF-8 go on.
--   local s = stream { "\n\n" };  s:push(bytes) -> text, where a stop text begins or nil;  s:finish() -> the rest
local Stream = {}

-- Bytes at the end of a text that are the beginning of a character.
local function incomplete(text)
  local tail = text:match "[\xc2-\xf4][\x80-\xbf]*$" or ""
  local first, second = tail:byte(1, 2)
  if not first then return 0 end
  local length = first < 0xe0 and 2 or first < 0xf0 and 3 or 4
  if #tail >= length then return 0 end
  local low = first == 0xe0 and 0xa0 or first == 0xf0 and 0x90 or 0x80 -- none that is longer than it must be,
  local high = first == 0xed and 0x9f or first == 0xf4 and 0x8f or 0xbf -- no surrogate, nothing above U+10FFFF
  return second and (second < low or second > high) and 0 or #tail
end

-- The longest end of the text that begins a stop text.
local function begun(text, stops)
  local most = 0
  for _, stop in ipairs(stops) do
    for n = math.min(#stop - 1, #text), most + 1, -1 do
      if text:sub(-n) == stop:sub(1, n) then
        most = n
        break
      end
    end
  end
  return most
end

-- Where a stop text begins: the first, from 1.
local function found(text, stops)
  local at
  for _, stop in ipairs(stops) do
    local here = text:find(stop, 1, true)
    at = here and math.min(here, at or here) or at
  end
  return at
end

-- The text that is certain now; the byte at which a stop text begins, counted from the first one of the stream, or nil.
-- After a stop nothing is held.
function Stream:push(bytes)
  local text = self.held .. bytes
  local stop = found(text, self.stops)
  self.may_stop = 0
  if not stop then self.may_stop = begun(text, self.stops) end
  local certain = stop and text:sub(1, stop - 1) or text:sub(1, #text - self.may_stop)
  if not stop then certain = certain:sub(1, #certain - incomplete(certain)) end
  self.held = stop and "" or text:sub(#certain + 1)
  local from = self.passed
  self.passed = from + #certain
  return certain, stop and from + stop
end

function Stream:finish()
  local rest = self.held
  self.held, self.may_stop, self.passed = "", 0, self.passed + #rest
  return rest
end

-- passed: bytes that have gone on; may_stop: how many of those that are held may begin a stop text.
return function(stops)
  return setmetatable({ stops = stops or {}, held = "", passed = 0, may_stop = 0 }, { __index = Stream })
end
