-- Sizes of golden packs: the standard pack, what options say, and what a pack says that it cannot show.
local rwkv = require "rwkv"
if rwkv.precision ~= "float64" then return end -- as test_golden.lua
local check = require "tests.lua.lib.check"
local sizes = require "rwkv.golden.sizes"
local test, equal = check.test, check.equal

local dir, golden = require "tests.lua.lib.golden_command"()
local has = check.has
local function make(options)
  local out = golden("make " .. options .. " --no-sensitivity --no-gradients %D/p.safetensors")
  local tensors, meta, names = rwkv.load_tensors(dir .. "/p.safetensors")
  return tensors, meta, names, out
end

for _, version in ipairs { "v1", "v2", "v4", "v5.2", "v6", "v7" } do
  test(version .. ": the standard pack has heads of 64, three layers and two sequences, and no state at every position", function()
    local tensors, meta = make(version .. " --standard")
    equal({ meta["config.layers"], meta["config.dim"], meta["config.vocab"] }, { "3", "128", "96" })
    if not version:find "^v[24]" then equal(meta["config.head_size"], "64") end
    equal(tensors.logits.shape, { 2, 32, 96 })
    equal({ tensors["trace.emb.x"].shape, tensors["trace.blocks.2.mid.x"].shape }, { { 2, 32, 128 }, { 2, 32, 128 } })
    for name in pairs(tensors) do assert(not name:find "^trace%.state", name) end
    assert(tensors["state.0.att_xx"])
    equal(meta.trace, "emb.x,blocks,ln_out")
  end)
end

test("what is asked for goes before what the standard pack has", function()
  local tensors, meta = make "v7 --standard --layers 2 --len 5 --heads 4 --trace state"
  equal({ meta["config.layers"], meta["config.dim"], meta["config.head_size"], meta.trace }, { "2", "128", "32", "state" })
  equal({ tensors.logits.shape, tensors["trace.state.0.att_kv"].shape }, { { 2, 5, 96 }, { 2, 5, 4, 32, 32 } })
  tensors = make "v7 --standard --no-trace"
  assert(not tensors["trace.emb.x"])
end)

test("ranks of low-rank maps, width of channel mixing, a large vocabulary", function()
  local _, meta = make "v7 --layers 1 --len 2 --decay-rank 7 --iclr-rank 8 --value-rank 9 --gate-rank 10 --dim-ffn 31"
  local found = {}
  for i, name in ipairs { "decay_rank", "iclr_rank", "value_rank", "gate_rank", "dim_ffn" } do found[i] = meta["config." .. name] end
  equal(found, { "7", "8", "9", "10", "31" })
  _, meta = make "v6a --layers 1 --len 2 --mix-rank 3 --gate-rank 11"
  equal({ meta["config.mix_rank"], meta["config.gate_rank"], meta["config.decay_rank"] }, { "3", "11", "5" })
  local tensors = make "v4 --layers 1 --dim 8 --len 2 --vocab 65536"
  equal({ tensors["emb.weight"].shape, tensors.logits.shape }, { { 65536, 8 }, { 1, 2, 65536 } })
end)

test("parameters without effect can stay out, as in many files; the pack opens, and causes are found", function()
  local tensors, meta = make "v7 --layers 2 --dim 16 --vocab 17 --len 12 --no-unused"
  for i = 0, 2 do equal({ tensors["blocks.0.att.v" .. i], tensors["blocks.1.att.v" .. i] ~= nil }, { nil, true }) end
  equal(meta.left_out, "sensitivity unused gradients")
  local model = rwkv.load(dir .. "/p.safetensors")
  local tokens = tensors.tokens.value:tolist()
  local off = rwkv.no_grad(function() return (model:forward(tokens) - tensors.logits.value):abs():max():item() end)
  assert(off < 1e-10, off)
  for layer = 0, 1 do model:param(("blocks.%d.att.k_a"):format(layer)):set(0) end
  local wrong = rwkv.no_grad(function() return (model:forward(tokens)) end)
  rwkv.save_tensors(dir .. "/theirs.safetensors", { { name = "logits", value = wrong } })
  has(golden("diff %D/p.safetensors %D/theirs.safetensors", 1), "[key-no-rescale]")
end)

