-- What a script tries to get out of the sandbox; test_sandbox.lua runs it there. Arguments: the output directory, and
-- a directory beside it with `victim`, a text file. In the first lie `dirlink` and `filelink`, which lead to these
-- two, `dangling`, which leads to a file that is not there, and `loop`, which leads to itself.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local test, equal, fails = check.test, check.equal, check.fails
local inside, outside = arg[1], arg[2]
local model = rwkv.model { version = "v4", layers = 1, dim = 4, vocab = 3 }

local function refused(f, ...) fails(f, "--trust", ...) end

local function write(path, text)
  local f = assert(io.open(path, "wb"))
  f:write(text)
  f:close()
  return path
end

test("what a script may do", function()
  equal(io.open(outside .. "/victim"):read "a", "text\n")
  for line in io.lines(outside .. "/victim") do equal(line, "text") end
  rwkv.mkdir(inside)
  rwkv.mkdir(inside .. "/a/b//c/")
  for _, mode in ipairs { "w", "a", "r+", "w+", "a+", "wb" } do assert(io.open(inside .. "/a/x", mode)):close() end
  rwkv.write_file(inside .. "/a/../a/b/y", "y")
  assert(os.rename(inside .. "/a/b/y", inside .. "/z"))
  equal(io.open(inside .. "/z"):read "a", "y")
  assert(os.remove(inside .. "/z"))
  io.output(inside .. "/out"):write "text"
  io.close(io.output())
  io.output(io.stdout)
  model:save(inside .. "/a/model.safetensors")
  equal(rwkv.load(inside .. "/a/model.safetensors"):param_count(), model:param_count())
  equal(os.getenv "NO_SUCH_VARIABLE", nil)
  equal(load("return ...", "x", "bt")(3), 3)
  equal(load("return x", "x", nil, { x = 4 })(), 4)
  equal(load("return x", "x", "t", { x = 4 })(), 4)
  equal(pcall(load("return print", "x", "t", nil)), false)
  write(inside .. "/m.lua", "return { name = ..., x = x }")
  equal(loadfile(inside .. "/m.lua")("n").name, "n")
  equal(loadfile(inside .. "/m.lua", "t", { x = 5 })("n").x, 5)
  equal(dofile(inside .. "/m.lua").x, nil)
  equal(select("#", loadfile(inside .. "/none")), 2)
  package.path = inside .. "/?.lua;" .. package.path
  local m, path = require "m"
  equal(m.name, "m")
  equal(path, inside .. "/m.lua")
  fails(function() require "none" end, "none.lua")
  equal(coroutine.wrap(function() return dofile(write(inside .. "/y.lua", "coroutine.yield(1) return 2")) end)(), 1)
end)

