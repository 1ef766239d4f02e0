/* RWKV-6 "Finch" (Peng et al. 2024, arXiv:2404.05892; official code RWKV-v5/src/model.py, class
   RWKV_Tmix_x060). RWKV-5.2 with a decay and with mixes that depend on the token, through low-rank maps.
     v6   the released one
     v6a  the gate is a low-rank map with tanh
     v6b  no gate, a plain layer norm, four mixes                                                    */
#include "v6.h"

#include "engine/err.h"

#include <math.h>

/* ---- parameters ---- */

void v6_init_ffn_mix(const Init *in)
{
  for (size_t c = 0; c < in->n; c++) in->out[c] = 1 - init_channel_power(in, c, pow(init_ratio_1_to_almost0(in), 3));
}

/* clang-format off */
#define V6_GLOBAL(P)                                                                                        \
  GLOBAL_BASE(P, init_emb_uniform, 1e-4)

#define V6_COMMON(P)                                                                                        \
  BLOCK_NORMS(P)                                                                                            \
  /* field          official name            shape            where            initial value    gain  lr */ \
  P(maa_x,          "att.time_maa_x",        S3(one, one, C), has_shift,       init_prev_mix,      1, 1)    \
  P(maa_w,          "att.time_maa_w",        S3(one, one, C), has_shift,       init_prev_mix,      1, 1)    \
  P(maa_k,          "att.time_maa_k",        S3(one, one, C), has_shift,       init_prev_mix,      1, 1)    \
  P(maa_v,          "att.time_maa_v",        S3(one, one, C), has_shift,       init_prev_mix_v,    0, 1)    \
  P(maa_r,          "att.time_maa_r",        S3(one, one, C), has_shift,       init_prev_mix,    0.5, 1)    \
  P(decay,          "att.time_decay",        S3(one, one, A), has_decay,       init_decay_v5,      0, 2)    \
  P(decay_w1,       "att.time_decay_w1",     S2(C, Dw),       has_decay,       init_fill,          0, 1)    \
  P(decay_w2,       "att.time_decay_w2",     S2(Dw, A),       has_decay,       init_uniform,    0.01, 1)    \
  P(faaaa,          "att.time_faaaa",        S2(H, N),        has_bonus,       init_bonus,         0, 1)    \
  P(receptance,     "att.receptance.weight", S2(A, C),        has_receptance,  init_orthogonal,    1, 1)    \
  P(key,            "att.key.weight",        S2(A, C),        has_time_mix,    init_orthogonal,  0.1, 1)    \
  P(value,          "att.value.weight",      S2(A, C),        has_time_mix,    init_orthogonal,    1, 1)    \
  P(output,         "att.output.weight",     S2(C, A),        has_time_mix,    init_fill,          0, 1)    \
  P(ln_x_w,         "att.ln_x.weight",       S1(A),           has_norm,        init_ln_x,          0, 1)    \
  P(ln_x_b,         "att.ln_x.bias",         S1(A),           has_norm,        init_fill,          0, 1)    \
  P(ffn_maa_k,      "ffn.time_maa_k",        S3(one, one, C), has_ffn_shift,   v6_init_ffn_mix,    0, 1)    \
  P(ffn_maa_r,      "ffn.time_maa_r",        S3(one, one, C), has_ffn_shift,   v6_init_ffn_mix,    0, 1)    \
  P(ffn_key,        "ffn.key.weight",        S2(F, C),        has_channel_mix, init_orthogonal,    1, 1)    \
  P(ffn_receptance, "ffn.receptance.weight", S2(C, C),        has_channel_mix, init_fill,          0, 1)    \
  P(ffn_value,      "ffn.value.weight",      S2(C, F),        has_channel_mix, init_fill,          0, 1)

