-- Names of files and scripts: no control character of theirs reaches the terminal or a report.
local rwkv = require "rwkv"
local report = require "rwkv.golden.report"
local visible = require "rwkv.visible"
local check = require "tests.lua.lib.check"
local test, equal, shell = check.test, check.equal, check.shell

local dir = os.tmpname()
os.remove(dir)
rwkv.mkdir(dir)

local has = check.has

-- Valid UTF-8 without what a terminal takes for a command; ends of lines may stand in it.
local function harmless(text)
  assert(utf8.len(text), "not UTF-8")
  for _, code in utf8.codes(text) do
    assert(code == 10 or (code >= 32 and code < 127) or (code > 0x9f and code ~= 0xfffe and code ~= 0xffff), ("U+%04X"):format(code))
  end
  return text
end

test("control characters, and bytes that are no UTF-8, become visible", function()
  for text, shown in pairs { ["a\27[2Jb"] = "a\\x1b[2Jb", ["\0\r\t\127"] = "\\x00\\x0d\\x09\\x7f", ["\u{9b}31m"] = "\\xc2\\x9b31m",
    ["\x9b"] = "\\x9b", ["\xc3"] = "\\xc3", ["é日\u{1f600}"] = "é日\u{1f600}", ["\xe0\x80\x8a"] = "\\xe0\\x80\\x8a",
    ["\xed\xa0\x80"] = "\\xed\\xa0\\x80", ["\u{ffff}\u{fffe}\u{fffd}"] = "\\xef\\xbf\\xbf\\xef\\xbf\\xbe\u{fffd}",
    ["\u{a0}"] = "\u{a0}", ["é\xff\xffé"] = "é\\xff\\xffé", [""] = "", ["%a\\"] = "%a\\" } do
    equal(visible.text(text), shown)
    equal(visible.line(text), shown)
  end
  equal({ visible.text "a\nb", visible.line "a\nb", visible.line(5) }, { "a\nb", "a\\x0ab", "5" })
  local rng = rwkv.rng(1)
  for _ = 1, 5000 do
    local bytes = {}
    for i = 1, rng:integer(0, 12) do bytes[i] = string.char(rng:integer(0, 3) == 0 and rng:integer(0, 127) or rng:integer(0x80, 0xff)) end
    harmless(visible.text(table.concat(bytes)))
  end
end)

local names = { "\27]0;evil\7", "a\nok 99 - b", "x # SKIP y", "back\\slash", "it's", "\r\27[2Kall agree", "]]>&<\"'", "\0", "\x80\xff", "\u{9b}m\u{ffff}",
  "\u{85}\u{2028}", "\1\2\8\11\12\31", "blocks.0.att.\27x" }

-- A comparison of tensors of these names; every second one is off, one has no numbers to compare.
local function comparison()
  local list = {}
  for i, name in ipairs(names) do
    local first = i % 2 == 0 and { index = "[3]", found = 1, expected = 2, error = 1 } or nil
    list[i] = { name = name, theirs = "their\27" .. name, result = { first = first, worst = 1, rms = 1, note = "noted\27", tol = { worst = 1e-5, rms = 1e-5 } } }
  end
  list[1].result.problem = "has\0no\nnumbers"
  return { theirs = "t\27", reference = "r\27", version = "v7\27\"<", profile = "", list = list, unknown = names, first = list[1].result.first or list[2],
    off = 7, causes = { { id = "c\27", title = "a\nb\0", residual = 1 } }, without = 2 }
end

test("JUnit is well-formed XML", function()
  local xml = harmless(report.junit(comparison()))
  local _, lines = xml:gsub("\n", "\n")
  equal(lines, #names + 3)
  has(xml, "&lt;", "&quot;", "\\x1b]0;evil\\x07")
  rwkv.write_file(dir .. "/j.xml", xml)
  if shell "command -v python3" == "" then return print "SKIPPED: no python3 to read the XML" end
  local out, status = shell(("python3 -c 'import sys, xml.dom.minidom as m; print(len(m.parse(sys.argv[1]).getElementsByTagName(\"testcase\")))' %s/j.xml")
    :format(dir))
  equal({ out, status }, { #names .. "\n", 0 })
end)

test("TAP has a line a test, whose name does not end it", function()
  local tap, n = harmless(report.tap(comparison())), 0
  for line in tap:gmatch "[^\n]+" do
    if line:find "^ok " or line:find "^not ok " then
      n = n + 1
      assert(line:match "ok (%d+) %- " == tostring(n), line)
      assert(not line:gsub("\\.", ""):find "#", line)
    else
      assert(line == "TAP version 13" or line == "1.." .. #names or line:find "^  ", line)
    end
    local message = line:match "^  %l+: (.*)$"
    if message then assert(message:find "^'.*'$" and not message:sub(2, -2):gsub("''", ""):find "'", line) end
  end
  equal(n, #names)
  has(tap, "x \\# SKIP y", "back\\\\slash")
end)

test("text has no line of theirs", function()
  local text = harmless(report.text(comparison()))
  has(text, "v7\\x1b", "\\x0aok 99 - b")
  assert(not text:find "\nok 99" and not text:find "\rall agree")
end)

test("files with such names: golden diff, verify, info", function()
  local pack, theirs = {}, dir .. "/evil.safetensors"
  local out, status = shell(("%s golden make v4 --layers 1 --dim 8 --vocab 5 --len 4 --allow-weak %s/p.safetensors"):format(check.program, dir))
  assert(status == 0, out)
  local tensors, meta, order = rwkv.load_tensors(dir .. "/p.safetensors")
  for i, name in ipairs(order) do pack[i] = { name = name, value = tensors[name].value, shape = tensors[name].shape, dtype = tensors[name].dtype } end
  for _, name in ipairs { "\27]0;evil\7", "a\nok 99 - b", "\u{9b}m" } do
    pack[#pack + 1] = { name = name, value = rwkv.ones(3), shape = { 3 }, dtype = "f32" }
  end
  rwkv.save_tensors(theirs, pack, meta)
  for _, command in ipairs { "golden diff %s %s", "golden diff %s %s --tap -", "golden diff %s %s --junit -", "golden diff %s %s --rename 'a=b'",
    "golden diff %s %s --only evil", "verify %s %s", "info %s" } do
    out = harmless(shell(("%s %s"):format(check.program, command:format(theirs, theirs))))
    assert(not out:find "\nok 99" and #out > 20, out)
  end
end)

test("progress", function()
  rwkv.write_file(dir .. "/p.lua", [[local bar = require "rwkv".progress("n\27\n", 1, "x\n")
    bar.shown = -math.huge
    bar:update(1, "note\27\n") bar:say("two\27\nlines") bar:finish("done\27\n")]])
  local out = harmless(shell(("%s %s/p.lua"):format(check.program, dir)))
  has(out, "n\\x1b\\x0a", "note\\x1b\\x0a", "two\\x1b\nlines\n", "done\\x1b\\x0a")
  equal(select(2, out:gsub("\n", "")), 4)
end)
shell("rm -rf " .. dir)
