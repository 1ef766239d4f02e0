/* RWKV-7 "Goose" (Peng et al. 2025, arXiv:2503.14456; official code RWKV-v5/src/model.py, class
   RWKV_Tmix_x070). The state of a head is a matrix S [N value, N key]; every token removes part of what
   is stored under one key before it writes under another. */
#include "version.h"

#include "engine/err.h"

#include <math.h>

/* ---- parameters ---- */

static void init_ffn_mix(const Init *in) /* 1 - (c/C)^((1 - layer/L)^4) */
{
  for (size_t c = 0; c < in->n; c++) in->out[c] = 1 - init_channel_power(in, c, pow(init_ratio_1_to_almost0(in), 4));
}

/* clang-format off */
#define V7_GLOBAL(P)                                                                                            \
  GLOBAL_BASE(P, init_emb_uniform, 1e-4)

#define V7_BLOCK(P)                                                                                             \
  BLOCK_NORMS(P)                                                                                                \
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
  P(k_a,        "att.k_a",               S3(one, one, C), has_time_mix,       init_fill,            1.02, 1)    \
  P(r_k,        "att.r_k",               S2(H, N),        has_bonus,          init_fill,           -0.04, 1)    \
  P(receptance, "att.receptance.weight", S2(C, C),        has_receptance,     init_orthogonal,         1, 1)    \
  P(key,        "att.key.weight",        S2(C, C),        has_time_mix,       init_orthogonal,       0.1, 1)    \
  P(value,      "att.value.weight",      S2(C, C),        has_time_mix,       init_orthogonal,         1, 1)    \
  P(output,     "att.output.weight",     S2(C, C),        has_time_mix,       init_fill,               0, 1)    \
  P(ln_x_w,     "att.ln_x.weight",       S1(C),           has_norm,           init_ln_x,               0, 1)    \
  P(ln_x_b,     "att.ln_x.bias",         S1(C),           has_norm,           init_fill,               0, 1)    \
  P(ffn_x_k,    "ffn.x_k",               S3(one, one, C), has_ffn_shift,      init_ffn_mix,            0, 1)    \
  P(ffn_key,    "ffn.key.weight",        S2(F, C),        has_channel_mix,    init_orthogonal,         1, 1)    \
  P(ffn_value,  "ffn.value.weight",      S2(C, F),        has_channel_mix,    init_fill,               0, 1)
/* clang-format on */

typedef struct {
  V7_BLOCK(PARAM_FIELD)
} V7Block;
#define BLOCK V7Block
static const ParamSpec params[] = {V7_BLOCK(PARAM_SPEC)};
#undef BLOCK
#define BLOCK Global
static const ParamSpec global_params[] = {V7_GLOBAL(PARAM_SPEC)};
#undef BLOCK

enum { ATT_XX, ATT_KV, FFN_XX };
/* clang-format off */
static const StateSpec state[] = {
    /* part     name      shape        where            start */
    [ATT_XX] = {"att_xx", S1(C),       has_shift_state, 0},
    [ATT_KV] = {"att_kv", S3(H, N, N), has_recurrence,  0}, /* S [H, value, key]: the transpose of v5 and v6 */
    [FFN_XX] = {"ffn_xx", S1(C),       has_channel_mix, 0},
};
/* clang-format on */

/* ---- the computation ---- */

/* [v7.3]  log-decay w = -e^{-1/2} sigmoid(w0 + tanh(x w1) w2), nats per step: e^w in (0.545, 1) */
Tensor *v7_decay(Tape *tp, Tensor *x, Tensor *w0, Tensor *w1, Tensor *w2, double scale)
{
  Tensor *d = t_add(tp, t_matmul(tp, t_tanh(tp, t_matmul(tp, x, w1)), w2), w0);
  return t_affine(tp, t_sigmoid(tp, d), -scale, 0);
}

/* [v7.4]  value residual: part of the values of block 0. *mix: that part, in (0,1) */
static Tensor *value_residual(Tape *tp, Tensor *v, Tensor *v_first, Tensor *x, Tensor *v0, Tensor *v1, Tensor *v2,
                              Tensor **mix)
{
  Tensor *m = t_matmul(tp, t_matmul(tp, x, v1), v2);
  *mix = t_sigmoid(tp, t_add(tp, m, v0));
  return t_lerp(tp, v, v_first, *mix);
}

