-- rwkv.core as a module for a stock lua5.4: the same numbers as in the program, and a clean end.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local test, equal, program = check.test, check.equal, check.program

local tree = program:match "^(.*)/" or "."
if tree == "." then tree = "build/f32" end
local module = io.open(tree .. "/rwkv/core.so")
if not module then
  print(("SKIPPED: %s/rwkv/core.so is not there (`make` builds the module without sanitizers)"):format(tree))
  return
end
module:close()
if select(2, check.shell "lua5.4 -v") ~= 0 then
  print "SKIPPED: lua5.4 is not installed"
  return
end

local stock = ("LUA_PATH='lua/?.lua;lua/?/init.lua;;' LUA_CPATH='%s/?.so;;' lua5.4"):format(tree)

local function run(command, code)
  local path = os.tmpname()
  rwkv.write_file(path, code)
  local out, status = check.shell(command .. " " .. path)
  os.remove(path)
  return out, status
end

test("training gives the program's numbers, bit for bit", function()
  local code = [[
    local rwkv = require "rwkv"
    print(rwkv.precision, rwkv.backend(), rwkv.commit)
    for _, version in ipairs { "v4", "v6", "v7" } do
      local model = rwkv.model { version = version, layers = 2, dim = 32, head_size = 16, vocab = 20, seed = 3 }
      local opt = rwkv.adamw(model, { lr = 1e-2, weight_decay = 0.1 })
      for _ = 1, 3 do
        local loss = model:loss({ { 1, 2, 3, 4 }, { 5, 6, 7, 8 } }, { { 2, 3, 4, 5 }, { 6, 7, 8, 9 } })
        opt:zero_grad()
        loss:backward()
        print(version, ("%a %a"):format(loss:item(), opt:step()))
      end
    end]]
  local found, status = run(stock, code)
  equal(status, 0)
  local expected = run(program, code)
  assert(found:find "v7\t0x", found)
  equal(found, expected)
end)

test("Lua closes with models, states and tensors alive, whenever finalizers run", function()
  local code = [[
    oldest = setmetatable({}, { __gc = function() -- older than the module: runs after it has closed
      local ok, message = pcall(function() return (rwkv.ones(2) * 2):tolist() end)
      io.write(tostring(ok), "\n")
    end })
    rwkv = require "rwkv"
    model = rwkv.model { version = "v4", layers = 1, dim = 8, vocab = 5 }
    between = setmetatable({}, { __gc = function()
      pcall(function() return model:forward { 1, 2 } end)
      pcall(function() return tensor + kept end)
    end })
    opt = rwkv.adamw(model, {})
    tensor, kept = rwkv.ones(3) * 2, rwkv.ones(3)
    logits, state = model:forward { 1, 2, 3 }
    youngest = setmetatable({}, { __gc = function() -- all is there yet
      io.write(tostring((pcall(function() return model:forward { 1, 2 } end))), "\n")
    end })
    print "end"]]
  for _, ending in ipairs { "", "\nos.exit(0, true)" } do
    local out, status = run(stock, code .. ending)
    equal(out, "end\ntrue\nfalse\n")
    equal(status, 0)
  end
  local out, status = run(stock, code .. "\nos.exit(3)")
  equal(out, "end\n")
  equal(status, 3)
end)

test("errors are Lua errors", function()
  local out, status = run(stock, [[require "rwkv".ones(2):item()]])
  equal(status, 1)
  assert(out:find("expected one", 1, true), out)
end)

test("another Lua is refused in a sentence", function()
  local tried = 0
  for _, other in ipairs { "lua5.1", "luajit", "lua5.2", "lua5.3", "lua5.5" } do
    if select(2, check.shell(other .. " -v")) == 0 then
      tried = tried + 1
      for _, name in ipairs { "rwkv", "rwkv.core" } do
        local out = check.shell(('%s -e "print(pcall(require, \'%s\'))"'):format(stock:gsub("lua5.4$", other), name))
        assert(out:find("^false\t" .. name .. " is a module for Lua 5.4, and this is .*\n$"), out)
      end
    end
  end
  if tried == 0 then print "SKIPPED: there is no other Lua (Debian: lua5.3, luajit)" end
end)

test("what only the program can is refused", function()
  if rwkv.precision ~= "float32" then return end
  local out = run(stock, [[print(pcall(require "rwkv".need_double))]])
  assert(out:find "false" and out:find "float64" and out:find "aviary", out)
end)

test("help and plots find their files", function()
  local out, status = run(stock, [[local rwkv = require "rwkv"
    rwkv.help "tensor:linear"
    rwkv.plot({ { 1, 2 }, { 3, 4 } }, { kind = "heatmap" })]])
  equal(status, 0)
  assert(out:find("x:linear(w, bias)", 1, true) and out:find "@@", out)
end)
