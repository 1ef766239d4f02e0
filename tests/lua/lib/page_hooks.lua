-- page_hooks(see): runs the code of lua/pages/hooks.md, silently; see(q, hook) is called for each rwkv.hook(q) in it.
local rwkv = require "rwkv"

return function(see)
  local quiet = setmetatable({ print = function() end, rwkv = setmetatable({ hook = function(q)
    local h = rwkv.hook(q)
    see(q, h)
    return h
  end }, { __index = rwkv }) }, { __index = _G })
  local code, inside = {}, false
  for line in io.lines "lua/pages/hooks.md" do
    if line:match "^```lua" then inside, code = true, {}
    elseif line:match "^```" and inside then
      inside = false
      assert(load(table.concat(code, "\n"), "@lua/pages/hooks.md", "t", quiet))()
      rwkv.end_step()
    elseif inside then code[#code + 1] = line end
  end
end
