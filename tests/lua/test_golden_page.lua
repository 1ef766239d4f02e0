-- The page lua/pages/golden.md is true: its programs run and read a pack, its tables of names and mistakes are complete.
local rwkv = require "rwkv"
if rwkv.precision ~= "float64" then return end -- as test_golden.lua
local check = require "tests.lua.lib.check"
local mistakes = require "rwkv.golden.mistakes"
local test, equal, shell = check.test, check.equal, check.shell

local dir = os.tmpname()
os.remove(dir)
rwkv.mkdir(dir)
local page
do
  local file <close> = io.open "lua/pages/golden.md"
  page = file:read "a"
end
local function code(language) return page:match("\n```" .. language .. "\n(.-)\n```") end

local function pack(version, name, options)
  local path = ("%s/%s.safetensors"):format(dir, name or version)
  local out, status = shell(("%s golden make %s %s %s"):format(check.program, version, options or "", path))
  assert(status == 0, out)
  return path
end
local v7 = pack "v7"
rwkv.model { version = "v7", layers = 1, dim = 64, vocab = 300 }:pack "bf16":save(dir .. "/weights.safetensors")
local packs = { v7, pack("v7", "bare", ("--weights %s/weights.safetensors --no-sensitivity --no-gradients --no-weights --len 30")
  :format(dir)), pack("v7", "bf16", "--dtype bf16 --dim 128 --len 200 --no-gradients --no-sensitivity") }
assert(#rwkv.read_file(packs[3]) > 1 << 23)

-- language, program that must be there, file name, how it is made and run
for _, case in ipairs {
  { "python", "python3", "read.py", "true", "python3 read.py" },
  { "c", "cc", "read.c", "cc -w -o read read.c", "./read" },
  { "rust", "rustc", "read.rs", "rustc --edition 2021 -o read_rs read.rs", "./read_rs" },
  { "js", "node", "read.js", "true", "node read.js" },
} do
  local language, program, name, build, command = table.unpack(case)
  if shell("command -v " .. program) == "" then
    print(("SKIPPED: the program in %s: there is no %s"):format(language, program))
  else
    test("the page's program in " .. language .. " reads packs, also one without weights and a large one", function()
      rwkv.write_file(dir .. "/" .. name, code(language) .. "\n")
      local out, status = shell(("cd %s && %s 2>&1"):format(dir, build))
      assert(status == 0, out)
      for _, path in ipairs(packs) do
        out, status = shell(("cd %s && { %s %s; } 2>err || { cat err; false; }"):format(dir, command, path))
        assert(status == 0, out)
        assert(select(2, out:gsub("\n", "")) == 1, out)
        equal(tonumber(out:match "(%S+)%s*$"), rwkv.load_tensors(path).logits.value:reshape(-1):tolist()[1])
      end
    end)
  end
end

if shell "command -v python3" ~= "" then
  test("a script of 30 lines checks channel mixing of every layer", function()
    local loader = code "python":gsub("\ntensors, meta =.*", "\n")
    local script = loader .. code "python layer"
    rwkv.write_file(dir .. "/layer.py", script .. "\n")
    local out, status = shell(("cd %s && python3 layer.py v7.safetensors"):format(dir))
    assert(status == 0, out)
    assert(tonumber(out:match "difference (%S+)") < 1e-13, out)
    local lines = select(2, code "python layer":gsub("[^\n]+", ""))
    assert(lines <= 30, lines)
  end)
else
  print "SKIPPED: the script that checks a layer: there is no python3"
end

for row in page:gmatch "\n| (v[%d.]+ | [^\n]+) |" do
  local version, att, ffn, state = row:match "^(%S+) | (.-) | (.-) | (.-)$"
  if state then
    test(version .. ": the page names every intermediate and state of the pack, in order", function()
      local found = { att = {}, ffn = {}, state = {} }
      local _, _, names = rwkv.load_tensors(version == "v7" and v7 or pack(version))
      for _, name in ipairs(names) do
        local part, what = name:match "^trace%.blocks%.1%.(%a+)%.(%w+)$"
        if found[part] then table.insert(found[part], what) end
        local of = name:match "^state%.1%.(.+)$"
        if of then table.insert(found.state, of) end
      end
      equal({ table.concat(found.att, " "), table.concat(found.ffn, " "), table.concat(found.state, " ") }, { att, ffn, state })
    end)
  end
end

-- What stands for many in a name on the page.
local places = { N = "%d+", MIX = "%w+", VALUE = ".+", FORMAT = "%w+", NAME = "[%w-]+", PART = "%w+" }

test("the page lists the known mistakes", function()
  local patterns, used, ids, titles = {}, {}, {}, {}
  local section = page:match "\n## Known mistakes\n(.-)\n## "
  for first in section:gmatch "\n| (`[^|]+) |" do
    for name in first:gmatch "`([^`]+)`" do
      patterns["^" .. name:gsub("%-", "%%-"):gsub("%f[%w]%u+%f[%W]", places) .. "$"] = name
    end
  end
  for id, title in section:gmatch "\n| `([%w_-]+)` | [rv][^|\n]+ | ([^\n]+) |" do titles[id .. title] = true end
  for _, version in ipairs(rwkv.versions()) do
    for _, mistake in ipairs(mistakes.of(version)) do
      local found = mistake.family == "formula" and titles[mistake.id .. mistake.title]
      for pattern, name in pairs(patterns) do
        if mistake.id:find(pattern) then found, used[name] = found or mistake.family ~= "formula", true end
      end
      assert(found, ("%s is not on the page: %s"):format(mistake.id, mistake.title))
      ids[mistake.id:gsub("%d+", "N")] = true
    end
  end
  for _, name in pairs(patterns) do assert(used[name], ("the page has %s, which is no mistake"):format(name)) end
  local n, readme <close> = 0, io.open "README.md"
  for _ in pairs(ids) do n = n + 1 end
  equal(tonumber(readme:read "a":match "%[(%d+) known mistakes%]"), n)
end)

os.execute("rm -r " .. dir)
