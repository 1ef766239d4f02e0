-- What is kept of a run, damaged in every way: it is named and set aside, never used, never lost, and the run is made again with
-- the same numbers.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local runs = require "tests.lua.lib.runs"
local test, equal, fails, shell = check.test, check.equal, check.fails, check.shell

local home = "runs/tests/results"
shell("rm -rf " .. home)
rwkv.mkdir(home)

-- The task fails after a few steps in a coroutine: no key has that.
local task = { carry = true }
function task.batch(_, first, count)
  if first > 24 and coroutine.isyieldable() then error("stopped", 0) end
  local x, y = {}, {}
  for b = 1, count do
    local rng = rwkv.rng(7, first + b)
    x[b], y[b] = {}, {}
    for i = 1, 6 do x[b][i], y[b][i] = rng:integer(0, 6), x[b][i - 1] or 0 end
  end
  return rwkv.tokens(x), rwkv.tokens(y)
end
function task.restarts(_, first) return first == 1 end

local function run(seed, learnt)
  return rwkv.experiment.run { name = "t", out = home, task = function() return learnt or task, task end, configs = {
    { label = "v4", version = "v4", layers = 1, dim = 8, vocab = 7, lr = 1e-2, batch = 4, examples = 40, every = 8, tests = 8,
      seed = seed or 0 } } }
end

local function stop(seed, learnt)
  coroutine.wrap(function() fails(function() run(seed, learnt) end, "stopped") end)()
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

local function numbers(rows)
  for _, row in ipairs(rows) do row.seconds, row.model = nil, nil end
  return rows
end

local whole = numbers(run())
local path = home .. "/" .. whole[1].run
local result, checkpoint, model = path .. ".tsv", path .. ".checkpoint", path .. ".safetensors"
local names, good, bytes = runs.names(home), read(result), read(model)

-- Runs it after this text (or a folder, or nothing) was put in a file's place: the text must then be beside it.
local function mended(file, text)
  local first = file .. ".aside"
  if text then rwkv.write_file(file, text) else shell(("rm -f %s; mkdir %s"):format(file, file)) end
  runs.same(whole, numbers(run()))
  runs.same(whole, runs.numbers(result))
  equal(read(model) == bytes, true)
  if text then equal(read(first) == text, true) else equal(select(2, shell(("[ -d %s ]"):format(first))), 0) end
  shell("rm -r " .. first)
  equal(runs.names(home), names)
end

-- Where it is cut, the text of a file is damaged most: in the head, around the ends of lines, in the last line.
local function cuts(text)
  local list = { 0, 1, #text - 1, #text - 2, #text - 40, #text - 70 }
  for at in text:gmatch "()\n" do
    for _, near in ipairs { at - 1, at, at + 1 } do
      if near < #text then list[#list + 1] = near end
    end
  end
  return list
end

test("a result that is cut anywhere", function()
  for _, at in ipairs(cuts(good)) do mended(result, good:sub(1, at)) end
end)

test("a result of which a byte is another, or a line is missing, twice there or in another place", function()
  for at = 1, #good, 47 do
    mended(result, good:sub(1, at - 1) .. string.char(good:byte(at) ~ 1) .. good:sub(at + 1))
  end
  local function lines(change)
    local list = {}
    for line in good:gmatch "[^\n]*\n" do list[#list + 1] = line end
    change(list)
    mended(result, table.concat(list))
  end
  lines(function(l) table.remove(l, 4) end)
  lines(function(l) table.insert(l, 4, l[4]) end)
  lines(function(l) l[3], l[4] = l[4], l[3] end)
  lines(function(l) l[#l + 1] = l[#l] end)
  lines(function(l) l[#l + 1] = "\n" end)
  lines(function(l) for i, line in ipairs(l) do l[i] = line:gsub("\n", "\r\n") end end)
end)

test("something else in the place of a result", function()
  local other = numbers(run(1))
  local beside = home .. "/" .. other[1].run
  local text = read(beside .. ".tsv")
  shell(("rm %s.*"):format(beside))
  mended(result, text)
  mended(result, "a text\n")
  mended(result, ("\0\1\2\255"):rep(100))
  mended(result, bytes)
  mended(result, nil)
end)

test("what is set aside stays, however often it happens", function()
  for i = 1, 3 do
    rwkv.write_file(result, "damage " .. i)
    run()
  end
  for i, ending in ipairs { "", "2", "3" } do equal(read(result .. ".aside" .. ending), "damage " .. i) end
  shell(("rm %s.aside*"):format(result))
end)

test("a checkpoint that is damaged or another run's", function()
  local function begin_anew(text)
    os.remove(result)
    mended(checkpoint, text)
  end
  os.remove(result)
  stop()
  local kept = read(checkpoint)
  runs.same(whole, numbers(run()))
  equal(runs.names(home), names)
  local head = 8 + ("<I8"):unpack(kept)
  for _, at in ipairs { 0, 1, 7, 8, 9, head // 2, head - 1, head, head + 1, (head + #kept) // 2, #kept - 4, #kept - 1 } do
    begin_anew(kept:sub(1, at))
  end
  begin_anew(kept .. "\0")
  begin_anew("a text\n")
  begin_anew(("\255"):rep(1000))
  begin_anew(bytes) -- a model that is no checkpoint
  begin_anew((kept:gsub('"run.digest":"%x', '"run.digest":"x', 1)))
  begin_anew((kept:gsub('"run.rows":"', '"run.more":"', 1)))
  begin_anew((kept:gsub("optim%.v%.emb", "optim.x.emb")))
  begin_anew(nil)
  stop(1)
  local other = shell(("ls %s/*.checkpoint"):format(home)):match "[^\n]+"
  local text = read(other)
  shell(("rm %s %s.*"):format(other, (other:gsub("%.checkpoint$", ""))))
  begin_anew(text)
end)

test("a run whose key cannot cover all, or whose values change, keeps no checkpoint", function()
  local calls = 0
  for _, changed in ipairs {
    { batch = function(_, ...) return task:batch(...), select(2, task:batch(...)), os.time() end },
    { batch = function(_, ...) calls = calls + 1 return task:batch(...) end },
  } do
    stop(2, changed)
    equal(runs.names(home), names)
  end
end)

test("a folder in the place of the model", function()
  os.remove(result)
  mended(model, nil)
end)

test("damage is named", function()
  local program = check.program .. " --trust tests/lua/lib/grid.lua --seeds 1 --out " .. home .. "/grid "
  shell(program)
  local file = shell(("ls %s/grid/v7*.tsv"):format(home)):match "[^\n]+"
  rwkv.write_file(file, read(file):sub(1, -2))
  local text, status = shell(program .. "--collect")
  equal(status, 0)
  for _, part in ipairs { file .. ": it is not whole: the last line is missing; it is now " .. file .. ".aside",
    "1 of 2 runs are not finished" } do
    assert(text:find(part, 1, true), text)
  end
  shell(("rm %s.aside; mkdir %s"):format(file, file))
  text = shell(program)
  assert(text:find(file .. ": Is a directory; it is now " .. file .. ".aside", 1, true), text)
end)

shell("rm -rf " .. home)
