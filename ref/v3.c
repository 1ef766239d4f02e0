/* RWKV-3 (2022; official code RWKV-v3/src/model.py): RWKV-2 with pre-norm residuals, a norm after the
   embedding, a mix of its own for each of k, v, r, and a larger eps in the denominator. */
#include "version.h"

#include <math.h>

/* ---- parameters ---- */

/* The official code gives layer 1000 + 0 to the second channel mix of block 0, so that its initial mixes
   are (c/C)^(1 - 1000/L): infinite or astronomical. Set them before you train such a model. */
static void init_pre_mix(const Init *in)
{
  Init other = *in;
  other.layer += 1000;
  init_mix(&other);
}

/* clang-format off */
#define V3_GLOBAL(P)                                                                                        \
  GLOBAL_BASE(P, init_emb_orthogonal, 1e-4)                                                                 \
  GLOBAL_COPY_HEAD(P)

#define V3_BLOCK(P)                                                                                         \
  BLOCK_NORMS(P)                                                                                            \
  /* field          official name            shape            where            initial value    gain  lr */ \
  P(decay,          "att.time_decay",        S2(C, one),      has_time_mix,    init_decay_v4,     0, 1)     \
  P(first,          "att.time_first",        S2(C, one),      has_time_mix,    init_first,        0, 1)     \
  P(mix_k,          "att.time_mix_k",        S3(one, one, C), has_shift,       init_mix,          1, 1)     \
  P(mix_v,          "att.time_mix_v",        S3(one, one, C), has_shift,       init_mix_v,        0, 1)     \
  P(mix_r,          "att.time_mix_r",        S3(one, one, C), has_shift,       init_mix,        0.5, 1)     \
  P(key,            "att.key.weight",        S2(C, C),        has_time_mix,    init_fill,         0, 1)     \
  P(value,          "att.value.weight",      S2(C, C),        has_time_mix,    init_ortho_wide,   1, 1)     \
  P(receptance,     "att.receptance.weight", S2(C, C),        has_time_mix,    init_fill,         0, 1)     \
  P(output,         "att.output.weight",     S2(C, C),        has_time_mix,    init_fill,         0, 1)     \
  PRE_FFN(P, init_pre_mix)                                                                                  \
  P(ffn_mix_k,      "ffn.time_mix_k",        S3(one, one, C), has_ffn_shift,   init_mix,          1, 1)     \
  P(ffn_mix_r,      "ffn.time_mix_r",        S3(one, one, C), has_ffn_shift,   init_mix,          1, 1)     \
  P(ffn_key,        "ffn.key.weight",        S2(F, C),        has_channel_mix, init_ortho_wide,   1, 1)     \
  P(ffn_receptance, "ffn.receptance.weight", S2(C, C),        has_channel_mix, init_fill,         0, 1)     \
  P(ffn_value,      "ffn.value.weight",      S2(C, F),        has_channel_mix, init_fill,         0, 1)
/* clang-format on */

typedef struct {
  V3_BLOCK(PARAM_FIELD)
} V3Block;
#define BLOCK V3Block
static const ParamSpec params[] = {V3_BLOCK(PARAM_SPEC)};
#undef BLOCK
#define BLOCK Global
static const ParamSpec global_params[] = {V3_GLOBAL(PARAM_SPEC)};
#undef BLOCK

enum { ATT_XX, ATT_AA, ATT_BB, FFN_XX };
/* clang-format off */
static const StateSpec state[] = {
    /* part     name      shape  where            start */
    [ATT_XX] = {"att_xx", S1(C), has_shift_state, 0},
    [ATT_AA] = {"att_aa", S1(C), has_time_mix,    0},
    [ATT_BB] = {"att_bb", S1(C), has_time_mix,    0},
    [FFN_XX] = {"ffn_xx", S1(C), has_channel_mix, 0},
};
/* clang-format on */
static const StateSpec global_state[] = {COPY_STATE};

/* ---- the computation ---- */

static Tensor *time_mix(Pass *ps, const V3Block *p, Tensor *x, Tensor **st)
{
  Tape *tp = ps->tp;
  Tensor *prev = t_shift(tp, x, &st[ATT_XX]); /* [B,T,C] */
  Tensor *mu[] = {p->mix_k, p->mix_v, p->mix_r};
  Tensor **m = mixes_prev_to_x(ps, HOOK_SHIFT, x, prev, mu); /* [v3.1]  mu x_t + (1 - mu) x_{t-1} */
  Tensor *xk = m[0], *xv = m[1], *xr = m[2];
  Tensor *e = t_exp(tp, t_binary(tp, B_MIN, t_linear(tp, xk, p->key), tape_number(tp, 60)));
  Tensor *v = t_linear(tp, xv, p->value);
  Tensor *r = t_sigmoid(tp, t_linear(tp, xr, p->receptance));
  Tensor *w = t_neg(tp, t_exp(tp, p->decay));
  Tensor *y = t_wkv2(tp, w, p->first, e, v, 1e-8, &st[ATT_AA], &st[ATT_BB]); /* [v3.2]  eps 1e-8 */
  Tensor *out = t_linear(tp, t_mul(tp, r, y), p->output);
  TRACE(ps, "att", "x xk xv xr w e v r y out", x, xk, xv, xr, w, e, v, r, y, out);
  return out;
}

static Tensor *run(Pass *ps, const void *block, Tensor *x, Tensor **st)
{
  const V3Block *p = block;
  Tape *tp = ps->tp;
  x = block_embed_norm(ps, x, p->ln0_w, p->ln0_b); /* [v3.3] */
  Tensor *h = t_layer_norm(tp, x, p->ln1_w, p->ln1_b, 1e-5);
  Tensor *mixed = p->pre_key ? channel_mix_pre_ffn(ps, h, &st[ATT_XX], p->pre_mix_k, p->pre_mix_r, p->pre_key,
                                                   p->pre_receptance, p->pre_value)
                             : HOOK(ps, HOOK_TIME_MIX, time_mix(ps, p, h, st), h);
  x = block_add(ps, HOOK_TIME_OUT, x, mixed);
  h = t_layer_norm(tp, x, p->ln2_w, p->ln2_b, 1e-5);
  return block_add(
      ps, HOOK_CHANNEL_OUT, x,
      channel_mix(ps, h, &st[FFN_XX], p->ffn_mix_k, p->ffn_mix_r, p->ffn_key, p->ffn_receptance, p->ffn_value));
}

static void complete(Dims *d)
{
  if (!d->F) d->F = 4 * d->C;
  if (!d->Q) d->Q = 256;
}

static double mixing_flops(const Dims *d, int tokens) { return (void)tokens, 12.0 * d->C; }

/* clang-format off */
const Version version_v3 = {
    .name = "v3", .title = "RWKV-3",
    .global = PARAM_LIST(global_params, Global), .block = PARAM_LIST(params, V3Block),
    .state = STATE_LIST(state), .global_state = STATE_LIST(global_state),
    .own = {[HOOK_SHIFT] = "lerp", [HOOK_FFN_SHIFT] = "lerp", [HOOK_TIME_MIX] = "v3", [HOOK_CHANNEL_MIX] = "gated",
            [HOOK_TIME_OUT] = "none", [HOOK_CHANNEL_OUT] = "none", [HOOK_EMBED_NORM] = "layer"},
    .streams = "k v r", .ffn_streams = "k r",
    .complete = complete, .mixing_flops = mixing_flops, .embed = global_embed, .run = run, .head = global_head,
};
/* clang-format on */
