-- Python's random.seed(n) and random.randint: the numbers that official test loops draw. MT19937 (Matsumoto and Nishimura 1998).
--   python_random(42):digits(60) -> what str(random.randint(10^59, 10^60 - 1)) gives; of one digit from 0
local function untempered(seed) -- init_by_array([seed])
  local s = { [0] = 19650218 }
  for i = 1, 623 do s[i] = 1812433253 * (s[i - 1] ~ s[i - 1] >> 30) + i & 0xffffffff end
  local i = 1
  local function step() -- the next place, with the last one as the one before the first
    i = i + 1
    if i == 624 then s[0], i = s[623], 1 end
  end
  for _ = 1, 624 do
    s[i] = (s[i] ~ (s[i - 1] ~ s[i - 1] >> 30) * 1664525) + seed & 0xffffffff
    step()
  end
  for _ = 1, 623 do
    s[i] = (s[i] ~ (s[i - 1] ~ s[i - 1] >> 30) * 1566083941) - i & 0xffffffff
    step()
  end
  s[0] = 0x80000000
  return s
end

local Random = {}
Random.__index = Random

function Random:word() -- 32 bits
  local s = self.state
  if self.at == 624 then
    for i = 0, 623 do
      local y = s[i] & 0x80000000 | s[(i + 1) % 624] & 0x7fffffff
      s[i] = s[(i + 397) % 624] ~ y >> 1 ~ (y & 1) * 0x9908b0df
    end
    self.at = 0
  end
  local y = s[self.at]
  self.at = self.at + 1
  y = y ~ y >> 11
  y = y ~ y << 7 & 0x9d2c5680
  y = y ~ y << 15 & 0xefc60000
  return (y ~ y >> 18) & 0xffffffff
end

-- getrandbits(k) in decimal digits.
function Random:bits(k)
  local words, parts = {}, { 0 } -- parts: base 10^9, the least first
  for i = 1, (k + 31) // 32 do words[i] = self:word() >> math.max(0, 32 * i - k) end
  for i = #words, 1, -1 do
    local carry = words[i]
    for j = 1, #parts do
      local x = parts[j] * 0x100000000 + carry
      parts[j], carry = x % 1000000000, x // 1000000000
    end
    while carry > 0 do parts[#parts + 1], carry = carry % 1000000000, carry // 1000000000 end
  end
  local text = { ("%d"):format(parts[#parts]) }
  for j = #parts - 1, 1, -1 do text[#text + 1] = ("%09d"):format(parts[j]) end
  return table.concat(text)
end

-- randint by rejection: of as many bits as the number of choices has.
function Random:digits(n)
  if n == 1 then
    local x
    repeat x = tonumber(self:bits(4)) until x < 10
    return tostring(x)
  end
  local choices, k = "9" .. ("0"):rep(n - 1), math.floor(math.log(9, 2) + (n - 1) * math.log(10, 2)) + 1
  local x
  repeat x = self:bits(k) until #x < n or #x == n and x < choices
  x = ("0"):rep(n - #x) .. x
  return tostring(tonumber(x:sub(1, 1)) + 1):sub(1, 1) .. x:sub(2) -- + 10^(n-1)
end

return function(seed) return setmetatable({ state = untempered(seed), at = 624 }, Random) end
