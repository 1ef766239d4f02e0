-- Texts of any length as ids, and ids as texts, from one open file to another, in memory that does not grow with them.
--   ids.encode(tokenizer, from, to, bar);  ids.decode(tokenizer, from, to, bar)
-- What is left of a part, because it depends on what follows, comes again before the next one. The parts grow where nothing
-- of them can be used yet (BPE of a word without end): so each byte is looked at a few times at most.
local core = require "rwkv.core"

local ids = {}

local PART = 1 << 20 -- bytes

-- How many bytes are still to be read; nil: nobody knows, as of a pipe.
function ids.size(file)
  local here = file:seek "cur"
  local size = here and file:seek "end"
  return size and file:seek("set", here) and size - here
end

-- convert(text, more) -> what is written, ids, bytes read. Returns the number of ids.
local function run(convert, from, to, bar, separator)
  local rest, written_ids, done = "", 0, 0
  while true do
    local part, problem = from:read(math.max(PART, #rest))
    if not part and problem then error(problem, 0) end
    local out, count, read = convert(rest .. (part or ""), part ~= nil)
    if count > 0 and written_ids > 0 then to:write(separator) end
    local written, why = to:write(out)
    if not written then error("the output could not be written: " .. why, 0) end
    rest = part and (rest .. part):sub(read + 1) or ""
    written_ids, done = written_ids + count, done + read
    if not part then return written_ids end
    bar:update(done)
  end
end

function ids.encode(tokenizer, from, to, bar)
  local count = run(function(text, more) return core.private.write_ids(tokenizer, text, more) end, from, to, bar, " ")
  to:write "\n"
  bar:clear()
  return count
end

function ids.decode(tokenizer, from, to, bar)
  local count = run(function(text, more) return core.private.read_ids(tokenizer, text, more) end, from, to, bar, "")
  bar:clear()
  return count
end

return ids
