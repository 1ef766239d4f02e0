-- The mistakes that golden diff knows (lua/rwkv/golden/mistakes): each of them changes the logits, no two of them alike, and none
-- fails on the smallest model.
local rwkv = require "rwkv"
if rwkv.precision ~= "float64" then return end -- as test_formulas.lua
local core = require "rwkv.core"
local check = require "tests.lua.lib.check"
local mistakes = require "rwkv.golden.mistakes"
local formulas = require "rwkv.golden.formulas"
local models = require "tests.lua.lib.golden_models"
core.backend "reference"

local versions = require "rwkv.versions"
-- What these weights do not show, though the sizes would: no decay is so fast, nothing so large.
local unseen = { ["decay-clamp-005"] = "^v[2-5]", ["fp16-clamped"] = "^v[4-7]" }
-- Two that give the same logits by nature, and why.
local twins = {
  { "eps-layer-norm-1e-12", "eps-layer-norm-0", "no variance is near to either" },
  { "decay-before-read", "decay-own", "each pair is decayed once more before it is read; the states differ" },
  { "bonus-in-state", "bonus-missing", "v4: what is the same in all pairs divides out; the states differ" },
  { "value-residual-previous", "value-residual-of-layer-1", "there are three layers" },
  { "read-transposed", "keys-taken-for-values", "v5.0, v5.1: decay and bonus, one number a head, have no axis" },
}
local function twin(a, b)
  for _, e in ipairs(twins) do
    if e[1] == a and e[2] == b or e[1] == b and e[2] == a then return true end
  end
  return a == b -- the same mistake, made at another line
end
local function of_logits(e) return ("logits"):find(e.names or "") ~= nil end

-- A model of these sizes: its lines, and what they are computed with.
local function setting(version, size, format)
  return models.lines(models.of(version, { layers = size.layers, dim = size.dim, heads = size.dim // size.head_size, vocab = 23,
    len = size.T, batch = size.B }), format)
end

-- The logits as a list, and what shape they have; sizes of the model.
local function logits(book, fields, mistake)
  local env = mistakes.env(book, fields, { mistake })
  local y = formulas.run(book, env).logits
  if mistake and mistake.view and of_logits(mistake) then y = core.no_grad(function() return mistake.view(y, env.c) end) end
  local list, shape = y:reshape(-1):tolist(), table.concat(y:shape(), ",")
  collectgarbage()
  return list, shape, env.c
end

-- How far two lists are apart, over the largest number.
local function apart(a, b)
  local worst, largest = 0, 0
  if #a ~= #b then return math.huge end
  for i, x in ipairs(a) do
    assert(x == x, "NaN")
    worst, largest = math.max(worst, math.abs(x - b[i])), math.max(largest, math.abs(b[i]))
  end
  return worst / largest
end

local function alike(a, b, within)
  if a.shape ~= b.shape then return false end
  for i, x in ipairs(a.found) do if math.abs(x - b.found[i]) > within then return false end end
  return true
end

-- An id as the page has it: one name for all numbers, formats and mixes.
local function on_page(id)
  return (id:gsub("every%-%d+", "every-N"):gsub("^rounded%-%w+", "rounded-FORMAT"):gsub("^(eps%-[%l-]+%-)%d[%de-]*$", "%1VALUE")
    :gsub("^(shift%-missing%-%l+)%-%l+$", "%1-MIX"))
end
check.test("the page names every mistake of these families", function()
  local file <close> = assert(io.open "lua/pages/golden.md")
  local page, family = file:read "a", { assembly = true, carrying = true, ["handing over"] = true, numbers = true }
  for _, version in ipairs(models.versions) do
    for _, e in ipairs(mistakes.of(version)) do
      assert(not family[e.family] or page:find("`" .. on_page(e.id) .. "`", 1, true), e.id .. " is not on the page")
      assert(not family[e.family] or #e.title <= 100, e.title)
    end
  end
end)

for _, version in ipairs(models.versions) do
  check.test(version .. ": every mistake changes the logits, each in its own way", function()
    local deep = version == "v4" or version == "v7" -- what happens every six layers
    local book, fields = setting(version, { layers = deep and 7 or 3, dim = 8, head_size = 4, B = 2, T = 20 })
    local right, done = logits(book, fields), {}
    for _, e in ipairs(mistakes.of(version)) do
      local found, shape, c = logits(book, fields, e)
      local moved, too_small = apart(found, right), e.sees and e.sees(c)
      local hidden = too_small or unseen[e.id] and versions.is(version, unseen[e.id])
      assert(not of_logits(e) or (moved > 1e-12) == not hidden, e.id .. " moves by " .. moved)
      if moved > 1e-12 then
        local this = { id = e.id, found = found, shape = shape }
        for _, other in ipairs(done) do
          assert(not alike(this, other, 1e-6 * math.min(1, moved)) or twin(other.id, e.id), other.id .. " and " .. e.id)
        end
        done[#done + 1] = this
      end
    end
    assert(#done > 70, #done)
  end)

  check.test(version .. ": none fails on one token, one layer, one head, in any arithmetic", function()
    for _, at in ipairs { { 1, "f64" }, { 2, "f64" }, { 1, "bf16" } } do
      local book, fields = setting(version, { layers = 1, dim = 4, head_size = 4, B = at[1], T = 1 }, at[2])
      local right = logits(book, fields)
      for _, e in ipairs(mistakes.of(version)) do
        local found, _, c = logits(book, fields, e)
        local hidden = at[2] == "f64" and e.sees and e.sees(c) -- what is rounded may be infinite
        assert(not hidden or apart(found, right) == 0, e.id .. " was said not to be seen")
      end
    end
  end)
end
