-- RWKV-4 Dove: sums of exponentials with the largest exponent taken out.
local published = require "rwkv.versions.published"

return {
  v4 = { heads = false, copy_head = "possible",
    formulas = "v4", sums_read = "att.wkv",
    exponents = true,
    chunks = false, in_fla = false,
    look = { "#0072B2", 5, 1 },
    published = { source = "text: Table 2 of arXiv:2305.13048; FLOPs of 430M to 7B recalled",
      sizes = published.sizes(50277, { { "169M", 12, 768, "1.693e8", "2.613e8" }, { "430M", 24, 1024, "4.304e8", "7.573e8" },
        { "1.5B", 24, 2048, "1.515e9", "2.823e9" }, { "3B", 32, 2560, "2.985e9", "5.710e9" },
        { "7B", 32, 4096, "7.393e9", "1.437e10" }, { "14B", 40, 5120, "1.415e10", "2.778e10" } }),
      formulas = { { "parameters", "2VD + 13D²L + D(11L + 4)", published.parameters(11), "text: arXiv:2305.13048" },
        { "products", "2(VD + 13D²L)", function(m) return 2 * (m.vocab * m.dim + 13 * m.dim ^ 2 * m.layers) end,
          "the FLOPs of Table 2; its text has 2(2VD + 13D²L)" },
        { "state_floats", "5DL", function(m) return 5 * m.dim * m.layers end, "text: arXiv:2305.13048" } } } },
}
