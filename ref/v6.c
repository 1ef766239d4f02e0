/* RWKV-6 "Finch" (Peng et al. 2024, arXiv:2404.05892; official code RWKV-v5/src/model.py, class
   RWKV_Tmix_x060). RWKV-5.2 with a decay and with mixes that depend on the token, through low-rank maps.
     v6   the released one
     v6a  the gate is a low-rank map with tanh
     v6b  no gate, a plain layer norm, four mixes                                                    */
#include "version.h"

#include "engine/err.h"

#include <math.h>

/* ---- parameters ---- */

static void init_ffn_mix(const Init *in) /* 1 - (c/C)^((1 - layer/L)^3) */
{
  for (size_t c = 0; c < in->n; c++)
    in->out[c] = 1 - channel_power(in, c, pow(ratio_1_to_almost0(in), 3));
}

#define V6_OUTER(P)                                                                       \
  OUTER_BASE(P, init_uniform, 1e-4)

#define V6_COMMON(P)                                                                      \
  BLOCK_NORMS(P)                                                                          \
  P(maa_x, "att.time_maa_x", S3(one, one, C), everywhere, init_prev_mix, 1, 1)            \
  P(maa_w, "att.time_maa_w", S3(one, one, C), everywhere, init_prev_mix, 1, 1)            \
  P(maa_k, "att.time_maa_k", S3(one, one, C), everywhere, init_prev_mix, 1, 1)            \
  P(maa_v, "att.time_maa_v", S3(one, one, C), everywhere, init_prev_mix_v, 0, 1)          \
  P(maa_r, "att.time_maa_r", S3(one, one, C), everywhere, init_prev_mix, 0.5, 1)          \
  P(decay, "att.time_decay", S3(one, one, A), everywhere, init_decay_v5, 0, 2)            \
  P(decay_w1, "att.time_decay_w1", S2(C, Dw), everywhere, init_fill, 0, 1)                \
  P(decay_w2, "att.time_decay_w2", S2(Dw, A), everywhere, init_uniform, 0.01, 1)          \
  P(faaaa, "att.time_faaaa", S2(H, N), everywhere, init_bonus, 0, 1)                      \
  P(receptance, "att.receptance.weight", S2(A, C), everywhere, init_orthogonal, 1, 1)     \
  P(key, "att.key.weight", S2(A, C), everywhere, init_orthogonal, 0.1, 1)                 \
  P(value, "att.value.weight", S2(A, C), everywhere, init_orthogonal, 1, 1)               \
  P(output, "att.output.weight", S2(C, A), everywhere, init_fill, 0, 1)                   \
  P(ln_x_w, "att.ln_x.weight", S1(A), everywhere, init_ln_x, 0, 1)                        \
  P(ln_x_b, "att.ln_x.bias", S1(A), everywhere, init_fill, 0, 1)                          \
  P(ffn_maa_k, "ffn.time_maa_k", S3(one, one, C), everywhere, init_ffn_mix, 0, 1)         \
  P(ffn_maa_r, "ffn.time_maa_r", S3(one, one, C), everywhere, init_ffn_mix, 0, 1)         \
  P(ffn_key, "ffn.key.weight", S2(F, C), everywhere, init_orthogonal, 1, 1)               \
  P(ffn_receptance, "ffn.receptance.weight", S2(C, C), everywhere, init_fill, 0, 1)       \
  P(ffn_value, "ffn.value.weight", S2(C, F), everywhere, init_fill, 0, 1)

#define V6_FIVE_MIXES(P)                                                                  \
  P(maa_g, "att.time_maa_g", S3(one, one, C), everywhere, init_prev_mix, 0.5, 1)          \
  P(maa_w1, "att.time_maa_w1", S2(C, Dx), everywhere, init_fill, 0, 1)                    \
  P(maa_w2, "att.time_maa_w2", S3(five, Dm, C), everywhere, init_uniform, 0.01, 1)

#define V6_BLOCK(P)                                                                       \
  V6_COMMON(P)                                                                            \
  V6_FIVE_MIXES(P)                                                                        \
  P(gate, "att.gate.weight", S2(A, C), everywhere, init_orthogonal, 0.1, 1)

