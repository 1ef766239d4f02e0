-- What goes from token to token.
local core = require "rwkv.core"

local over_time = {}

function over_time.column(x) local n = x:shape(); n[#n + 1] = 1; return x:reshape(n) end -- [..,N] -> [..,N,1]
function over_time.row(x) local n = x:shape(); table.insert(n, #n, 1); return x:reshape(n) end -- [..,N] -> [..,1,N]

-- [B,T,..] -> [B,..] at position t, from 1
function over_time.at(x, t)
  local shape = x:shape()
  table.remove(shape, 2)
  return x:slice(2, t, t):reshape(shape)
end

-- T times [B,..] -> [B,T,..], or flat behind T where that are more than 4 axes
function over_time.stack(list)
  local shape = list[1]:shape()
  if #shape > 3 then shape = { shape[1], -1 } end
  table.insert(shape, 2, 1)
  local rows = {}
  for t, y in ipairs(list) do rows[t] = y:reshape(shape) end
  return #rows == 1 and rows[1] or core.concat(rows, 2)
end

return over_time