test("processes, C libraries, the locale", function()
  refused(function() io.popen "true" end, "io.popen")
  refused(function() os.execute "true" end, "os.execute")
  refused(function() os.execute() end)
  refused(function() os.tmpname() end)
  refused(function() io.tmpfile() end)
  refused(function() os.setlocale "C" end)
  refused(function() package.loadlib("libm.so.6", "sin") end)
  write(inside .. "/evil.so", "\127ELF")
  package.cpath = inside .. "/?.so"
  fails(function() require "evil" end, "not found")
  equal(#package.searchers, 3)
end)

test("bytecode", function()
  local code = string.dump(function() return 1 end)
  for _, mode in ipairs { "b", "bt", "t", "x" } do
    local f, message = load(code, "x", mode)
    assert(f == nil and message:find("--trust", 1, true), message)
  end
  local at = 0
  local f, message = load(function()
    at = at + 1
    return at <= #code and code:sub(at, at) or nil
  end, "x", "b")
  assert(f == nil and message:find("--trust", 1, true), message)
  equal(load(function() error {} end), nil)
  write(inside .. "/binary.lua", code)
  write(inside .. "/shebang.lua", "#!x\n" .. code)
  for _, name in ipairs { "binary", "shebang" } do
    local path = inside .. "/" .. name .. ".lua"
    f, message = loadfile(path, "b")
    assert(f == nil and message:find("--trust", 1, true), message)
    refused(function() dofile(path) end)
    refused(function() require(name) end)
  end
end)

test("debug", function()
  equal(require "debug", debug)
  equal(debug.traceback("x", 1):sub(1, 2), "x\n")
  for name, f in pairs(debug) do
    if name ~= "traceback" then refused(f, "debug." .. name) end
  end
end)

local elsewhere = { outside .. "/x", outside .. "/victim", inside .. "/../x", inside .. "/dirlink/x",
  inside .. "/dangling/x", inside .. "/dangling/", inside .. "/loop/x", inside .. "/new/../../x", inside .. "/a/./../../x", "/x", "", "/", "..", ".",
  "x", "/etc/passwd",
  "/proc/self/cwd/x", "/proc/self/mem", "/dev/null", "/dev/stdout", inside .. "x", "runs",
  ("../"):rep(1000) }
local too_long = { inside .. "/" .. ("a/"):rep(3000), ("a/"):rep(3000), ("../"):rep(3000) }

local links = { inside .. "/dirlink", inside .. "/filelink", inside .. "/dangling", inside .. "/loop" }

test("writing elsewhere", function()
  write(inside .. "/mine", "mine")
  for i, path in ipairs(table.move(links, 1, #links, #elsewhere + 1, table.move(elsewhere, 1, #elsewhere, 1, {}))) do
    for _, mode in ipairs { "w", "a", "r+", "w+", "a+", "wb", "r+b" } do
      refused(function() io.open(path, mode) end, "--output")
    end
    refused(function() io.output(path) end)
    if i <= #elsewhere then -- a link is a name like others
      refused(function() os.remove(path) end)
      refused(function() os.rename(path, inside .. "/stolen") end)
      refused(function() os.rename(inside .. "/mine", path) end)
      if path ~= inside then refused(function() rwkv.mkdir(path) end) end
    end
    refused(function() rwkv.write_file(path, "x") end)
    refused(function() model:save(path) end)
    refused(function() rwkv.convert("none", path) end)
  end
  for _, path in ipairs(too_long) do
    equal({ io.open(path, "w") }, { nil, path .. ": File name too long", 36 })
    fails(function() rwkv.write_file(path, "x") end, "too long")
  end
  equal(io.open(inside .. "/mine"):read "a", "mine")
  equal(io.open(outside .. "/victim"):read "a", "text\n")
  equal(io.open(outside .. "/x"), nil)
  pcall(io.open, inside .. "\0/../../x", "w")
  fails(function() io.open(nil, "w") end, "'open' (string expected")
  equal(pcall(io.open, 5, "w"), false)
end)

test("names that are too long", function()
  for _, path in ipairs { inside .. "/" .. ("a/"):rep(3000) .. "x", ("a/"):rep(3000) .. "x", inside .. "/" .. ("x"):rep(300) } do
    local problem = "File name too long"
    for _, f in ipairs { function() return io.open(path, "w") end, function() return os.remove(path) end,
      function() return os.rename(inside .. "/mine", path) end } do
      local ok, message = f()
      assert(not ok and message:find(problem, 1, true), message)
    end
    fails(function() rwkv.write_file(path, "x") end, problem)
    fails(function() rwkv.mkdir(path) end, problem)
    fails(function() model:save(path) end, problem)
  end
end)

test("a link is replaced and removed itself, never what it leads to", function()
  for i, path in ipairs(links) do
    if i % 2 == 0 then
      assert(os.rename(write(inside .. "/new", "new"), path))
      equal(io.open(path):read "a", "new")
    end
    assert(os.remove(path))
    equal(io.open(path), nil)
  end
  equal(io.open(outside .. "/victim"):read "a", "text\n")
  equal(io.open(outside .. "/nothing"), nil)
end)

test("through what is lying around", function()
  local forbidden = { popen = true, tmpfile = true, execute = true, tmpname = true, setlocale = true, loadlib = true,
    sethook = true, getregistry = true, setupvalue = true, upvaluejoin = true, setmetatable = "debug" }
  local seen, found = {}, 0
  local function walk(x)
    if seen[x] then return end
    seen[x] = true
    for _, t in ipairs { type(x) == "table" and x or {}, getmetatable(x) } do
      if type(t) == "table" then
        for k, v in next, t do
          if forbidden[k] and v ~= setmetatable then
            refused(v)
            found = found + 1
          end
          walk(v)
          walk(k)
        end
      end
    end
  end
  for _, x in ipairs { _G, package.loaded, "", io.stdout, coroutine.create(print), print, model, rwkv } do walk(x) end
  assert(found >= 10, found)
  -- a script's own functions do not decide what is checked
  local whole = {}
  for k, f in pairs(string) do whole[k], string[k] = f, function() end end
  local ok, message = pcall(io.open, outside .. "/x", "w")
  for k, f in pairs(whole) do string[k] = f end
  assert(not ok and message:find("--trust", 1, true), message)
  local name = setmetatable({}, { __tostring = function() return outside .. "/x" end })
  equal(pcall(io.open, name, "w"), false)
  equal(pcall(rwkv.write_file, name, "x"), false)
  equal(pcall(io.output, name), false)
  for _, x in ipairs { io.stdout, "", model, rwkv.ones(1), rwkv.Tensor } do equal(type(getmetatable(x)), "string") end
  for _, f in ipairs { io.stdout.write, io.stdout.setvbuf } do
    equal(pcall(f, {}), false)
    equal(pcall(f, model), false)
  end
  package.loaded["rwkv.core"] = nil
  equal(require "rwkv.core", rwkv)
  equal(pcall(function() require "rwkv.core".write_file(outside .. "/x", "x") end), false)
end)
