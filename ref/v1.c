/* RWKV-1 (2021; official code RWKV-v1/src/model.py, model type 'RWKV'). There is no recurrence yet: the
   time mixing is a weighted sum over all earlier tokens, with learned weights for every distance up to
   ctx_len. Linear maps have biases, the head can copy tokens. */
#include "version.h"

#include "engine/err.h"

#include <math.h>

/* ---- parameters ---- */

/* One curve of exponentials per head, e^(-distance s), from steep to flat; the last head is all ones. */
static void init_time_w(const Init *in)
{
  int H = (int)in->rows, ctx = (int)in->cols;
  for (int h = 0; h < H; h++)
    for (int j = 0; j < ctx; j++) {
      double s = h < H - 1 ? pow(ctx, -(h + 1.0) / (H - 1.0)) : 0;
      in->out[h * ctx + j] = exp(-(ctx - 1 - j) * s);
    }
}

/* clang-format off */
#define V1_GLOBAL(P)                                                                                                 \
  /* field            official name             shape              where            initial value        gain  lr */ \
  P(emb,              "tok_emb.weight",         S2(V, C),          always,          init_emb_orthogonal,  0.4, 1)    \
  P(time_out,         "time_out",               S3(one, ctx, one), always,          init_fill,              1, 1)    \
  P(ln_f_w,           "ln_f.weight",            S1(C),             always,          init_fill,              1, 1)    \
  P(ln_f_b,           "ln_f.bias",              S1(C),             always,          init_fill,              0, 1)    \
  P(head,             "head.weight",            S2(V, C),          has_head,        init_ortho_wide,      0.4, 1)    \
  P(head_q,           "head_q.weight",          S2(Q, C),          always,          init_ortho_wide,     0.01, 1)    \
  P(head_q_b,         "head_q.bias",            S1(Q),             always,          init_fill,              0, 1)    \
  P(head_k,           "head_k.weight",          S2(Q, C),          always,          init_ortho_wide,     0.01, 1)    \
  P(head_k_b,         "head_k.bias",            S1(Q),             always,          init_fill,              0, 1)

#define V1_BLOCK(P)                                                                                                  \
  /* field            official name             shape              where            initial value        gain  lr */ \
  P(ln1_w,            "ln1.weight",             S1(C),             always,          init_fill,              1, 1)    \
  P(ln1_b,            "ln1.bias",               S1(C),             always,          init_fill,              0, 1)    \
  P(ln2_w,            "ln2.weight",             S1(C),             always,          init_fill,              1, 1)    \
  P(ln2_b,            "ln2.bias",               S1(C),             always,          init_fill,              0, 1)    \
  P(time_w,           "attn.time_w",            S2(H, ctx),        has_time_mix,    init_time_w,            0, 1)    \
  P(time_alpha,       "attn.time_alpha",        S3(H, one, ctx),   has_time_mix,    init_fill,              1, 1)    \
  P(time_beta,        "attn.time_beta",         S3(H, ctx, one),   has_time_mix,    init_fill,              1, 1)    \
  P(time_gamma,       "attn.time_gamma",        S2(ctx, one),      has_time_mix,    init_fill,              1, 1)    \
  P(key,              "attn.key.weight",        S2(A, C),          has_time_mix,    init_fill,              0, 1)    \
  P(key_b,            "attn.key.bias",          S1(A),             has_time_mix,    init_fill,              0, 1)    \
  P(value,            "attn.value.weight",      S2(A, C),          has_time_mix,    init_ortho_wide,        1, 1)    \
  P(value_b,          "attn.value.bias",        S1(A),             has_time_mix,    init_fill,              0, 1)    \
  P(receptance,       "attn.receptance.weight", S2(A, C),          has_time_mix,    init_fill,              0, 1)    \
  P(receptance_b,     "attn.receptance.bias",   S1(A),             has_time_mix,    init_fill,              0, 1)    \
  P(output,           "attn.output.weight",     S2(C, A),          has_time_mix,    init_fill,              0, 1)    \
  P(output_b,         "attn.output.bias",       S1(C),             has_time_mix,    init_fill,              0, 1)    \
  P(mlp_key,          "mlp.key.weight",         S2(F, C),          has_channel_mix, init_ortho_wide,        1, 1)    \
  P(mlp_key_b,        "mlp.key.bias",           S1(F),             has_channel_mix, init_fill,              0, 1)    \
  P(mlp_value,        "mlp.value.weight",       S2(F, C),          has_channel_mix, init_ortho_wide,        1, 1)    \
  P(mlp_value_b,      "mlp.value.bias",         S1(F),             has_channel_mix, init_fill,              0, 1)    \
  P(mlp_weight,       "mlp.weight.weight",      S2(C, F),          has_channel_mix, init_fill,              0, 1)    \
  P(mlp_weight_b,     "mlp.weight.bias",        S1(C),             has_channel_mix, init_fill,              0, 1)    \
  P(mlp_receptance,   "mlp.receptance.weight",  S2(C, C),          has_channel_mix, init_fill,              0, 1)    \
  P(mlp_receptance_b, "mlp.receptance.bias",    S1(C),             has_channel_mix, init_fill,              0, 1)
