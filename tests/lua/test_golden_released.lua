-- Packs of models in files: what is left out of them is not computed either, the pack says so, and it can be compared with all
-- the same.
local rwkv = require "rwkv"
if rwkv.precision ~= "float64" then return end -- as test_golden.lua
local check = require "tests.lua.lib.check"
local make = require "rwkv.golden.make"
local test, equal, shell = check.test, check.equal, check.shell

local dir, golden = require "tests.lua.lib.golden_command"()
local has = check.has

local function save(version, path, hooks)
  local model = rwkv.model { version = version, layers = 2, dim = 16, head_size = 8, vocab = 11, seed = 3, init = "uniform",
    hooks = hooks }
  local rng = rwkv.rng(1)
  for _, t in model:parameters() do
    t:set(rwkv.no_grad(function() return t + rng:tensor("normal", t:shape()) * 0.1 end))
  end
  if hooks then model:save(path) else model:pack "bf16":save(path) end
end
local fast = "--weights %D/model.safetensors --len 5 --no-sensitivity "

for _, version in ipairs { "v1", "v2", "v3", "v4", "v5.2", "v6", "v7" } do
  test(version .. ": packed weights give the numbers of expanded ones, bit for bit", function()
    save(version, dir .. "/model.safetensors")
    golden("make " .. fast .. "%D/expanded.safetensors")
    golden("make " .. fast .. "--no-gradients %D/packed.safetensors")
    local expanded, _, names = rwkv.load_tensors(dir .. "/expanded.safetensors")
    local packed, meta = rwkv.load_tensors(dir .. "/packed.safetensors")
    local compared = 0
    for _, name in ipairs(names) do
      if not name:find "^grad%." and name ~= "loss" then
        equal(packed[name].value:tolist(), expanded[name].value:tolist())
        compared = compared + 1
      end
    end
    assert(compared > 40, compared)
    equal(packed.loss.value:item(), expanded.loss.value:item(), 1e-14) -- of one run, and of one token after another
    equal(meta.left_out, "sensitivity gradients")
  end)
end

-- ---- what is left out ----

local runs = 0
rwkv.hook { kind = "channel_mix", name = "counted", apply = function(_, _, d)
  runs = runs + 1
  return rwkv.zeros(d.B, d.T, d.C)
end }
local defaults = { len = "4", seed = 0, dtype = "f32", weights = dir .. "/counted.safetensors", tokens = "", no_gradients = true,
  trace = "", no_trace = true, no_sensitivity = false, allow_weak = false, no_weights = false, with_weights = false, profile = "" }
save("v7", dir .. "/counted.safetensors", { channel_mix = "counted" })
for _, case in ipairs { { "no_sensitivity", 1 }, { "allow_weak", 1 }, { "neither", 2 } } do
  test(("a released model is run once for each token (%s)"):format(case[1]), function()
    local o = { [case[1]] = true }
    for name, value in pairs(defaults) do if o[name] == nil then o[name] = value end end
    o.neither, runs = nil, 0
    local ok, message = pcall(make.pack, "v7", o, dir .. "/p.safetensors")
    if case[2] == 1 then
      assert(ok, message)
      equal(runs, 2 * 4) -- layers, tokens
    else
      assert(runs > 2 * 2 * 30, runs) -- layers, a run of all tokens for each change of each parameter
    end
    rwkv.backend "reference"
  end)
end

test("one token of a released model is one run, without a look at what hardly matters; the pack says what it cannot show", function()
  save("v7", dir .. "/model.safetensors")
  has(golden "make --weights %D/model.safetensors --len 1 --no-gradients --no-trace --allow-weak %D/p.safetensors",
    "it cannot show the token shift")
  local tensors, meta = rwkv.load_tensors(dir .. "/p.safetensors")
  equal({ tensors.logits.shape, meta.left_out }, { { 1, 1, 11 }, "sensitivity intermediates gradients" })
  has(meta.blind, "the token shift", "one sequence", "two layers")
end)

