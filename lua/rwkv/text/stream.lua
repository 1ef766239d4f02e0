-- Texts of any length as ids, and ids as texts, from one open file to another, in memory that does not grow with them.
--   stream.encode(tokenizer, from, to, bar);  stream.decode(tokenizer, from, to, bar)
-- What is left of a part, because it depends on what follows, comes again before the next one. The parts grow where nothing
-- of them can be used yet (BPE of a word without end): so each byte is looked at a few times at most.
local core = require "rwkv.core"

local stream = {}

local PART = 1 << 20 -- bytes

-- How many bytes are still to be read; nil: nobody knows, as of a pipe.
function stream.size(file)
  local here = file:seek "cur"
  local size = here and file:seek "end"
  return size and file:seek("set", here) and size - here
end

-- convert(text, more) -> what is written, ids, bytes read. Returns the number of ids.
local function run(convert, from, to, bar, separator)
  local rest, ids, done = "", 0, 0
  while true do
    local part, problem = from:read(math.max(PART, #rest))
    if not part and problem then error(problem, 0) end
    local out, count, read = convert(rest .. (part or ""), part ~= nil)
    if count > 0 and ids > 0 then to:write(separator) end
    local written, why = to:write(out)
    if not written then error("the output could not be written: " .. why, 0) end
    rest = part and (rest .. part):sub(read + 1) or ""
    ids, done = ids + count, done + read
    if not part then return ids end
    bar:update(done)
  end
end

function stream.encode(tokenizer, from, to, bar)
  local ids = run(function(text, more) return core.private.write_ids(tokenizer, text, more) end, from, to, bar, " ")
  to:write "\n"
  bar:clear()
  return ids
end

function stream.decode(tokenizer, from, to, bar)
  local ids = run(function(text, more) return core.private.read_ids(tokenizer, text, more) end, from, to, bar, "")
  bar:clear()
  return ids
end

return stream
