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
for _, path in ipairs { "README.md", "lua/doc/tensor.md", "lua/doc/model.md", "lua/doc/random.md", "lua/doc/tasks.md",
  "lua/doc/sandbox.md" } do
  check.test(path, function()
    local list = blocks(path)
    assert(#list > 0, "no code in " .. path)
    for _, b in ipairs(list) do
      local quiet = setmetatable({ rwkv = rwkv, print = function() end }, { __index = _G })
      assert(load(b.code, "@" .. path, "t", quiet))()
      rwkv.end_step()
    end
  end)
end
