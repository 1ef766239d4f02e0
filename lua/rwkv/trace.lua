-- model:trace(tokens) -> every named intermediate of a run over one sequence, by name, as a table
--   { ["blocks.0.att.w"] = tensor [T,..], .., ["state.0.att_kv"] = tensor [T,..] after each token, logits = [T,V] }
-- and the list of the names in the order of computation. The run goes token by token, so that the state can be seen
-- at every position.
local core = require "rwkv.core"

local function first_axis(t) -- [1,..] or [1,1,..] of one token -> [1,..]
  local shape = t:shape()
  if #shape >= 3 and shape[1] == 1 and shape[2] == 1 then table.remove(shape, 1) end
  return t:reshape(shape)
end

return function(model, tokens)
  if type(tokens) == "table" and type(tokens[1]) == "table" and #tokens == 1 then tokens = tokens[1] end
  if type(tokens) ~= "table" or type(tokens[1]) ~= "number" then
    error("trace: expected the tokens of one sequence, a list of numbers", 2)
  end
  local state, rows, names = model:state(1), {}, {}
  local function add(name, t)
    if not rows[name] then
      rows[name] = {}
      names[#names + 1] = name
    end
    table.insert(rows[name], t:keep())
  end
  for _, token in ipairs(tokens) do
    core.no_grad(function()
      local logits, _, seen = model:trace_run({ token }, state)
      for _, s in ipairs(seen) do add(s.name, first_axis(s.value)) end
      for _, name in ipairs(state:names()) do
        local t = state:get(name)
        if t:size() > 0 then add("state." .. name, t) end
      end
      add("logits", first_axis(logits))
    end)
  end
  local result = {}
  for name, parts in pairs(rows) do
    local same = #parts == #tokens
    for _, t in ipairs(parts) do same = same and t:size() == parts[1]:size() end
    result[name] = same and core.no_grad(function() return core.concat(parts, 1) end) or parts -- a state that grows
  end
  return result, names
end
