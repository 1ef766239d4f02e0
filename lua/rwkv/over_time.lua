-- A recurrence that is written as a step of one token, run over time: as a program, where the step can be recorded
-- (recorded.lua), otherwise token by token in Lua.
local core = require "rwkv.core"
local recorded = require "rwkv.recorded"
local visible = require "rwkv.visible"

local function text(shape) return "[" .. table.concat(shape, ",") .. "]" end

-- Calls the step for one token after the other. strict(what, t) makes a table that refuses names which are not in it.
local function in_lua(h, given, state, p, d, strict)
  local outputs, streams = {}, {}
  for name, x in pairs(given.streams) do streams[name] = x:reshape(d.B, d.T, d.H, d.N) end
  for t = 1, d.T do
    local now = {}
    for name, x in pairs(given.constants) do now[name] = x:reshape(d.H, d.N) end
    for name, x in pairs(streams) do now[name] = x:slice(2, t, t):reshape(d.B, d.H, d.N) end
    local y = h.step(strict("input", now), state, p, d)
    local shape = type(y) == "userdata" and text(y:shape()) or "a " .. type(y)
    if shape ~= text { d.B, d.H, d.N } then
      error(("hook recurrence \"%s\", layer %d: step returned %s, expected %s"):format(h.name, d.layer, shape,
        text { d.B, d.H, d.N }), 0)
    end
    outputs[t] = y:reshape(d.B, 1, d.A)
  end
  return core.concat(outputs, 2)
end

local told = setmetatable({}, { __mode = "k" }) -- hooks of which it was said that they run in Lua

-- The function of all tokens: every input [B,T,A] becomes [B,H,N] for one token, what is constant [H,N].
-- strict_for(h, what, declared) -> the metatable of a table with these names.
return function(h, strict_for)
  local classes = {} -- by what the names are of; a run has the same names for every token
  local function strict(what, t)
    if not classes[what] then
      local declared = {}
      for name in next, t do declared[#declared + 1] = { name = name } end
      table.sort(declared, function(a, b) return a.name < b.name end)
      classes[what] = strict_for(h, what, declared)
    end
    return setmetatable(t, classes[what])
  end
  return function(inputs, state, p, d)
    if d == nil then state, p, d = nil, state, p end -- a recurrence without a state
    classes = {}
    local given, why, program = { constants = {}, streams = {} }, nil, nil
    for name, x in pairs(inputs) do given[#x:shape() == 3 and "streams" or "constants"][name] = x end
    if d.T > 1 then program, why = recorded.of(h.step, given, state, p, d, strict) end
    if program then return recorded.run(program, state or {}, d) end
    local y = in_lua(h, given, state, p, d, strict)
    if why and not told[h] then
      told[h] = true
      visible.say("hook recurrence \"%s\": its step runs in Lua, token by token: %s", h.name, visible.line(why))
    end
    return y
  end
end
