-- No right port is accused: an independent implementation (tests/lua/lib/port.lua) that computes in float32, bf16 or fp16, with
-- roundings of its own, is accepted in random packs, by their own tolerances and, in half precision, against the pack's numbers
-- of that arithmetic.
--   PORTS=100 aviary --trust tests/lua/test_golden_right_ports.lua     so many packs for each arithmetic; without it 6
local rwkv = require "rwkv"
if rwkv.precision ~= "float64" then return end -- as test_golden.lua
local check = require "tests.lua.lib.check"
local models = require "tests.lua.lib.golden_models"
local planted_diff = require "tests.lua.lib.planted_diff"
local port = require "tests.lua.lib.port"

local count = math.tointeger(tonumber(os.getenv "PORTS" or 6))
local dir = os.tmpname()
os.remove(dir)
rwkv.mkdir(dir)
local path = dir .. "/theirs.safetensors"
local half = { "v4", "v5.0", "v5.1", "v5.2", "v6", "v6a", "v6b", "v7" } -- whose official code knew half precision

local function random_pack(rng, versions, seed)
  local version = versions[rng:integer(1, #versions)]
  local heads = rng:integer(version == "v1" and 2 or 1, 3)
  local q = ("--layers %d --dim %d --vocab %d --len %d --batch %d --seed %d"):format(rng:integer(1, 4), heads * rng:integer(3, 8) * 2,
    rng:integer(5, 30), rng:integer(1, 16), rng:integer(1, 3), seed)
  if not version:find "^v[234]" then q = ("--heads %d %s"):format(heads, q) end
  return planted_diff.pack(dir, version, q), version .. " " .. q
end

-- What is off in the numbers of a port without mistakes; nil: nothing. Against an arithmetic all is written as it was computed,
-- also what is kept in float32.
local function accused(p, format, o)
  local dtype = o.against and "f32" or format == "fp16" and "f16" or format
  planted_diff.write(path, port(p.weights, p.version, p.tokens, nil, format), dtype)
  local _, result = planted_diff.named(p, path, o)
  local first = result.first
  return first and ("%s is off by %.2e, allowed %.2e, rms %.2e, allowed %.2e"):format(first.name, first.result.worst,
    first.result.tol.worst, first.result.rms, first.result.tol.rms)
end

local function check_all(format, versions, o)
  local rng, faults = rwkv.rng(8, format), {}
  for seed = 1, count do
    local p, text = random_pack(rng, versions, seed)
    local fault = accused(p, format, o)
    if fault then faults[#faults + 1] = text .. ": " .. fault end
  end
  assert(#faults == 0, ("%d of %d\n%s"):format(#faults, count, table.concat(faults, "\n")))
end

check.test("a right float32 port is accepted", function() check_all("f32", models.ported, { no_causes = true }) end)
for _, format in ipairs { "bf16", "fp16" } do
  check.test("a right " .. format .. " port is accepted by the tolerances of packs", function() check_all(format, half, { no_causes = true }) end)
  check.test("a right " .. format .. " port is accepted --against " .. format, function()
    check_all(format, half, { against = format, seconds = 1 })
  end)
end

os.execute("rm -r " .. dir)
