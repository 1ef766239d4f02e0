-- Text, byte by byte: vocabulary 256, every position scored, the target of a byte is the byte after it.
--
--     local train, test = text.of(c)        -- of a configuration, see below
--     local task = text.new{ path = "build/bible.txt", from = 0, to = 3000000, seq = 512, seed = 1 }
--     local inputs, targets = task:batch(1, 16)     -- windows 1..16 at random places: tokens [16,512]
--
-- With carry = true the bytes are cut into `streams` equal parts that are read side by side, segment after segment; the trainer
-- carries the state from one to the next. Example i is then the segment (i-1) // streams of the stream (i-1) % streams.
-- The file is read where it is needed: a text may be larger than memory.
local rwkv = require "rwkv"
local options = require "experiments.tasks.options"

local Task = {}
Task.__index = Task

local function check(condition, ...)
  if not condition then error("text: " .. string.format(...), 0) end
end

local function open(path)
  local file = io.open(path, "rb")
  check(file, "there is no file %s%s", path, path == "build/bible.txt" and
    "; `make text` makes it, --text FILE takes another" or "")
  local _, why = file:read(0)
  check(not why, "%s: %s", path, why)
  return file, file:seek "end"
end

-- count bytes from offset (from 0) on, as a list
function Task:bytes(offset, count)
  check(offset >= self.from and offset + count <= self.to, "%d bytes from %d on are asked of %s, the task has %d to %d",
    count, offset, self.path, self.from, self.to - 1)
  self.file:seek("set", offset)
  local read, list = self.file:read(count), {}
  check(read and #read == count, "%s has become shorter", self.path)
  for first = 1, count, 4096 do -- what string.byte returns stands on Lua's stack
    table.move({ read:byte(first, first + 4095) }, 1, 4096, first, list)
  end
  return list
end

-- Where example i begins.
function Task:offset(i)
  if not self.carry then return rwkv.rng(self.seed, i):integer(self.from, self.to - self.seq - 1) end
  local segment, stream = (i - 1) // self.streams % self.segments, (i - 1) % self.streams
  return self.from + stream * self.share + segment * self.seq
end

-- Whether the streams begin anew at this example: at the first one, and each time they have been read to their ends.
function Task:restarts(first) return (first - 1) // self.streams % self.segments == 0 end

-- Examples first .. first+count-1 as tokens [count,T], and their targets.
function Task:batch(first, count)
  local inputs, targets, T = {}, {}, self.seq
  for n = 1, count do
    local bytes = self:bytes(self:offset(first + n - 1), T + 1)
    inputs[n], targets[n] = table.move(bytes, 1, T, 1, {}), table.move(bytes, 2, T + 1, 1, {})
  end
  return rwkv.tokens(inputs), rwkv.tokens(targets)
end

-- Where the next line begins, at offset or after it; offset itself if there is none within 4096 bytes.
local function line_start(file, offset)
  if offset == 0 then return 0 end
  file:seek("set", offset - 1)
  local at = (file:read(4096) or ""):find("\n", 1, true)
  return at and offset - 1 + at or offset
end

-- Offsets of `count` stretches of `length` bytes each, spread evenly, at starts of lines where there is one near. They do not
-- overlap if the task has bytes for that.
function Task:stretches(count, length)
  local room, starts = self.to - self.from - length, {}
  check(room >= 0, "%s has %d bytes from %d to %d, a stretch needs %d", self.path, self.to - self.from, self.from,
    self.to - 1, length)
  for i = 1, count do
    local even = self.from + (count > 1 and room * (i - 1) // (count - 1) or 0)
    starts[i] = math.min(line_start(self.file, even), self.from + room)
  end
  return starts
end

local text = {}

-- path; from, to: the task has the bytes from <= i < to (the whole file); seq T; carry, streams; seed of the random places.
function text.new(o)
  options("text", o, "path from to seq carry streams seed")
  check(type(o.path) == "string", "path is a %s, expected the name of a file", type(o.path))
  local file, size = open(o.path)
  local task = setmetatable({ path = o.path, file = file, from = o.from or 0, to = o.to or size, seq = o.seq,
    carry = o.carry or nil, streams = o.streams or 1, seed = o.seed or 0 }, Task)
  check(math.type(task.seq) == "integer" and task.seq >= 1, "seq is %s, expected 1 or more", task.seq)
  check(math.type(task.streams) == "integer" and task.streams >= 1, "streams is %s, expected 1 or more", task.streams)
  check(task.from >= 0 and task.to <= size, "bytes %d to %d are asked of %s, which has %d", task.from, task.to - 1, o.path, size)
  task.share = (task.to - task.from - 1) // task.streams -- bytes of a stream; each is a target once
  task.segments = task.share // task.seq
  check(task.segments >= 1, "%d bytes are too few for %d streams of %d and a byte to predict", task.to - task.from,
    task.streams, task.seq)
  return task
end

-- A number that changes when the text does: of all bytes, or in a large file of 4096 samples of a kilobyte.
local function checksum(file, size)
  local sum = 5381
  for offset = 0, size - 1, math.max(1024, size // 4096) do
    file:seek("set", offset)
    local block = file:read(1024)
    block = block .. ("\0"):rep(-#block % 8)
    for at = 1, #block, 8 do sum = (sum * 33 + string.unpack("<I8", block, at)) & 0xffffffffffff end
  end
  return ("%012x"):format(sum)
end

-- The parts of a text: to train on, to test on while training, and one document that is neither. The cuts are at the first empty
-- lines after 87 and 90 of 100 bytes: in the Bible, Acts is for tests, Romans to Revelation are the document.
-- Returns what stands in a configuration: text, text_bytes, text_sum, test_from, document_from.
function text.parts(path)
  local file, size = open(path)
  check(size >= 1000, "%s has %d bytes, expected 1000 or more", path, size)
  local function cut(part)
    local offset = size * part // 100
    file:seek("set", offset)
    local at = (file:read(size // 33) or ""):find("\n\n", 1, true)
    return at and offset + at + 1 or offset
  end
  local parts = { text = path, text_bytes = size, text_sum = checksum(file, size), test_from = cut(87), document_from = cut(90) }
  file:close()
  if parts.test_from >= parts.document_from then parts.test_from = size * 87 // 100 end
  return parts
end

-- Writes a text of an invented language, always the same: words with frequencies as 1/rank, of which each prefers a few others
-- after it; this many bytes or a few more.
function text.invent(path, bytes)
  local rng, words, parts, length, last = rwkv.rng(0, "invented language"), {}, {}, 0, 1
  for i = 1, 400 do
    local letters = {}
    for j = 1, rng:integer(2, 7) do letters[j] = string.char(96 + rng:integer(1, 26)) end
    words[i] = table.concat(letters)
  end
  while length < bytes do
    if rng:uniform() < 0.5 then
      last = (last * 7 + rng:integer(1, 3)) % #words + 1 -- one of three that this word prefers
    else
      last = math.floor((#words + 1) ^ rng:uniform())
    end
    parts[#parts + 1] = words[last] .. (rng:uniform() < 0.1 and ".\n" or " ")
    length = length + #parts[#parts]
  end
  rwkv.write_file(path, table.concat(parts))
end

-- The King James Bible as `make text` writes it, or another file
function text.default(path) return text.parts(path and path ~= "" and path or "build/bible.txt") end

-- The tasks of a configuration with text.parts, seq, seed, and carry (1: as many streams as batch). test.document is the
-- rest, as a task.
function text.of(c)
  local carry = c.carry == 1
  local train = text.new { path = c.text, to = c.test_from, seq = c.seq, carry = carry, streams = carry and c.batch or 1,
    seed = 1000 + c.seed }
  local test = text.new { path = c.text, from = c.test_from, to = c.document_from, seq = c.seq, seed = 7 }
  test.document = text.new { path = c.text, from = c.document_from, to = c.text_bytes, seq = c.seq }
  return train, test
end

return text
