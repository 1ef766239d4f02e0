/* The last release candidate of RWKV-7: the released mathematics under older names (official code
   RWKV-v7/rwkv_v7_demo.py at 029072b; initial values of RWKV-v5/src/model.py at b44816c, both of November 2024). */
#include "rc.h"
#include "v7.h"

/* clang-format off */
#define RC4A_BLOCK(P)                                                                                                  \
  BLOCK_NORMS(P)                                                                                                       \
  /* field          official name            shape            where               initial value             gain lr */ \
  P(x_r,            "att.time_maa_r",        S3(one, one, C), has_shift,          init_prev_mix,            0.2, 1)    \
  P(x_w,            "att.time_maa_w",        S3(one, one, C), has_shift,          init_prev_mix,            0.9, 1)    \
  P(x_k,            "att.time_maa_k",        S3(one, one, C), has_shift,          rc_init_mix_k,              0, 1)    \
  P(x_v,            "att.time_maa_v",        S3(one, one, C), has_shift,          rc_init_mix_v,              0, 1)    \
  P(x_a,            "att.time_maa_a",        S3(one, one, C), has_shift,          init_prev_mix,            0.9, 1)    \
  P(x_g,            "att.time_maa_g",        S3(one, one, C), has_shift,          init_prev_mix,            0.2, 1)    \
  P(w0,             "att.time_decay",        S3(one, one, C), has_decay,          rc_init_decay,              0, 2)    \
  P(w1,             "att.time_decay_w1",     S2(C, Dw),       has_decay,          init_fill,                  0, 1)    \
  P(w2,             "att.time_decay_w2",     S2(Dw, C),       has_decay,          init_ortho_wide,          0.1, 1)    \
  P(a0,             "att.time_aaaaa",        S3(one, one, C), has_iclr,           init_fill,                  0, 1)    \
  P(a1,             "att.time_aaa_w1",       S2(C, Da),       has_iclr,           init_fill,                  0, 1)    \
  P(a2,             "att.time_aaa_w2",       S2(Da, C),       has_iclr,           init_ortho_wide,          0.1, 1)    \
  P(v0,             "att.time_misc_v",       S3(one, one, C), has_value_residual, init_fill,                  1, 1)    \
  P(v1,             "att.mv_w1",             S2(C, Dv),       has_value_residual, init_fill,                  0, 1)    \
  P(v2,             "att.mv_w2",             S2(Dv, C),       has_value_residual, init_ortho_wide,          0.1, 1)    \
  P(g1,             "att.gate_w1",           S2(C, Dg),       has_gate,           init_fill,                  0, 1)    \
  P(g2,             "att.gate_w2",           S2(Dg, C),       has_gate,           init_ortho_wide,          0.1, 1)    \
  P(k_k,            "att.time_misc_kkk",     S3(one, one, C), has_key_norm,       init_fill,                  1, 1)    \
  P(k_a,            "att.time_misc_a",       S3(one, one, C), has_key_scale,      init_fill,                  1, 1)    \
  P(r_k,            "att.time_faaaa",        S2(H, N),        has_bonus,          init_fill,                  0, 1)    \
  P(receptance,     "att.receptance.weight", S2(C, C),        has_receptance,     init_orthogonal,            1, 1)    \
  P(key,            "att.key.weight",        S2(C, C),        has_time_mix,       init_orthogonal,          0.1, 1)    \
  P(value,          "att.value.weight",      S2(C, C),        has_time_mix,       init_orthogonal,            1, 1)    \
  P(output,         "att.output.weight",     S2(C, C),        has_time_mix,       init_fill,                  0, 1)    \
  P(ln_x_w,         "att.ln_x.weight",       S1(C),           has_norm,           init_ln_x,                  0, 1)    \
  P(ln_x_b,         "att.ln_x.bias",         S1(C),           has_norm,           init_fill,                  0, 1)    \
  P(ffn_x_k,        "ffn.time_maa_k",        S3(one, one, C), has_ffn_shift,      v7_init_ffn_mix,            0, 1)    \
  P(ffn_key,        "ffn.key.weight",        S2(F, C),        has_channel_mix,    init_orthogonal,            1, 1)    \
  P(ffn_value,      "ffn.value.weight",      S2(C, F),        has_channel_mix,    init_fill,                  0, 1)
/* clang-format on */

#define BLOCK V7Block
static const ParamSpec params[] = {RC4A_BLOCK(PARAM_SPEC)};
#undef BLOCK

static void complete(Dims *d)
{
  if (!d->Dw) d->Dw = 64;
  if (!d->Da) d->Da = 32;
  if (!d->Dv) d->Dv = 64;
  if (!d->Dg) d->Dg = 128;
  v7_complete_widths("rc4a", d);
}

/* clang-format off */
const Version version_rc4a = {
    .name = "rc4a", .title = "RWKV-7 rc4a",
    .global = PARAM_LIST(v7_global_params, Global), .block = PARAM_LIST(params, V7Block), .state = STATE_LIST(v7_state),
    .own = {V7_OWN, [HOOK_CHANNEL_MIX] = "relu2", [HOOK_EMBED_NORM] = "layer"}, V7_STREAMS,
    .complete = complete, .mixing_flops = v7_mixing_flops, .embed = global_embed, .run = v7_block, .head = global_head,
};
/* clang-format on */
