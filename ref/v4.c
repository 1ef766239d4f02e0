/* RWKV-4 "Dove" (Peng et al. 2023, arXiv:2305.13048; official code RWKV-v4neo/src/model.py).
   Everything in it is a vector: the state of a layer is five rows of numbers. Options of the official
   code that some models use: a copy head, tiny attention at one layer, a second channel mix in block 0. */
#include "version.h"

#include "engine/err.h"

#include <math.h>

/* ---- parameters ---- */

/* clang-format off */
#define V4_GLOBAL(P)                                                                                        \
  GLOBAL_BASE(P, init_emb_uniform, 6e-4)                                                                    \
  GLOBAL_COPY_HEAD(P)

#define V4_BLOCK(P)                                                                                         \
  BLOCK_NORMS(P)                                                                                            \
  /* field          official name            shape            where            initial value    gain  lr */ \
  P(decay,          "att.time_decay",        S1(A),           has_decay,       init_decay_v4,     0, 2)     \
  P(first,          "att.time_first",        S1(A),           has_time_mix,    init_first,        0, 3)     \
  P(mix_k,          "att.time_mix_k",        S3(one, one, C), has_shift,       init_mix,          1, 1)     \
  P(mix_v,          "att.time_mix_v",        S3(one, one, C), has_shift,       init_mix_v,        0, 1)     \
  P(mix_r,          "att.time_mix_r",        S3(one, one, C), has_shift,       init_mix,        0.5, 1)     \
  P(key,            "att.key.weight",        S2(A, C),        has_time_mix,    init_fill,         0, 1)     \
  P(value,          "att.value.weight",      S2(A, C),        has_time_mix,    init_ortho_wide,   1, 1)     \
  P(receptance,     "att.receptance.weight", S2(A, C),        has_receptance,  init_fill,         0, 1)     \
  P(output,         "att.output.weight",     S2(C, A),        has_time_mix,    init_fill,         0, 1)     \
  PRE_FFN(P, init_mix)                                                                                      \
  P(ffn_mix_k,      "ffn.time_mix_k",        S3(one, one, C), has_ffn_shift,   init_mix,          1, 1)     \
  P(ffn_mix_r,      "ffn.time_mix_r",        S3(one, one, C), has_ffn_shift,   init_mix,          1, 1)     \
  P(ffn_key,        "ffn.key.weight",        S2(F, C),        has_channel_mix, init_ortho_wide,   1, 1)     \
  P(ffn_receptance, "ffn.receptance.weight", S2(C, C),        has_channel_mix, init_fill,         0, 1)     \
  P(ffn_value,      "ffn.value.weight",      S2(C, F),        has_channel_mix, init_fill,         0, 1)     \
  P(tiny_ln_w,      "tiny_ln.weight",        S1(C),           has_tiny,        init_fill,         1, 1)     \
  P(tiny_ln_b,      "tiny_ln.bias",          S1(C),           has_tiny,        init_fill,         0, 1)     \
  P(tiny_q,         "tiny_q.weight",         S2(tiny, C),     has_tiny,        init_ortho_wide,   1, 1)     \
  P(tiny_k,         "tiny_k.weight",         S2(tiny, C),     has_tiny,        init_ortho_wide,   1, 1)     \
  P(tiny_v,         "tiny_v.weight",         S2(C, C),        has_tiny,        init_ortho_wide,   1, 1)
/* clang-format on */

typedef struct {
  V4_BLOCK(PARAM_FIELD)
} V4Block;
#define BLOCK V4Block
static const ParamSpec params[] = {V4_BLOCK(PARAM_SPEC)};
#undef BLOCK
#define BLOCK Global
static const ParamSpec global_params[] = {V4_GLOBAL(PARAM_SPEC)};
#undef BLOCK

enum { ATT_XX, ATT_AA, ATT_BB, ATT_PP, FFN_XX, TINY_K, TINY_V };
/* clang-format off */
static const StateSpec state[] = {
    /* part     name      shape              where            start */
    [ATT_XX] = {"att_xx", S1(C),             has_shift_state, 0},
    [ATT_AA] = {"att_aa", S1(A),             has_recurrence,  0},
    [ATT_BB] = {"att_bb", S1(A),             has_recurrence,  0},
    [ATT_PP] = {"att_pp", S1(A),             has_recurrence,  -1e38},
    [FFN_XX] = {"ffn_xx", S1(C),             has_channel_mix, 0},
    [TINY_K] = {"tiny_k", S2(history, tiny), has_tiny,        0},
    [TINY_V] = {"tiny_v", S2(history, C),    has_tiny,        0},
};
/* clang-format on */
static const StateSpec global_state[] = {COPY_STATE};

/* ---- the computation ---- */

Tensor *v4_decay(Tape *tp, Tensor *w) { return t_neg(tp, t_exp(tp, w)); }

