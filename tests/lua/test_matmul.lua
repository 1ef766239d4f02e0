-- --matmul bf16 on the CPU: what it computes is not the same, and trains as well.
local check = require "tests.lua.lib.check"
local rwkv = require "rwkv"
local test, equal = check.test, check.equal

local steps, seeds = 30, 4

-- Loss of the last five of `steps` steps, of each seed.
local script = ([[
local rwkv = require "rwkv"
local version, seeds = arg[1], tonumber(arg[2])
for seed = 1, seeds do
  local model = rwkv.model { version = version, layers = 2, dim = 32, head_size = 16, vocab = 32, ctx = 16, seed = seed }
  local opt = rwkv.adamw(model, { lr = 3e-3, weight_decay = 0.1 })
  local rng, sum = rwkv.rng(1), 0
  for i = 1, %d do
    local tokens, targets = {}, {}
    for b = 1, 16 do
      tokens[b], targets[b] = {}, {}
      for t = 1, 16 do tokens[b][t] = rng:integer(0, 31) end
      for t = 1, 16 do targets[b][t] = tokens[b][math.max(1, t - 1)] end -- the token before
    end
    local loss = model:loss(tokens, targets)
    opt:zero_grad() loss:backward() opt:step()
    if i > %d - 5 then sum = sum + loss:item() / 5 end
  end
  io.write(("%%.17g "):format(sum))
end]]):format(steps, steps)

local path = os.tmpname()
local file = io.open(path, "w")
file:write(script)
file:close()

local function losses(options, version, n)
  local out, status = check.shell(("%s %s --trust %s %s %d"):format(check.program, options, path, version, n))
  equal(status, 0)
  local list = {}
  for number in out:gmatch "%S+" do list[#list + 1] = tonumber(number) end
  equal(#list, n)
  return list
end

for _, version in ipairs(rwkv.versions()) do
  test(version .. ": training stays as near as another seed", function()
    local full, rounded = losses("", version, seeds), losses("--matmul bf16", version, 1)
    table.sort(full)
    local spread = math.max(0.02, 2 * (full[seeds] - full[1])) -- of seeds, which start so near that rounding may lead further
    assert(rounded[1] > full[1] - spread and rounded[1] < full[seeds] + spread,
      ("loss %.4f, expected about %.4f to %.4f"):format(rounded[1], full[1], full[seeds]))
    for _, loss in ipairs(full) do assert(loss ~= rounded[1], "nothing was rounded") end
  end)
end

test("any number of threads gives the same bits", function()
  local one = losses("--matmul bf16 --threads 1", "v7", 1)
  equal(losses("--matmul bf16 --threads 2", "v7", 1), one)
  equal(losses("--matmul bf16 --threads 7", "v7", 1), one)
end)

os.remove(path)
