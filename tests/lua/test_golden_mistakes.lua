-- `aviary golden diff` finds what is wrong in broken implementations: in one written for this test in plain Lua, and in real
-- files. What the mistakes are: lua/rwkv/golden/mistakes/.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local port = require "tests.lua.lib.port"
local test, shell = check.test, check.shell

local dir = os.tmpname()
os.remove(dir)
rwkv.mkdir(dir)
local program = check.program
local function run(format, ...) return shell(program .. " golden " .. format:format(...)) end

local sizes = "--layers 2 --dim 16 --vocab 17 --len 14"
local packs = {}
for _, version in ipairs { "v1", "v2", "v3", "v4", "v5.0", "v5.1", "v5.2", "v6", "v6a", "v6b", "v7" } do
  local path = ("%s/%s.safetensors"):format(dir, version)
  local out, status = run("make %s %s --no-gradients %s", version, sizes, path)
  assert(status == 0, out)
  local tensors = rwkv.load_tensors(path)
  local weights = {}
  for name, e in pairs(tensors) do
    local list = (getmetatable(e.value) == "rwkv.tokens" and e.value:tensor() or e.value):reshape(-1):tolist()
    list.shape = e.shape
    weights[name] = list
  end
  packs[version] = { path = path, weights = weights, tokens = weights.tokens }
end

-- Writes what the port gives for a pack: only these tensors.
local function write(version, mistake, dtype, pattern)
  local p, list = packs[version], {}
  for name, e in pairs(port(p.weights, version, { p.tokens }, mistake)) do
    if name:find(pattern) then
      list[#list + 1] = { name = name, value = rwkv.tensor({ table.unpack(e) }), shape = e.shape, dtype = dtype }
    end
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  rwkv.save_tensors(dir .. "/theirs.safetensors", list)
end

local function diff(version, options)
  return run("diff %s %s/theirs.safetensors %s", packs[version].path, dir, options or "")
end

test("a right float32 implementation is accepted, in every version", function()
  for version in pairs(packs) do
    write(version, nil, "f32", "")
    local out, status = diff(version)
    assert(status == 0 and out:find "all agree", out)
  end
end)

if rwkv.precision == "float64" then
  test("a right float64 implementation agrees to 1e-12", function()
    for version in pairs(packs) do
      write(version, nil, "f64", "")
      local out, status = diff(version, "--tol 1e-12")
      assert(status == 0 and out:find "all agree", out)
    end
  end)

  -- version, what is written, mistakes
  for _, case in ipairs {
    { "v7", "^logits$", "decay-twice", "key-after-rescale", "value-residual-missing", "read-transposed", "norm-eps",
      "mix-direction", "decay-tanh-late", "gate-sigmoid-late", "bonus-before-norm", "remove-after-decay", "lora-layout",
      "bonus-plain-key", "key-not-normalised", "decay-clamp" },
    { "v7", "", "state-transposed", "read-before-update", "shift-first", "decay-constant", "ffn-relu", "remove-missing" },
    { "v6", "^logits$", "decay-twice", "mix-order-rkvwg", "mix-direction", "gate-sigmoid", "norm-over-all", "bonus-in-state",
      "decay-no-tanh", "decay-clamp" },
    { "v6", "", "decay-own", "lora-layout" },
    { "v6a", "^logits$", "decay-twice", "mix-order-rkvwg", "norm-over-all", "norm-eps", "bonus-exp", "lora-layout", "gate-silu",
      "gate-no-tanh", "decay-clamp" },
    { "v6b", "^logits$", "norm-by-head", "decay-twice", "decay-no-tanh", "bonus-in-state", "bonus-exp", "mix-direction", "lora-layout", "decay-clamp" },
    { "v5.2", "^logits$", "decay-wrong-axis", "norm-over-all", "bonus-exp", "receptance-sigmoid", "norm-eps", "decay-clamp" },
    { "v5.1", "^logits$", "bonus-exp", "gate-sigmoid", "norm-over-all", "norm-eps", "decay-clamp" },
    { "v5.0", "^logits$", "bonus-no-exp", "norm-eps", "mix-direction", "decay-clamp" },
    { "v5.0", "", "decay-own" },
    { "v4", "^logits$", "key-clamp", "bonus-exp", "receptance-linear", "ffn-no-gate", "ln0-twice", "decay-clamp" },
    { "v4", "", "bonus-in-state", "decay-own" },
    { "v3", "^logits$", "no-clamp", "k-eps", "bonus-missing", "receptance-linear", "copy-head-256", "copy-head-sqrt", "no-copy-head",
      "decay-twice", "mix-direction", "decay-clamp" },
    { "v2", "^logits$", "no-clamp", "k-eps", "ffn-relu", "decay-clamp" },
    { "v1", "^logits$", "time-w-reversed", "no-gamma", "no-time-out", "alpha-beta-swapped", "copy-head-256", "copy-head-sqrt",
      "no-copy-head", "shift-halves", "shift-first", "denominator-weighted", "no-clamp", "receptance-linear",
      "gamma-before-bias" },
  } do
    local version, pattern = case[1], case[2]
    for i = 3, #case do
      local mistake = case[i]
      test(("%s: %s is found in %s"):format(version, mistake, pattern == "" and "all that there is" or "the logits"), function()
        write(version, mistake, mistake == "decay-constant" and "f64" or "f32", pattern)
        local out, status = diff(version)
        assert(status == 1, out)
        assert(out:find("[" .. mistake .. "]", 1, true), out)
        assert(not out:find "do not tell these apart" and not out:find "of what is off", out)
      end)
    end
  end
end

os.execute("rm -r " .. dir)