/* [v7.5]  in-context learning rate in (0,1) */
Tensor *v7_iclr(Tape *tp, Tensor *x, Tensor *a0, Tensor *a1, Tensor *a2)
{
  return t_sigmoid(tp, t_add(tp, t_matmul(tp, t_matmul(tp, x, a1), a2), a0));
}

/* [v7.6]  gate */
Tensor *v7_gate(Tape *tp, Tensor *x, Tensor *g1, Tensor *g2)
{
  return t_matmul(tp, t_sigmoid(tp, t_matmul(tp, x, g1)), g2);
}

/* The recurrence wants a decay for every token. */
static Tensor *every_token(Pass *ps, Tensor *w)
{
  return w->axes == 3 ? w : t_add(ps->tp, w, tape_zeros(ps->tp, 3, (int[]){ps->B, ps->T, ps->d->C}));
}

/* [v7.10]  (sum over the head of r k r_k) v, for each head */
Tensor *v7_bonus(Pass *ps, Tensor *r, Tensor *k, Tensor *v, Tensor *r_k)
{
  Tape *tp = ps->tp;
  int heads[] = {ps->B, ps->T, ps->d->H, ps->d->N}, flat[] = {ps->B, ps->T, ps->d->A};
  Tensor *rk = t_mul(tp, t_reshape(tp, t_mul(tp, r, k), 4, heads), r_k); /* [B,T,H,N] */
  Tensor *weight = t_sum(tp, rk, -1, true);                              /* [B,T,H,1] */
  return t_reshape(tp, t_mul(tp, weight, t_reshape(tp, v, 4, heads)), 3, flat);
}

static Tensor *time_mix(Pass *ps, const V7Block *p, Tensor *x, Tensor **st)
{
  Tape *tp = ps->tp;
  int H = ps->d->H;
  Tensor *prev = t_shift(tp, x, &st[ATT_XX]); /* [B,T,C] */
  Tensor *mu[] = {p->x_r, p->x_w, p->x_k, p->x_v, p->x_a, p->x_g};
  Tensor **m = mixes_x_to_prev(ps, HOOK_SHIFT, x, prev, mu); /* [v7.1]  x + (prev - x) mu */
  Tensor *xr = m[0], *xw = m[1], *xk = m[2], *xv = m[3], *xa = m[4], *xg = m[5];

  Tensor *r = HOOK(ps, HOOK_RECEPTANCE, t_linear(tp, xr, p->receptance), xr); /* [v7.2]  [B,T,C] */
  Tensor *k0 = t_linear(tp, xk, p->key);
  Tensor *v0 = t_linear(tp, xv, p->value);

  double scale = ps->rounded_decay ? 0.606531 : exp(-0.5);
  Tensor *w = HOOK(ps, HOOK_DECAY, v7_decay(tp, xw, p->w0, p->w1, p->w2, scale), xw); /* [v7.3]  log-decay, <= 0 */
  Tensor *a = HOOK(ps, HOOK_ICLR, v7_iclr(tp, xa, p->a0, p->a1, p->a2), xa, w);       /* [v7.5]  learning rate */
  Tensor *g = HOOK(ps, HOOK_GATE, v7_gate(tp, xg, p->g1, p->g2), xg);                 /* [v7.6] */

  Tensor *v = v0, *mix = NULL; /* [v7.4]  value residual */
  if (!ps->v_first) ps->v_first = v0;
  else
    v = HOOK(ps, HOOK_VALUE_RESIDUAL, value_residual(tp, v0, ps->v_first, xv, p->v0, p->v1, p->v2, &mix), v0,
             ps->v_first, xv);

  Tensor *kappa = HOOK(ps, HOOK_KEY_NORM, t_l2norm(tp, t_mul(tp, k0, p->k_k), H, 1e-12), k0); /* [v7.7]  unit length */
  Tensor *k = t_mul(tp, k0, t_affine(tp, t_mul(tp, t_affine(tp, a, 1, -1), p->k_a), 1, 1));   /* k (1 + (a-1) k_a) */

  w = every_token(ps, w);
  Tensor *minus_kappa = t_neg(tp, kappa), *kappa_a = t_mul(tp, kappa, a);
  Tensor *wkv = HOOK(ps, HOOK_RECURRENCE, t_wkv7(tp, r, w, k, v, minus_kappa, kappa_a, &st[ATT_KV]), /* [v7.8] [v7.9] */
                     r, w, k, v, minus_kappa, kappa_a);

  Tensor *norm = HOOK(ps, HOOK_NORM, t_group_norm(tp, wkv, H, p->ln_x_w, p->ln_x_b, 64e-5), wkv);
  Tensor *now = HOOK(ps, HOOK_BONUS, v7_bonus(ps, r, k, v, p->r_k), r, k, v); /* [v7.10] */
  Tensor *ungated = now ? t_add(tp, norm, now) : norm;
  Tensor *y = g ? t_mul(tp, ungated, g) : ungated;
  Tensor *out = t_linear(tp, y, p->output); /* [v7.11] */
  TRACE(ps, "att", "x xr xw xk xv xa xg r k0 v0 w a g mix v kappa k wkv norm ungated y out", x, xr, xw, xk, xv, xa, xg,
        r, k0, v0, w, a, g, mix, v, kappa, k, wkv, norm, ungated, y, out);
  return out;
}

