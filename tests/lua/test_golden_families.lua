-- `golden diff` names the mistakes of every family (lua/rwkv/golden/mistakes), which an independent port makes: alone, with all its
-- numbers there and with the logits alone, and two at once.
--   aviary --trust tests/lua/test_golden_families.lua     one mistake of each dozen, others in each version
--   FAMILIES=1 aviary ..                                  every mistake of every version
local rwkv = require "rwkv"
if rwkv.precision ~= "float64" then return end -- as test_golden.lua
local check = require "tests.lua.lib.check"
local mistakes = require "rwkv.golden.mistakes"
local models = require "tests.lua.lib.golden_models"
local planted_diff = require "tests.lua.lib.planted_diff"
local port = require "tests.lua.lib.port"

local stride = os.getenv "FAMILIES" and 1 or 12
local dir = os.tmpname()
os.remove(dir)
rwkv.mkdir(dir)
local path = dir .. "/theirs.safetensors"

local packs = {}
for _, version in ipairs(models.ported) do
  packs[version] = planted_diff.pack(dir, version, "--layers 3 --dim 12 --vocab 11 --len 10 --batch 2")
end

-- What weights of this size do not show: no decay is so fast, no number so large, no removal key so small.
local unseen = { "^decay%-clamp%-005$", "^fp16%-clamped$", "^eps%-key%-norm%-1e" }

-- Mistakes of a version by their ids, without those that a pack of this size cannot show; logits: also those of handing over.
local function ids_of(p, logits)
  local ids, seen = {}, {}
  for _, e in ipairs(mistakes.of(p.version)) do
    local hidden = e.sees and e.sees(p.c) or e.view and not e.names and not logits
    for _, pattern in ipairs(unseen) do hidden = hidden or e.id:find(pattern) end
    if not seen[e.id] and not hidden then ids[#ids + 1], seen[e.id] = e.id, true end
  end
  return ids
end

local function plant(p, ids, pattern)
  planted_diff.write(path, port(p.weights, p.version, p.tokens, ids), "f64", pattern)
  return planted_diff.named(p, path)
end

local function words(list)
  local found = {}
  for i, set in ipairs(list) do
    local ids = {}
    for id in pairs(set) do ids[#ids + 1] = id end
    table.sort(ids)
    found[i] = table.concat(ids, " ")
  end
  return #found > 0 and table.concat(found, "; ") or "nothing"
end

local function check_alone(p, first, pattern)
  local ids, faults = ids_of(p, pattern == "^logits$"), {}
  for i = first, #ids, stride do
    local list = plant(p, ids[i], pattern)
    if not (list[1] and list[1][ids[i]]) then faults[#faults + 1] = ("%s: found %s"):format(ids[i], words(list)) end
  end
  assert(#faults == 0, table.concat(faults, "\n"))
end

for n, version in ipairs(models.ported) do
  local p = packs[version]
  check.test(version .. ": a planted mistake is named, all intermediates there", function() check_alone(p, n % stride + 1, "") end)
  check.test(version .. ": a planted mistake is named, the logits alone there", function()
    check_alone(p, (n + stride // 2) % stride + 1, "^logits$")
  end)
end

-- ---- two at once ----

-- Whether two mistakes are two: not of the same lines or weights, and none of them moves all numbers that are handed over.
local function separate(version, a, b)
  local keys, weighs = {}, false
  if a:gsub("att", "ffn") == b:gsub("att", "ffn") then return false end -- in both parts it is a mistake with a name of its own
  for _, e in ipairs(mistakes.of(version)) do
    if e.id == a then
      for key in pairs(e.edits or {}) do keys[key] = true end
      weighs = weighs or e.weight ~= nil
    end
  end
  for _, e in ipairs(mistakes.of(version)) do
    if e.id == a or e.id == b then
      if e.view or e.tokens then return false end
    end
    if e.id == b then
      for key in pairs(e.edits or {}) do if keys[key] then return false end end
      if weighs and e.weight then return false end
    end
  end
  return true
end

-- Whether neither hides the other, as a gate that is missing hides that its matrix is transposed.
local function both_show(p, a, b)
  local function logits(list) return table.concat(port(p.weights, p.version, p.tokens, list).logits, " ") end
  local both = logits { a, b }
  return both ~= logits { a } and both ~= logits { b }
end

local rng = rwkv.rng(19)
local function random_pair()
  while true do
    local p = packs[models.ported[rng:integer(1, #models.ported)]]
    local ids = ids_of(p)
    local a, b = ids[rng:integer(1, #ids)], ids[rng:integer(1, #ids)]
    if a ~= b and separate(p.version, a, b) and both_show(p, a, b) then return p, a, b end
  end
end

local function check_pairs(count, pattern)
  local faults = {}
  for _ = 1, count do
    local p, a, b = random_pair()
    local list = plant(p, { a, b }, pattern)
    local found = {}
    for _, set in ipairs(list) do for id in pairs(set) do found[id] = true end end
    if not (found[a] and found[b]) then
      faults[#faults + 1] = ("%s: %s and %s: found %s"):format(p.version, a, b, words(list))
    end
  end
  assert(#faults == 0, table.concat(faults, "\n"))
end

check.test("both of two planted mistakes are named, all intermediates there, thirty pairs", function() check_pairs(30, "") end)
check.test("both of two planted mistakes are named, the logits alone there, ten pairs", function() check_pairs(10, "^logits$") end)

os.execute("rm -r " .. dir)
