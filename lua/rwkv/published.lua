-- Released models, and what was published of their sizes: what `aviary info VERSION` prints beside what is counted here.
--
-- A version: sizes = { { "169M", model = as rwkv.model takes it, COUNT = text as it was published }, .. }, formulas =
-- { { COUNT, text, function(m) of such a model, provenance }, .. }. A COUNT is one of sizes.count (sizes.lua). source: the provenance of
-- the sizes: text, code, summary or recalled, as in plots/published/.

local function state_of_heads(m) return m.layers * (2 * m.dim + 64 * m.dim) end

-- 2VD + 13D²L + vectors DL + 4D
local function parameters(vectors)
  return function(m) return 2 * m.vocab * m.dim + 13 * m.dim ^ 2 * m.layers + vectors * m.dim * m.layers + 4 * m.dim end
end

local function sizes(vocab, list)
  local all = {}
  for i, s in ipairs(list) do
    all[i] = { s[1], model = { layers = s[2], dim = s[3], vocab = vocab }, parameters = s[4], products = s[5] }
  end
  return all
end

local eagle = "recalled: arXiv:2404.05892"

return {
  v4 = { source = "text: Table 2 of arXiv:2305.13048; FLOPs of 430M to 7B recalled",
    sizes = sizes(50277, { { "169M", 12, 768, "1.693e8", "2.613e8" }, { "430M", 24, 1024, "4.304e8", "7.573e8" },
      { "1.5B", 24, 2048, "1.515e9", "2.823e9" }, { "3B", 32, 2560, "2.985e9", "5.710e9" },
      { "7B", 32, 4096, "7.393e9", "1.437e10" }, { "14B", 40, 5120, "1.415e10", "2.778e10" } }),
    formulas = { { "parameters", "2VD + 13D²L + D(11L + 4)", parameters(11), "text: arXiv:2305.13048" },
      { "products", "2(VD + 13D²L)", function(m) return 2 * (m.vocab * m.dim + 13 * m.dim ^ 2 * m.layers) end,
        "the FLOPs of Table 2; its text has 2(2VD + 13D²L)" },
      { "state_floats", "5DL", function(m) return 5 * m.dim * m.layers end, "text: arXiv:2305.13048" } } },
  ["v5.2"] = { source = eagle,
    sizes = sizes(65536, { { "0.4B", 24, 1024 }, { "1.5B", 24, 2048 }, { "3B", 32, 2560 }, { "7B", 32, 4096 } }),
    formulas = { { "parameters", "2VD + 13D²L + 14DL + 4D", parameters(14), eagle },
      { "state_floats", "66DL", state_of_heads, "text: arXiv:2404.05892" } } },
  v6 = { source = eagle, sizes = sizes(65536, { { "1.6B", 24, 2048 }, { "3B", 32, 2560 } }),
    formulas = { { "parameters", "2VD + 13D²L + 464DL + 4D", parameters(464), eagle },
      { "state_floats", "66DL", state_of_heads, "text: arXiv:2404.05892" } } },
  v7 = { source = "code: RWKV-v5/src/model.py (x070)",
    sizes = { -- ranks of decay, in-context learning rate, value and gate as released
      { "0.1B", model = { layers = 12, dim = 768, vocab = 65536, decay_rank = 64, iclr_rank = 64, value_rank = 32, gate_rank = 128 } },
      { "0.4B", model = { layers = 24, dim = 1024, vocab = 65536, decay_rank = 64, iclr_rank = 64, value_rank = 32, gate_rank = 128 },
        parameters = "450767872", stored = "450834432", state_floats = "1622016" },
    },
    formulas = { { "stored", "2VD + 4D + L(19D + 12D² + 2D(64 + 32 + 64 + 128))", function(m)
      local D = m.dim
      return 2 * m.vocab * D + 4 * D + m.layers * (19 * D + 12 * D ^ 2 + 2 * D * (m.iclr_rank + m.value_rank + m.decay_rank + m.gate_rank))
    end, "code" },
      { "state_floats", "L(2D + 64D)", state_of_heads, "code" } },
    -- MQAR of 2048 tokens with 256 pairs from 4096 keys and as many values, 2 layers of width 64: what is recalled, over the
    -- numbers of the matrix states.
    density = { model = { layers = 2, dim = 64, vocab = 8192 }, pairs = 256, accuracy = 0.7293, choices = 4096 ^ 2, published = "0.547",
      source = "summary: arXiv:2503.14456" } },
}
