-- A text of any length as tokens, read in pieces: the tokens are those of the whole, in memory that does not grow with it.
local reading = {}

local block = 1 << 16

local function open(path)
  local file, why = io.open(path, "rb")
  if not file then error(why, 0) end
  local _, unreadable = file:read(0)
  if unreadable then error(("%s: %s"):format(path, unreadable), 0) end
  return file
end

-- Its size in bytes.
function reading.size(path)
  local file <close> = open(path)
  return file:seek "end"
end

-- pieces(path, tokenizer, separator) -> iterator over lists of ids, in their order, none of them empty, and whether a document
-- begins with the list. A separator, unless it is "", stands between documents and belongs to none.
local function pieces(path, tokenizer, separator)
  local file, text, at, ended, begins = open(path), "", 1, false, true
  local function read_more()
    local more = file:read(block)
    text, at, ended = text:sub(at) .. (more or ""), 1, not more
  end
  -- Ids, the byte after them, and whether the document ends there; none: more has to be read first.
  local function next_piece()
    local stop, after = nil, nil
    if separator ~= "" then stop, after = text:find(separator, at, true) end
    if stop or ended then
      return tokenizer:encode(text:sub(at, (stop or 0) - 1)), after and after + 1 or #text + 1, stop ~= nil
    end
    local ids, bytes = tokenizer:encode(text:sub(at, -math.max(#separator, 1)), true)
    if bytes > 0 then return ids, at + bytes, false end
  end
  return function()
    while not (ended and at > #text) do
      local ids, after, document_ends = next_piece()
      if not ids then
        read_more()
      else
        local first = begins
        at, begins = after, document_ends or begins and #ids == 0
        if #ids > 0 then return ids, first end
      end
    end
    file:close()
  end
end

-- chunks(path, tokenizer, separator, n) -> iterator over lists of n ids, fewer at the end of a document, and whether a document
-- begins with the list. What comes depends on these arguments alone.
function reading.chunks(path, tokenizer, separator, n)
  local next_piece = pieces(path, tokenizer, separator)
  local ids, begins = next_piece()
  local at = 1
  return function()
    if not ids then return nil end
    local chunk, first = {}, begins
    repeat
      local take = math.min(n - #chunk, #ids - at + 1)
      table.move(ids, at, at + take - 1, #chunk + 1, chunk)
      at = at + take
      if at > #ids then
        ids, begins = next_piece()
        at = 1
      else
        begins = false
      end
    until #chunk == n or not ids or begins
    return chunk, first
  end
end

return reading