test("intermediates are chosen by words", function()
  save("v7", dir .. "/model.safetensors")
  local function traced(options)
    golden("make " .. fast .. "--no-gradients " .. options .. " %D/p.safetensors")
    local _, meta, names = rwkv.load_tensors(dir .. "/p.safetensors")
    local list = {}
    for _, name in ipairs(names) do if name:find "^trace" then list[#list + 1] = name end end
    return table.concat(list, " "), meta
  end
  local list, meta = traced "--trace blocks.1.att.w,out.x"
  equal(list, "trace.blocks.0.out.x trace.blocks.1.att.w trace.blocks.1.att.wkv trace.blocks.1.out.x")
  equal({ meta.trace, meta.left_out }, { "blocks.1.att.w,out.x", "sensitivity gradients" })
  equal(traced "--trace state*kv", "trace.state.0.att_kv trace.state.1.att_kv")
  list, meta = traced "--no-trace"
  equal({ list, meta.left_out, meta.trace }, { "", "sensitivity intermediates gradients" })
  has(golden("make " .. fast .. "--trace out.x,nothing %D/never.safetensors", 2), "--trace nothing", "emb.x", "state.1.ffn_xx")
  has(golden("make " .. fast .. "--trace , %D/never.safetensors", 2), "--trace ,", "words")
  assert(not io.open(dir .. "/never.safetensors"))
end)

test("a pack without its weights names their file, and is compared with the rest; causes want the file", function()
  save("v7", dir .. "/model.safetensors")
  golden("make " .. fast .. "--no-weights %D/p.safetensors")
  local tensors, meta, names = rwkv.load_tensors(dir .. "/p.safetensors")
  equal(names[1], "tokens")
  equal(meta.left_out, "sensitivity weights")
  equal(meta["weights.file"], "model.safetensors")
  equal(meta["weights.bytes"], tostring(#rwkv.read_file(dir .. "/model.safetensors")))
  equal(meta["weights.sha256"], (shell(("sha256sum %s/model.safetensors"):format(dir)):match "%x+"))
  has(golden "diff %D/p.safetensors %D/p.safetensors", "all agree")

  local model = rwkv.load(dir .. "/model.safetensors")
  for layer = 0, 1 do model:param(("blocks.%d.att.k_a"):format(layer)):set(0) end -- a port that does not rescale its keys
  local wrong = rwkv.no_grad(function() return (model:forward(tensors.tokens.value:tolist()[1])) end)
  rwkv.save_tensors(dir .. "/theirs.safetensors", { { name = "logits", value = wrong } })
  has(golden("diff %D/p.safetensors %D/theirs.safetensors", 1), "causes are not looked for", "--weights model.safetensors")
  has(golden("diff %D/p.safetensors %D/theirs.safetensors --weights %D/model.safetensors", 1), "[key-no-rescale]")
  has(golden("diff %D/p.safetensors %D/theirs.safetensors --weights %D/theirs.safetensors", 2), "theirs.safetensors: its sha256 is",
    meta["weights.sha256"])
  golden("make " .. fast .. "%D/whole.safetensors")
  has(golden("diff %D/whole.safetensors %D/theirs.safetensors --weights %D/model.safetensors", 2), "holds its weights")
end)

test("weights in float64 are those that the numbers were made with", function()
  local model, list = rwkv.model { version = "v4", layers = 1, dim = 8, vocab = 5 }, {}
  for name, p in model:parameters() do
    list[#list + 1] = { name = name, dtype = "f64", value = rwkv.no_grad(function() return p + 1e-9 end) }
  end
  rwkv.save_tensors(dir .. "/double.safetensors", list)
  golden "make --weights %D/double.safetensors --len 3 --no-sensitivity %D/p.safetensors"
  local tensors, meta = rwkv.load_tensors(dir .. "/p.safetensors")
  equal(meta.dtype, "f64")
  for _, e in ipairs(list) do equal(tensors[e.name].value:tolist(), e.value:tolist()) end
end)

test("the weights of a large file stay out, unless they are asked for", function()
  local path = dir .. "/large.safetensors"
  rwkv.model { version = "v4", layers = 1, dim = 32, vocab = 1000000, init = "uniform" }:pack "bf16":save(path)
  assert(#rwkv.read_file(path) > 100e6)
  local function first(options)
    golden(("make --weights %s --len 1 --no-sensitivity --no-gradients --trace out.x %s %%D/p.safetensors"):format(path, options))
    local _, meta, names = rwkv.load_tensors(dir .. "/p.safetensors")
    return names[1], meta.left_out
  end
  equal({ first "" }, { "tokens", "sensitivity weights gradients" })
  equal({ first "--with-weights" }, { "emb.weight", "sensitivity gradients" })
  os.remove(path)
end)

for _, case in ipairs {
  { "--trace x --no-trace", "--trace x and --no-trace exclude each other" },
  { "--no-weights --with-weights", "exclude each other" }, { "--layers 4", "--layers 4", "has its own" },
  { "--dtype f64", "--dtype f64" }, { "--tokens %D/p.safetensors", "--len 5", "has its own" },
} do
  test(case[1] .. ": an error with exit status 2", function()
    has(golden("make " .. fast .. case[1] .. " %D/never.safetensors", 2), table.unpack(case, 2))
  end)
end

test("what has no file to name, or is another model", function()
  has(golden("make v7 --no-weights %D/never.safetensors", 2), "random weights")
  has(golden("make v4 " .. fast .. "%D/never.safetensors", 2), "a model of v7, not of v4")
end)

os.execute("rm -r " .. dir)