static Tensor *mix_channels(Pass *ps, const V7Block *p, Tensor *x, Tensor **st)
{
  Tape *tp = ps->tp;
  Tensor *prev = t_shift(tp, x, &st[FFN_XX]);
  Tensor *xk = mixes_x_to_prev(ps, HOOK_FFN_SHIFT, x, prev, &p->ffn_x_k)[0];
  Tensor *k = t_relu2(tp, t_linear(tp, xk, p->ffn_key));
  Tensor *out = t_linear(tp, k, p->ffn_value); /* [v7.12] */
  TRACE(ps, "ffn", "x xk k out", x, xk, k, out);
  return out;
}

static Tensor *run(Pass *ps, const void *block, Tensor *x, Tensor **st)
{
  const V7Block *p = block;
  Tape *tp = ps->tp;
  x = block_embed_norm(ps, x, p->ln0_w, p->ln0_b);
  Tensor *h = t_layer_norm(tp, x, p->ln1_w, p->ln1_b, 1e-5);
  x = block_add(ps, HOOK_TIME_OUT, x, HOOK(ps, HOOK_TIME_MIX, time_mix(ps, p, h, st), h));
  h = t_layer_norm(tp, x, p->ln2_w, p->ln2_b, 1e-5);
  return block_add(ps, HOOK_CHANNEL_OUT, x, HOOK(ps, HOOK_CHANNEL_MIX, mix_channels(ps, p, h, st), h));
}

static void complete(Dims *d)
{
  if (!d->A) d->A = d->C;
  if (d->A != d->C) rwkv_fail("v7: dim_att %d must equal dim %d", d->A, d->C);
  if (!d->F) d->F = 4 * d->C;
  if (!d->Dw) d->Dw = dims_lora_rank(1.8 * sqrt(d->C));
  if (!d->Da) d->Da = dims_lora_rank(1.8 * sqrt(d->C));
  if (!d->Dv) d->Dv = dims_lora_rank(1.3 * sqrt(d->C));
  if (!d->Dg) d->Dg = dims_lora_rank(0.6 * pow(d->C, 0.8));
  dims_complete_heads("v7", d, 64);
}

static double mixing_flops(const Dims *d, int tokens) { return (void)tokens, 9.0 * d->C * d->N; }

/* clang-format off */
const Version version_v7 = {
    .name = "v7", .title = "RWKV-7 Goose",
    .global = PARAM_LIST(global_params, Global), .block = PARAM_LIST(params, V7Block),
    .state = STATE_LIST(state),
    .own = {[HOOK_SHIFT] = "lerp", [HOOK_FFN_SHIFT] = "lerp", [HOOK_RECEPTANCE] = "linear", [HOOK_DECAY] = "v7",
            [HOOK_ICLR] = "full", [HOOK_GATE] = "sigmoid-lora", [HOOK_BONUS] = "v7", [HOOK_KEY_NORM] = "l2",
            [HOOK_VALUE_RESIDUAL] = "lora", [HOOK_RECURRENCE] = "wkv7", [HOOK_NORM] = "group",
            [HOOK_TIME_MIX] = "v7", [HOOK_CHANNEL_MIX] = "relu2",
            [HOOK_TIME_OUT] = "none", [HOOK_CHANNEL_OUT] = "none", [HOOK_EMBED_NORM] = "layer"},
    .streams = "r w k v a g", .ffn_streams = "k", .recurrence = "r w k v a b", .rounds_decay = true,
    .complete = complete, .mixing_flops = mixing_flops, .embed = global_embed, .run = run, .head = global_head,
};
/* clang-format on */
