-- make: what is installed can be read from anywhere, and nothing of it stays; what is missing, what was skipped.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local test, equal, shell = check.test, check.equal, check.shell

for _, path in ipairs { "aviary", "build/f64/aviary", "build/f32/rwkv/core.so" } do
  local file = io.open(path)
  if not file then return print(("SKIPPED: %s is not there (`make` builds it)"):format(path)) end
  file:close()
end

local directory = os.tmpname()
os.remove(directory)
rwkv.mkdir(directory)
local prefix = directory .. "/opt/aviary"
local program = "cd / && " .. prefix .. "/bin/aviary "

local function make(target)
  local out, status = shell(("make -s -o all %s DESTDIR=%s PREFIX=/opt/aviary"):format(target, directory))
  equal(out, "")
  equal(status, 0)
end

local function contains(command, ...)
  local out, status = shell(command)
  for _, part in ipairs { ... } do assert(out:find(part, 1, true), ("'%s' is not in\n%s"):format(part, out)) end
  equal(status, 0)
end

make "install"

test("the installed program finds what it names, from anywhere", function()
  contains(program .. "help", "aviary verify")
  contains(program .. "help hooks.md", "# Hooks")
  contains(program .. "help v7.3", "[v7.3] w = ")
  contains(program .. "help decay", "[hooks.md: The slots]")
  contains(program .. "verify --help", "aviary verify WEIGHTS GOLDEN")
  contains(program .. "--double -e 'print(rwkv.precision)'", "float64")
  contains(program .. "experiments/mqar_demo.lua --help", "--versions")
  contains(("mkdir %s/work && cd %s/work && %s/bin/aviary experiments/mqar_demo.lua --scale smoke --versions v7 && cat %s"):format(directory,
    directory, prefix, "runs/mqar_demo/mqar_demo.smoke.versions=v7.tsv"), "accuracy")
end)

test("every link of the installed pages leads somewhere", function()
  local share = prefix .. "/share/aviary/"
  local broken = {}
  for page in shell(("ls %sREADME.md %sPAPER_NOTES.md %slua/pages/*.md"):format(share, share, share)):gmatch "%S+" do
    for to in io.open(page):read "a":gmatch "%]%(([^)#:]+)%)" do
      local file = io.open(page:match "^.*/" .. to)
      if file then file:close() else broken[#broken + 1] = page .. ": " .. to end
    end
  end
  equal(table.concat(broken, "\n"), "")
end)

test("a stock lua5.4 finds the installed module", function()
  if select(2, shell "lua5.4 -v") ~= 0 then return print "SKIPPED: lua5.4 is not installed" end
  local lua = ("cd / && LUA_PATH='%s/share/lua/5.4/?.lua;%s/share/lua/5.4/?/init.lua' LUA_CPATH=%s/lib/lua/5.4/?.so lua5.4 -e "):format(prefix,
    prefix, prefix)
  contains(lua .. [["rwkv = require 'rwkv'; print(rwkv.ones(2)); rwkv.help 'v7.3'; rwkv.help 'linear'"]], "tensor[2] {1, 1}", "[v7.3] w = ",
    "x:linear(w, bias)")
end)

test("others can read all of it", function()
  equal(shell(("find %s ! -perm -o+r"):format(prefix)), "")
end)

test("uninstall leaves nothing", function()
  make "uninstall"
  equal(shell(("find %s ! -type d"):format(prefix)), "")
  equal(shell(("find %s -iname '*aviary*' -o -iname '*rwkv*'"):format(prefix .. "/*")), "")
end)

test("without root the missing packages are named as they would be installed", function()
  for name, text in pairs { id = "echo 1000", ["dpkg-query"] = "exit 1" } do
    local path = directory .. "/" .. name
    rwkv.write_file(path, "#!/bin/sh\n" .. text .. "\n")
    shell("chmod +x " .. path)
  end
  local out, status = shell(("PATH=%s:$PATH make -s BUILD=%s/build deps"):format(directory, directory))
  assert(out:find("apt-get install --no-install-recommends gcc ", 1, true), out)
  equal(status, 2)
end)

test("what was skipped is told and counted at the end", function()
  local home = shell "pwd":gsub("\n", "")
  shell(("mkdir -p %s/tests/lua %s/tree && touch %s/tests/lua/test_moon.lua"):format(directory, directory, directory))
  rwkv.write_file(directory .. "/tree/aviary", '#!/bin/sh\necho "[       OK ] a"\necho "SKIPPED: there is no moon"\necho "SKIPPED no sun"\n')
  local out, status = shell(("chmod +x %s/tree/aviary && cd %s && T=moon sh %s/tests/run.sh tree"):format(directory, directory, home))
  local name = "SKIPPED tree/aviary tests/lua/test_moon.lua: "
  assert(out:find(name .. "there is no moon\n" .. name .. "no sun\n1 passed, 0 failed, 2 skipped\n", 1, true), out)
  equal(status, 0)
end)
shell("rm -rf " .. directory)