#define V6A_BLOCK(P)                                                                      \
  V6_COMMON(P)                                                                            \
  V6_FIVE_MIXES(P)                                                                        \
  P(gate_w1, "att.gate_w1", S2(C, Dg), everywhere, init_uniform, 0.01, 1)                 \
  P(gate_w2, "att.gate_w2", S2(Dg, A), everywhere, init_uniform, 0.01, 1)

#define V6B_BLOCK(P)                                                                      \
  V6_COMMON(P)                                                                            \
  P(maa_w1, "att.time_maa_rkvw_w1", S2(C, Dx), everywhere, init_fill, 0, 1)               \
  P(maa_w2, "att.time_maa_rkvw_w2", S3(four, Dm, C), everywhere, init_uniform, 0.01, 1)

typedef struct {
  V6_COMMON(PARAM_FIELD)
  V6_FIVE_MIXES(PARAM_FIELD)        /* maa_g: NULL in v6b */
  Tensor *gate, *gate_w1, *gate_w2; /* v6, v6a */
} V6Block;
#define BLOCK V6Block
static const ParamSpec params_6[] = {V6_BLOCK(PARAM_SPEC)};
static const ParamSpec params_6a[] = {V6A_BLOCK(PARAM_SPEC)};
static const ParamSpec params_6b[] = {V6B_BLOCK(PARAM_SPEC)};
#undef BLOCK
#define BLOCK Outer
static const ParamSpec outer_params[] = {V6_OUTER(PARAM_SPEC)};
#undef BLOCK

enum { ATT_XX, ATT_KV, FFN_XX };
static const StateSpec state[] = {
    [ATT_XX] = {"att_xx", S1(C), everywhere, 0},
    [ATT_KV] = {"att_kv", S3(H, N, N), everywhere, 0}, /* S [H, key, value] */
    [FFN_XX] = {"ffn_xx", S1(C), everywhere, 0},
};

/* ---- the computation ---- */

/* [v6.1] [v6.2]  x + (prev - x)(mu + m), where m is made from the token itself: stream i of the low-rank map */
static Tensor *ddlerp(Pass *ps, const V6Block *p, Tensor *x, Tensor *prev, Tensor *low, int i, Tensor *mu)
{
  Tape *tp = ps->tp;
  int D = ps->d->Dm, C = ps->d->C;
  Tensor *up = t_reshape(tp, t_slice(tp, p->maa_w2, 0, i, 1), 2, (int[]){D, C});
  Tensor *m = t_matmul(tp, t_slice(tp, low, 2, i * D, D), up);             /* [B,T,C] */
  return t_lerp(tp, x, prev, t_add(tp, m, mu));
}

static Tensor *time_mix(Pass *ps, const V6Block *p, Tensor *x, Tensor **st)
{
  Tape *tp = ps->tp;
  Tensor *prev = t_shift(tp, x, &st[ATT_XX]);                              /* [B,T,C] */
  Tensor *low = t_tanh(tp, t_matmul(tp, t_lerp(tp, x, prev, p->maa_x), p->maa_w1)); /* [B,T,Dx] */
  bool b = !p->maa_g;                                                      /* v6b has another order */
  Tensor *xw = ddlerp(ps, p, x, prev, low, b ? 3 : 0, p->maa_w);
  Tensor *xk = ddlerp(ps, p, x, prev, low, 1, p->maa_k);
  Tensor *xv = ddlerp(ps, p, x, prev, low, 2, p->maa_v);
  Tensor *xr = ddlerp(ps, p, x, prev, low, b ? 0 : 3, p->maa_r);

  Tensor *r = t_linear(tp, xr, p->receptance);                             /* [B,T,A] */
  Tensor *k = t_linear(tp, xk, p->key);
  Tensor *v = t_linear(tp, xv, p->value);

  Tensor *d = t_matmul(tp, t_tanh(tp, t_matmul(tp, xw, p->decay_w1)), p->decay_w2);
  Tensor *w = t_neg(tp, t_exp(tp, t_add(tp, d, p->decay)));                /* [v6.3]  log-decay, < 0, per token */
  Tensor *y = t_wkv6(tp, r, w, k, v, p->faaaa, &st[ATT_KV]);               /* [v5.4] [v5.5] with w_t */

  if (b) return t_linear(tp, t_layer_norm(tp, y, p->ln_x_w, p->ln_x_b, 1e-5), p->output);
  y = t_group_norm(tp, y, ps->d->H, p->ln_x_w, p->ln_x_b, 64e-5);
  Tensor *xg = ddlerp(ps, p, x, prev, low, 4, p->maa_g);
  Tensor *g = p->gate ? t_silu(tp, t_linear(tp, xg, p->gate))              /* [v6.4] */
                      : t_matmul(tp, t_tanh(tp, t_matmul(tp, xg, p->gate_w1)), p->gate_w2);
  return t_linear(tp, t_mul(tp, y, g), p->output);
}

