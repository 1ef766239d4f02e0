-- Damage to files, by kind: damage.npy(bytes) -> other bytes. It goes where it hurts: headers whose length is right but whose
-- text is not, lengths that lie, numbers beyond what fits. Random: from math.random.
local numpy = require "tests.lua.lib.numpy"
local damage = {}
local random = math.random

local function any(list) return list[random(#list)] end

local awkward = { "0", "-1", "1", "2", "3", "4", "5", "8", "1.5", "1e3", "1e308", "0x10", "65536", "16777217", "2147483647", "2147483648",
  "4294967296", "4294967297", "9007199254740993", "9223372036854775807", "9223372036854775808", "99999999999999999999999", "", " ",
  "nan", "inf", "null", "true", "[]", "{}", "\"\"", "'x'", "()", "-" }
local bytes_of_text = "0123456789-.,:;\"'[](){}\\/eFIBUTn<>=| \t\n\r\0\127\195\255"

local function replaced(s, from, to, by) return s:sub(1, from - 1) .. by .. s:sub(to + 1) end

-- ---- one change ----

local function place(s) return random(math.max(1, #s)) end

local plain = {
  function(s) local at = place(s) return replaced(s, at, at, string.char((s:byte(at) or 0) ~ 1 << random(0, 7))) end,
  function(s) local at = place(s) return replaced(s, at, at, string.char(random(0, 255))) end,
  function(s) return s:sub(1, random(0, #s)) end,
  function(s) return s .. ("\0"):rep(random(9)) end,
  function(s) return s .. s:sub(random(#s + 1)) end,
  function(s) local at = place(s) return replaced(s, at, at + random(0, 20), "") end,
  function(s) local at = place(s) return replaced(s, at, at - 1, s:sub(at, at + random(0, 60))) end,
  function(s) -- a length that lies
    local format = any { "<I1", "<I2", "<I4", "<I8" }
    local size = format:packsize()
    local at = random(2) == 1 and random(math.max(1, math.min(#s, 64))) or math.max(1, #s - random(0, 120))
    local n = any { 0, 1, 2, 255, 65535, 0x7fffffff, 0xffffffff, 0xfffffffe, -1, math.mininteger, math.maxinteger, #s, #s + 1, #s - 8 }
    return replaced(s, at, at + size - 1, format:pack(size == 8 and n or n & (1 << 8 * size) - 1))
  end,
}

-- The from..to of one match of a pattern, of all there are.
local function one_match(s, pattern)
  local found, at = {}, 1
  while #found < 1000 do
    local from, to = s:find(pattern, at)
    if not from then break end
    found[#found + 1] = { from, to }
    at = to + 1
  end
  if #found > 0 then return table.unpack(any(found)) end
end

local function exchange(s, pattern, by)
  local from, to = one_match(s, pattern)
  return from and replaced(s, from, to, by) or s
end

local of_text = {
  function(s) return exchange(s, "%-?%d+", any(awkward)) end,
  function(s) return exchange(s, "%-?%d+", any(awkward)) end,
  function(s) return exchange(s, "%a[%w_.]*", any { "", "x", "shape", "F64", "BF16", "I64", "U8", "BOOL", "f4", "i8", "u8", "b1", "c16", "v7",
    "v4", "tokens", "logits", "True", "nonsense", ("x"):rep(300), "__metadata__", "dim", "layers", "decay", "format" }) end,
  function(s) -- a word of it in another's place
    local from, to = one_match(s, "%a[%w_.]*")
    return from and exchange(s, "%a[%w_.]*", s:sub(from, to)) or s
  end,
  function(s) local at, c = place(s), random(#bytes_of_text) return replaced(s, at, at, bytes_of_text:sub(c, c)) end,
  function(s) local at, c = place(s), random(#bytes_of_text) return replaced(s, at, at - 1, bytes_of_text:sub(c, c)) end,
  function(s) return exchange(s, "%b{}", any { "{}", "0", "" }) end,
  function(s) return exchange(s, "%b[]", any { "[]", "[0]", "[1]", "[-1]", "[1,1,1,1,1,1,1,1,1]", "[2147483647,2147483647,0]", "0" }) end,
  function(s) return exchange(s, "%b()", any { "()", "(0,)", "(1,)", "(2147483647,2147483647,0)", "(24,)", "0" }) end,
  function(s) return exchange(s, '"[^"]*":[^,{}%[%]]*,?', "") end,
  plain[1], plain[2], plain[6], plain[7],
}

local function changed(s, changes)
  for _ = 1, any { 1, 1, 1, 2, 3 } do s = any(changes)(s) end
  return s
end

-- ---- by kind of file ----

function damage.safetensors(bytes)
  if random(4) == 1 then return changed(bytes, plain) end
  local header, at = ("<s8"):unpack(bytes)
  local data = bytes:sub(at)
  if random(6) == 1 then return bytes:sub(1, at - 1) .. changed(data, plain) end -- numbers
  header = changed(header, of_text)
  return ("<s8"):pack(header) .. (random(8) == 1 and changed(data, plain) or data)
end

function damage.npy(bytes)
  if random(4) == 1 then return changed(bytes, plain) end
  local version = bytes:byte(7)
  local header, at = (version == 1 and "<s2" or "<s4"):unpack(bytes, 9)
  return numpy.with_header(changed(header, of_text), bytes:sub(at), version)
end

function damage.npz(bytes) return changed(bytes, plain) end

-- An archive whose entries are damaged, but have the right CRC: { { name, bytes }, .. } -> bytes.
function damage.entries(entries)
  local list = {}
  for i, e in ipairs(entries) do
    list[i] = { random(6) == 1 and changed(e[1], of_text) or e[1], damage.npy(e[2]) }
    if random(8) == 1 then list[i].method = random(0, 20) end
    if random(8) == 1 then list[i].size = random(0, 2000) end
  end
  return numpy.npz(list)
end

function damage.tsv(bytes) return changed(bytes, random(2) == 1 and of_text or plain) end

return damage
