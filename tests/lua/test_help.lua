-- help: every function and every method has an entry in the pages, and it is found by every name.
local rwkv = require "rwkv"
local pages = require "rwkv.pages"
local check = require "tests.lua.lib.check"
local test, equal, program = check.test, check.equal, check.program

local function printed(...)
  local path = os.tmpname()
  io.output(path)
  local ok, message = pcall(rwkv.help, ...)
  io.close(io.output())
  io.output(io.stdout)
  local text = io.open(path):read "a":gsub("\n$", "")
  os.remove(path)
  return ok and text or error(message, 0)
end

local function defined(name)
  local found, defines = pages.find(name)
  return #found > 0 and defines
end

test("every function of rwkv and every method of every class has an entry that defines it", function()
  local missing = {}
  for name in pairs(rwkv) do
    if not defined("rwkv." .. name) then missing[#missing + 1] = "rwkv." .. name end
  end
  for class, methods in pairs(rwkv.classes()) do
    for name in pairs(methods) do
      if not defined(class .. ":" .. name) then missing[#missing + 1] = class .. ":" .. name end
    end
  end
  table.sort(missing)
  assert(#missing == 0, "without an entry in lua/pages: " .. table.concat(missing, ", "))
end)

test("every page is known", function()
  local out = check.shell "ls lua/pages"
  for name in out:gmatch "%S+" do
    assert((" " .. table.concat(pages.names, " ") .. " "):find(" " .. name .. " ", 1, true), name)
  end
end)

test("names lead to their entries", function()
  local t = rwkv.tensor { 1, 2 }
  for _, x in ipairs { "tensor:linear", "x:linear", "linear", ":linear", "x:linear(w, bias)", t.linear } do
    local text = printed(x)
    assert(text:find("x:linear(w, bias)\n", 1, true) == 1 and text:find("[tensor.md: Arithmetic]", 1, true), text)
    assert(not text:find("`", 1, true), text)
  end
  local text = printed(rwkv.cat)
  assert(text:find("along an axis", 1, true) and not text:find("stack.*stack"), text)
  text = printed "opt:step"
  assert(text:find "norm of the gradient" and text:find "not finite", text)
  text = printed "rwkv.adamw"
  assert(text:find("A model has the official groups", 1, true), text)
  text = printed "step" -- of the optimizer, though another name ends so too
  assert(text:find "opt:step" and not text:find "end_step", text)
end)

test("objects list their methods", function()
  local text = printed(rwkv.tensor { 1 })
  assert(text:find "tensor" and text:find "log_softmax" and text:find "tolist", text)
  text = printed(rwkv.rng(1))
  assert(text:find "shuffle" and not text:find "softmax", text)
  text = printed "optimizer"
  assert(text:find "restore", text)
end)

test("nothing, what is not there, and what is no name", function()
  local text = printed()
  for _, name in ipairs(pages.names) do assert(text:find(name, 1, true), text) end
  assert(text:find("rwkv.*adamw"), text)
  assert(printed("nonsense"):find("'nonsense'", 1, true))
  for word, meant in pairs { ["model:forwrd"] = "model:forward", ["rwkv.tokenzier"] = "rwkv.tokenizer", ["x:linaer"] = "tensor:linear",
    forwrd = "forward" } do
    assert(printed(word):find(("did you mean '%s'?"):format(meant), 1, true), printed(word))
  end
  assert(not printed("cabbage:soup"):find "did you mean")
  assert(printed(string.format):find "not one of rwkv")
  check.fails(function() rwkv.help(true) end, "boolean")
  check.fails(function() rwkv.help {} end, "table")
end)

test("lines are as wide as a terminal at most", function()
  for name in pairs(rwkv) do
    for line in printed("rwkv." .. name):gmatch "[^\n]+" do assert(utf8.len(line) <= 100, line) end
  end
end)

test("versions, equations, slots and other words", function()
  for name, parts in pairs { v7 = { "[v7.1]", "[v7.12]", "hooks.md", "aviary info v7" }, ["v7.3"] = { "[v7.3] w = -e^{-1/2}", "Goose" },
    ["[v7.3]"] = { "[v7.3] w = " }, decay = { "log-decay ≤ 0", "[hooks.md: The slots]", "[v7.3] w = " }, gate = { "[hooks.md: The slots]" },
    ["v5.2"] = { "[v5.2]", "## v5 \"Eagle\"" }, mqar = { "tasks.md" } } do
    local text = printed(name)
    for _, part in ipairs(parts) do assert(text:find(part, 1, true), ("%s: '%s' is not in\n%s"):format(name, part, text)) end
    equal(select(2, check.shell(("%s help '%s'"):format(program, name))), 0)
  end
  for version in io.open "PAPER_NOTES.md":read "a":gmatch "\n## (v%d+)" do assert(printed(version):find("%[" .. version .. ".1%]")) end
  assert(printed "linar":find "did you mean 'linear'")
end)

test("aviary help", function()
  local out, status = check.shell(program .. " help")
  assert(out:find "aviary verify" and status == 0, out)
  out, status = check.shell(program .. " help verify")
  assert(out:find("usage", 1, true) == nil and out:find "golden numbers" and status == 0, out)
  out, status = check.shell(program .. " help model:forward")
  assert(out:find("logits [B,T,V]", 1, true) and status == 0, out)
  out, status = check.shell(program .. " help tensor.md")
  assert(out:find "# Tensors" and status == 0, out)
  out, status = check.shell(program .. " help nonsense")
  assert(out:find "nonsense", out)
  equal(status, 1)
end)
