-- What `bench decode` and `bench prefill` share: a model of random weights of a usual size, kept as --dtype says.
local rwkv = require "rwkv"
local common = require "rwkv.bench.common"
local others = require "rwkv.bench.others"
local versions = require "rwkv.versions"
local visible = require "rwkv.visible"

local infer = {}

-- layers, dim and vocabulary of the published models of that many parameters
local sizes = { ["0.1b"] = { 12, 768, 65536 }, ["0.4b"] = { 24, 1024, 65536 }, ["1.5b"] = { 24, 2048, 65536 },
  tiny = { 2, 64, 256 } }

function infer.options(arguments, n)
  local list = {}
  for i, word in ipairs(arguments) do list[i] = word == "-n" and "--n" or word end
  local o = common.options(list, { version = "v7", size = "0.1b", dtype = "f32", model = "", threads = 1, n = n, tries = others.most })
  if not sizes[o.size] then common.fail("option --size: expected 0.1b, 0.4b, 1.5b or tiny, found '%s'", o.size) end
  if o.dtype ~= "f32" and o.dtype ~= "bf16" and o.dtype ~= "f16" then
    common.fail("option --dtype: expected f32, bf16 or f16, found '%s'", o.dtype)
  end
  return o
end

function infer.model(o)
  if o.model ~= "" then return rwkv.load(o.model, { weights = "packed" }) end
  local layers, dim, vocab = table.unpack(sizes[o.size])
  local packed = rwkv.model { version = o.version, layers = layers, dim = dim, vocab = vocab, ctx = 4096,
    init = "uniform", seed = 1 }:pack(o.dtype)
  collectgarbage()
  collectgarbage() -- tokens are measured with nothing else in memory
  return packed
end

-- Bytes of weights that a token needs: all of them, but one row of the embedding.
function infer.bytes_a_token(model)
  local config = model:config()
  local table_bytes = model:weight_bytes(versions.of(config.version).embedding)
  return model:weight_bytes() - table_bytes + table_bytes // config.vocab
end

function infer.describe(o, model)
  local c = model:config()
  local weights = o.model ~= "" and visible.line(o.model) or "weights of " .. o.dtype
  return ("RWKV %s, %d layers, dim %d, vocab %d, %s: %.0f MB; %s"):format(c.version, c.layers, c.dim, c.vocab,
    weights, model:weight_bytes() / 1e6, common.computed_by(o.threads))
end

return infer
