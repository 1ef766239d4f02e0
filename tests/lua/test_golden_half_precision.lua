-- Mistakes of the size of half precision's roundings, in a port that computes in bf16: golden diff --against bf16 sees them, at most
-- two pass.
local rwkv = require "rwkv"
if rwkv.precision ~= "float64" then return end -- as test_golden.lua
local check = require "tests.lua.lib.check"
local edits = require "rwkv.golden.mistakes"
local planted_diff = require "tests.lua.lib.planted_diff"
local port = require "tests.lua.lib.port"

local small = { "rounded-bf16-decay", "rounded-bf16-log-decay", "rounded-bf16-state", "norm-eps", "eps-layer-norm-1e-3",
  "eps-layer-norm-1e-6", "variance-unbiased", "variance-unbiased-group", "decay-clamp", "eps-key-norm-1e-3",
  "eps-key-norm-inside-1e-5" }

local dir = os.tmpname()
os.remove(dir)
rwkv.mkdir(dir)
local path = dir .. "/theirs.safetensors"

local function can_be_made(p, id)
  for _, e in ipairs(edits.of(p.version)) do if e.id == id and not (e.sees and e.sees(p.c)) then return true end end
  return false
end

check.test("of small mistakes in a bf16 port at most two pass --against bf16", function()
  local count, passed = 0, {}
  for _, version in ipairs { "v4", "v5.0", "v5.1", "v5.2", "v6", "v6a", "v6b", "v7" } do
    local p = planted_diff.pack(dir, version, "--layers 3 --dim 24 --vocab 17 --len 16 --batch 2")
    for _, id in ipairs(small) do
      if can_be_made(p, id) then
        planted_diff.write(path, port(p.weights, version, p.tokens, id, "bf16"), "f32")
        local _, result = planted_diff.named(p, path, { against = "bf16", seconds = 0.1 })
        count = count + 1
        if not result.first then passed[#passed + 1] = version .. " " .. id end
      end
    end
  end
  assert(#passed <= 2, ("%d of %d pass: %s"):format(#passed, count, table.concat(passed, ", ")))
end)

os.execute("rm -r " .. dir)
