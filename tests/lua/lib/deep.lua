-- Whatever goes deep through C, as deep as Lua lets it, for test_process.lua: it must end by an error or well, never by a
-- crash. Arguments: a directory that may be written; which of them (all).
local rwkv = require "rwkv"
local directory, only = arg[1], arg[2]

local function hooked(apply)
  return rwkv.model { version = "v7", layers = 1, dim = 4, head_size = 4, vocab = 3,
    hooks = { decay = rwkv.hook { kind = "decay", name = "deep", apply = apply } } }
end

-- A safetensors file, or one of tokens, whose JSON is this deep.
local function write_nested(path, open, close, levels)
  local text = '{"__metadata__":{},"a":' .. open:rep(levels) .. close:rep(levels) .. "}"
  rwkv.write_file(path, ("<I8"):pack(#text) .. text)
end

local deep = {}

function deep.pcall()
  local function f() return pcall(f) end
  f()
end
function deep.gsub()
  local function f() return (("x"):gsub("x", f)) end
  f()
end
function deep.format()
  local t = setmetatable({}, {})
  getmetatable(t).__tostring = function() return ("%s%s"):format(t, "x") end
  return tostring(t)
end
function deep.sort()
  local function f() table.sort({ 3, 2, 1 }, f) end
  f()
end
function deep.concat()
  local t = setmetatable({}, {})
  getmetatable(t).__index = function() return table.concat(t, "", 1, 2) end
  return t[1]
end
function deep.coroutines()
  local function f() coroutine.wrap(f)() end
  f()
end
function deep.closing()
  local function f() local _ <close> = setmetatable({}, { __close = f }) end
  f()
end
function deep.load()
  local function f() return load(f) end
  f()
end
function deep.dofile()
  rwkv.write_file(directory .. "/deep_again.lua", "dofile(...)")
  local path = directory .. "/deep_again.lua"
  rwkv.write_file(path, ("dofile %q"):format(path))
  dofile(path)
end
function deep.require()
  package.path = directory .. "/?.lua;" .. package.path
  for i = 1, 250 do
    rwkv.write_file(("%s/deep%d.lua"):format(directory, i), ("require 'deep%d'"):format(i + 1))
  end
  require "deep1"
end
function deep.syntax()
  for _, pair in ipairs { "( )", "{ }", "a[ ]", "do  end ", "function()return  end", "-  ", "not  ", "f{ }" } do
    local open, close = pair:match "^(.-) (.*)$"
    for _, levels in ipairs { 150, 190, 1e4 } do load("return " .. open:rep(levels) .. "1" .. close:rep(levels)) end
  end
  load("return " .. ("1 .. "):rep(1e4) .. "1")
end
function deep.patterns()
  for _, p in ipairs { "x?", "x-", "x*", "[x]?", ".-" } do
    for _, count in ipairs { 100, 190, 250 } do pcall(string.match, ("x"):rep(300), p:rep(count)) end
  end
  pcall(string.match, "x", ("("):rep(30) .. "x" .. (")"):rep(30))
end
function deep.no_grad()
  local function f() rwkv.no_grad(f) end
  f()
end
function deep.hooks()
  local model
  model = hooked(function(x)
    model:forward { 1 }
    return x
  end)
  model:forward { 1 }
end
function deep.models()
  local below = function(x) return -x:sigmoid() end
  for _ = 1, 60 do
    local model = hooked(below)
    below = function(x)
      model:forward { 1, 2 }
      return -x:sigmoid()
    end
  end
  hooked(below):forward { 1, 2 }
end
function deep.fingerprint()
  local fingerprint = require "rwkv.experiment.fingerprint"
  for levels = 100, 200, 10 do
    local f = load("local x = ... return " .. ("function() local y = x return "):rep(levels) .. "x" .. (" end"):rep(levels))
    if f then fingerprint { f, f() } end
  end
  local t = {}
  for _ = 1, 1e4 do t = { t } end
  fingerprint { t }
end
function deep.show()
  local t = {}
  for _ = 1, 1e5 do t = { t } end
  rwkv.show(t)
end
function deep.json()
  local path = directory .. "/nested"
  for _, levels in ipairs { 100, 990, 1000, 1e5, 1e6 } do
    for open, close in pairs { ["["] = "]", ['{"a":'] = "}" } do
      write_nested(path, open, close, levels)
      pcall(rwkv.load, path)
      pcall(rwkv.load_tensors, path)
    end
  end
end
function deep.training()
  rwkv.threads(2)
  local model = rwkv.model { version = "v7", layers = 2, dim = 128, head_size = 64, vocab = 99 }
  local optimizer, tokens = rwkv.adamw(model, {}), {}
  for i = 1, 64 do tokens[i] = i end
  model:loss({ tokens, tokens }, { tokens, tokens }):backward()
  optimizer:step()
end
function deep.plot() rwkv.plot({ 1, 2 }, { file = directory .. "/deep.png" }) end

local names = {}
for name in pairs(deep) do names[#names + 1] = name end
table.sort(names)
for _, name in ipairs(names) do
  if not only or only == name then
    local ok, message = pcall(deep[name])
    io.write(name, " ", ok and "ends" or tostring(message):gsub("\n.*", ""):sub(-60), "\n")
    io.stdout:flush()
  end
end
