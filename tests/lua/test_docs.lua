-- Every Lua block of the documentation runs.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"

local function blocks(path)
  local list, code, start, line_number = {}, nil, nil, 0
  for line in io.lines(path) do
    line_number = line_number + 1
    if line:match "^```lua" then
      code, start = {}, line_number
    elseif line:match "^```" and code then
      list[#list + 1] = { line = start, code = ("\n"):rep(start) .. table.concat(code, "\n") }
      code = nil
    elseif code then
      code[#code + 1] = line
    end
  end
  return list
end

rwkv.mkdir "runs"
local paths = { "README.md" }
for _, name in ipairs(require "rwkv.pages".names) do
  if name ~= "ci.md" then paths[#paths + 1] = "lua/pages/" .. name end -- its programs are in other languages: test_ci_page.lua
end

for _, path in ipairs(paths) do
  check.test(path, function()
    local list = blocks(path)
    assert(#list > 0, "no code in " .. path)
    if path == "README.md" then -- its first experiment, with a budget for tests
      local changed
      list[1].code, changed = list[1].code:gsub("examples = 12000, every = 1000", "examples = 512, every = 256")
      check.equal(changed, 1)
    end
    if path == "lua/pages/ablation.md" then -- one file, put together block by block
      local whole = {}
      for i, b in ipairs(list) do whole[i] = b.code:gsub("^\n+", "") end
      list = { { code = table.concat(whole, "\n") } }
    end
    for _, b in ipairs(list) do
      local quiet = setmetatable({ rwkv = rwkv, help = function() end, print = function() end }, { __index = _G })
      assert(load(b.code, "@" .. path, "t", quiet))()
      rwkv.end_step()
    end
  end)
end
