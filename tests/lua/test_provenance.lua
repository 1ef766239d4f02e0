-- Of which commit a result is: the files that are run count as they are when they are loaded, not when the program was made.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local test, equal, shell = check.test, check.equal, check.shell

local home = "runs/tests/provenance"
shell("rm -rf " .. home)
rwkv.mkdir(home)

local copy = home .. "/aviary" -- the project's Lua, to be changed
shell(("mkdir %s; cp -r lua experiments %s"):format(copy, copy))
rwkv.write_file(home .. "/own.lua", [[
local provenance = require "rwkv.provenance"
if arg[1] == "dofile" then dofile(arg[2]) else require "experiments.models" end
print(provenance.commit())
print(provenance.digest())
for _, file in ipairs(provenance.changed()) do print(file.path) end
print(provenance.text())]])

-- What is changed in the copy, and how the command ends.
local function asked(options, words)
  local text, status = shell(("AVIARY_HOME=%s %s %s %s/own.lua %s"):format(copy, check.program, options, home, words or ""))
  if status ~= 0 then error(text) end
  return text
end

local function has(text, part) return text:find(part, 1, true) ~= nil end

if rwkv.commit == "unknown" then
  print "SKIPPED: there is no commit: the program was made outside of a checkout of git"
else
  test("a file that is changed after the program was made is named, and the commit gets a +", function()
    for _, options in ipairs { "", "--trust" } do
      local before = asked(options)
      local file = io.open(copy .. "/experiments/models.lua")
      local text = file:read "a"
      file:close()
      rwkv.write_file(copy .. "/experiments/models.lua", text .. "-- changed\n")
      local after = asked(options)
      assert(after:match "^%x+%+\n", after)
      assert(has(after, "/experiments/models.lua\n") and after:find "[\n ]experiments/models%.lua %x", after)
      assert(before:match "\n(%x+)\n" ~= after:match "\n(%x+)\n")
      rwkv.write_file(copy .. "/experiments/models.lua", text)
      equal(asked(options), before)
    end
  end)

  test("so is one of the library, one that is brought in by dofile, and a script of one's own", function()
    rwkv.write_file(home .. "/more.lua", "return 5")
    local words = "dofile " .. home .. "/more.lua"
    for _, options in ipairs { "", "--trust" } do
      local text = asked(options, words)
      assert(has(text, "\n" .. home .. "/more.lua\n") and has(text, "\n" .. home .. "/own.lua\n"), text)
    end
    local piped = shell(("AVIARY_HOME=%s %s - < %s/own.lua 2>/dev/null || cat %s/own.lua | AVIARY_HOME=%s %s /dev/stdin"):format(copy,
      check.program, home, home, copy, check.program))
    assert(has(piped, "standard input") or has(piped, "/dev/stdin"), piped)
    shell(("echo '-- changed' >> %s/lua/rwkv/sorted.lua"):format(copy))
    assert(has(asked "", "lua/rwkv/sorted.lua"))
  end)
end

shell("rm -rf " .. home)
