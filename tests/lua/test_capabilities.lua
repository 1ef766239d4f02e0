-- What a script can get from the library: nothing that it may not have, whatever it replaces; and one core in one Lua.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local test, equal, program = check.test, check.equal, check.program

local directory = os.tmpname()
os.remove(directory)
rwkv.mkdir(directory)

local function run(code, options)
  rwkv.write_file(directory .. "/script.lua", code)
  return check.shell(("%s %s %s/script.lua"):format(program, options or "--output " .. directory, directory))
end

test("a script that replaces all it can reach sees nothing new, and changes nothing", function()
  local modules = check.shell [[cd lua && find rwkv -name '*.lua' ! -path '*/bench/*' | LC_ALL=C sort |
    sed 's/\.lua$//; s#/init$##; s#/#.#g']]:gsub("\n", " ")
  local outputs = {}
  for i, how in ipairs { "plain", "spies" } do
    local out, status = check.shell(("%s --double --output %s/%s tests/lua/lib/spies.lua %s/%s %s %s 2>%s/errors"):format(program,
      directory, how, directory, how, how, modules, directory))
    assert(status == 0, io.open(directory .. "/errors"):read "a")
    assert(not out:find "CAUGHT" and not out:find "CALLED", out:match "\n(C[A][UL][^\n]*.*)")
    assert(out:find "\nEND\n$" and out:find "experiment\ttrue" and out:find "learn\ttrue" and out:find "models with hooks\ttrue")
    outputs[i] = out:gsub("spies", "plain")
  end
  for a, b in outputs[1]:gmatch "[^\n]+", outputs[2]:gmatch "[^\n]+" do assert(a == b or b == nil, a) end
  assert(outputs[1] == outputs[2], "the results differ")
end)

test("fingerprints hand nothing to a script", function()
  equal((run [[
    local fingerprint, caught = require "rwkv.experiment.fingerprint", {}
    local original = {}
    for name, f in pairs(_G) do original[name] = f end
    local function spy(name)
      return function(...)
        for i = 1, select("#", ...) do
          local x = select(i, ...)
          if type(x) == "function" then caught[#caught + 1] = name end
        end
        return original[name](...)
      end
    end
    for _, name in ipairs { "pairs", "ipairs", "next", "type", "tostring", "setmetatable", "getmetatable", "rawget", "select",
      "error", "pcall" } do _G[name] = spy(name) end
    for name, f in original.pairs(string) do string[name] = function(...) caught[1] = name return f(...) end end
    for name, f in original.pairs(table) do table[name] = function(...) caught[1] = name return f(...) end end
    fingerprint { fingerprint, original.print, io.open, original.setmetatable({}, { __pairs = spy "next", __index = spy "type" }) }
    print(#caught)]]), "0\n")
end)

test("libraries that a script has replaced, loads again or loads by hand are still its own", function()
  equal((run [[
    local core, rwkv = require "rwkv.core", require "rwkv"
    assert(core == rwkv and core.private == nil and package.preload["rwkv.core"] == nil)
    for name in pairs(package.loaded) do if name:find "^rwkv" then package.loaded[name] = nil end end
    assert(require "rwkv.core" == core and require "rwkv" == rwkv)
    local search = package.searchers[2]
    assert(search "rwkv.core"("rwkv.core", ":core:") == core)
    for _, name in ipairs { "rwkv/core", "rwkv..tsv", "rwkv.tsv.", "rwkv.", "rwkv.init", "rwkv.experiment.", "rwkv.experiment.init",
      "rwkv.../../x", "../lua/rwkv/core", "rwkv.commands", "lua.commands.verify", "commands.verify" } do
      local ok, result = pcall(search, name)
      assert(not ok or type(result) ~= "function", name)
    end
    local nearest = require "rwkv.nearest" -- a module that can be called is a copy, too
    nearest.hint = function() return " replaced" end
    local _, message = pcall(rwkv.experiment.scale, { scale = "qick" }, { quick = {} })
    assert(nearest("qick", { "quick" }) == "quick" and message:find("did you mean 'quick'?", 1, true), message)
    package.preload["rwkv.tsv"] = function() return "mine" end
    assert(require "rwkv.tsv" == "mine")
    local model, loss = rwkv.model { version = "v4", layers = 1, dim = 8, vocab = 5 }
    rwkv.no_grad(function()
      package.loaded["rwkv.core"] = nil
      pcall(require, "rwkv.core")
      collectgarbage()
      collectgarbage()
    end)
    model:loss({ 1, 2 }, { 2, 3 }):backward()
    rwkv.adamw(model, {}):step()
    package.loaded = nil
    assert(require "rwkv" == rwkv)
    assert(not pcall(function() package.loadlib("build/f32/rwkv/core.so", "luaopen_rwkv_core") end))
    print "fine"]]), "fine\n")
end)

test("one Lua holds one core", function()
  local tried = 0
  for _, tree in ipairs { "f32", "f64" } do
    local path = "build/" .. tree .. "/rwkv/core.so"
    local f = io.open(path)
    if f then
      f:close()
      tried = tried + 1
      local out = run(([[
        local rwkv = require "rwkv"
        local open = package.loadlib(%q, "luaopen_rwkv_core")
        if open then print(pcall(open)) end
        collectgarbage()
        print(rwkv.ones(2):sum():item())]]):format(path), "--trust")
      assert(not out:find "^true" and out:find "2.0\n$", out)
      if out:find "^false" then assert(out:find("rwkv.core is loaded already", 1, true), out) end
    end
  end
  if tried < 2 then print "SKIPPED: build/*/rwkv/core.so is not there (`make` builds it)" end
  if tried < 2 or select(2, check.shell "lua5.4 -v") ~= 0 then return end
  rwkv.write_file(directory .. "/stock.lua", [[
    local model = require "rwkv".model { version = "v4", layers = 1, dim = 8, vocab = 5 }
    package.loaded["rwkv.core"] = nil
    print(pcall(require, "rwkv.core"))
    package.cpath = "build/f64/?.so"
    print(pcall(require, "rwkv.core"))
    print(pcall(package.loadlib("build/f64/rwkv/core.so", "luaopen_rwkv_core")))
    collectgarbage()
    model:loss({ 1, 2 }, { 2, 3 }):backward()]])
  local out, status = check.shell(("LUA_PATH='lua/?.lua;lua/?/init.lua;;' LUA_CPATH='build/f32/?.so' lua5.4 %s/stock.lua"):format(directory))
  equal(status, 0)
  equal(select(2, out:gsub("false\t[^\n]*rwkv.core is loaded already", "")), 3)
end)

check.shell("rm -r " .. directory)
