-- Where in a tensor something is, by its axes as a port knows them.
local names = require "rwkv.golden.names"

local place = {}

-- How many heads the pack's model has; 1 where a version has none.
function place.heads(p)
  local c = p.config
  return c.head_size and math.max(1, (c.dim_att or c.dim) // c.head_size) or 1
end

-- The axes of a tensor by their names, of which a pack's sizes tell some: list of { axis =, size = }.
function place.axes(p, name, shape)
  local list, kind, at = {}, names.kind(name), 1
  local B, T, H = #p.tokens, #p.tokens[1], place.heads(p)
  local function add(axis, size) list[#list + 1] = { axis = axis, size = size } end
  local computed = kind == "trace" or kind == "logits" or kind == "state" or kind == "tokens" or kind == "targets"
  if computed and shape[at] == B then add("sequence", B) at = at + 1 end
  if computed and kind ~= "state" and at == 2 and shape[at] == T then add("position", T) at = at + 1 end
  local left = #shape - at + 1
  if left == 3 and shape[at] == H then
    for i, axis in ipairs { "head", "row", "column" } do add(axis, shape[at + i - 1]) end
  elseif left == 1 and H > 1 and shape[at] == H * p.config.head_size then
    add("head", H)
    add("channel", shape[at] // H)
  else
    for i = at, #shape do add(left == 2 and (i == at and "row" or "column") or "index", shape[i]) end
  end
  return list
end

local plural = { index = "indices" }
function place.several(axis) return plural[axis] or axis .. "s" end

-- "positions 3 to 7", "every 2nd position from 1 on"; nil if it is all of them.
local function along(axis, size, off)
  if #off == 0 or off[1] == 0 and off[2] == size - 1 then return nil end
  if #off == 2 then
    if off[1] == off[2] then return ("%s %d only"):format(axis, off[1]) end
    if off[2] == size - 1 then return ("from %s %d on"):format(axis, off[1]) end
    return ("%s %d to %d"):format(place.several(axis), off[1], off[2])
  end
  local step, parts = off[3] - off[1], {}
  for i = 1, #off, 2 do
    if off[i] ~= off[i + 1] or off[i] ~= off[1] + (i - 1) // 2 * step then step = nil break end
  end
  if step and #off > 4 and off[#off] + step >= size then return ("every %s at %d, and each %d after it"):format(axis, off[1], step) end
  for i = 1, math.min(#off, 8), 2 do
    parts[#parts + 1] = off[i] == off[i + 1] and ("%d"):format(off[i]) or ("%d to %d"):format(off[i], off[i + 1])
  end
  return ("%s %s%s"):format(place.several(axis), table.concat(parts, ", "), #off > 8 and " .." or "")
end

-- axes, and for each {first, last, first, last, ..} of the indices -> "sequence 0 only; positions 3 to 7"; "everywhere"
function place.text(axes, ranges)
  local parts = {}
  for i, axis in ipairs(axes) do
    parts[#parts + 1] = axis.size > 1 and along(axis.axis, axis.size, ranges[i]) or nil
  end
  return #parts > 0 and table.concat(parts, "; ") or "everywhere"
end

return place
