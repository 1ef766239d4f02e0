-- model:embed(texts, options) -> tensor [n,D], a vector a text. See lua/pages/text.md.
local core = require "rwkv.core"
local nearest = require "rwkv.nearest"
local sorted = require "rwkv.sorted"

local known = { tokenizer = true, from = true, pool = true, layer = true, normalize = true, end_id = true, piece = true }
local choices = { from = { hidden = true, state = true }, pool = { mean = true, last = true } }

local function fail(...) error("embed: " .. string.format(...), 0) end

local function check(model, o)
  if type(o) ~= "table" then fail("expected a table of options, found a %s", type(o)) end
  for name in pairs(o) do
    if not known[name] then
      fail("there is no option '%s'%s", tostring(name), nearest.listed(name, sorted(known)))
    end
  end
  for name, allowed in pairs(choices) do
    if o[name] ~= nil and not allowed[o[name]] then
      fail("%s: expected '%s', found '%s'", name, name == "from" and "hidden' or 'state" or "mean' or 'last", tostring(o[name]))
    end
  end
  local layers = model:config().layers
  if o.layer ~= nil and not (math.tointeger(o.layer) and o.layer >= 1 and o.layer <= layers) then
    fail("layer: expected a whole number from 1 to %d, found %s", layers, tostring(o.layer))
  end
  if o.layer ~= nil and o.from ~= "state" then fail "layer: is for from = 'state'" end
  if o.pool ~= nil and o.from == "state" then fail "pool: is for from = 'hidden'" end
  if o.piece ~= nil and not (math.tointeger(o.piece) and o.piece >= 1) then
    fail("piece: expected a whole number from 1, found %s", tostring(o.piece))
  end
  if o.normalize ~= nil and type(o.normalize) ~= "boolean" then fail("normalize: expected true or false, found a %s", type(o.normalize)) end
end

-- Calls f(output of the last norm [T,C], whether these are the last tokens) for piece after piece; returns the state.
local function run(model, ids, piece, f)
  local state = model:state(1)
  for from = 1, #ids, piece do
    local part = table.move(ids, from, math.min(from + piece - 1, #ids), 1, {})
    core.no_grad(function()
      local y = model:forward(part, state, { hidden = true })
      f(y:reshape(#part, y:size(-1)), from + piece > #ids)
    end)
  end
  return state
end

local pooled = {}

function pooled.mean(model, ids, piece)
  local sum
  run(model, ids, piece, function(y)
    local s = y:sum(1)
    sum = (sum and sum + s or s):keep()
  end)
  return core.no_grad(function() return sum / #ids end)
end

function pooled.last(model, ids, piece)
  local last
  run(model, ids, piece, function(y, is_last) if is_last then last = y:slice(1, -1, -1):reshape(-1):keep() end end)
  return last
end

-- The parts of a layer's state one after the other, as state:names() has them.
local function state_of(model, ids, piece, layer) -- layer from 1, in the names from 0
  local state, parts = run(model, ids, piece, function() end), {}
  for _, name in ipairs(state:names()) do
    local part = state:get(name)
    if name:match "^(%d+)%." == tostring(layer - 1) and part:size() > 0 then parts[#parts + 1] = part:reshape(-1):keep() end
  end
  return core.no_grad(function() return core.concat(parts, 1) end)
end

local function ids_of(text, o, place)
  local ids = text
  if type(text) == "string" then
    if not o.tokenizer then fail "texts need a tokenizer" end
    ids = o.tokenizer:encode(text)
  elseif type(text) ~= "table" then
    fail("text %d is a %s, expected text or a list of ids", place, type(text))
  end
  if o.end_id then
    ids = table.move(ids, 1, #ids, 1, {})
    ids[#ids + 1] = o.end_id
  end
  if #ids == 0 then fail("text %d is empty", place) end
  return ids
end

return function(model, texts, o)
  o = o or {}
  check(model, o)
  if type(texts) ~= "table" or type(texts[1]) == "number" then texts = { texts } end
  if #texts == 0 then fail "there is no text" end
  local from_state, piece = o.from == "state", o.piece or 256
  if from_state and model:state_floats(1) > model:state_floats(0) then
    fail("the state of this %s model grows with the text: vectors of several texts would differ in length", model:config().version)
  end
  local rows = {}
  for i, text in ipairs(texts) do
    local ids = ids_of(text, o, i)
    local row = from_state and state_of(model, ids, piece, o.layer or model:config().layers)
      or pooled[o.pool or "mean"](model, ids, piece)
    rows[i] = core.no_grad(function()
      row = row:reshape(1, -1)
      local sum = row:abs():sum():item()
      if not (sum < math.huge) then fail("text %d: its vector has numbers that are not finite", i) end
      return o.normalize == false and row or row:l2norm(1)
    end)
  end
  return core.no_grad(core.concat, rows, 1)
end
