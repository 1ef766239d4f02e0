-- `golden diff` names the mistakes that a version calls its own (lua/rwkv/versions), planted in the lines: those of v7a, v7b, v8 and the
-- release candidates of v7. The independent port (test_golden_families.lua) does not have these versions.
local rwkv = require "rwkv"
if rwkv.precision ~= "float64" then return end -- as test_golden.lua
local core = require "rwkv.core"
local check = require "tests.lua.lib.check"
local formulas = require "rwkv.golden.formulas"
local machine = require "rwkv.golden.machine"
local mistakes = require "rwkv.golden.mistakes"
local pack = require "rwkv.golden.pack"
local planted_diff = require "tests.lua.lib.planted_diff"
local versions = require "rwkv.versions"
core.backend "reference"

local dir = os.tmpname()
os.remove(dir)
rwkv.mkdir(dir)

-- What a run with the mistake gives: logits, and all else that a pack may have.
local function planted(p, mistake)
  local weights = pack.read(p.path).tensors
  local book = assert(formulas.of(pack.read(p.path).config))
  local env = mistakes.env(book, { machine = machine "f64", tokens = p.tokens, weight = function(name)
    return weights[name] and weights[name].value
  end }, { mistake })
  local out = {}
  for name, value in pairs(formulas.run(book, env)) do
    local list = value:reshape(-1):tolist()
    list.shape = value:shape()
    out[name == "logits" and name or "trace." .. name] = list
  end
  collectgarbage()
  return out
end

for _, version in ipairs(rwkv.versions()) do
  local own = versions.of(version).mistakes
  if #own > 0 then
    check.test(version .. ": its own mistakes are named, by the logits alone and by all intermediates", function()
      local p, faults = planted_diff.pack(dir, version, "--layers 2 --dim 12 --vocab 11 --len 10 --batch 2"), {}
      assert(#own >= 5, #own)
      for _, mistake in ipairs(own) do
        local out = planted(p, mistake)
        for _, pattern in ipairs { "^logits$", "" } do
          planted_diff.write(dir .. "/theirs.safetensors", out, "f64", pattern)
          local named = planted_diff.named(p, dir .. "/theirs.safetensors")
          local found = false
          for _, set in ipairs(named) do found = found or set[mistake.id] end
          if not found then
            local ids = {}
            for _, set in ipairs(named) do for id in pairs(set) do ids[#ids + 1] = id end end
            faults[#faults + 1] = ("%s, %s: found %s"):format(mistake.id, pattern == "" and "all" or "logits", table.concat(ids, " "))
          end
        end
      end
      assert(#faults == 0, table.concat(faults, "\n"))
    end)
  end
end
