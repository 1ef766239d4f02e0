-- The prompt: what it shows, and at a terminal Tab, Ctrl-C, Ctrl-D, history.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local test, equal, program = check.test, check.equal, check.program

local function quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

-- What comes out when lines are piped into the program, and its exit status.
local function ended(...)
  local path = os.tmpname()
  rwkv.write_file(path, table.concat({ ... }, "\n") .. "\n")
  local out, status = check.shell(program .. " < " .. path)
  os.remove(path)
  return out, status
end

local function typed(...)
  local out, status = ended(...)
  equal(status, 0)
  return out
end

test("values, several of them, none", function()
  equal(typed "1, 'two', nil, false", "1\ttwo\tnil\tfalse\n")
  equal(typed("x = 5", "x", "local y = 6", "(nil)"), "5\nnil\n")
  equal(typed("print(7)", "for i = 1, 2 do", "print(i)", "end"), "7\n1\n2\n")
  equal(typed "rwkv.tensor{ 1, 2 }", "tensor[2] {1, 2}\n")
end)

test("the last value is _", function()
  equal(typed("6, 7", "_ * 2", "nil", "_"), "6\t7\n12\nnil\n12\n")
  equal(typed("setmetatable(_G, { __newindex = error })", "2 + 2", "_"):match "4\n4\n$", "4\n4\n")
end)

