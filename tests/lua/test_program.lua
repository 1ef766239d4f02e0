-- The program: how it is called, what it says when something is wrong, verify.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local test, equal = check.test, check.equal
local program = check.program

local function contains(out, ...)
  for _, part in ipairs { ... } do
    assert(out:find(part, 1, true), ("expected '%s' in:\n%s"):format(part, out))
  end
end

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
  contains(out, "usage")
  equal(status, 1)
  out, status = check.shell(program .. " --backend slow -e ''")
  contains(out, "slow")
  equal(status, 1)
end)

test("--version says what was built with what", function()
  local out, status = check.shell(program .. " --version")
  contains(out, "commit " .. rwkv.commit .. ", " .. rwkv.precision, "\ncompiler   ", "\nlibraries  Lua 5.4", "OpenBLAS 0.", "cJSON 1.",
    "libzip 1.", "\nplots      gnuplot ", "\nprocessor  ", "\nfast path  vectors of ")
  equal(status, 0)
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