/* clang-format on */

typedef struct {
  V1_GLOBAL(PARAM_FIELD)
} V1Global;
#define BLOCK V1Global
static const ParamSpec global_params[] = {V1_GLOBAL(PARAM_SPEC)};
#undef BLOCK

typedef struct {
  V1_BLOCK(PARAM_FIELD)
} V1Block;
#define BLOCK V1Block
static const ParamSpec params[] = {V1_BLOCK(PARAM_SPEC)};
#undef BLOCK

/* Nothing can be forgotten: the state is the history. */
enum { ATT_XX, ATT_K, ATT_V, MLP_XX };
/* clang-format off */
static const StateSpec state[] = {
    /* part     name      shape           where            start */
    [ATT_XX] = {"att_xx", S1(C),          has_shift_state, 0},
    [ATT_K]  = {"att_k",  S2(history, A), has_time_mix,    0},
    [ATT_V]  = {"att_v",  S2(history, A), has_time_mix,    0},
    [MLP_XX] = {"mlp_xx", S1(C),          has_channel_mix, 0},
};
/* clang-format on */
static const StateSpec global_state[] = {COPY_STATE};

/* ---- the computation ---- */

/* The first half of the channels comes from the token before. */
static Tensor *half_shift(Pass *ps, HookSlot slot, Tensor *x, Tensor **carry)
{
  Tape *tp = ps->tp;
  int C = x->shape[2], half = C / 2;
  Tensor *prev = t_shift(tp, x, carry);
  Tensor **mixed = hook_shift(ps, slot, x, prev);
  if (mixed) return mixed[0];
  return t_concat(tp, (Tensor *[]){t_slice(tp, prev, 2, 0, half), t_slice(tp, x, 2, half, C - half)}, 2, 2);
}

static Tensor *time_mix(Pass *ps, const V1Block *p, Tensor *x, Tensor **st)
{
  Tape *tp = ps->tp;
  int before = st[ATT_K]->shape[1];                                                    /* positions already seen */
  Tensor *z = half_shift(ps, HOOK_SHIFT, x, &st[ATT_XX]);                              /* [v1.1] */
  Tensor *k = t_exp(tp, t_clamp(tp, t_linear_bias(tp, z, p->key, p->key_b), -60, 30)); /* [v1.2]  [B,T,A] */
  Tensor *v = t_linear_bias(tp, z, p->value, p->value_b);                              /* [v1.3] */
  Tensor *r = t_sigmoid(tp, t_linear_bias(tp, z, p->receptance, p->receptance_b));
  Tensor *y = t_wkv1(tp, p->time_w, p->time_alpha, p->time_beta, ps->d->H, k, v, &st[ATT_K], &st[ATT_V]);
  Tensor *out = t_linear_bias(tp, t_mul(tp, r, y), p->output, p->output_b); /* [v1.5]  [B,T,C] */
  out = t_mul(tp, out, t_slice(tp, p->time_gamma, 0, before, ps->T));       /* gamma [T,1] */
  TRACE(ps, "att", "x z k v r y out", x, z, k, v, r, y, out);
  return out;
}

