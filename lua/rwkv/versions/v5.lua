-- RWKV-5 Eagle, with the two versions before it: a matrix for each head.
local published = require "rwkv.versions.published"

return {
  ["v5.0"] = { formulas = "v5_v6", bonus = "time_first", bonus_exponent = true,
    look = { "#1b2a6b", 6, 3 } },
  ["v5.1"] = { formulas = "v5_v6", bonus = "time_faaaa", gate = "silu",
    look = { "#a99bd6", 8, 4 } },
  ["v5.2"] = { formulas = "v5_v6", bonus = "time_faaaa", gate = "silu",
    look = { "#56B4E9", 7, 1 },
    published = { source = published.eagle,
      sizes = published.sizes(65536, { { "0.4B", 24, 1024 }, { "1.5B", 24, 2048 }, { "3B", 32, 2560 }, { "7B", 32, 4096 } }),
      formulas = { { "parameters", "2VD + 13D²L + 14DL + 4D", published.parameters(14), published.eagle },
        { "state_floats", "66DL", published.state_of_heads, "text: arXiv:2404.05892" } } } },
}
