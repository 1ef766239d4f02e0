/* RWKV-7 "Goose" (Peng et al. 2025, arXiv:2503.14456; official code RWKV-v5/src/model.py, class
   RWKV_Tmix_x070). The state of a head is a matrix S [N value, N key]; every token removes part of what
   is stored under one key before it writes under another. */
#include "v7.h"

#include "engine/err.h"

#include <math.h>

/* ---- parameters ---- */

void v7_init_ffn_mix(const Init *in)
{
  for (size_t c = 0; c < in->n; c++) in->out[c] = 1 - init_channel_power(in, c, pow(init_ratio_1_to_almost0(in), 4));
}

#define BLOCK V7Block
static const ParamSpec params[] = {V7_BLOCK(PARAM_SPEC)};
#undef BLOCK
#define BLOCK Global
const ParamSpec v7_global_params[] = {GLOBAL_BASE(PARAM_SPEC, init_emb_uniform, 1e-4)};
#undef BLOCK

const StateSpec v7_state[] = {V7_STATE};

/* ---- the computation ---- */

/* [v7.3]  log-decay w = -e^{-1/2} sigmoid(w0 + tanh(x w1) w2), nats per step: e^w in (0.545, 1) */
Tensor *v7_decay(Tape *tp, Tensor *x, Tensor *w0, Tensor *w1, Tensor *w2, double scale)
{
  Tensor *d = t_add(tp, t_matmul(tp, t_tanh(tp, t_matmul(tp, x, w1)), w2), w0);
  return t_affine(tp, t_sigmoid(tp, d), -scale, 0);
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

/* [v7.4]  value residual: part of the values of block 0, `mix` in (0,1) */
static Tensor *value_residual(Tape *tp, Tensor *v, Tensor *v_first, Tensor *x, Tensor *v0, Tensor *v1, Tensor *v2,
                              Tensor **mix)
{
  Tensor *m = t_matmul(tp, t_matmul(tp, x, v1), v2);
  *mix = t_sigmoid(tp, t_add(tp, m, v0));
  return t_lerp(tp, v, v_first, *mix);
}

Tensor *v7_value(Pass *ps, Tensor *v0, Tensor *xv, Tensor *bias, Tensor *w1, Tensor *w2, Tensor **mix)
{
  if (!ps->v_first) return ps->v_first = v0;
  return HOOK(ps, HOOK_VALUE_RESIDUAL, value_residual(ps->tp, v0, ps->v_first, xv, bias, w1, w2, mix), v0, ps->v_first,
              xv);
}

/* [v7.7]  the removal key, of unit length in each head */
static Tensor *key_norm(Pass *ps, Tensor *k, Tensor *k_k)
{
  return t_l2norm(ps->tp, t_mul(ps->tp, k, k_k), ps->d->H, 1e-12);
}

/* [v7.7]  the key that is written: k (1 + (a - 1) k_a) */
static Tensor *key_scale(Tape *tp, Tensor *k, Tensor *a, Tensor *k_a)
{
  return t_mul(tp, k, t_affine(tp, t_mul(tp, t_affine(tp, a, 1, -1), k_a), 1, 1));
}

Tensor *v7_read_state(Pass *ps, const V7Inputs *in, const V7Outputs *out, Tensor **S)
{
  Tape *tp = ps->tp;
  Tensor *r = in->r, *k = in->k, *v = in->v, *w = every_token(ps, in->w);
  Tensor *minus_kappa = t_neg(tp, in->kappa), *kappa_a = t_mul(tp, in->kappa, in->a);
  Tensor *wkv = HOOK(ps, HOOK_RECURRENCE, t_wkv7(tp, r, w, k, v, minus_kappa, kappa_a, S), /* [v7.8] [v7.9] */
                     r, w, k, v, minus_kappa, kappa_a);

  Tensor *norm = HOOK(ps, HOOK_NORM, t_group_norm(tp, wkv, ps->d->H, out->ln_x_w, out->ln_x_b, 64e-5), wkv);
  Tensor *now = HOOK(ps, HOOK_BONUS, v7_bonus(ps, r, k, v, out->r_k), r, k, v); /* [v7.10] */
  Tensor *ungated = now ? t_add(tp, norm, now) : norm;
  Tensor *y = in->g ? t_mul(tp, ungated, in->g) : ungated;
  Tensor *o = t_linear(tp, y, out->output); /* [v7.11] */
  TRACE(ps, "att", "wkv norm ungated y out", wkv, norm, ungated, y, o);
  return o;
}

Tensor *v7_time_mix(Pass *ps, const V7Block *p, Tensor *x, Tensor **st)
{
  Tape *tp = ps->tp;
  Tensor *prev = t_shift(tp, x, &st[V7_ATT_XX]); /* [B,T,C] */
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

  Tensor *mix = NULL, *v = v7_value(ps, v0, xv, p->v0, p->v1, p->v2, &mix); /* [v7.4] */
  Tensor *kappa = HOOK(ps, HOOK_KEY_NORM, key_norm(ps, k0, p->k_k), k0, xk);
  Tensor *k = HOOK(ps, HOOK_KEY_SCALE, key_scale(tp, k0, a, p->k_a), k0, a, w, xk, xa);
  TRACE(ps, "att", "x xr xw xk xv xa xg r k0 v0 w a g mix v kappa k", x, xr, xw, xk, xv, xa, xg, r, k0, v0, w, a, g,
        mix, v, kappa, k);
  return v7_read_state(ps, &(V7Inputs){r, w, k, v, kappa, a, g}, &(V7Outputs){p->r_k, p->ln_x_w, p->ln_x_b, p->output},
                       &st[V7_ATT_KV]);
}

Tensor *v7_hidden(Pass *ps, Tensor *mu, Tensor *key, Tensor *x, Tensor **carry)
{
  Tape *tp = ps->tp;
  Tensor *prev = t_shift(tp, x, carry);
  Tensor *xk = mixes_x_to_prev(ps, HOOK_FFN_SHIFT, x, prev, &mu)[0];
  Tensor *k = t_relu2(tp, t_linear(tp, xk, key));
  TRACE(ps, "ffn", "x xk k", x, xk, k);
  return k;
}

Tensor *v7_channel_mix(Pass *ps, Tensor *mu, Tensor *key, Tensor *value, Tensor *x, Tensor **carry)
{
  Tensor *k = v7_hidden(ps, mu, key, x, carry);
  Tensor *out = t_linear(ps->tp, k, value); /* [v7.12] */
  TRACE(ps, "ffn", "out", out);
  return out;
}

Tensor *v7_sums(Pass *ps, const V7Block *v7, Tensor *beside, V7ChannelMix *mix, const void *p, Tensor *x, Tensor **st)
{
  Tape *tp = ps->tp;
  Tensor *h = t_layer_norm(tp, x, v7->ln1_w, v7->ln1_b, 1e-5);
  x = block_add(ps, HOOK_TIME_OUT, x, HOOK(ps, HOOK_TIME_MIX, v7_time_mix(ps, v7, h, st), h));
  if (beside) x = t_add(tp, x, beside);
  if (beside) TRACE(ps, "mid", "y", x);
  h = t_layer_norm(tp, x, v7->ln2_w, v7->ln2_b, 1e-5);
  return block_add(ps, HOOK_CHANNEL_OUT, x, HOOK(ps, HOOK_CHANNEL_MIX, mix(ps, p, h, st), h));
}

Tensor *v7_run(Pass *ps, const V7Block *v7, V7ChannelMix *mix, const void *p, Tensor *x, Tensor **st)
{
  x = block_embed_norm(ps, x, v7->ln0_w, v7->ln0_b);
  if (ps->layer == 0) ps->emb = x;
  return v7_sums(ps, v7, NULL, mix, p, x, st);
}

static Tensor *mix_channels(Pass *ps, const void *block, Tensor *h, Tensor **st)
{
  const V7Block *p = block;
  return v7_channel_mix(ps, p->ffn_x_k, p->ffn_key, p->ffn_value, h, &st[V7_FFN_XX]);
}

Tensor *v7_block(Pass *ps, const void *block, Tensor *x, Tensor **st)
{
  return v7_run(ps, block, mix_channels, block, x, st);
}

void v7_complete_widths(const char *version, Dims *d)
{
  if (!d->A) d->A = d->C;
  if (d->A != d->C) rwkv_fail("%s: dim_att %d must equal dim %d", version, d->A, d->C);
  if (!d->F) d->F = 4 * d->C;
  dims_complete_heads(version, d, 64);
}

void v7_complete(const char *version, Dims *d)
{
  if (!d->Dw) d->Dw = dims_lora_rank(1.8 * sqrt(d->C));
  if (!d->Da) d->Da = dims_lora_rank(1.8 * sqrt(d->C));
  if (!d->Dv) d->Dv = dims_lora_rank(1.3 * sqrt(d->C));
  if (!d->Dg) d->Dg = dims_lora_rank(0.6 * pow(d->C, 0.8));
  v7_complete_widths(version, d);
}

static void complete(Dims *d) { v7_complete("v7", d); }

double v7_mixing_flops(const Dims *d, int tokens) { return (void)tokens, 9.0 * d->C * d->N; }

/* clang-format off */
const Version version_v7 = {
    .name = "v7", .title = "RWKV-7 Goose",
    .global = PARAM_LIST(v7_global_params, Global), .block = PARAM_LIST(params, V7Block),
    .state = STATE_LIST(v7_state),
    .own = {V7_OWN, [HOOK_CHANNEL_MIX] = "relu2", [HOOK_EMBED_NORM] = "layer"}, V7_STREAMS,
    .rounds_decay = true, .complete = complete, .mixing_flops = v7_mixing_flops, .embed = global_embed,
    .run = v7_block, .head = global_head,
};
/* clang-format on */