static Tensor *mlp(Pass *ps, const V1Block *p, Tensor *x, Tensor **st)
{
  Tape *tp = ps->tp;
  Tensor *z = half_shift(ps, HOOK_FFN_SHIFT, x, &st[MLP_XX]);
  Tensor *k = t_mish(tp, t_linear_bias(tp, z, p->mlp_key, p->mlp_key_b)); /* [v1.6]  [B,T,F] */
  Tensor *v = t_linear_bias(tp, z, p->mlp_value, p->mlp_value_b);
  Tensor *r = t_sigmoid(tp, t_linear_bias(tp, z, p->mlp_receptance, p->mlp_receptance_b));
  Tensor *out = t_mul(tp, r, t_linear_bias(tp, t_mul(tp, k, v), p->mlp_weight, p->mlp_weight_b));
  TRACE(ps, "ffn", "x z k v r out", x, z, k, v, r, out);
  return out;
}

static Tensor *run(Pass *ps, const void *block, Tensor *x, Tensor **st)
{
  const V1Block *p = block;
  Tape *tp = ps->tp;
  Tensor *h = t_layer_norm(tp, x, p->ln1_w, p->ln1_b, 1e-5);
  x = block_add(ps, HOOK_TIME_OUT, x, HOOK(ps, HOOK_TIME_MIX, time_mix(ps, p, h, st), h));
  h = t_layer_norm(tp, x, p->ln2_w, p->ln2_b, 1e-5);
  return block_add(ps, HOOK_CHANNEL_OUT, x, HOOK(ps, HOOK_CHANNEL_MIX, mlp(ps, p, h, st), h));
}

static Tensor *embed(Pass *ps)
{
  Tensor *x = t_rows(ps->tp, ((const V1Global *)ps->global)->emb, ps->tokens, 2, (int[]){ps->B, ps->T});
  TRACE_GLOBAL(ps, "emb.x", x);
  return x;
}

static Head head(Pass *ps, Tensor *x, const int *position, int count)
{
  const V1Global *p = ps->global;
  Tape *tp = ps->tp;
  int flat[] = {ps->B * ps->T, ps->d->C}, before = ps->global_state[COPY_KEYS]->shape[1];
  Tensor *y = t_layer_norm(tp, x, p->ln_f_w, p->ln_f_b, 1e-5); /* [B,T,C] */
  TRACE_GLOBAL(ps, "ln_out.y", y);
  Tensor *scaled = t_mul(tp, y, t_slice(tp, p->time_out, 1, before, ps->T));
  Tensor *k = t_linear_bias(tp, y, p->head_k, p->head_k_b); /* of y before time_out */
  if (position) {
    y = t_rows(tp, t_reshape(tp, y, 2, flat), position, 1, &count);
    scaled = t_rows(tp, t_reshape(tp, scaled, 2, flat), position, 1, &count);
  }
  Tensor *q = t_linear_bias(tp, y, p->head_q, p->head_q_b);
  return (Head){scaled, p->head ? p->head : p->emb, global_copies(ps, q, k, position, count)}; /* [v1.7] */
}

static void complete(Dims *d)
{
  if (!d->A) d->A = d->C;
  if (!d->F) d->F = 5 * d->C / 2;
  if (!d->Q) d->Q = 256;
  if (!d->ctx) d->ctx = 1024;
  if (!d->H && !d->N) d->H = d->A >= 128 && d->A % 64 == 0 ? d->A / 64 : 2;
  dims_complete_heads("v1", d, 64);
  if (d->H < 2) { /* the initial time_w needs two heads; one head of the size asked for becomes two halves */
    if (d->N % 2) rwkv_fail("v1: at least 2 heads are needed, found one of size %d", d->N);
    d->H = 2, d->N /= 2;
  }
}

/* scores with w, alpha, beta, k and v, and the two sums, for every earlier token */
static double mixing_flops(const Dims *d, int tokens) { return 6.0 * d->A * (tokens + 1.0); }

/* clang-format off */
const Version version_v1 = {
    .name = "v1", .title = "RWKV-1",
    .global = PARAM_LIST(global_params, V1Global), .block = PARAM_LIST(params, V1Block),
    .state = STATE_LIST(state), .global_state = STATE_LIST(global_state),
    .own = {[HOOK_SHIFT] = "half", [HOOK_FFN_SHIFT] = "half", [HOOK_TIME_MIX] = "v1", [HOOK_CHANNEL_MIX] = "mish",
            [HOOK_TIME_OUT] = "none", [HOOK_CHANNEL_OUT] = "none"},
    .streams = "x", .ffn_streams = "x",
    .complete = complete, .mixing_flops = mixing_flops, .embed = embed, .run = run, .head = head,
};
/* clang-format on */
