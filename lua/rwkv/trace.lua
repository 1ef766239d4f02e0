-- model:trace(tokens) -> every named intermediate of a run over one sequence, by name, as a table
--   { ["blocks.0.att.w"] = tensor [T,..], .., ["state.0.att_kv"] = tensor [T,..] after each token, logits = [T,V] }
-- and the list of the names in the order of computation. A run goes token by token, so that the state can be seen at every
-- position. Outside no_grad the rest is of one run over all of them, and has its gradient.
local core = require "rwkv.core"
local one_sequence = require "rwkv.one_sequence"

local function first_axis(t, length) -- [1,..] or [1,T,..] of a run over T tokens -> [T,..]
  local shape = t:shape()
  if #shape >= 3 and shape[1] == 1 and shape[2] == length then table.remove(shape, 1) end
  return t:reshape(shape)
end

-- By name the tensors of each token, copied, of the state alone if the rest is known; and the names in their order.
local function token_by_token(model, tokens, known, names)
  local state, rows = model:state(1), {}
  local function add(name, t)
    if not rows[name] then
      rows[name] = {}
      names[#names + 1] = name
    end
    table.insert(rows[name], t:keep())
  end
  for _, token in ipairs(tokens) do
    core.no_grad(function()
      local logits, _, seen = nil, nil, {}
      if known then model:forward({ token }, state) else logits, _, seen = model:trace_run({ token }, state) end
      for _, s in ipairs(seen) do add(s.name, first_axis(s.value, 1)) end
      for _, name in ipairs(state:names()) do
        local t = state:get(name)
        if t:size() > 0 then add("state." .. name, t) end
      end
      if logits then add("logits", first_axis(logits, 1)) end
    end)
  end
  return rows
end

return function(model, tokens)
  tokens = one_sequence("trace", model, tokens)
  local result, names, recording = {}, {}, core.private.recording()
  if recording then
    local logits, _, seen = model:trace_run(tokens)
    result.logits = first_axis(logits, #tokens)
    for i, s in ipairs(seen) do result[s.name], names[i] = first_axis(s.value, #tokens), s.name end
  end
  for name, parts in pairs(token_by_token(model, tokens, recording, names)) do
    local same = #parts == #tokens
    for _, t in ipairs(parts) do same = same and t:size() == parts[1]:size() end
    result[name] = same and core.no_grad(function() return core.concat(parts, 1) end) or parts -- a state that grows
  end
  if recording then names[#names + 1] = "logits" end
  return result, names
end