#define V6_FIVE_MIXES(P)                                                                                    \
  P(maa_g,          "att.time_maa_g",        S3(one, one, C), has_shift,       init_prev_mix,    0.5, 1)    \
  P(maa_w1,         "att.time_maa_w1",       S2(C, Dx),       has_shift,       init_fill,          0, 1)    \
  P(maa_w2,         "att.time_maa_w2",       S3(five, Dm, C), has_shift,       init_uniform,    0.01, 1)

#define V6_BLOCK(P)                                                                                         \
  V6_COMMON(P)                                                                                              \
  V6_FIVE_MIXES(P)                                                                                          \
  P(gate,           "att.gate.weight",       S2(A, C),        has_gate,        init_orthogonal,  0.1, 1)

#define V6A_BLOCK(P)                                                                                        \
  V6_COMMON(P)                                                                                              \
  V6_FIVE_MIXES(P)                                                                                          \
  P(gate_w1,        "att.gate_w1",           S2(C, Dg),       has_gate,        init_uniform,    0.01, 1)    \
  P(gate_w2,        "att.gate_w2",           S2(Dg, A),       has_gate,        init_uniform,    0.01, 1)

#define V6B_BLOCK(P)                                                                                        \
  V6_COMMON(P)                                                                                              \
  P(maa_w1,         "att.time_maa_rkvw_w1",  S2(C, Dx),       has_shift,       init_fill,          0, 1)    \
  P(maa_w2,         "att.time_maa_rkvw_w2",  S3(four, Dm, C), has_shift,       init_uniform,    0.01, 1)
/* clang-format on */

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
#define BLOCK Global
static const ParamSpec global_params[] = {V6_GLOBAL(PARAM_SPEC)};
#undef BLOCK

enum { ATT_XX, ATT_KV, FFN_XX };
/* clang-format off */
static const StateSpec state[] = {
    /* part     name      shape        where            start */
    [ATT_XX] = {"att_xx", S1(C),       has_shift_state, 0},
    [ATT_KV] = {"att_kv", S3(H, N, N), has_recurrence,  0}, /* S [H, key, value] */
    [FFN_XX] = {"ffn_xx", S1(C),       has_channel_mix, 0},
};
/* clang-format on */

/* ---- the computation ---- */

V6Shifted v6_shift(Pass *ps, Tensor *x, Tensor *mu, Tensor *w1, Tensor *w2, Tensor **carry)
{
  Tape *tp = ps->tp;
  Tensor *prev = t_shift(tp, x, carry);
  Tensor **hooked = hook_shift(ps, HOOK_SHIFT, x, prev);
  Tensor *low = hooked ? NULL : t_tanh(tp, t_matmul(tp, t_lerp(tp, x, prev, mu), w1)); /* [v6.1] */
  return (V6Shifted){x, prev, w2, hooked, low};
}

/* [v6.2]  x + (prev - x)(mu + m), where m is made from the token itself: stream i of the low-rank map.
   Streams: w k v r g; in v6b r k v w. */
Tensor *v6_ddlerp(Pass *ps, const V6Shifted *s, int i, Tensor *mu)
{
  if (s->hooked) return s->hooked[i];
  Tape *tp = ps->tp;
  int D = ps->d->Dm, C = ps->d->C;
  Tensor *up = t_reshape(tp, t_slice(tp, s->w2, 0, i, 1), 2, (int[]){D, C});
  Tensor *m = t_matmul(tp, t_slice(tp, s->low, 2, i * D, D), up); /* [B,T,C] */
  return t_lerp(tp, s->x, s->prev, t_add(tp, m, mu));
}

/* [v6.3]  log-decay w = -exp(w0 + tanh(x w1) w2), nats per step, of each token */
Tensor *v6_decay(Tape *tp, Tensor *x, Tensor *w0, Tensor *w1, Tensor *w2)
{
  return v4_decay(tp, t_add(tp, t_matmul(tp, t_tanh(tp, t_matmul(tp, x, w1)), w2), w0));
}

