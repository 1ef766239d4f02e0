/* RWKV-4 "Dove" (Peng et al. 2023, arXiv:2305.13048; official code RWKV-v4neo/src/model.py).
   Everything in it is a vector: the state of a layer is five rows of C numbers. */
#include "version.h"

#include "engine/err.h"

#include <math.h>

/* ---- parameters ---- */

static void init_mix_k(const Init *in) /* (c/C)^(1 - layer/L) */
{
  for (size_t c = 0; c < in->n; c++) in->out[c] = (double)channel_power(in, c, ratio_1_to_almost0(in));
}

static void init_mix_v(const Init *in)
{
  for (size_t c = 0; c < in->n; c++)
    in->out[c] = (double)(channel_power(in, c, ratio_1_to_almost0(in)) + (float)(0.3 * ratio_0_to_1(in)));
}

static void init_mix_r(const Init *in)
{
  for (size_t c = 0; c < in->n; c++) in->out[c] = (double)channel_power(in, c, 0.5 * ratio_1_to_almost0(in));
}

static void init_decay(const Init *in) /* from fast (-5) to slow channels; later layers remember longer */
{
  double last = in->n > 1 ? (double)(in->n - 1) : 1;
  for (size_t c = 0; c < in->n; c++)
    in->out[c] = -5 + 8 * pow((double)c / last, 0.7 + 1.3 * ratio_0_to_1(in));
}

static void init_first(const Init *in)
{
  for (size_t c = 0; c < in->n; c++) in->out[c] = (double)((float)log(0.3) + ((float)((c + 1) % 3) - 1) * 0.5f);
}

#define V4_BLOCK(P)                                                                       \
  P(ln0_w, "ln0.weight", S1(C), FIRST, init_fill, 1, 1)                                   \
  P(ln0_b, "ln0.bias", S1(C), FIRST, init_fill, 0, 1)                                     \
  P(ln1_w, "ln1.weight", S1(C), EVERY, init_fill, 1, 1)                                   \
  P(ln1_b, "ln1.bias", S1(C), EVERY, init_fill, 0, 1)                                     \
  P(ln2_w, "ln2.weight", S1(C), EVERY, init_fill, 1, 1)                                   \
  P(ln2_b, "ln2.bias", S1(C), EVERY, init_fill, 0, 1)                                     \
  P(decay, "att.time_decay", S1(A), EVERY, init_decay, 0, 2)                              \
  P(first, "att.time_first", S1(A), EVERY, init_first, 0, 3)                              \
  P(mix_k, "att.time_mix_k", S3(one, one, C), EVERY, init_mix_k, 0, 1)                    \
  P(mix_v, "att.time_mix_v", S3(one, one, C), EVERY, init_mix_v, 0, 1)                    \
  P(mix_r, "att.time_mix_r", S3(one, one, C), EVERY, init_mix_r, 0, 1)                    \
  P(key, "att.key.weight", S2(A, C), EVERY, init_fill, 0, 1)                              \
  P(value, "att.value.weight", S2(A, C), EVERY, init_ortho_wide, 1, 1)                    \
  P(receptance, "att.receptance.weight", S2(A, C), EVERY, init_fill, 0, 1)                \
  P(output, "att.output.weight", S2(C, A), EVERY, init_fill, 0, 1)                        \
  P(ffn_mix_k, "ffn.time_mix_k", S3(one, one, C), EVERY, init_mix_k, 0, 1)                \
  P(ffn_mix_r, "ffn.time_mix_r", S3(one, one, C), EVERY, init_mix_k, 0, 1)                \
  P(ffn_key, "ffn.key.weight", S2(F, C), EVERY, init_ortho_wide, 1, 1)                    \
  P(ffn_receptance, "ffn.receptance.weight", S2(C, C), EVERY, init_fill, 0, 1)            \
  P(ffn_value, "ffn.value.weight", S2(C, F), EVERY, init_fill, 0, 1)

