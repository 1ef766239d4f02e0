/* RWKV-7's parts, of which its release candidates and what came after it are made. */
#ifndef AVIARY_V7_H
#define AVIARY_V7_H

#include "version.h"

void v7_init_ffn_mix(const Init *in); /* 1 - (c/C)^((1 - layer/L)^4) */

/* clang-format off */
#define V7_PARTS(P)                                                                                               \
  /* field      official name            shape            where               initial value         gain  lr */ \
  P(x_r,        "att.x_r",               S3(one, one, C), has_shift,          init_prev_mix,         0.2, 1)    \
  P(x_w,        "att.x_w",               S3(one, one, C), has_shift,          init_prev_mix,         0.9, 1)    \
  P(x_k,        "att.x_k",               S3(one, one, C), has_shift,          init_prev_mix,         0.7, 1)    \
  P(x_v,        "att.x_v",               S3(one, one, C), has_shift,          init_prev_mix,         0.7, 1)    \
  P(x_a,        "att.x_a",               S3(one, one, C), has_shift,          init_prev_mix,         0.9, 1)    \
  P(x_g,        "att.x_g",               S3(one, one, C), has_shift,          init_prev_mix,         0.2, 1)    \
  P(w0,         "att.w0",                S3(one, one, C), has_decay,          init_decay_v7,           0, 2)    \
  P(w1,         "att.w1",                S2(C, Dw),       has_decay,          init_fill,               0, 1)    \
  P(w2,         "att.w2",                S2(Dw, C),       has_decay,          init_ortho_wide,       0.1, 1)    \
  P(a0,         "att.a0",                S3(one, one, C), has_iclr,           init_iclr,               0, 1)    \
  P(a1,         "att.a1",                S2(C, Da),       has_iclr,           init_fill,               0, 1)    \
  P(a2,         "att.a2",                S2(Da, C),       has_iclr,           init_ortho_wide,       0.1, 1)    \
  P(v0,         "att.v0",                S3(one, one, C), has_value_residual, init_value_residual,     0, 1)    \
  P(v1,         "att.v1",                S2(C, Dv),       has_value_residual, init_fill,               0, 1)    \
  P(v2,         "att.v2",                S2(Dv, C),       has_value_residual, init_ortho_wide,       0.1, 1)    \
  P(g1,         "att.g1",                S2(C, Dg),       has_gate,           init_fill,               0, 1)    \
  P(g2,         "att.g2",                S2(Dg, C),       has_gate,           init_ortho_wide,       0.1, 1)    \
  P(k_k,        "att.k_k",               S3(one, one, C), has_key_norm,       init_key_norm,           0, 1)    \
  P(k_a,        "att.k_a",               S3(one, one, C), has_key_scale,      init_fill,            1.02, 1)    \
  P(r_k,        "att.r_k",               S2(H, N),        has_bonus,          init_fill,           -0.04, 1)    \
  P(receptance, "att.receptance.weight", S2(C, C),        has_receptance,     init_orthogonal,         1, 1)    \
  P(key,        "att.key.weight",        S2(C, C),        has_time_mix,       init_orthogonal,       0.1, 1)    \
  P(value,      "att.value.weight",      S2(C, C),        has_time_mix,       init_orthogonal,         1, 1)    \
  P(output,     "att.output.weight",     S2(C, C),        has_time_mix,       init_fill,               0, 1)    \
  P(ln_x_w,     "att.ln_x.weight",       S1(C),           has_norm,           init_ln_x,               0, 1)    \
  P(ln_x_b,     "att.ln_x.bias",         S1(C),           has_norm,           init_fill,               0, 1)    \
  P(ffn_x_k,    "ffn.x_k",               S3(one, one, C), has_ffn_shift,      v7_init_ffn_mix,        0, 1)    \
  P(ffn_key,    "ffn.key.weight",        S2(F, C),        has_channel_mix,    init_orthogonal,         1, 1)    \
  P(ffn_value,  "ffn.value.weight",      S2(C, F),        has_channel_mix,    init_fill,               0, 1)

#define V7_BLOCK(P)                                                                                             \
  BLOCK_NORMS(P)                                                                                                \
  V7_PARTS(P)
/* clang-format on */

typedef struct {
  V7_BLOCK(PARAM_FIELD)
} V7Block;
extern const ParamSpec v7_global_params[4]; /* of a Global */

