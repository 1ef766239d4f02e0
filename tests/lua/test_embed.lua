-- model:embed: vectors of texts, against sums over model:hidden and the parts of the state.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local bytes = require "tests.lua.lib.bytes_tokenizer"
local test, equal, fails = check.test, check.equal, check.fails

local function small(version)
  return rwkv.model { version = version, layers = 2, dim = 32, vocab = 256, head_size = version >= "v5" and 8 or nil,
    ctx = version == "v1" and 64 or nil, init = "uniform", seed = 1 }
end

local function length(row)
  local sum = 0
  for _, x in ipairs(row) do sum = sum + x * x end
  return math.sqrt(sum)
end

local text, other = "some words", "others"

for _, version in ipairs { "v1", "v4", "v7" } do
  test(version .. ": of the output of the last norm", function()
    local model, tokenizer = small(version), bytes()
    local y = rwkv.no_grad(function() return (model:forward(tokenizer:encode(text), nil, { hidden = true })) end):tolist()[1]
    local mean = {}
    for c = 1, 32 do
      mean[c] = 0
      for _, row in ipairs(y) do mean[c] = mean[c] + row[c] / #y end
    end
    local q = { tokenizer = tokenizer, normalize = false, piece = 4 }
    equal(model:embed(text, q):tolist(), { mean }, 1e-5)
    q.pool = "last"
    equal(model:embed({ other, text }, q):tolist()[2], y[#y], 1e-5)
    q.normalize = nil
    local row = model:embed({ text }, q):tolist()[1]
    equal(length(row), 1, 1e-5)
    equal(row[3] * length(y[#y]), y[#y][3], 1e-5)
  end)
end

test("of the state", function()
  local model, tokenizer = small "v7", bytes()
  local ids = tokenizer:encode(text)
  local _, state = rwkv.no_grad(function() return model:forward(ids) end)
  local want = {}
  for _, name in ipairs(state:names()) do
    if name:find "^1%." then for _, x in ipairs(state:get(name):reshape(-1):tolist()) do want[#want + 1] = x end end
  end
  local q = { tokenizer = tokenizer, from = "state", normalize = false, piece = 3 }
  equal(model:embed(text, q):tolist(), { want }, 1e-5)
  q.layer = 2
  equal(model:embed(ids, q):tolist(), { want }, 1e-5)
  q.layer = 1
  assert(model:embed(text, q):tolist()[1][40] ~= want[40])
  equal(#want, model:state_floats() // 2)
end)

test("a token of the end is added", function()
  local model, tokenizer = small "v7", bytes()
  equal(model:embed("ab", { tokenizer = tokenizer, end_id = 5 }):tolist(), model:embed({ 97, 98, 5 }):tolist())
  equal(model:embed("", { tokenizer = tokenizer, end_id = 5 }):tolist(), model:embed { 5 }:tolist())
end)

test("a vector with numbers that are not finite is an error", function()
  local model = rwkv.model { version = "v7", layers = 1, dim = 8, head_size = 4, vocab = 9 }
  model:param "ln_out.bias":set(0 / 0)
  fails(function() model:embed { { 1, 2 }, { 3 } } end, "text 1", "not finite")
end)

test("what cannot be is refused", function()
  local model, tokenizer = small "v7", bytes()
  local function refused(q, ...)
    local words = { ... }
    fails(function() model:embed({ 1 }, q) end, "embed: ", table.unpack(words))
  end
  refused({ pooling = "mean" }, "pooling", "pool")
  refused({ pool = "max" }, "pool", "'mean' or 'last'", "max")
  refused({ from = "logits" }, "from", "'hidden' or 'state'")
  refused({ layer = 1 }, "layer", "from = 'state'")
  refused({ layer = 3, from = "state" }, "layer", "1 to 2")
  refused({ layer = 0, from = "state" }, "layer", "1 to 2")
  refused({ layer = 0.5, from = "state" }, "layer")
  refused({ pool = "mean", from = "state" }, "pool", "'hidden'")
  refused({ piece = 0 }, "piece")
  refused({ normalize = 1 }, "normalize")
  refused(1, "table of options")
  fails(function() model:embed("", { tokenizer = tokenizer }) end, "text 1 is empty")
  fails(function() model:embed "x" end, "tokenizer")
  fails(function() model:embed({}) end, "no text")
  fails(function() model:embed({ "x", 5 }, { tokenizer = tokenizer }) end, "text 2 is a number")
  fails(function() model:embed { 256 } end, "256 at sequence 1, position 1")
  fails(function() small "v1":embed({ 1 }, { from = "state" }) end, "grows")
end)
