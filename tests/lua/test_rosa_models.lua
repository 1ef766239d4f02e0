-- The official models with ROSA layers: their logits, and what one of them gets right on its own test. Files that are none.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local python_random = require "experiments.tasks.python_random"
local reverse = require "experiments.rosa_reverse"

local dir, tolerance = "tests/golden/rosa/", rwkv.precision == "float64" and 1e-10 or 2e-3
local function file(name, what) return ("%s%s.%s.safetensors"):format(dir, name, what) end

local function worst(found, expected)
  local a, b, most = found:reshape(-1):tolist(), expected:reshape(-1):tolist(), 0
  check.equal(#a, #b)
  for i = 1, #a do most = math.max(most, math.abs(a[i] - b[i])) end
  return most
end

for name, kind in pairs { ["251016_rosa_1bit_run"] = "counting", ["251018_rosa_4bit_run"] = "counting", ["251105_reverse_L2"] = "reverse" } do
  for _, backend in ipairs { "reference", "fast" } do
    check.test(("%s: the official logits, by the backend %s"):format(name, backend), function()
      rwkv.backend(backend)
      local model, compared = rwkv.rosa_models.load(file(name, "weights")), 0
      check.equal(model.kind, kind)
      for key, e in pairs(rwkv.load_tensors(file(name, "golden"))) do
        local which = key:match "^(%d+)%.tokens$"
        if which then
          local expected = rwkv.load_tensors(file(name, "golden"))[which .. ".logits"].value
          assert(worst(model.logits(e.value:tolist()), expected) < tolerance, key)
          compared = compared + 1
        end
      end
      assert(compared >= 3)
      rwkv.end_step()
    end)
  end
end

for _, bits in ipairs { 1, 4 } do
  check.test(("a language model of %d bits: the official logits and loss, and it learns"):format(bits), function()
    local name = ("v8_rosa%dbit_lm"):format(bits)
    local lm, golden = rwkv.rosa_models.load(file(name, "weights"), bits), rwkv.load_tensors(file(name, "golden"))
    assert(worst(lm.logits(golden.tokens.value:tolist()), golden.logits_gpt.value) < tolerance)
    local loss = lm.model:loss(golden.tokens.value, golden.targets.value)
    check.equal(loss:item(), golden.loss.value:reshape(-1):tolist()[1], 1e-5)
    loss:backward()
    assert(lm.model:param("blocks.1.att.time_mix.rosa" .. (bits == 4 and "_4bit" or "") .. ".emb"):grad():abs():sum():item() > 0)
    rwkv.end_step()
  end)
end

check.test("numbers as Python draws them", function()
  local r, list = python_random(42), {}
  for i, n in ipairs { 1, 1, 2, 9, 10, 11, 60 } do list[i] = r:digits(n) end
  check.equal(list, { "1", "0", "45", "362950628", "1958682846", "26048021673",
    "781633568989936344780600211561290899326809873892317415091565" }, "random.randint after random.seed(42)")
end)

check.test("numbers backwards: what the file says of the official test", function()
  local right, all, whole, sequences = reverse.test(rwkv.rosa_models.load(file("251105_reverse_L2", "weights")), 60)
  check.equal({ all, sequences }, { 18900, 600 })
  assert(rwkv.precision == "float32" and math.abs(right - 18829) <= 20 or right == 18829 and whole == 535, right)
end)

check.test("what followed, of tokens", function()
  check.equal(rwkv.rosa_models.next_tokens { 5, 7, 5, 7, 5, 6, 7 }, { -1, -1, 7, 5, 7, -1, 5 })
  check.equal(rwkv.rosa_models.next_tokens {}, {})
end)

check.test("files that are none, and bits that are not said", function()
  local function fails(path, bits, words)
    local ok, message = pcall(rwkv.rosa_models.load, path, bits)
    assert(not ok and message:find(words, 1, true), message)
  end
  fails("tests/golden/v7.weights.safetensors", nil, "no model with ROSA layers")
  fails(file("v8_rosa1bit_lm", "weights"), nil, "bits must be 1 or 4")
end)
