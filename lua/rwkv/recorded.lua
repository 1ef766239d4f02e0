-- A step of a recurrence as a program. The step is called with stand-ins for the tensors of one token (stand_in.lua), which
-- note what is done with them; ref/engine/k_steps.c runs the notes over time, for all heads and sequences.
local core = require "rwkv.core"
local outside = require "rwkv.outside"
local stand_in = require "rwkv.stand_in"

local cannot = stand_in.cannot

local recorded = {}

local function text(shape) return "[" .. table.concat(shape, ",") .. "]" end

-- ---- recording ----

-- The tags of a tensor whose first axes are known: what is left belongs to a head.
local function tags_after(shape, tags, what)
  local rest = #shape - #tags
  for i = #tags + 1, #shape do
    if shape[i] == 1 then tags[i] = "1"
    elseif rest <= 2 then tags[i] = i == #shape and "C" or "R"
    else cannot("%s has the shape %s", what, text(shape)) end
  end
  for i, n in ipairs(shape) do if n == 1 then tags[i] = "1" end end
  return tags
end

local OF_TOKENS, OF_HEADS, OF_ALL = 0, 1, 2

local function input(list, name, source, kind, shape, tags)
  local reg = { input = kind, name = name, source = source }
  reg.rows, reg.cols = stand_in.sizes(shape, tags)
  list[#list + 1] = reg
  return stand_in.new(reg, shape, tags)
end

-- A parameter belongs to a head if its first size, or its only one, says so.
local function parameter(list, name, x, d)
  local shape = x:shape()
  if #shape == 1 and shape[1] == d.A and d.H > 1 then return input(list, name, x, OF_HEADS, shape, { "A" }) end
  local of_heads = shape[1] == d.H and (#shape > 1 or d.H ~= d.N)
  local tags = tags_after(shape, of_heads and { "H" } or {}, "parameter " .. name)
  return input(list, name, x, of_heads and OF_HEADS or OF_ALL, shape, tags)
end

local function state_before(list, name, x, d)
  local shape = x:shape()
  local first = { "B" }
  if #shape == 2 and shape[2] == d.A and d.H > 1 then first = { "B", "A" }
  elseif shape[2] == d.H then first = { "B", "H" }
  elseif d.H > 1 then cannot("state %s %s is not kept head by head", name, text(shape)) end
  local tags = tags_after(shape, first, "state " .. name)
  local reg = { name = name, state = true, shape = shape }
  reg.rows, reg.cols = stand_in.sizes(shape, tags)
  list[#list + 1] = reg
  return stand_in.new(reg, shape, tags)
end

local function by_name(t)
  local names = {}
  for name in next, t do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- x as a register of this shape
local function result(x, shape, what)
  local reg, found = stand_in.register(x)
  if not reg then cannot("%s is a %s", what, type(x)) end
  if text(found) ~= text(shape) then cannot("%s is %s", what, text(found)) end
  return reg
end

-- Calls the step once. given: { streams =, constants = } by name; strict makes a table that refuses other names.
local function record(step, given, state, p, d, strict)
  local inputs, states, now, s, parameters = {}, {}, {}, {}, {}
  for _, name in ipairs(by_name(given.streams)) do
    local shape = { d.B, d.H, d.N }
    now[name] = input(inputs, name, given.streams[name], OF_TOKENS, shape, tags_after(shape, { "B", "H" }, name))
  end
  for _, name in ipairs(by_name(given.constants)) do
    local shape = { d.H, d.N }
    now[name] = input(inputs, name, given.constants[name], OF_HEADS, shape, tags_after(shape, { "H" }, name))
  end
  for _, name in ipairs(by_name(p)) do parameters[name] = parameter(inputs, name, p[name], d) end
  for _, name in ipairs(by_name(state or {})) do s[name] = state_before(states, name, state[name], d) end
  if #states == 0 then cannot "it keeps no state" end
  local y = step(strict("input", now), state and strict("state", s), strict("parameter", parameters), d)
  if stand_in.refused() then error(stand_in.refused(), 0) end
  local after = {}
  for i, reg in ipairs(states) do after[i] = result(rawget(s, reg.name), reg.shape, "state " .. reg.name) end
  return inputs, states, after, result(y, { d.B, d.H, d.N }, "what it returns")
end

-- The program in the form that the core takes: registers by number, inputs that are used alone.
local function program_of(made, inputs, states, after, y)
  local used, program, sources, names = { [y] = true }, { inputs = {}, states = {}, made = {} }, {}, {}
  for _, reg in ipairs(after) do used[reg] = true end
  for i = #made, 1, -1 do
    local reg = made[i]
    if used[reg] then used[reg.a or reg], used[reg.b or reg] = true, true end
  end
  local at, n = {}, 0
  local function number_next(reg) n = n + 1; at[reg] = n end
  for _, reg in ipairs(inputs) do
    if used[reg] then
      number_next(reg)
      program.inputs[n], sources[n], names[n] = { reg.input, reg.rows, reg.cols }, reg.source, reg.name
    end
  end
  for _, reg in ipairs(states) do number_next(reg) end
  for _, reg in ipairs(made) do
    if used[reg] then
      program.made[#program.made + 1] = { reg.name, at[reg.a] or 0, at[reg.b] or 0, reg.scale or 1, reg.offset or 0 }
      number_next(reg)
    end
  end
  for i, reg in ipairs(states) do program.states[i] = { reg.rows, reg.cols, at[after[i]] } end
  program.y = at[y]
  return program, sources, names
end

-- Two steps are the same if this is.
local function text_of(r)
  local program, lines = r.program, { table.concat(r.names, " ") }
  for _, part in ipairs { program.inputs, program.states, program.made } do
    for _, entry in ipairs(part) do
      local words = {}
      for i, e in ipairs(entry) do words[i] = math.type(e) == "float" and ("%a"):format(e) or tostring(e) end
      lines[#lines + 1] = table.concat(words, " ")
    end
  end
  return table.concat(lines, "\n") .. "\n" .. program.y
end

-- Few enough of everything for the core?
local most = { inputs = 12, states = 8, made = 128 }

local function once(step, ...)
  stand_in.begin((select(4, ...)))
  local ok, inputs, states, after, y = pcall(record, step, ...)
  local made, why = stand_in.finish()
  if not ok then return nil, why or tostring(inputs) end
  local program, sources, names = program_of(made, inputs, states, after, y)
  for part, n in next, most do
    if #program[part] > n then
      return nil, ("it has %d %s, at most %d can be"):format(#program[part], part == "made" and "operations" or part, n)
    end
  end
  return { program = program, sources = sources, names = names, states = states }
end

local last = setmetatable({}, { __mode = "k" }) -- of each step: the text of its program, which was the same twice
local refused = setmetatable({}, { __mode = "k" }) -- steps that change something outside, and why

-- of(step, given, state, p, d, strict) -> the step as it is to be run, or nil and why it cannot be recorded. It is recorded
-- anew each time, for what it does may have changed; and twice if it has: a step that is another one for the next token
-- is none. Whatever it changes outside is put back; then it is none either, and is not called for a trial again.
function recorded.of(step, ...)
  if refused[step] then return nil, refused[step] end
  local before = outside.of(step)
  if not before then return nil, "it reaches too much to be looked at" end
  local first, why = once(step, ...)
  local second = first
  if first and last[step] ~= text_of(first) then
    second, why = once(step, ...)
    last[step] = second and text_of(second)
  end
  local changed = outside.restore(before)
  if changed then
    refused[step] = ("it changes its variable '%s'"):format(changed)
    return nil, refused[step]
  end
  if not second then return nil, why end
  if text_of(first) ~= text_of(second) then return nil, "it does not do the same for every token" end
  return second
end

-- Runs it over d.T tokens: state [B,..] by name, before -> after; returns [B,T,A].
function recorded.run(r, state, d)
  local B, H = d.B, d.H
  local parts, sizes_of = {}, {}
  for i, reg in ipairs(r.states) do
    sizes_of[i] = reg.rows * reg.cols
    parts[i] = state[reg.name]:reshape(B, H, sizes_of[i])
  end
  local S = #parts > 1 and core.concat(parts, 3) or parts[1]
  local y
  y, S = core.private.run_steps(r.program, r.sources, d.T, S)
  local from = 1
  for i, reg in ipairs(r.states) do
    local part = #parts > 1 and S:slice(3, from, from + sizes_of[i] - 1) or S
    state[reg.name] = part:reshape(reg.shape)
    from = from + sizes_of[i]
  end
  return y
end

return recorded
