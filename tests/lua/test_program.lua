-- The program: how it is called, what it says when something is wrong, verify.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local test, equal = check.test, check.equal
local program = check.program

local contains = check.has

test("-e, scripts and their arguments", function()
  local out, status = check.shell(program .. [[ -e 'print(arg[1], #arg)' x y]])
  equal(out, "x\t2\n")
  equal(status, 0)
  local path = os.tmpname()
  rwkv.write_file(path, "print(arg[0] ~= nil, arg[1]) error 'here'")
  out, status = check.shell(program .. " " .. path .. " one")
  contains(out, "true\tone", path .. ":1: here", "traceback")
  equal(status, 1)
  os.remove(path)
end)

test("what is not there is named", function()
  local out, status = check.shell(program .. " nonsense")
  contains(out, "nonsense")
  equal(status, 1)
  out, status = check.shell(program .. " --nonsense")
  contains(out, "'--nonsense'", "usage")
  equal(status, 1)
  out, status = check.shell(program .. " --backend slow -e ''")
  contains(out, "slow")
  equal(status, 1)
end)

test("a misspelt word is told the nearest", function()
  for words, parts in pairs { ["verfy a b"] = { "'verfy'", "'verify'" }, ["--treads 2 -e ''"] = { "'--treads'", "'--threads'" },
    ["bench trian"] = { "'trian'", "'train'" }, ["golden dif"] = { "'dif'", "'diff'" }, ["eval txt"] = { "'txt'", "'text'" },
    ["info --dmi 3"] = { "--dmi", "'--dim'" }, ["generate x -prompt y"] = { "-prompt", "'--prompt'" },
    ["experiments/mqar_versions.lua --scal quick"] = { "--scal", "'--scale'" },
    ["experiments/mqar_versions.lua --set exmples=1"] = { "exmples", "'examples'" } } do
    local out, status = check.shell(program .. " " .. words)
    contains(out, "did you mean", table.unpack(parts))
    assert(status > 0 and not out:find "traceback", out)
  end
end)

test("mistakes in the command line are said in one line", function()
  for words, part in pairs { ["experiments/mqar_demo.lua --scale tiny"] = "--scale tiny: expected small, smoke",
    ["experiments/mqar_demo.lua --versions v99"] = "v99", ["experiments/mqar_versions.lua --set examples=-5"] = "examples is -5",
    ["experiments/mqar_versions.lua --set dims=-5"] = " is -5", ["experiments/mqar_versions.lua --scale=quick"] = "--scale quick",
    ["experiments/mqar_versions.lua --models nonsense"] = "nonsense",
    ["--threads"] = "--threads needs a value", ["-e"] = "a line of Lua is missing", ["verify"] = "usage" } do
    local out, status = check.shell(program .. " " .. words)
    contains(out, part)
    assert(status == 1 and select(2, out:gsub("\n", "")) == 1, out)
  end
end)

test("-h and --help everywhere", function()
  for _, word in ipairs { "-h", "--help" } do
    for command in check.shell("ls lua/commands"):gmatch "(%w+)%.lua" do
      local out, status = check.shell(("%s %s %s"):format(program, command, word))
      contains(out, "aviary " .. command)
      equal(status, 0)
    end
    for script in check.shell("ls experiments/*.lua experiments/peers/*.lua"):gmatch "%S+" do
      local text = io.open(script):read "a"
      if text:find "\nlocal o = [%w.]*options%(arg" then
        local out, status = check.shell(("%s %s %s"):format(program, script, word))
        contains(out, text:match "^%-%- ([^\n]+)", "\n  --")
        equal(status, 0)
      end
    end
    local out, status = check.shell(program .. " " .. word)
    contains(out, "usage", "--max-memory", "--version")
    equal(status, 0)
  end
  contains(check.shell(program .. " eval text MODEL --help"), "aviary eval text")
end)

test("-e knows rwkv and help", function()
  equal(check.shell(program .. " -e 'print(rwkv.ones(2))'"), "tensor[2] {1, 1}\n")
  contains(check.shell(program .. " -e 'help \"linear\"'"), "x:linear")
end)

test("a script on the standard input", function()
  local out, status = check.shell("printf 'local a = 1\nprint(a, arg[1])' | " .. program .. " - one")
  equal(out, "1\tone\n")
  equal(status, 0)
  equal(select(2, check.shell("echo 'error \"bad\"' | " .. program .. " -")), 1)
  equal(select(2, check.shell("printf 'error \"bad\"\n1\n' | " .. program)), 1)
end)

test("a script that is not here is looked for beside the library", function()
  local out, status = check.shell(("p=$(realpath %s) && cd / && $p experiments/mqar_demo.lua --help"):format(program))
  contains(out, "aviary experiments/mqar_demo.lua", "--versions")
  equal(status, 0)
end)

