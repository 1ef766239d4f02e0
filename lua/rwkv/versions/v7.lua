-- RWKV-7 Goose: removal keys, in-context learning rates, a value residual. Of its parameters none stays in float32: RWKV-LM's demo keeps
-- w0, the pip package does not. Block 0 has no values before its own: official code has a value residual there, many files leave it out.
-- Of k_k only the direction counts, as k * k_k is divided by its length.
local published = require "rwkv.versions.published"

local weights = { { "x_%l$", "uniform", -0.2, 1.2 }, { "att%.w0$", "decays", -9, -5, 1 }, { "att%.[av]0$", "normal", 1 },
  { "att%.[wavg]1$", "matrix", 1, 1 }, { "att%.[av]2$", "matrix", 1, 1 }, { "att%.[wg]2$", "matrix", 3, 1 },
  { "att%.k_k$", "uniform", 0.4, 1.6 }, { "att%.k_a$", "uniform", 0.3, 1.3 }, { "att%.r_k$", "normal", 0.5 } }

return {
  v7 = { ranks = { decay_rank = 5, iclr_rank = 4, value_rank = 3, gate_rank = 6 },
    formulas = "v7", channel_mix = { tag = "v7.12", mixes = { { "xk", "x_k" } }, receptance = false }, lerps_to_prev = true,
    value_residual = true,
    stays_float32 = {}, unused = { "^blocks%.0%.att%.v[012]$" }, scale_free = { "%.k_k$" },
    weights = weights, removal_keys = true,
    begins_with = "zero",
    look = { "#D55E00", 13, 1 },
    published = { source = "code: RWKV-v5/src/model.py (x070)",
      sizes = { -- ranks of decay, in-context learning rate, value and gate as released
        { "0.1B", model = { layers = 12, dim = 768, vocab = 65536, decay_rank = 64, iclr_rank = 64, value_rank = 32, gate_rank = 128 } },
        { "0.4B", model = { layers = 24, dim = 1024, vocab = 65536, decay_rank = 64, iclr_rank = 64, value_rank = 32, gate_rank = 128 },
          parameters = "450767872", stored = "450834432", state_floats = "1622016" },
      },
      formulas = { { "stored", "2VD + 4D + L(19D + 12D² + 2D(64 + 32 + 64 + 128))", function(m)
        local D = m.dim
        return 2 * m.vocab * D + 4 * D + m.layers * (19 * D + 12 * D ^ 2 + 2 * D * (m.iclr_rank + m.value_rank + m.decay_rank + m.gate_rank))
      end, "code" },
        { "state_floats", "L(2D + 64D)", published.state_of_heads, "code" } },
      -- MQAR of 2048 tokens with 256 pairs from 4096 keys and as many values, 2 layers of width 64: what is recalled, over the
      -- numbers of the matrix states.
      density = { model = { layers = 2, dim = 64, vocab = 8192 }, pairs = 256, accuracy = 0.7293, choices = 4096 ^ 2, published = "0.547",
        source = "summary: arXiv:2503.14456" } } },
}
