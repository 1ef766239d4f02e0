-- RWKV-2: sums weighed with e^k. It normalises the residual stream itself, and reads it as it is: what it reads it with is scaled up.
local small = 2 ^ -8

return {
  v2 = { heads = false, copy_head = "usual",
    formulas = "v2_v3", embed_norm = false, adds_to_normed = true, one_mix = "time_mix", sums_read = "att.y",
    channel_mix = { tag = "v2.6", mixes = { { "xk", "time_mix" }, { "xr", "time_mix" } }, receptance = true },
    half = false, sums_eps = 1e-16,
    exponents = true, early_key = true,
    writers = { ["%.ln[12]%."] = small, ["%.att%.output%."] = small, ["%.ffn%.value%."] = small, ["%.key%."] = 1 / small,
      ["%.receptance%."] = 1 / small, ["%.att%.value%."] = 1 / small },
    look = { "#c9b18b", 2, 4 } },
}
