/* RWKV-7 "Goose" (Peng et al. 2025, arXiv:2503.14456; official code RWKV-v5/src/model.py, class
   RWKV_Tmix_x070). The state of a head is a matrix S [N value, N key]; every token removes part of what
   is stored under one key before it writes under another. */
#include "version.h"

#include "engine/err.h"

#include <math.h>

/* ---- parameters ---- */

static void init_ffn_mix(const Init *in) /* 1 - (c/C)^((1 - layer/L)^4) */
{
  for (size_t c = 0; c < in->n; c++)
    in->out[c] = 1 - channel_power(in, c, pow(ratio_1_to_almost0(in), 4));
}

/* from -1/2 to 1/2 over the channels */
static double ramp(const Init *in, size_t c) { return part_of_last(in, c) - 0.5; }

/* from -1 to 1 inside each head, signed square */
static double zigzag(const Init *in, size_t c)
{
  size_t N = (size_t)in->d->N;
  double half = (double)(N - 1) / 2, z = N > 1 ? ((double)(c % N) - half) / half : 0;
  return z * fabs(z);
}

static void init_w0(const Init *in)
{
  for (size_t c = 0; c < in->n; c++)
    in->out[c] = -6 + 6 * pow(part_of_last(in, c), 1 + pow(ratio_0_to_1(in), 0.3)) + 0.5 + 2.5 * zigzag(in, c);
}

static void init_a0(const Init *in)
{
  for (size_t c = 0; c < in->n; c++) in->out[c] = -0.19 + 0.3 * zigzag(in, c) + 0.4 * ramp(in, c);
}

static void falling(const Init *in, double middle, double range)
{
  for (size_t c = 0; c < in->n; c++) in->out[c] = middle - range * ramp(in, c);
}

static void init_v0(const Init *in) { falling(in, 0.73, 0.4); }
static void init_k_k(const Init *in) { falling(in, 0.71, 0.1); }

#define V7_OUTER(P)                                                                       \
  OUTER_BASE(P, init_uniform, 1e-4)

#define V7_BLOCK(P)                                                                       \
  BLOCK_NORMS(P)                                                                          \
  P(x_r, "att.x_r", S3(one, one, C), everywhere, init_prev_mix, 0.2, 1)                   \
  P(x_w, "att.x_w", S3(one, one, C), everywhere, init_prev_mix, 0.9, 1)                   \
  P(x_k, "att.x_k", S3(one, one, C), everywhere, init_prev_mix, 0.7, 1)                   \
  P(x_v, "att.x_v", S3(one, one, C), everywhere, init_prev_mix, 0.7, 1)                   \
  P(x_a, "att.x_a", S3(one, one, C), everywhere, init_prev_mix, 0.9, 1)                   \
  P(x_g, "att.x_g", S3(one, one, C), everywhere, init_prev_mix, 0.2, 1)                   \
  P(w0, "att.w0", S3(one, one, C), everywhere, init_w0, 0, 2)                             \
  P(w1, "att.w1", S2(C, Dw), everywhere, init_fill, 0, 1)                                 \
  P(w2, "att.w2", S2(Dw, C), everywhere, init_ortho_wide, 0.1, 1)                         \
  P(a0, "att.a0", S3(one, one, C), everywhere, init_a0, 0, 1)                             \
  P(a1, "att.a1", S2(C, Da), everywhere, init_fill, 0, 1)                                 \
  P(a2, "att.a2", S2(Da, C), everywhere, init_ortho_wide, 0.1, 1)                         \
  P(v0, "att.v0", S3(one, one, C), not_first, init_v0, 0, 1)                              \
  P(v1, "att.v1", S2(C, Dv), not_first, init_fill, 0, 1)                                  \
  P(v2, "att.v2", S2(Dv, C), not_first, init_ortho_wide, 0.1, 1)                          \
  P(g1, "att.g1", S2(C, Dg), everywhere, init_fill, 0, 1)                                 \
  P(g2, "att.g2", S2(Dg, C), everywhere, init_ortho_wide, 0.1, 1)                         \
  P(k_k, "att.k_k", S3(one, one, C), everywhere, init_k_k, 0, 1)                          \
  P(k_a, "att.k_a", S3(one, one, C), everywhere, init_fill, 1.02, 1)                      \
  P(r_k, "att.r_k", S2(H, N), everywhere, init_fill, -0.04, 1)                            \
  P(receptance, "att.receptance.weight", S2(C, C), everywhere, init_orthogonal, 1, 1)     \
  P(key, "att.key.weight", S2(C, C), everywhere, init_orthogonal, 0.1, 1)                 \
  P(value, "att.value.weight", S2(C, C), everywhere, init_orthogonal, 1, 1)               \
  P(output, "att.output.weight", S2(C, C), everywhere, init_fill, 0, 1)                   \
  P(ln_x_w, "att.ln_x.weight", S1(C), everywhere, init_ln_x, 0, 1)                        \
  P(ln_x_b, "att.ln_x.bias", S1(C), everywhere, init_fill, 0, 1)                          \
  P(ffn_x_k, "ffn.x_k", S3(one, one, C), everywhere, init_ffn_mix, 0, 1)                  \
  P(ffn_key, "ffn.key.weight", S2(F, C), everywhere, init_orthogonal, 1, 1)               \
  P(ffn_value, "ffn.value.weight", S2(C, F), everywhere, init_fill, 0, 1)

