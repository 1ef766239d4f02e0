-- Small models of every version with the weights of packs, as the project has them and as the independent port does.
--   golden_models.of(version, { layers =, dim =, heads =, vocab =, len =, batch =, seed = }) -> { model =, config =,
--     tokens = [B,T] lists, weights = { name = tensor }, lists = { name = { numbers, shape = {..} } } }
--   golden_models.lines(m, format) -> its lines (formulas), and what an environment computes them with, in f64 or another arithmetic
local rwkv = require "rwkv"
local core = require "rwkv.core"
local fill = require "rwkv.golden.weights"
local formulas = require "rwkv.golden.formulas"
local machine = require "rwkv.golden.machine"

local golden_models = {
  versions = rwkv.versions(),
  ported = { "v1", "v2", "v3", "v4", "v5.0", "v5.1", "v5.2", "v6", "v6a", "v6b", "v7" }, -- the independent port has them
}

function golden_models.of(version, o)
  local vocab, len, batch = o.vocab or 17, o.len or 12, o.batch or 2
  local q = { version = version, layers = o.layers or 3, dim = o.dim or 16, vocab = vocab }
  if version ~= "v4" then q.head_size = q.dim // (o.heads or 2) end
  if version == "v1" then q.ctx = len + 3 end
  if version:find "^v[123]$" then q.head_qk = 12 end
  local model, rng, tokens = rwkv.model(q), rwkv.rng(o.seed or 3), {}
  for b = 1, batch do
    tokens[b] = {}
    for t = 1, len do tokens[b][t] = rng:integer(0, vocab - 1) end
  end
  fill(model, tokens, o.seed or 0, "f32")
  local m = { version = version, model = model, config = model:config(), tokens = tokens, weights = {}, lists = {} }
  for name, p in model:parameters() do
    m.weights[name] = p:keep()
    m.lists[name] = p:reshape(-1):tolist()
    m.lists[name].shape = p:shape()
  end
  core.end_step()
  return m
end

function golden_models.lines(m, format)
  return assert(formulas.of(m.config)), { machine = machine(format or "f64"), tokens = m.tokens,
    weight = function(name) return m.weights[name] end }
end

return golden_models
