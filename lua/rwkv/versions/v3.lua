-- RWKV-3.
return {
  v3 = { heads = false, copy_head = "usual",
    formulas = "v2_v3", sums_read = "att.y",
    channel_mix = { tag = "v2.6", mixes = { { "xk", "time_mix_k" }, { "xr", "time_mix_r" } }, receptance = true },
    half = false,
    weights = { { "time_mix[_%l]*$", "uniform", -0.2, 1.2 }, { "time_decay$", "decays", -9, -4, 1 }, { "time_first$", "normal", 0.7 } },
    exponents = true, early_key = true,
    look = { "#7a6a4f", 3, 2 } },
}
