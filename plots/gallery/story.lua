-- The order in which the gallery tells what the figures show. A figure that is not named here comes last, under "Others".
return {
  { title = "Recall", about = "What a model can still say of what it has read.",
    figures = { "mqar_demo", "mqar_versions", "mqar_state", "mqar_goose", "causal_trace", "hybrids", "mad" } },
  { title = "State tracking", about = "What a state can follow step by step: swaps, groups, parity.",
    figures = { "expressivity", "state_tracking", "parity", "listops" } },
  { title = "Long context", about = "What happens far past the length of training.",
    figures = { "longctx_loss", "longctx_rise", "longctx_recall", "first_token" } },
  { title = "Inside the models", about = "Decays, states and numbers while a model computes.",
    figures = { "decay_spectrum", "position_curves", "parameter_stats", "state_norm", "wkv_stability" } },
  { title = "Training", about = "What parts, starts and settings do to learning.",
    figures = { "loss_by_version", "v7_ablation", "v7_history", "ddlerp", "mqar_decay", "mqar_gating", "small_init", "init_ablation", "mqar_init",
      "port_gap" } },
  { title = "Cost", about = "Time and memory against the length of the text.",
    figures = { "speed_memory", "generation_cost", "bench_scaling" } },
  { title = "Benchmarks", about = "How fast this program is, and beside what.",
    figures = { "bench_train", "bench_peers", "bench_decode" } },
}
