-- How right numbers are handed over in the wrong order or form. out[name] = { numbers, shape = { B, T, .. } }
local numbers = require "tests.lua.lib.port.numbers"

local map = numbers.map

-- Rows of [B,T]: where each comes from, from(b, t) -> b, t or nil for zeros; all from 0.
local function reordered(e, from, shape)
  local B, T = e.shape[1], e.shape[2]
  local width, y = #e // (B * T), {}
  for row = 0, B * T - 1 do
    local b, t = from(row // T, row % T, B, T, row)
    for i = 1, width do y[row * width + i] = b and e[(b * T + t) * width + i] or 0 end
  end
  y.shape = shape or e.shape
  return y
end

local function exchanged(e, first, second)
  local shape = table.move(e.shape, 1, #e.shape, 1, {})
  shape[first], shape[second] = shape[second], shape[first]
  return shape
end

local rows = {
  ["sequences-exchanged"] = function(b, t, B) return B - 1 - b, t end,
  ["sequences-rolled"] = function(b, t, B) return (b - 1) % B, t end,
  ["one-position-late"] = function(b, t, _, T) return b, (t - 1) % T end,
  ["one-position-early"] = function(b, t, _, T) return b, (t + 1) % T end,
  ["one-position-late-zeros"] = function(b, t) if t > 0 then return b, t - 1 end end,
  ["one-position-early-zeros"] = function(b, t, _, T) if t < T - 1 then return b, t + 1 end end,
  ["reversed-in-time"] = function(b, t, _, T) return b, T - 1 - t end,
}

-- each position of logits by itself
local function each_position(e, f)
  local width, y = e.shape[#e.shape], { shape = e.shape }
  for from = 0, #e - 1, width do
    local largest, sum = -math.huge, 0
    for i = from + 1, from + width do largest = math.max(largest, e[i]) end
    for i = from + 1, from + width do sum = sum + math.exp(e[i] - largest) end
    for i = from + 1, from + width do y[i] = f(e[i] - largest, sum) end
  end
  return y
end

local logits = {
  ["log-probabilities"] = function(e) return each_position(e, function(x, sum) return x - math.log(sum) end) end,
  softmax = function(e) return each_position(e, function(x, sum) return math.exp(x) / sum end) end,
  ["vocabulary-first"] = function(e)
    local T, V = e.shape[2], e.shape[3]
    local y = map(#e, function(i)
      local b, v, t = (i - 1) // (T * V), (i - 1) // T % V, (i - 1) % T
      return e[(b * T + t) * V + v + 1]
    end)
    y.shape = exchanged(e, 2, 3)
    return y
  end,
  ["last-position-only"] = function(e)
    local B, T, V = e.shape[1], e.shape[2], e.shape[3]
    local y = map(B * V, function(i) return e[((i - 1) // V * T + T - 1) * V + (i - 1) % V + 1] end)
    y.shape = { B, V }
    return y
  end,
}

local function time_major(e)
  return reordered(e, function(_, _, B, _, row) return row % B, row // B end, exchanged(e, 1, 2))
end

return function(out, wrong)
  for name, e in pairs(out) do
    if not e.once then
      for id, from in pairs(rows) do if wrong(id) then out[name] = reordered(out[name], from) end end
      if wrong "time-major" then out[name] = time_major(out[name]) end
    end
  end
  for id, f in pairs(logits) do if wrong(id) then out.logits = f(out.logits) end end
  return out
end