static Tensor *gate(Tape *tp, const V6Block *p, Tensor *xg)
{
  if (p->gate) return t_silu(tp, t_linear(tp, xg, p->gate)); /* [v6.4] */
  return t_matmul(tp, t_tanh(tp, t_matmul(tp, xg, p->gate_w1)), p->gate_w2);
}

static Tensor *time_mix(Pass *ps, const V6Block *p, Tensor *x, Tensor **st)
{
  Tape *tp = ps->tp;
  V6Shifted s = v6_shift(ps, x, p->maa_x, p->maa_w1, p->maa_w2, &st[ATT_XX]);
  bool b = ps->d->streams == 4;                        /* v6b has another order */
  Tensor *xw = v6_ddlerp(ps, &s, b ? 3 : 0, p->maa_w); /* [B,T,C] */
  Tensor *xk = v6_ddlerp(ps, &s, 1, p->maa_k);
  Tensor *xv = v6_ddlerp(ps, &s, 2, p->maa_v);
  Tensor *xr = v6_ddlerp(ps, &s, b ? 0 : 3, p->maa_r);
  Tensor *xg = b ? xr : v6_ddlerp(ps, &s, 4, p->maa_g);

  Tensor *r = HOOK(ps, HOOK_RECEPTANCE, t_linear(tp, xr, p->receptance), xr); /* [B,T,A] */
  Tensor *k = t_linear(tp, xk, p->key);
  Tensor *v = t_linear(tp, xv, p->value);

  Tensor *w = HOOK(ps, HOOK_DECAY, v6_decay(tp, xw, p->decay, p->decay_w1, p->decay_w2), xw); /* [v6.3] */
  Tensor *u = p->faaaa ? p->faaaa : tape_zeros(tp, 1, &ps->d->A); /* zero when a hook adds the bonus */
  Tensor *wkv = HOOK(ps, HOOK_RECURRENCE, t_wkv6(tp, r, w, k, v, u, &st[ATT_KV]), r, w, k, v, u); /* [v5.4] [v5.5] */
  Tensor *now = HOOK(ps, HOOK_BONUS, NULL, r, k, v);                                              /* in place of u */
  Tensor *y = now ? t_add(tp, wkv, now) : wkv;

  /* clang-format off */
  Tensor *norm = HOOK(ps, HOOK_NORM, b ? t_layer_norm(tp, y, p->ln_x_w, p->ln_x_b, 1e-5)
                                       : t_group_norm(tp, y, ps->d->H, p->ln_x_w, p->ln_x_b, 64e-5), y);
  /* clang-format on */
  Tensor *g = HOOK(ps, HOOK_GATE, b ? NULL : gate(tp, p, xg), xg);
  y = g ? t_mul(tp, norm, g) : norm;
  if (!g) xg = NULL; /* nothing reads it */
  Tensor *out = t_linear(tp, y, p->output);
  TRACE(ps, "att", "x low xw xk xv xr xg r w k v g wkv norm y out", x, s.low, xw, xk, xv, xr, xg, r, w, k, v, g, wkv,
        norm, y, out);
  return out;
}

Tensor *v6_channel_mix(Pass *ps, const V6Channels *p, Tensor *x, Tensor **carry)
{
  Tape *tp = ps->tp;
  Tensor *prev = t_shift(tp, x, carry);
  Tensor *mu[] = {p->mu_k, p->mu_r};
  Tensor **m = mixes_x_to_prev(ps, HOOK_FFN_SHIFT, x, prev, mu); /* the mix weighs the token before */
  Tensor *xk = m[0], *xr = m[1];
  Tensor *k = t_relu2(tp, t_linear(tp, xk, p->key)); /* [v6.5] */
  Tensor *r = t_sigmoid(tp, t_linear(tp, xr, p->receptance));
  Tensor *out = t_mul(tp, r, t_linear(tp, k, p->value));
  TRACE(ps, "ffn", "x xk xr k r out", x, xk, xr, k, r, out);
  return out;
}