static Tensor *mix_channels(Pass *ps, const V6Block *p, Tensor *x, Tensor **st)
{
  Tape *tp = ps->tp;
  Tensor *prev = t_shift(tp, x, &st[FFN_XX]);
  Tensor *xk = t_lerp(tp, x, prev, p->ffn_maa_k);                          /* the mix weighs the token before */
  Tensor *xr = t_lerp(tp, x, prev, p->ffn_maa_r);
  Tensor *k = t_relu2(tp, t_linear(tp, xk, p->ffn_key));                   /* [v6.5] */
  Tensor *r = t_sigmoid(tp, t_linear(tp, xr, p->ffn_receptance));
  return t_mul(tp, r, t_linear(tp, k, p->ffn_value));
}

static Tensor *run(Pass *ps, const void *block, int layer, Tensor *x, Tensor **st)
{
  const V6Block *p = block;
  Tape *tp = ps->tp;
  if (layer == 0) x = t_layer_norm(tp, x, p->ln0_w, p->ln0_b, 1e-5);
  x = t_add(tp, x, time_mix(ps, p, t_layer_norm(tp, x, p->ln1_w, p->ln1_b, 1e-5), st));
  return t_add(tp, x, mix_channels(ps, p, t_layer_norm(tp, x, p->ln2_w, p->ln2_b, 1e-5), st));
}

static void complete_mixes(Dims *d, int mixes)
{
  if (!d->A) d->A = d->C;
  if (!d->F) d->F = 7 * d->C / 2 / 32 * 32; /* 3.5 C, down to a multiple of 32 */
  if (!d->F) d->F = 4 * d->C;
  if (!d->Dm) d->Dm = 32;
  if (!d->Dx) d->Dx = mixes * d->Dm;
  if (d->Dx != (int64_t)mixes * d->Dm) rwkv_fail("v6: %d mixes of rank %d do not make %d", mixes, d->Dm, d->Dx);
  if (!d->Dw) d->Dw = 64;
  complete_heads("v6", d, 64);
}

static void complete(Dims *d) { complete_mixes(d, 5); }
static void complete_b(Dims *d) { complete_mixes(d, 4); }

static void complete_a(Dims *d)
{
  if (!d->Dg) d->Dg = 64;
  complete_mixes(d, 5);
}

static double mixing_flops(const Dims *d, int tokens) { return (void)tokens, 5.0 * d->A * d->N; }

#define V6(name_, title_, params_, complete_)                                                            \
  {.name = name_, .title = title_, .outer = outer_params, .outer_count = COUNT(outer_params),            \
   .outer_size = sizeof(Outer), .block = params_, .block_count = COUNT(params_),                         \
   .block_size = sizeof(V6Block), .state = state, .state_count = COUNT(state), .complete = complete_,    \
   .mixing_flops = mixing_flops, .embed = outer_embed, .run = run, .logits = outer_logits}

const Version version_v6 = V6("v6", "RWKV-6 Finch", params_6, complete);
const Version version_v6a = V6("v6a", "RWKV-6.0a", params_6a, complete_a);
const Version version_v6b = V6("v6b", "RWKV-6.0b", params_6b, complete_b);
