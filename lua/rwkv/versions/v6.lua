-- RWKV-6 Finch: mixes and decays that depend on the token. v6a has a low-rank gate, v6b no gate and one norm over all channels.
local published = require "rwkv.versions.published"

local weights = { { "time_maa_%l$", "uniform", -0.2, 1.2 }, { "time_maa_[rkvw_]*w1$", "matrix", 1, 1 },
  { "time_maa_[rkvw_]*w2$", "matrix", 0.5, 2 }, { "time_decay_w1$", "matrix", 1, 1 }, { "time_decay_w2$", "matrix", 1.5, 1 },
  { "time_decay$", "decays", -9, -4, 1 }, { "time_faaaa$", "normal", 1 }, { "gate_w[12]$", "matrix", 1.5, 1 } }

local channel_mix = { tag = "v6.5", mixes = { { "xk", "time_maa_k" }, { "xr", "time_maa_r" } }, receptance = true }

local low_mixes = { streams = { "w", "k", "v", "r", "g" }, w1 = "time_maa_w1", w2 = "time_maa_w2" }

return {
  v6 = { ranks = { decay_rank = 5, mix_rank = 4 },
    formulas = "v5_v6", channel_mix = channel_mix, lerps_to_prev = true, bonus = "time_faaaa", gate = "silu", low_mixes = low_mixes,
    weights = weights,
    fla_norm_eps = "norm_eps",
    look = { "#009E73", 9, 1 },
    published = { source = published.eagle, sizes = published.sizes(65536, { { "1.6B", 24, 2048 }, { "3B", 32, 2560 } }),
      formulas = { { "parameters", "2VD + 13D²L + 464DL + 4D", published.parameters(464), published.eagle },
        { "state_floats", "66DL", published.state_of_heads, "text: arXiv:2404.05892" } } } },
  v6a = { ranks = { decay_rank = 5, mix_rank = 4, gate_rank = 6 },
    formulas = "v5_v6", channel_mix = channel_mix, lerps_to_prev = true, bonus = "time_faaaa", gate = "low rank", low_mixes = low_mixes,
    weights = weights,
    look = { "#7ccba2", 10, 3 } },
  v6b = { ranks = { decay_rank = 5, mix_rank = 4 },
    formulas = "v5_v6", channel_mix = channel_mix, lerps_to_prev = true, bonus = "time_faaaa",
    low_mixes = { streams = { "r", "k", "v", "w" }, w1 = "time_maa_rkvw_w1", w2 = "time_maa_rkvw_w2" },
    group_eps = 1e-5, one_norm = true,
    weights = weights,
    look = { "#0b5d3b", 11, 4 } },
}