static Tensor *mix_channels(Pass *ps, const V6Block *p, Tensor *x, Tensor **st)
{
  const V6Channels channels = {p->ffn_maa_k, p->ffn_maa_r, p->ffn_key, p->ffn_receptance, p->ffn_value};
  return v6_channel_mix(ps, &channels, x, &st[FFN_XX]);
}

static Tensor *run(Pass *ps, const void *block, Tensor *x, Tensor **st)
{
  const V6Block *p = block;
  Tape *tp = ps->tp;
  x = block_embed_norm(ps, x, p->ln0_w, p->ln0_b);
  Tensor *h = t_layer_norm(tp, x, p->ln1_w, p->ln1_b, 1e-5);
  x = block_add(ps, HOOK_TIME_OUT, x, HOOK(ps, HOOK_TIME_MIX, time_mix(ps, p, h, st), h));
  h = t_layer_norm(tp, x, p->ln2_w, p->ln2_b, 1e-5);
  return block_add(ps, HOOK_CHANNEL_OUT, x, HOOK(ps, HOOK_CHANNEL_MIX, mix_channels(ps, p, h, st), h));
}

int v6_hidden_width(int C)
{
  int F = 7 * C / 2 / 32 * 32;
  return F ? F : 4 * C;
}

static void complete_mixes(Dims *d, int mixes)
{
  if (!d->A) d->A = d->C;
  if (!d->F) d->F = v6_hidden_width(d->C);
  if (!d->Dm) d->Dm = 32;
  if (!d->Dx) d->Dx = mixes * d->Dm;
  if (d->Dx != (int64_t)mixes * d->Dm) rwkv_fail("v6: %d mixes of rank %d do not make %d", mixes, d->Dm, d->Dx);
  if (!d->Dw) d->Dw = 64;
  dims_complete_heads("v6", d, 64);
}

static void complete(Dims *d) { complete_mixes(d, 5); }
static void complete_b(Dims *d) { complete_mixes(d, 4); }

static void complete_a(Dims *d)
{
  if (!d->Dg) d->Dg = 64;
  complete_mixes(d, 5);
}

static double mixing_flops(const Dims *d, int tokens) { return (void)tokens, 5.0 * d->A * d->N; }

/* clang-format off */
#define V6(name_, title_, params_, complete_, streams_, gate_, norm_)                                    \
  {.name = name_, .title = title_, .global = PARAM_LIST(global_params, Global),                          \
   .block = PARAM_LIST(params_, V6Block), .state = STATE_LIST(state), .complete = complete_,             \
   .own = {[HOOK_SHIFT] = "ddlerp", [HOOK_FFN_SHIFT] = "lerp", [HOOK_RECEPTANCE] = "linear",             \
           [HOOK_DECAY] = "v6", [HOOK_GATE] = gate_, [HOOK_BONUS] = "v6", [HOOK_RECURRENCE] = "wkv6",    \
           [HOOK_NORM] = norm_, [HOOK_TIME_MIX] = name_, [HOOK_CHANNEL_MIX] = "gated",                   \
           [HOOK_TIME_OUT] = "none", [HOOK_CHANNEL_OUT] = "none", [HOOK_EMBED_NORM] = "layer"},          \
   .streams = streams_, .ffn_streams = "k r", .recurrence = "r w k v u",                                 \
   .mixing_flops = mixing_flops, .embed = global_embed, .run = run, .head = global_head}
/* clang-format on */

/* clang-format off */
const Version version_v6 = V6("v6", "RWKV-6 Finch", params_6, complete, "w k v r g", "silu", "group");
const Version version_v6a = V6("v6a", "RWKV-6.0a", params_6a, complete_a, "w k v r g", "tanh-lora", "group");
const Version version_v6b = V6("v6b", "RWKV-6.0b", params_6b, complete_b, "r k v w", "none", "layer");
/* clang-format on */