test("Ctrl-C: status 130, and how it goes on", function()
  local function interrupted(words)
    return check.shell(("%s %s & sleep 2; kill -INT $!; wait $!"):format(program, words))
  end
  local out, status = interrupted "-e 'while true do end'"
  equal(out, "aviary: (command line):1: interrupted\n")
  equal(status, 130)
  out, status = interrupted "experiments/mqar_demo.lua --versions v7 --out runs/test_interrupted"
  contains(out, "the same command goes on")
  assert(out:find "\naviary: experiments/mqar_demo.lua:%d+: interrupted\n$", out)
  equal(status, 130)
  check.shell "rm -rf runs/test_interrupted"
  equal(select(2, interrupted "golden make v7 /tmp/none.safetensors --dim 512 --heads 8"), 130)
end)

test("--version says what was built with what", function()
  local out, status = check.shell(program .. " --version")
  contains(out, "commit " .. rwkv.commit .. ", " .. rwkv.precision, "\ncompiler   ", "\nlibraries  Lua 5.4", "OpenBLAS 0.", "cJSON 1.",
    "libzip 1.", "\nplots      gnuplot ", "\nprocessor  ", "\nfast path  vectors of ")
  equal(status, 0)
  equal(check.shell(program .. " -v"), out)
  contains(check.shell(program .. " --double --version"), ", float64\n", "products of matrices by OpenBLAS")
end)

test("the prompt: values, statements over several lines, errors", function()
  local out = check.shell([[printf 'x = 20\nx + 1\nfor i = 1, 2 do\nprint(i * 100)\nend\nerror "bad"\nrwkv.tensor{1,2}\n' | ]]
    .. program)
  contains(out, "21", "100\n200", "bad", "tensor[2] {1, 2}")
end)

-- verify needs the float64 program; the float32 one finds it by itself.
local golden = "tests/golden/"
for version in ([[v1 v2 v3 v3_ffnpre v4 v4a_tinyatt_headqk v5_0 v5_1 v5_2 v6_0 v6_0a v6_0b v7]]):gmatch "%S+" do
  test("verify " .. version, function()
    for _, file in ipairs { "golden", "golden_b2" } do
      local out, status = check.shell(("%s verify %s%s.weights.safetensors %s%s.%s.safetensors --tol 1e-10"):format(program,
        golden, version, golden, version, file))
      equal(status, 0)
      local worst = tonumber(out:match "worst=(%S+) at %S+%[%d+%]\n$")
      assert(worst and worst < 1e-12, out)
    end
  end)
end

test("verify notices one weight off by 1e-6", function()
  local path = os.tmpname()
  for version, name in pairs { v4 = "blocks.1.att.value.weight", v7 = "blocks.2.att.w1" } do
    -- made in float64, so that the change is exactly what it says
    local code = ([[local rwkv = require "rwkv"
      local m = rwkv.load("%s%s.weights.safetensors")
      local p = m:param("%s")
      local list = p:tolist()
      list[3][5] = list[3][5] * (1 + 1e-6)
      p:set(list)
      m:save("%s")]]):format(golden, version, name, path)
    local script = os.tmpname()
    rwkv.write_file(script, code)
    equal(select(2, check.shell(program .. " --double --trust " .. script)), 0)
    local out, status = check.shell(("%s verify %s %s%s.golden.safetensors"):format(program, path, golden, version))
    equal(status, 1)
    contains(out, "FAILED", "NOT all within tolerance", "worst=")
    os.remove(script)
  end
  os.remove(path)
end)

test("verify: bad files and bad usage", function()
  local out, status = check.shell(program .. " verify")
  contains(out, "usage")
  equal(status, 1)
  out, status = check.shell(program .. " verify Makefile Makefile")
  contains(out, "Makefile")
  equal(status, 1)
  out, status = check.shell(("%s verify %sv4.weights.safetensors %sv4.weights.safetensors"):format(program, golden, golden))
  contains(out, "tokens")
  equal(status, 1)
end)

test("info", function()
  local out, status = check.shell(program .. " info tests/golden/v7.weights.safetensors")
  contains(out, "RWKV-7", "65,216", "f32 100 %", "official")
  equal(status, 0)
end)

test("options of scripts", function()
  local o = rwkv.options({ "--lr", "1e-3", "file", "--fast" }, { lr = 1, fast = false, name = "x" })
  equal(o.lr, 1e-3)
  equal(o.fast, true)
  equal(o.name, "x")
  equal(o[1], "file")
  check.fails(function() rwkv.options({ "--speed", "1" }, { lr = 1 }) end, "--speed", "--lr")
  check.fails(function() rwkv.options({ "--lr", "x" }, { lr = 1 }) end, "number")
  check.fails(function() rwkv.options({ "--lr" }, { lr = 1 }) end, "value")
end)
