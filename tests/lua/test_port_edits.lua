-- Known mistakes (lua/rwkv/golden/mistakes) are what they say: the independent port, told to make one, gives the numbers that the lines
-- give with the edit made, in every version, with several sequences, in all that is computed.
local rwkv = require "rwkv"
if rwkv.precision ~= "float64" then return end -- as test_golden.lua
local core = require "rwkv.core"
local check = require "tests.lua.lib.check"
local mistakes = require "rwkv.golden.mistakes"
local formulas = require "rwkv.golden.formulas"
local machine = require "rwkv.golden.machine"
local models = require "tests.lua.lib.golden_models"
local port = require "tests.lua.lib.port"
core.backend "reference"

local function lines(m, list)
  local book = assert(formulas.of(m.config))
  local env = mistakes.env(book, { machine = machine "f64", tokens = m.tokens, weight = function(name) return m.weights[name] end }, list)
  return formulas.run(book, env), env, book
end

-- Of these the port hands over the logits alone.
local logits_only = { ["log-probabilities"] = true, softmax = true, ["vocabulary-first"] = true, ["last-position-only"] = true }

local function view(list, value, env, line, once)
  for _, e in ipairs(list) do
    local seen = not once and (line.name == "logits" or not logits_only[e.id]) and line.name:find(e.names or "")
    if e.view and seen then value = e.view(value, env.c, line) end
  end
  return value
end

-- The worst difference of any tensor of the port, by the largest number of the tensor, and its name.
local function compare(out, values, env, book, list)
  local worst, at = 0, nil
  for name, e in pairs(out) do
    local value = core.no_grad(function()
      return view(list, values[name] or error("no line " .. name), env, book.named[name], e.once):reshape(-1):tolist()
    end)
    if #value ~= #e then return math.huge, ("%s: %d numbers for %d"):format(name, #e, #value) end
    local scale, off = 1e-3, 0
    for i = 1, #e do
      if value[i] == value[i] and math.abs(value[i]) < math.huge then scale = math.max(scale, math.abs(value[i])) end
      local same = e[i] == value[i] or e[i] ~= e[i] and value[i] ~= value[i]
      if not same then
        local d = math.abs(e[i] - value[i])
        off = d == d and math.max(off, d) or math.huge
      end
    end
    if off / scale > worst then worst, at = off / scale, name end
  end
  return worst, at
end

local function differs(out, right)
  for name, e in pairs(out) do
    local r = right[name]
    if not r or #r ~= #e then return true end
    for i = 1, #e do if e[i] ~= r[i] and math.abs(e[i] - r[i]) > 1e-13 then return true end end
  end
  return false
end

-- What weights of this size do not show: no decay is so fast, no number so large, no removal key so small.
local unseen = { ["decay-clamp-005"] = true, ["fp16-clamped"] = true, ["eps-key-norm-1e-6"] = true, ["eps-key-norm-1e-5"] = true,
  ["eps-key-norm-1e-3"] = true }

-- The entries of each id: one mistake, made at one line or another.
local function by_id(version, c)
  local ids, of = {}, {}
  for _, e in ipairs(mistakes.of(version)) do
    if not (e.sees and e.sees(c)) then
      if not of[e.id] then ids[#ids + 1], of[e.id] = e.id, {} end
      table.insert(of[e.id], e)
    end
  end
  return ids, of
end

-- nil, or what is wrong with the entries of an id: all give the port's logits, and one of them all its numbers.
local function fault(m, right, id, entries)
  local out, least, where = port(m.lists, m.version, m.tokens, id), math.huge, nil
  for _, e in ipairs(entries) do
    local values, env, book = lines(m, { e })
    local off = compare({ logits = out.logits }, values, env, book, { e })
    if not (off < 1e-10) then return ("%s: logits are %g off"):format(id, off) end
    local worst, at = compare(out, values, env, book, { e })
    if worst <= least then least, where = worst, at end
    collectgarbage() -- values of lines are large for C, and small for Lua
  end
  if not (least < 1e-10) then return ("%s: %s is %g off"):format(id, where, least) end
  return not differs(out, right) and not unseen[id] and id .. ": the port does as without it" or nil
end

for _, version in ipairs(models.ported) do
  local m = models.of(version, { dim = 12, vocab = 11 })
  local right = port(m.lists, version, m.tokens)
  check.test(version .. ": without a mistake the port gives what the lines give", function()
    local values, env, book = lines(m, {})
    local worst, at = compare(right, values, env, book, {})
    assert(worst < 1e-11, ("%s is %g off"):format(at, worst))
  end)
  check.test(version .. ": with each known mistake the port gives what the lines give with it", function()
    local _, env = lines(m, {})
    local ids, of = by_id(version, env.c)
    local faults = {}
    for _, id in ipairs(ids) do faults[#faults + 1] = fault(m, right, id, of[id]) end
    assert(#faults == 0, table.concat(faults, "\n"))
  end)
end
