-- RWKV-1: attention with learned weights of positions.
return {
  v1 = { least_heads = 2, context = true, copy_head = "usual",
    embedding = "tok_emb.weight", parts = { att = "attn", ffn = "mlp" }, final_norm = "ln_f", head_gain = "time_out", biases = true,
    formulas = "v1", embed_norm = false,
    half = false,
    weights = { { "time_w$", "uniform", 0.2, 1.2 }, { "time_%l+$", "uniform", 0.5, 1.5 } }, -- alpha, beta, gamma, out
    exponents = true, key_bias = true,
    look = { "#999999", 1, 3 } },
}