test("a pack says what it cannot show", function()
  local _, meta, _, out = make "v7 --layers 2"
  has(meta.blind, "a value residual from the layer before (two layers)", "what happens every six layers",
    "the state of the sequence before")
  has(out, "it cannot show a value residual from the layer before (two layers)\n")
  _, meta, _, out = make "v4 --layers 7 --batch 2 --len 17"
  assert(not meta.blind and not out:find "cannot show", out)
end)

-- sizes, sequences, tokens, what cannot be shown; v7 with 8 layers, 2 heads of 12, two sequences of 20 but for this
for _, case in ipairs {
  { {}, 2, 20 }, { { version = "v4" }, 2, 20 }, { {}, 1, 20, "sequences exchanged" }, { {}, 2, 16, "chunks of 16" },
  { {}, 2, 1, "the token shift", "chunks of 16" }, { { version = "v6" }, 2, 2, "the decay, but for the state", "chunks of 16" },
  { {}, 2, 2, "chunks of 16" }, { { layers = 6 }, 2, 20, "every six layers" },
  { { layers = 2 }, 2, 20, "a value residual from the layer before", "every six layers" },
  { { layers = 2, version = "v6" }, 2, 20, "every six layers" },
  { { layers = 1 }, 2, 20, "one layer in the place", "the value residual", "every six layers" },
  { { head_size = 24 }, 2, 20, "heads interleaved, and a norm", "the eps of the removal keys' norm" },
  { { head_size = 24, version = "v6b" }, 2, 20, "heads interleaved, and a norm" },
  { { dim = 128, head_size = 64 }, 2, 20, "eps of 1e-5 times the head size" },
  { { dim = 128, head_size = 64, version = "v6b" }, 2, 20 },
  { { head_size = 8, version = "v5.2" }, 2, 20, "the square of the head size" },
} do
  local c, B, T = { version = "v7", layers = 8, dim = 24, head_size = 12 }, case[2], case[3]
  for name, value in pairs(case[1]) do c[name] = value end
  if c.version == "v4" then c.head_size = nil end
  test(("%d layers, %d channels in heads of %s, %d sequences of %d of %s: what cannot be shown"):format(c.layers, c.dim, c.head_size, B,
    T, c.version), function()
    local tokens = {}
    for b = 1, B do
      tokens[b] = {}
      for t = 1, T do tokens[b][t] = 0 end
    end
    local list = sizes.blind(c, tokens, true)
    equal(#list, #case - 3)
    for i, what in ipairs(list) do has(what, case[3 + i]) end
  end)
end

for _, case in ipairs {
  { "v7 --layers 0", "--layers: expected a whole number from 1, found '0'" }, { "v7 --dim 2.5", "--dim", "'2.5'" },
  { "v7 --len x", "--len", "'x'" }, { "v7 --batch -1", "--batch", "'-1'" }, { "v7 --vocab 1", "--vocab", "from 2" },
  { "v7 --vocab 1e99", "--vocab" }, { "v7 --heads 5", "--dim 24 --heads 5" }, { "v4 --heads 2", "--heads 2: v4 has no such size" },
  { "v1 --heads 1", "--heads 1: v1 has at least 2" }, { "v7 --mix-rank 2", "--mix-rank 2: v7" }, { "v6 --gate-rank 2", "--gate-rank 2: v6" }, { "v5.2 --decay-rank 2", "v5.2" },
  { "v7 --ctx 30", "--ctx 30: v7" }, { "v1 --ctx 3", "--ctx 3: there are 24 tokens" }, { "v7 --head-qk 3", "--head-qk 3: v7" },
  { "v7 --head-size 8", "--head-size" }, { "v7 --seed 1.5", "--seed" }, { "v7 --seed -1", "--seed" }, { "v7 --dtype f8", "f8" },
  { "v6 --no-unused", "--no-unused: every parameter of v6 has an effect" }, { "v8 --heads 2", "v8" },
  { "--weights %D/p.safetensors --standard", "--standard: --weights", "has its own" },
  { "--weights %D/p.safetensors --dim-ffn 24", "--dim-ffn 24: --weights", "has its own" },
} do
  test(case[1] .. ": an error with exit status 2", function()
    has(golden("make " .. case[1] .. " %D/never.safetensors", 2), table.unpack(case, 2))
    assert(not io.open(dir .. "/never.safetensors"))
  end)
end

os.execute("rm -r " .. dir)