typedef struct {
  V7_BLOCK(PARAM_FIELD)
} V7Block;
#define BLOCK V7Block
static const ParamSpec params[] = {V7_BLOCK(PARAM_SPEC)};
#undef BLOCK
#define BLOCK Outer
static const ParamSpec outer_params[] = {V7_OUTER(PARAM_SPEC)};
#undef BLOCK

enum { ATT_XX, ATT_KV, FFN_XX };
static const StateSpec state[] = {
    [ATT_XX] = {"att_xx", S1(C), everywhere, 0},
    [ATT_KV] = {"att_kv", S3(H, N, N), everywhere, 0}, /* S [H, value, key]: the transpose of v5 and v6 */
    [FFN_XX] = {"ffn_xx", S1(C), everywhere, 0},
};

/* ---- the computation ---- */

/* [v7.10]  (sum over the head of r k r_k) v, for each head */
static Tensor *bonus(Pass *ps, Tensor *r, Tensor *k, Tensor *r_k, Tensor *v)
{
  Tape *tp = ps->tp;
  int heads[] = {ps->B, ps->T, ps->d->H, ps->d->N}, flat[] = {ps->B, ps->T, ps->d->C};
  Tensor *rk = t_mul(tp, t_reshape(tp, t_mul(tp, r, k), 4, heads), r_k);   /* [B,T,H,N] */
  Tensor *weight = t_sum(tp, rk, -1, true);                                /* [B,T,H,1] */
  return t_reshape(tp, t_mul(tp, weight, t_reshape(tp, v, 4, heads)), 3, flat);
}

