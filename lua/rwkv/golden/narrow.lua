-- Where no known mistake gives the numbers: which operand of which line would, if it were another one. Every operand of the lines
-- in between is replaced, by others of its size, by their transpose, by nothing, one, twice and minus itself.
--   narrow(q, finding, all, first) -> list of { line =, operand =, by = in words, residual = }, best first. all, first: of trial.lua
local core = require "rwkv.core"
local progress = require "rwkv.progress"
local trial = require "rwkv.golden.trial"

local changes = {
  { "nothing (0)", function(x) return x * 0 end }, { "1", function(x) return x * 0 + 1 end },
  { "minus itself", function(x) return -x end }, { "twice itself", function(x) return x * 2 end },
  { "half of itself", function(x) return x * 0.5 end }, { "1 minus itself", function(x) return 1 - x end },
  { "its exponential", function(x) return x:exp() end }, { "its sigmoid", function(x) return x:sigmoid() end },
  { "itself of the token before", function(x, m) return x:dim() == 3 and m.before(x) or x end, of_lines = true },
  { "its transpose", function(x)
    return x:dim() == 2 and x:size(1) == x:size(2) and core.no_grad(function() return x:transpose(1, 2):keep() end) or x
  end },
}

-- Other names for an operand: lines of the layer and the one before, parameters of the part and of other layers.
local function others(q, finding, line, name)
  local list = {}
  if name:find "^@" then
    local mine = q.weight(name:sub(2))
    for _, other in ipairs(q.parameters) do
      local t = other ~= name:sub(2) and q.weight(other)
      local near = t and (other:match "^blocks%.%d+%.%w+%." == name:match "^@(blocks%.%d+%.%w+%.)"
        or other:gsub("%d+", "") == name:sub(2):gsub("%d+", ""))
      if near and t:size() == mine:size() and #t:shape() == #mine:shape() then list[#list + 1] = "@" .. other end
    end
  elseif name ~= "#tokens" then
    for _, l in ipairs(q.book.lines) do
      if l.at < line.at and l.name ~= name and (l.layer == line.layer or l.layer == (line.layer or 0) - 1 or l.layer == nil)
        and (finding.given[l.name] ~= nil or finding.computed[l.name]) then
        list[#list + 1] = l.name
      end
    end
  end
  return list
end

return function(q, finding, all, first)
  local function off(from, value)
    local worst, rms = q.apart(from.p, from.observation, value)
    return worst > finding.tol.worst or rms > finding.tol.rms, worst
  end
  local froms = first and off(first, first.clean) and { first, all } or { all }
  local found, seen, start = {}, {}, core.time()
  finding.computed = {}
  for _, line in ipairs(finding.inside) do finding.computed[line.name] = true end
  local bar = progress("operands", #finding.inside, "lines")
  local function test(line, i, by, edit)
    edit.only = #finding.borders > 0 and function(layer) return layer == line.layer end or nil
    local far
    for _, from in ipairs(froms) do
      local value, wrong = trial.value(q, finding, { { edits = { [line.key] = edit } } }, from), true
      if value then wrong, far = off(from, value) end
      if wrong then return end
    end
    found[#found + 1] = { line = line, everywhere = not edit.only, operand = line.operands[i], by = by, residual = far }
  end
  for n, line in ipairs(finding.inside) do
    bar:update(n - 1, line.name)
    local key = #finding.borders > 0 and line.name or line.key
    for i, name in ipairs(not seen[key] and core.time() - start < q.seconds and line.operands or {}) do
      for _, other in ipairs(others(q, finding, line, name)) do
        test(line, i, other:gsub("^@", ""), { operands = { [i] = "/" .. other } })
      end
      for _, change in ipairs(name ~= "#tokens" and changes or {}) do
        if not (change.of_lines and name:find "^@") then test(line, i, change[1], { f = function(m, c, ...)
          local arguments = table.pack(...)
          arguments[i] = change[2](arguments[i], m)
          return line.f(m, c, table.unpack(arguments, 1, arguments.n))
        end }) end
      end
    end
    seen[key] = true
  end
  bar:clear()
  table.sort(found, function(a, b) return a.residual < b.residual end)
  return found
end