static Tensor *time_mix(Pass *ps, const V4Block *p, Tensor *x, Tensor **st)
{
  Tape *tp = ps->tp;
  Tensor *prev = t_shift(tp, x, &st[ATT_XX]); /* [B,T,C] */
  Tensor *mu[] = {p->mix_k, p->mix_v, p->mix_r};
  Tensor **m = mixes_prev_to_x(ps, HOOK_SHIFT, x, prev, mu); /* [v4.1]  mu x_t + (1 - mu) x_{t-1} */
  Tensor *xk = m[0], *xv = m[1], *xr = m[2];

  Tensor *k = t_linear(tp, xk, p->key); /* [v4.2]  [B,T,A] */
  Tensor *v = t_linear(tp, xv, p->value);
  Tensor *r = HOOK(ps, HOOK_RECEPTANCE, t_sigmoid(tp, t_linear(tp, xr, p->receptance)), xr);

  Tensor *u = p->first;                                         /* bonus of the token itself, in nats */
  Tensor *w = HOOK(ps, HOOK_DECAY, v4_decay(tp, p->decay), xk); /* [v4.3]  log-decay, nats per step, < 0 */
  Tensor *wkv = HOOK(ps, HOOK_RECURRENCE, t_wkv4(tp, w, u, k, v, &st[ATT_AA], &st[ATT_BB], &st[ATT_PP]), /* [v4.4] */
                     w, u, k, v);
  Tensor *y = t_mul(tp, r, wkv);
  y = HOOK(ps, HOOK_NORM, y, y);
  Tensor *g = HOOK(ps, HOOK_GATE, NULL, xr); /* the version has neither norm nor gate */
  if (g) y = t_mul(tp, y, g);
  Tensor *out = t_linear(tp, y, p->output); /* [v4.7]  [B,T,C] */
  TRACE(ps, "att", "x xk xv xr r w k v g wkv y out", x, xk, xv, xr, r, w, k, v, g, wkv, y, out);
  return out;
}

/* [v4.10]  sum over the positions so far of (q.k_u) / sqrt(width) v_u: attention without a softmax, whose
   values come from the raw embedding */
static Tensor *tiny_attention(Pass *ps, const V4Block *p, Tensor *x, Tensor **st)
{
  Tape *tp = ps->tp;
  Tensor *h = t_layer_norm(tp, x, p->tiny_ln_w, p->tiny_ln_b, 1e-5);
  Tensor *q = t_affine(tp, t_linear(tp, h, p->tiny_q), 1 / sqrt(ps->d->tiny), 0);
  return t_linear_attention(tp, q, t_linear(tp, h, p->tiny_k), t_linear(tp, ps->emb, p->tiny_v), &st[TINY_K],
                            &st[TINY_V]);
}

static Tensor *run(Pass *ps, const void *block, Tensor *x, Tensor **st)
{
  const V4Block *p = block;
  Tape *tp = ps->tp;
  if (ps->layer == 0) ps->emb = x;
  x = block_embed_norm(ps, x, p->ln0_w, p->ln0_b);
  Tensor *h = t_layer_norm(tp, x, p->ln1_w, p->ln1_b, 1e-5);
  Tensor *mixed = p->pre_key ? channel_mix_pre_ffn(ps, h, &st[ATT_XX], p->pre_mix_k, p->pre_mix_r, p->pre_key,
                                                   p->pre_receptance, p->pre_value)
                             : HOOK(ps, HOOK_TIME_MIX, time_mix(ps, p, h, st), h);
  x = block_add(ps, HOOK_TIME_OUT, x, mixed);
  h = t_layer_norm(tp, x, p->ln2_w, p->ln2_b, 1e-5);
  x = block_add(ps, HOOK_CHANNEL_OUT, x,
                channel_mix(ps, h, &st[FFN_XX], p->ffn_mix_k, p->ffn_mix_r, p->ffn_key, /* [v4.8] [v4.9] */
                            p->ffn_receptance, p->ffn_value));
  return p->tiny_q ? t_add(tp, x, tiny_attention(ps, p, x, st)) : x;
}

static void complete(Dims *d)
{
  if (!d->A) d->A = d->C;
  if (!d->F) d->F = 4 * d->C;
  if (d->tiny_layer > d->L) rwkv_fail("v4: tiny attention at layer %d of %d", d->tiny_layer, d->L);
  if (d->tiny_layer && !d->tiny) d->tiny = 64;
  if (d->tiny && !d->tiny_layer) rwkv_fail("v4: tiny attention of width %d in no layer (tiny_att_layer)", d->tiny);
  if (d->H || d->N) dims_complete_heads("v4", d, 64); /* for hooks only: the version itself has no heads */
}

static double mixing_flops(const Dims *d, int tokens) { return (void)tokens, 22.0 * d->A; }

/* clang-format off */
const Version version_v4 = {
    .name = "v4", .title = "RWKV-4 Dove",
    .global = PARAM_LIST(global_params, Global), .block = PARAM_LIST(params, V4Block),
    .state = STATE_LIST(state), .global_state = STATE_LIST(global_state),
    .own = {[HOOK_SHIFT] = "lerp", [HOOK_FFN_SHIFT] = "lerp", [HOOK_RECEPTANCE] = "sigmoid", [HOOK_DECAY] = "v4",
            [HOOK_GATE] = "none", [HOOK_RECURRENCE] = "wkv4", [HOOK_NORM] = "none", [HOOK_TIME_MIX] = "v4",
            [HOOK_CHANNEL_MIX] = "gated", [HOOK_TIME_OUT] = "none", [HOOK_CHANNEL_OUT] = "none",
            [HOOK_EMBED_NORM] = "layer"},
    .streams = "k v r", .ffn_streams = "k r", .recurrence = "w u k v",
    .complete = complete, .mixing_flops = mixing_flops, .embed = global_embed, .run = run, .head = global_head,
};
/* clang-format on */