static Tensor *time_mix(Pass *ps, const V7Block *p, int layer, Tensor *x, Tensor **st)
{
  Tape *tp = ps->tp;
  int H = ps->d->H;
  Tensor *prev = t_shift(tp, x, &st[ATT_XX]);                              /* [B,T,C] */
  Tensor *xr = t_lerp(tp, x, prev, p->x_r);                                /* [v7.1]  x + (prev - x) mu */
  Tensor *xw = t_lerp(tp, x, prev, p->x_w);
  Tensor *xk = t_lerp(tp, x, prev, p->x_k);
  Tensor *xv = t_lerp(tp, x, prev, p->x_v);
  Tensor *xa = t_lerp(tp, x, prev, p->x_a);
  Tensor *xg = t_lerp(tp, x, prev, p->x_g);

  Tensor *r = t_linear(tp, xr, p->receptance);                             /* [v7.2] */
  Tensor *k = t_linear(tp, xk, p->key);
  Tensor *v = t_linear(tp, xv, p->value);

  /* [v7.3]  log-decay w = -e^{-1/2} sigmoid(w0 + tanh(xw w1) w2), nats per step: e^w in (0.545, 1) */
  Tensor *d = t_add(tp, t_matmul(tp, t_tanh(tp, t_matmul(tp, xw, p->w1)), p->w2), p->w0);
  Tensor *w = t_affine(tp, t_sigmoid(tp, d), ps->rounded_decay ? -0.606531 : -exp(-0.5), 0);

  if (layer == 0) ps->v_first = v;                                         /* [v7.4]  value residual */
  else {
    Tensor *m = t_matmul(tp, t_matmul(tp, xv, p->v1), p->v2);
    v = t_lerp(tp, v, ps->v_first, t_sigmoid(tp, t_add(tp, m, p->v0)));
  }

  Tensor *a = t_matmul(tp, t_matmul(tp, xa, p->a1), p->a2);                /* [v7.5]  learning rate in (0,1) */
  a = t_sigmoid(tp, t_add(tp, a, p->a0));
  Tensor *g = t_matmul(tp, t_sigmoid(tp, t_matmul(tp, xg, p->g1)), p->g2); /* [v7.6]  gate */

  Tensor *kappa = t_l2norm(tp, t_mul(tp, k, p->k_k), H, 1e-12);            /* [v7.7]  removal key, unit length */
  k = t_mul(tp, k, t_affine(tp, t_mul(tp, t_affine(tp, a, 1, -1), p->k_a), 1, 1)); /* k (1 + (a-1) k_a) */

  Tensor *y = t_wkv7(tp, r, w, k, v, t_neg(tp, kappa), t_mul(tp, kappa, a), &st[ATT_KV]); /* [v7.8] [v7.9] */

  y = t_group_norm(tp, y, H, p->ln_x_w, p->ln_x_b, 64e-5);
  y = t_add(tp, y, bonus(ps, r, k, p->r_k, v));                            /* [v7.10] */
  return t_linear(tp, t_mul(tp, y, g), p->output);                         /* [v7.11] */
}

static Tensor *mix_channels(Pass *ps, const V7Block *p, Tensor *x, Tensor **st)
{
  Tape *tp = ps->tp;
  Tensor *xk = t_lerp(tp, x, t_shift(tp, x, &st[FFN_XX]), p->ffn_x_k);
  return t_linear(tp, t_relu2(tp, t_linear(tp, xk, p->ffn_key)), p->ffn_value); /* [v7.12] */
}

static Tensor *run(Pass *ps, const void *block, int layer, Tensor *x, Tensor **st)
{
  const V7Block *p = block;
  Tape *tp = ps->tp;
  if (layer == 0) x = t_layer_norm(tp, x, p->ln0_w, p->ln0_b, 1e-5);
  x = t_add(tp, x, time_mix(ps, p, layer, t_layer_norm(tp, x, p->ln1_w, p->ln1_b, 1e-5), st));
  return t_add(tp, x, mix_channels(ps, p, t_layer_norm(tp, x, p->ln2_w, p->ln2_b, 1e-5), st));
}

/* max(32, 32 round(f/32)), the official trainer's rule for LoRA ranks */
static int rank(double f) { return (int)fmax(32, 32 * nearbyint(f / 32)); }

static void complete(Dims *d)
{
  if (!d->A) d->A = d->C;
  if (d->A != d->C) rwkv_fail("v7: dim_att %d must equal dim %d", d->A, d->C);
  if (!d->F) d->F = 4 * d->C;
  if (!d->Dw) d->Dw = rank(1.8 * sqrt(d->C));
  if (!d->Da) d->Da = rank(1.8 * sqrt(d->C));
  if (!d->Dv) d->Dv = rank(1.3 * sqrt(d->C));
  if (!d->Dg) d->Dg = rank(0.6 * pow(d->C, 0.8));
  complete_heads("v7", d, 64);
}

static double mixing_flops(const Dims *d, int tokens) { return (void)tokens, 9.0 * d->C * d->N; }

const Version version_v7 = {
    .name = "v7", .title = "RWKV-7 Goose",
    .outer = outer_params, .outer_count = COUNT(outer_params), .outer_size = sizeof(Outer),
    .block = params, .block_count = COUNT(params), .block_size = sizeof(V7Block),
    .state = state, .state_count = COUNT(state),
    .complete = complete, .mixing_flops = mixing_flops, .embed = outer_embed, .run = run, .logits = outer_logits,
};