/* What is remembered of a layer; a version's list of states begins with it. */
enum { V7_ATT_XX, V7_ATT_KV, V7_FFN_XX, V7_STATES };
/* clang-format off */
#define V7_STATE                                                                                                \
  /* part        name      shape        where            start */                                               \
  [V7_ATT_XX] = {"att_xx", S1(C),       has_shift_state, 0},                                                    \
  [V7_ATT_KV] = {"att_kv", S3(H, N, N), has_recurrence,  0}, /* S [H, value, key]: transposed beside v5, v6 */  \
  [V7_FFN_XX] = {"ffn_xx", S1(C),       has_channel_mix, 0}

/* What it does itself in the slots of hooks, but for the channel mix. */
#define V7_OWN                                                                                                  \
  [HOOK_SHIFT] = "lerp", [HOOK_FFN_SHIFT] = "lerp", [HOOK_RECEPTANCE] = "linear", [HOOK_DECAY] = "v7",          \
  [HOOK_ICLR] = "full", [HOOK_GATE] = "sigmoid-lora", [HOOK_BONUS] = "v7", [HOOK_KEY_NORM] = "l2",              \
  [HOOK_KEY_SCALE] = "v7", [HOOK_VALUE_RESIDUAL] = "lora", [HOOK_RECURRENCE] = "wkv7", [HOOK_NORM] = "group",   \
  [HOOK_TIME_MIX] = "v7", [HOOK_TIME_OUT] = "none", [HOOK_CHANNEL_OUT] = "none"
#define V7_STREAMS .streams = "r w k v a g", .ffn_streams = "k", .recurrence = "r w k v a b"
/* clang-format on */

extern const StateSpec v7_state[V7_STATES];

/* Time mixing: x [B,T,C] -> [B,T,C]. */
Tensor *v7_time_mix(Pass *ps, const V7Block *p, Tensor *x, Tensor **st);
/* The same from what goes into the recurrence on, each [B,T,C]; w may be [C], g NULL: no gate. */
typedef struct {
  Tensor *r, *w, *k, *v, *kappa, *a, *g;
} V7Inputs;
typedef struct {
  Tensor *r_k, *ln_x_w, *ln_x_b, *output;
} V7Outputs;
Tensor *v7_read_state(Pass *ps, const V7Inputs *in, const V7Outputs *out, Tensor **S);
/* The value residual, and the values of the first block for those after it. xv: the mix that the values are made of. */
Tensor *v7_value(Pass *ps, Tensor *v0, Tensor *xv, Tensor *bias, Tensor *w1, Tensor *w2, Tensor **mix);

/* Channel mixing up to its hidden layer, relu(W_k z)^2: x [B,T,C] -> [B,T,F]. */
Tensor *v7_hidden(Pass *ps, Tensor *mu, Tensor *key, Tensor *x, Tensor **carry);
Tensor *v7_channel_mix(Pass *ps, Tensor *mu, Tensor *key, Tensor *value, Tensor *x, Tensor **carry);

/* A block that has the time mixing and another channel mixing; `p` is what that is given. v7_sums: without the norm of
   the embedding, and with what is added beside time mixing [B,T,C], or NULL. */
typedef Tensor *V7ChannelMix(Pass *ps, const void *p, Tensor *h, Tensor **st);
Tensor *v7_sums(Pass *ps, const V7Block *v7, Tensor *beside, V7ChannelMix *mix, const void *p, Tensor *x, Tensor **st);
Tensor *v7_run(Pass *ps, const V7Block *v7, V7ChannelMix *mix, const void *p, Tensor *x, Tensor **st);

Tensor *v7_block(Pass *ps, const void *block, Tensor *x, Tensor **st); /* of v7 itself */

void v7_complete(const char *version, Dims *d);
void v7_complete_widths(const char *version, Dims *d); /* but for the ranks */
double v7_mixing_flops(const Dims *d, int tokens);

/* ---- formulas that the built-in hooks borrow ---- */

Tensor *v7_decay(Tape *tp, Tensor *x, Tensor *w0, Tensor *w1, Tensor *w2, double scale); /* [v7.3] */
Tensor *v7_iclr(Tape *tp, Tensor *x, Tensor *a0, Tensor *a1, Tensor *a2);                /* [v7.5] */
Tensor *v7_gate(Tape *tp, Tensor *x, Tensor *g1, Tensor *g2);                            /* [v7.6] */
Tensor *v7_bonus(Pass *ps, Tensor *r, Tensor *k, Tensor *v, Tensor *r_k);                /* [v7.10] */

#endif
