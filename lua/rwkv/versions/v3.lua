-- RWKV-3.
return {
  v3 = { heads = false, copy_head = "usual",
    formulas = "v2_v3", sums_read = "att.y",
    channel_mix = { tag = "v2.6", mixes = { { "xk", "time_mix_k" }, { "xr", "time_mix_r" } }, receptance = true },
    half = false,
    exponents = true, early_key = true,
    look = { "#7a6a4f", 3, 2 } },
}