typedef struct {
  V4_BLOCK(PARAM_FIELD)
} V4Block;

#define BLOCK V4Block
static const ParamSpec params[] = {V4_BLOCK(PARAM_SPEC)};
#undef BLOCK
static const ParamSpec outer[] = {OUTER(OUTER_SPEC, 6e-4)};

enum { ATT_XX, ATT_AA, ATT_BB, ATT_PP, FFN_XX };
static const StateSpec state[] = {
    [ATT_XX] = {"att_xx", S1(C), 0}, [ATT_AA] = {"att_aa", S1(A), 0},      [ATT_BB] = {"att_bb", S1(A), 0},
    [ATT_PP] = {"att_pp", S1(A), -1e38}, [FFN_XX] = {"ffn_xx", S1(C), 0},
};

/* ---- the computation ---- */

static Tensor *time_mix(Tape *tp, const V4Block *p, Tensor *x, Tensor **st)
{
  Tensor *prev = t_shift(tp, x, &st[ATT_XX]);              /* [B,T,C] */
  Tensor *xk = t_lerp(tp, prev, x, p->mix_k);              /* [v4.1]  mu x_t + (1 - mu) x_{t-1} */
  Tensor *xv = t_lerp(tp, prev, x, p->mix_v);
  Tensor *xr = t_lerp(tp, prev, x, p->mix_r);

  Tensor *k = t_linear(tp, xk, p->key);                    /* [v4.2]  [B,T,A] */
  Tensor *v = t_linear(tp, xv, p->value);
  Tensor *r = t_sigmoid(tp, t_linear(tp, xr, p->receptance));

  Tensor *w = t_neg(tp, t_exp(tp, p->decay));              /* [v4.3]  log-decay, nats per step, < 0 */
  Tensor *wkv = t_wkv4(tp, w, p->first, k, v, &st[ATT_AA], &st[ATT_BB], &st[ATT_PP]); /* [v4.4] */

  return t_linear(tp, t_mul(tp, r, wkv), p->output);       /* [v4.7]  [B,T,C] */
}

static Tensor *channel_mix(Tape *tp, const V4Block *p, Tensor *x, Tensor **st)
{
  Tensor *prev = t_shift(tp, x, &st[FFN_XX]);
  Tensor *xk = t_lerp(tp, prev, x, p->ffn_mix_k);
  Tensor *xr = t_lerp(tp, prev, x, p->ffn_mix_r);
  Tensor *k = t_relu2(tp, t_linear(tp, xk, p->ffn_key));   /* [v4.8]  [B,T,F] */
  Tensor *r = t_sigmoid(tp, t_linear(tp, xr, p->ffn_receptance));
  return t_mul(tp, r, t_linear(tp, k, p->ffn_value));      /* [v4.9] */
}

static Tensor *block(Pass *ps, const void *params_, int layer, Tensor *x, Tensor **st)
{
  const V4Block *p = params_;
  Tape *tp = ps->tp;
  if (layer == 0) x = t_layer_norm(tp, x, p->ln0_w, p->ln0_b, 1e-5);
  x = t_add(tp, x, time_mix(tp, p, t_layer_norm(tp, x, p->ln1_w, p->ln1_b, 1e-5), st));
  return t_add(tp, x, channel_mix(tp, p, t_layer_norm(tp, x, p->ln2_w, p->ln2_b, 1e-5), st));
}

static void complete(Dims *d)
{
  if (!d->A) d->A = d->C;
  if (!d->F) d->F = 4 * d->C;
}

const Version version_v4 = {
    .name = "v4",
    .title = "RWKV-4 Dove",
    .outer = outer,
    .outer_count = sizeof outer / sizeof *outer,
    .params = params,
    .param_count = sizeof params / sizeof *params,
    .block_size = sizeof(V4Block),
    .state = state,
    .state_count = sizeof state / sizeof *state,
    .complete = complete,
    .block = block,
};