test("tables: short, sorted, bounded, with cycles", function()
  equal(typed "{ 1, 2, 3 }", "{1, 2, 3}\n")
  equal(typed "{ dim = 64, layers = 2, 'x', ['a b'] = true, ['end'] = 1, [2.5] = {} }",
    '{"x", ["a b"] = true, dim = 64, ["end"] = 1, layers = 2, [2.5] = {}}\n')
  equal(typed("t = {}", "t.t = t", "t"), "{t = {..}}\n")
  equal(typed("t = {}", "for i = 1, 100 do t[i] = i end", "t"), "{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, .., 100}\n")
  equal(typed "{ { { { { 1 } } } } }", "{{{{..}}}}\n")
  equal(typed "{ 'a\\nb\"' }", '{"a\\nb\\""}\n')
  local text = rwkv.show(_G)
  assert(#text < 2000, #text)
  local wide = {}
  for i = 1, 50 do wide["k" .. i] = ("x"):rep(100) end
  assert(#rwkv.show(wide) < 1100)
  local pairs_called
  rwkv.show(setmetatable({ 1 }, { __pairs = function() pairs_called = true end, __index = error, __len = error }))
  assert(not pairs_called)
end)

test("objects with __tostring, faulty ones too", function()
  equal(typed "setmetatable({}, { __tostring = function() return 'mine' end })", "mine\n")
  local out = ended("setmetatable({}, { __tostring = function() error 'no' end })", "1")
  assert(out:find "__tostring failed" and out:find "no" and out:find "1\n$", out)
  equal(typed "{ setmetatable({}, { __name = 'thing' }) }":match "^{thing: ", "{thing: ")
end)

test("errors: texts, objects, objects whose __tostring fails; the prompt goes on", function()
  local out, status = ended("error 'bad'", "error { code = 7 }",
    "error(setmetatable({}, { __tostring = function() return 'mine' end }))",
    "error(setmetatable({}, { __tostring = error }))", "error()", "x = = 1", "'on'")
  local parts = { "typed:1: bad", "table: 0x", "mine\n", "__tostring fails", "nil", "unexpected symbol", "on\n" }
  for _, part in ipairs(parts) do
    assert(out:find(part, 1, true), part .. " is not in\n" .. out)
  end
  equal(status, 1)
end)

-- ---- at a terminal ----

if select(2, check.shell "python3 -c 'import pty, os; os.waitstatus_to_exitcode'") ~= 0 then
  print "SKIPPED: the prompt at a terminal (there is no python3 to make one)"
  return
end

local home = os.tmpname()
os.remove(home)
rwkv.mkdir(home)

-- ("text to wait for", "keys to type", ...). Keys are typed at the prompt only: between two lines the terminal is not
-- the editor's, and may take Ctrl-D for itself.
local locale = ""
local function at_terminal(...)
  local words = { "env -u XDG_STATE_HOME -u NO_COLOR", locale, "HOME=" .. home, "python3 tests/lua/lib/terminal.py", program }
  for _, step in ipairs { ... } do words[#words + 1] = quoted(step) end
  return check.shell(table.concat(words, " "))
end

local function result(text) return text .. "\r\n> " end

local function came(out, status, ...)
  for _, part in ipairs { ... } do assert(out:find(part, 1, true), part .. " is not in\n" .. out) end
  assert(status == 0, out)
end

test("Tab: functions of rwkv, methods, globals, keywords, files; nothing is called", function()
  local out, status = at_terminal("> ", [[rwkv.zer\t(2)\r]], result "{0, 0}",
    [[t = rwkv.ones(3)\r]], "> ", [[t:resh\t(3, 1)\r]],
    result "{{1}, {1}, {1}}", [[whi\t 1 do b\t end\r]], "> ",
    [[colle\t"count" > 0\r]], result "true",
    [[setmetatable(_G, { __index = function() print "called" end })\r]], "> ", [[undefined.fiel\t\x03]],
    "> ", [[#io.open("tests/lua/test_rep\t"):read "a" > 9\r]], result "true",
    [[\x04]])
  came(out, status)
  assert(not out:find("\ncalled", 1, true), out)
end)

test("Tab goes on in a directory", function()
  local out, status = at_terminal("> ", [[#io.open("tests/lu\tli\tchec\t"):read "a" > 9\r]], result "true", [[\x04]])
  came(out, status)
end)

test("letters beyond ASCII, whatever the locale", function()
  for _, how in ipairs { "LC_ALL=C", "-u LC_ALL -u LC_CTYPE -u LANG", "LC_ALL=nonsense", "LC_ALL=C.UTF-8" } do
    locale = how
    local out, status = at_terminal("> ", [[#"gr\u00fc\u00dfe \u65e5\u672c"\r]], result "14", [[\x04]])
    came(out, status)
  end
  locale = ""
end)

test("Ctrl-C takes back a line or stops what runs; Ctrl-D leaves", function()
  local out, status = at_terminal("> ", [[nonsense nonsense\x03]], "\n> ",
    [[for i = 1, 2 do\r]], ">> ", [[\x03]], "\n> ",
    [[print("go".."ing") while true do end\r]], "going", [[\x03]], "interrupted", "", "\n> ",
    [[6 * 7\r]], result "42", [[\x04]])
  came(out, status)
  assert(not out:find("syntax", 1, true), out)
end)

test("the history is kept from one session to the next", function()
  local out, status = at_terminal("> ", [["first".."line"\r]], result "firstline", [[1\r]], result "1", [[\x04]])
  came(out, status)
  out, status = at_terminal("> ", [[\x1b[A\x1b[A\r]], result "firstline", [[\x04]])
  came(out, status)
  local file = io.open(home .. "/.aviary_history")
  local text = file:read "a"
  file:close()
  assert(text:find '"first".."line"\n1\n"first".."line"\n$', text)
  came(check.shell("stat -c %a " .. home .. "/.aviary_history"), 0, "600")
end)

test("plots are as wide as the terminal", function()
  if select(2, check.shell "gnuplot --version") ~= 0 then return print "SKIPPED: gnuplot is not installed" end
  local out, status = at_terminal("> ", [[rwkv.plot{ 1, 2, 3 }\r]], "\n> ", [[\x04]])
  came(out, status)
  local widest = 0
  for line in out:gmatch "[^\r\n]*|[^\r\n]*" do widest = math.max(widest, #line:gsub("\27%[[%d;]*%a", "")) end
  equal(widest, 80)
end)
os.execute("rm -r " .. home)
