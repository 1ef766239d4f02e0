-- rwkv.tsv: what is written is read back equal, and a table that is cut is said to be.
local rwkv = require "rwkv"
local tsv = require "rwkv.tsv"
local check = require "tests.lua.lib.check"
local test, equal, fails = check.test, check.equal, check.fails

local function same(a, b)
  return a == b and math.type(a) == math.type(b) or a ~= a and b ~= b
end

local function shown(x) return type(x) == "string" and ("%q"):format(x) or tostring(x) end

-- Each value in a first, a middle and a last column, beside the others.
local function round_trip(values)
  local rows = {}
  for i, x in ipairs(values) do rows[i] = { a = x, b = values[#values + 1 - i], c = x } end
  local back, columns = tsv.parse(tsv.text({ "a", "b", "c" }, rows), "t")
  equal({ #back, columns }, { #rows, { "a", "b", "c" } })
  for i, row in ipairs(rows) do
    for name, x in pairs(row) do
      if not same(back[i][name], x) then error(("%s came back as %s"):format(shown(x), shown(back[i][name]))) end
    end
  end
  return back
end

test("text of any kind", function()
  local values = { "", " ", "#", "#1", "# whole: 3 rows", '"', '""', '"a"', '"a', 'a"b', "\\", "a\\n", '"\\n"', "\\x41", '"\\x4"',
    "\t", "\n", "\r", "\r\n", "\0", "a\0b", "\27[31m", "\127", "\xff\xfe", "é", "日本", "\u{85}", "nan", "-nan", "NaN", "inf", "-inf",
    "Infinity", "true", "false", "nil", "0", "-0", "1", "007", "1.5", "1e5", "1e+15", "0x10", " 1", "1 ", "12345e6789", "0123456789",
    "1234567", "9223372036854775808", "1e999", "_", "v7 seed 0", ("x"):rep(100000), "-9223372036854775808" }
  for byte = 0, 255 do
    values[#values + 1] = string.char(byte)
    values[#values + 1] = "1" .. string.char(byte) .. "2"
  end
  round_trip(values)
end)

test("random text", function()
  local letters, rng, values = { "\\", '"', "#", "\t", "\n", "\r", "\0", "x", "n", "t", "4", "1", "a", "-", ".", "e", " ", "\u{e9}" }, rwkv.rng(1), {}
  for i = 1, 20000 do
    local parts = {}
    for k = 1, rng:integer(0, 6) do parts[k] = letters[rng:integer(1, #letters)] end
    values[i] = table.concat(parts)
  end
  round_trip(values)
end)

test("numbers and booleans", function()
  local values = { 0, 1, -1, math.maxinteger, math.mininteger, 2 ^ 53 + 0.0, 1 / 3, 0.1, 0.1 + 0.2, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308,
    1e15, 1e16 + 2, 2 ^ 63, -2 ^ 63, 1e-7, 123456789.5, 0.123456789, math.pi, 0 / 0, -(0 / 0), math.huge, -math.huge, -0.0, true, false }
  local rng = rwkv.rng(2)
  for _ = 1, 20000 do
    local x = string.unpack("<d", string.pack("<I4I4", rng:integer(0, 0xffffffff), rng:integer(0, 0xffffffff)))
    if x % 1 ~= 0 then values[#values + 1] = x end
    values[#values + 1] = string.unpack("<i8", string.pack("<I4I4", rng:integer(0, 0xffffffff), rng:integer(0, 0xffffffff)))
    values[#values + 1] = rng:uniform()
  end
  for i, x in ipairs(values) do -- a float that is whole may come back as an integer
    if math.tointeger(x) and 1 / x ~= -math.huge then values[i] = math.tointeger(x) end
  end
  local back = round_trip(values)
  assert(1 / back[25].a == -math.huge)
  equal(tsv.text({ "a" }, { { a = 0 / 0 }, { a = -(0 / 0) }, { a = 1 / 0 }, { a = -1 / 0 }, { a = 0.1 }, { a = 3.0 }, {} }),
    "a\nnan\nnan\ninf\n-inf\n0.1\n3\n\n")
  equal(tsv.parse("a\n3\n", "t")[1].a, 3)
end)

test("column names and comments of any kind", function()
  local names = { "#", '"', '"x"', "a\tb", "c\nd", "\0", "5", "nan", "true", "", "é", "\\" }
  local row = {}
  for i, name in ipairs(names) do row[name] = i end
  local rows, columns = tsv.parse(tsv.text(names, { row }, { "one\ntwo\r\n\nthree", "", "\n", "a\tb" }), "t")
  equal(columns, names)
  for i, name in ipairs(names) do equal(rows[1][name], i) end
  for _, name in ipairs(names) do equal(select(2, tsv.parse(tsv.text({ name }, {}), "t")), { name }) end
end)

test("tables as they were written before", function()
  local rows = tsv.parse('# a\nlabel\tx\ty\n"x\t0.333333333\tfalse\na\\nb\t12345e6789\t"\n', "t")
  equal({ rows[1].label, rows[1].x, rows[1].y }, { '"x', 0.333333333, false })
  equal({ rows[2].label, rows[2].x, rows[2].y }, { "a\\nb", "12345e6789", '"' })
end)

test("a table that is cut, damaged or made of other things is refused", function()
  fails(function() tsv.parse("a\tb\n1\t2\n3\n", "x.tsv") end, "x.tsv: line 3 has 1 cells, expected 2")
  fails(function() tsv.parse("# c\na\tb\n1\t2\t3\n", "x.tsv") end, "x.tsv: line 3 has 3 cells, expected 2")
  fails(function() tsv.parse("a\tb\n1\t2\n3\t4", "x.tsv") end, "x.tsv: line 3 has no end")
  for _, text in ipairs { "", "# only a comment\n" } do
    fails(function() tsv.parse(text, "x.tsv") end, "x.tsv: expected a line of column names")
  end
  fails(function() tsv.text({ "a" }, { { a = {} } }) end, "column 'a' has a table")
  local text = tsv.text({ "a", "b" }, { { a = "one", b = 2 }, { a = "three", b = 4.5 } })
  local cut = 0
  for n = 0, #text - 1 do -- a table cut at the end of a line is a shorter one
    local ok, message = pcall(tsv.parse, text:sub(1, n), "x.tsv")
    cut = cut + (ok and 0 or 1)
    assert(ok == (text:sub(n, n) == "\n") and (ok or message:find "^x%.tsv: "), n)
  end
  equal(cut, #text - 2)
  equal(tsv.read "not/there.tsv" == nil, true)
end)
