-- Every known mistake is an edit of lines (lua/rwkv/golden/mistakes) that can be made at any size: in one token of one layer with
-- one head as in three sequences; it leaves shapes as they are. In a model that is large enough it changes something. Mistakes of
-- formulas are seen line by line: of the numbers of a run with the mistake each line gives what it gave there.
local rwkv = require "rwkv"
if rwkv.precision ~= "float64" then return end -- as test_golden.lua
local core = require "rwkv.core"
local check = require "tests.lua.lib.check"
local mistakes = require "rwkv.golden.mistakes"
local formulas = require "rwkv.golden.formulas"
local models = require "tests.lua.lib.golden_models"
core.backend "reference"

-- The book of a model; run(list of mistakes) -> the values with them made; the fields of its environments.
local function made(version, layers, dim, B, T)
  local book, fields = models.lines(models.of(version, { layers = layers, dim = dim, heads = dim // 8, vocab = 11, len = T, batch = B }))
  return book, function(list) return formulas.run(book, mistakes.env(book, fields, list)) end, fields
end

local function formulas_of(version) -- the others: test_mistakes_differ.lua
  local list = {}
  for _, e in ipairs(mistakes.of(version)) do if e.family == "formula" then list[#list + 1] = e end end
  return list
end

local function differ(a, b)
  local x, y = a:reshape(-1):tolist(), b:reshape(-1):tolist()
  for i = 1, #x do if x[i] ~= y[i] and (x[i] == x[i] or y[i] == y[i]) then return true end end -- NaN is NaN
  return false
end

-- A line computed from numbers that are given, with mistakes made.
local function line_of(book, fields, given, list, line)
  local others = {}
  for name, value in pairs(given) do if name ~= line.name then others[name] = value end end
  local env = mistakes.env(book, { machine = fields.machine, tokens = fields.tokens, weight = fields.weight, given = others }, list)
  return core.no_grad(function() return formulas.value(book, env, line):keep() end)
end

for _, version in ipairs(models.versions) do
  check.test(version .. ": each known mistake is made in one token, and leaves shapes as they are", function()
    local book, run = made(version, 1, 8, 3, 1)
    local right = run {}
    for _, mistake in ipairs(formulas_of(version)) do
      local ok, values = pcall(run, { mistake })
      assert(ok, ("%s: %s"):format(mistake.id, values))
      for _, line in ipairs(book.lines) do check.equal(values[line.name]:shape(), right[line.name]:shape()) end
    end
  end)
  check.test(version .. ": each known mistake changes what is computed", function()
    local book, run = made(version, 3, 16, 2, 6)
    local right, c = run {}, formulas.env(book, { tokens = { { 0 } } }).c
    for _, mistake in ipairs(formulas_of(version)) do
      local values, changes = run { mistake }, mistake.sees and mistake.sees(c) ~= nil
      for _, line in ipairs(book.lines) do
        local value = right[line.name]
        if mistake.view and line.name:find(mistake.names or "") then changes = changes or differ(mistake.view(value, c), value) end
        changes = changes or differ(values[line.name], value)
      end
      assert(changes, mistake.id)
    end
  end)
  check.test(version .. ": each mistake of a formula is seen in lines, each computed from its own operands", function()
    local book, run, fields = made(version, 3, 16, 2, 4)
    local c = formulas.env(book, { tokens = { { 0 } } }).c
    for _, mistake in ipairs(mistakes.of(version)) do
      if mistake.family == "formula" and not (mistake.sees and mistake.sees(c)) then
        local theirs, seen = run { mistake }, false
        for _, line in ipairs(book.lines) do
          assert(not differ(line_of(book, fields, theirs, { mistake }, line), theirs[line.name]), mistake.id .. " " .. line.name)
          seen = seen or differ(line_of(book, fields, theirs, {}, line), theirs[line.name])
        end
        assert(seen, mistake.id)
      end
    end
  end)
end
