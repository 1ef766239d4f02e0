/* The built-in hooks: other ways to decay, gate, mix and normalise. Each is its parameters and one function; the
   formulas of the versions stand in their files (v4.c, v6.c, v7.c). Parameters that are called ".weight" are matrices
   with weight decay, as in the official trainer. */
#include "variants.h"

#include "v7.h"

#include <math.h>
#include <string.h>

/* clang-format off */
#define PARAM(name, shape, init, gain, lr) {name, shape, always, init, gain, lr, 0, false}
/* clang-format on */
/* clang-format off */
#define HOOK_OF(slot_, name_, apply_, complete_, ...)                                       \
  &(const Hook){.slot = slot_, .name = name_, .apply = apply_, .complete = complete_,      \
                .param = (const ParamSpec[]){__VA_ARGS__},                                  \
                .param_count = COUNT(((const ParamSpec[]){__VA_ARGS__}))}
/* clang-format on */
#define BARE_HOOK(slot_, name_, apply_) \
  &(const Hook) { .slot = slot_, .name = name_, .apply = apply_ }

static Tensor *zeros(const HookCall *c) { return tape_zeros(c->ps->tp, 1, &c->ps->d->A); }

static void nothing(HookCall *c) { c->out[0] = NULL; }

/* ---- sizes that a version may have left open ---- */

static void heads(Dims *d) { dims_complete_heads("hook", d, 64); }

static void decay_rank_v6(Dims *d)
{
  if (!d->Dw) d->Dw = 64;
}

static void decay_rank(Dims *d)
{
  if (!d->Dw) d->Dw = dims_lora_rank(1.8 * sqrt(d->C));
}

static void gate_rank(Dims *d)
{
  if (!d->Dg) d->Dg = dims_lora_rank(0.6 * pow(d->C, 0.8));
}

/* ---- shift: what each stream sees of the token and the one before ---- */

static void shift_none(HookCall *c)
{
  for (int i = 0; i < c->out_count; i++) c->out[i] = c->in[0];
}

static void shift_half(HookCall *c) /* [v1.1] */
{
  Tape *tp = c->ps->tp;
  int C = c->ps->d->C, half = C / 2;
  Tensor *parts[] = {t_slice(tp, c->in[1], 2, 0, half), t_slice(tp, c->in[0], 2, half, C - half)};
  Tensor *mixed = t_concat(tp, parts, 2, 2);
  for (int i = 0; i < c->out_count; i++) c->out[i] = mixed;
}

/* Row i of a table [rows,C]. */
static Tensor *row(Tape *tp, Tensor *table, int i, int C) { return t_reshape(tp, t_slice(tp, table, 0, i, 1), 1, &C); }

static void shift_lerp(HookCall *c) /* [v7.1]; mu [streams,C] */
{
  Tape *tp = c->ps->tp;
  for (int i = 0; i < c->out_count; i++)
    c->out[i] = t_lerp(tp, c->in[0], c->in[1], row(tp, c->param[0], i, c->ps->d->C));
}

static void shift_ddlerp(HookCall *c) /* [v6.1] [v6.2]; mu_x [C], mu [streams,C], w1 [streams D,C], w2 [streams,D,C] */
{
  Tape *tp = c->ps->tp;
  Tensor **p = c->param, *x = c->in[0], *prev = c->in[1];
  int C = c->ps->d->C, D = p[3]->shape[1];
  Tensor *low = t_tanh(tp, t_linear(tp, t_lerp(tp, x, prev, p[0]), t_reshape(tp, p[2], 2, (int[]){-1, C})));
  for (int i = 0; i < c->out_count; i++) {
    Tensor *up = t_reshape(tp, t_slice(tp, p[3], 0, i, 1), 2, (int[]){D, C});
    Tensor *m = t_matmul(tp, t_slice(tp, low, 2, i * D, D), up);
    c->out[i] = t_lerp(tp, x, prev, t_add(tp, m, row(tp, p[1], i, C)));
  }
}

static void mix_rank(Dims *d)
{
  if (!d->Dm) d->Dm = 32;
}

#define LERP(slot, streams) HOOK_OF(slot, "lerp", shift_lerp, NULL, PARAM("mu", S2(streams, C), init_lerp, 1, 1))
#define DDLERP(slot, streams)                                                                             \
  HOOK_OF(slot, "ddlerp", shift_ddlerp, mix_rank, PARAM("mu_x", S1(C), init_lerp, 1, 1),                  \
          PARAM("mu", S2(streams, C), init_lerp, 1, 1), PARAM("w1", S3(streams, Dm, C), init_fill, 0, 1), \
          PARAM("w2", S3(streams, Dm, C), init_uniform, 0.01, 1))

/* ---- decay: log-decay <= 0, nats a step ---- */

static void decay_none(HookCall *c) { c->out[0] = zeros(c); }
static void decay_constant(HookCall *c) { c->out[0] = v4_decay(c->ps->tp, c->param[0]); }

static void decay_low_rank(HookCall *c) /* as v6 */
{
  c->out[0] = v6_decay(c->ps->tp, c->in[0], c->param[0], c->param[1], c->param[2]);
}

static void decay_soft_floor(HookCall *c) /* as v7 */
{
  c->out[0] = v7_decay(c->ps->tp, c->in[0], c->param[0], c->param[1], c->param[2], exp(-0.5));
}

/* e^w = f + (1 - f) sigmoid(w0 + tanh(x w1) w2) with a learned floor f = sigmoid(floor): the lower bound of HGRN's
   forget gate (Qin et al. 2023, arXiv:2311.04823) */
static void decay_sigmoid_floor(HookCall *c)
{
  Tape *tp = c->ps->tp;
  Tensor **p = c->param;
  Tensor *low = t_tanh(tp, t_matmul(tp, c->in[0], p[1]));
  Tensor *s = t_sigmoid(tp, t_add(tp, t_matmul(tp, low, p[2]), p[0])), *f = t_sigmoid(tp, p[3]);
  Tensor *factor = t_add(tp, t_mul(tp, s, t_affine(tp, f, -1, 1)), f);
  c->out[0] = t_binary(tp, B_MIN, t_unary(tp, U_LOG, factor), tape_number(tp, 0));
}

/* [B,T,H] -> [B,T,A], each number for all channels of its head */
static Tensor *for_each_channel(const HookCall *c, Tensor *x)
{
  Tape *tp = c->ps->tp;
  const Dims *d = c->ps->d;
  int B = c->ps->B, T = c->ps->T;
  Tensor *wide = t_add(tp, t_reshape(tp, x, 4, (int[]){B, T, d->H, 1}), tape_zeros(tp, 2, (int[]){d->H, d->N}));
  return t_reshape(tp, wide, 3, (int[]){B, T, d->A});
}

static void decay_scalar(HookCall *c) /* one for each head and token: -exp(w0 + x w1) */
{
  Tape *tp = c->ps->tp;
  c->out[0] = for_each_channel(c, v4_decay(tp, t_linear_bias(tp, c->in[0], c->param[1], c->param[0])));
}

/* ---- in-context learning rate ---- */

static void iclr_none(HookCall *c) { c->out[0] = t_affine(c->ps->tp, zeros(c), 0, 1); }

static void iclr_scalar(HookCall *c) /* one for each head and token: sigmoid(a0 + x a1) */
{
  Tape *tp = c->ps->tp;
  c->out[0] = for_each_channel(c, t_sigmoid(tp, t_linear_bias(tp, c->in[0], c->param[1], c->param[0])));
}

/* 0 to 2 e^w: along the removal key the transition has eigenvalues down to -e^w, so that a state can change its sign
   (Grazzi et al. 2024, arXiv:2411.12537). Bounded by the decay, so that nothing grows. */
static void iclr_doubled(HookCall *c)
{
  Tape *tp = c->ps->tp;
  Tensor *a = v7_iclr(tp, c->in[0], c->param[0], c->param[1], c->param[2]);
  c->out[0] = t_affine(tp, t_mul(tp, a, t_exp(tp, c->in[1])), 2, 0);
}

/* ---- gate, receptance ---- */

static void gate_silu(HookCall *c) { c->out[0] = t_silu(c->ps->tp, t_linear(c->ps->tp, c->in[0], c->param[0])); }
static void gate_sigmoid_lora(HookCall *c) { c->out[0] = v7_gate(c->ps->tp, c->in[0], c->param[0], c->param[1]); }
static void linear(HookCall *c) { c->out[0] = t_linear(c->ps->tp, c->in[0], c->param[0]); }
static void sigmoid(HookCall *c) { c->out[0] = t_sigmoid(c->ps->tp, t_linear(c->ps->tp, c->in[0], c->param[0])); }

/* ---- bonus, removal key, value residual, norm ---- */

static void bonus(HookCall *c) { c->out[0] = v7_bonus(c->ps, c->in[0], c->in[1], c->in[2], c->param[0]); }
static void key_plain(HookCall *c) { c->out[0] = t_mul(c->ps->tp, c->in[0], c->param[0]); }
static void value_plain(HookCall *c) { c->out[0] = c->in[0]; }

static void key_as_it_is(HookCall *c) { c->out[0] = c->in[0]; }

static void value_scalar(HookCall *c) /* one mix of the layer */
{
  Tape *tp = c->ps->tp;
  Tensor *mu = t_add(tp, t_sigmoid(tp, c->param[0]), zeros(c));
  c->out[0] = t_lerp(tp, c->in[0], c->in[1], mu);
}

static void norm_group(HookCall *c)
{
  c->out[0] = t_group_norm(c->ps->tp, c->in[0], c->ps->d->H, c->param[0], c->param[1], 64e-5);
}

static void norm_layer(HookCall *c) { c->out[0] = t_layer_norm(c->ps->tp, c->in[0], c->param[0], c->param[1], 1e-5); }
static void norm_none(HookCall *c) { c->out[0] = c->in[0]; }

/* ---- channel mixing; the state is the token before ---- */

static const StateSpec shift_state[] = {{"shift", S1(C), always, 0}};

static void channel_gated(HookCall *c) /* [v6.5]; mu_k mu_r [C] */
{
  Tape *tp = c->ps->tp;
  Tensor **p = c->param, *x = c->in[0], *prev = t_shift(tp, x, &c->state[0]);
  Tensor *k = t_relu2(tp, t_linear(tp, t_lerp(tp, x, prev, p[0]), p[2]));
  Tensor *r = t_sigmoid(tp, t_linear(tp, t_lerp(tp, x, prev, p[1]), p[3]));
  c->out[0] = t_mul(tp, r, t_linear(tp, k, p[4]));
}

static void channel_relu2(HookCall *c) /* [v7.12]; mu_k [C] */
{
  Tape *tp = c->ps->tp;
  Tensor **p = c->param, *x = c->in[0], *prev = t_shift(tp, x, &c->state[0]);
  c->out[0] = t_linear(tp, t_relu2(tp, t_linear(tp, t_lerp(tp, x, prev, p[0]), p[1])), p[2]);
}

static const ParamSpec gated_params[] = {PARAM("mu_k", S1(C), init_lerp, 1, 1), PARAM("mu_r", S1(C), init_lerp, 1, 1),
                                         PARAM("key.weight", S2(F, C), init_orthogonal, 1, 1),
                                         PARAM("receptance.weight", S2(C, C), init_fill, 0, 1),
                                         PARAM("value.weight", S2(C, F), init_fill, 0, 1)};
static const ParamSpec relu2_params[] = {PARAM("mu_k", S1(C), init_lerp, 1, 1),
                                         PARAM("key.weight", S2(F, C), init_orthogonal, 1, 1),
                                         PARAM("value.weight", S2(C, F), init_fill, 0, 1)};

/* clang-format off */
#define CHANNEL_MIX(name_, apply_, list)                                                                        \
  &(const Hook){.slot = HOOK_CHANNEL_MIX, .name = name_, .apply = apply_, .param = list, .param_count = COUNT(list), \
                .state = shift_state, .state_count = 1}
/* clang-format on */

static void channel_none(HookCall *c)
{
  const Tensor *x = c->in[0];
  c->out[0] = tape_zeros(c->ps->tp, x->axes, x->shape);
}

/* ---- the list ---- */

#define LOW_RANK_DECAY(init)                                               \
  PARAM("w0", S1(A), init, 0, 2), PARAM("w1", S2(C, Dw), init_fill, 0, 1), \
      PARAM("w2", S2(Dw, A), init_ortho_wide, 0.1, 1)
#define RATE                                                                    \
  PARAM("a0", S1(C), init_iclr, 0, 1), PARAM("a1", S2(C, Da), init_fill, 0, 1), \
      PARAM("a2", S2(Da, C), init_ortho_wide, 0.1, 1)

static const Hook *const hooks[] = {
    BARE_HOOK(HOOK_SHIFT, "none", shift_none),
    BARE_HOOK(HOOK_SHIFT, "half", shift_half),
    LERP(HOOK_SHIFT, streams),
    DDLERP(HOOK_SHIFT, streams),
    BARE_HOOK(HOOK_FFN_SHIFT, "none", shift_none),
    BARE_HOOK(HOOK_FFN_SHIFT, "half", shift_half),
    LERP(HOOK_FFN_SHIFT, ffn_streams),
    DDLERP(HOOK_FFN_SHIFT, ffn_streams),
    HOOK_OF(HOOK_RECEPTANCE, "linear", linear, NULL, PARAM("weight", S2(A, C), init_orthogonal, 1, 1)),
    HOOK_OF(HOOK_RECEPTANCE, "sigmoid", sigmoid, NULL, PARAM("weight", S2(A, C), init_fill, 0, 1)),
    BARE_HOOK(HOOK_DECAY, "none", decay_none),
    HOOK_OF(HOOK_DECAY, "v4", decay_constant, NULL, PARAM("w", S1(A), init_decay_v4, 0, 2)),
    HOOK_OF(HOOK_DECAY, "v5", decay_constant, NULL, PARAM("w", S1(A), init_decay_v5, 0, 2)),
    HOOK_OF(HOOK_DECAY, "v6", decay_low_rank, decay_rank_v6, LOW_RANK_DECAY(init_decay_v5)),
    HOOK_OF(HOOK_DECAY, "v7", decay_soft_floor, decay_rank, LOW_RANK_DECAY(init_decay_v7)),
    HOOK_OF(HOOK_DECAY, "sigmoid-floor", decay_sigmoid_floor, decay_rank, PARAM("w0", S1(A), init_fill, 3, 2),
            PARAM("w1", S2(C, Dw), init_fill, 0, 1), PARAM("w2", S2(Dw, A), init_ortho_wide, 0.1, 1),
            PARAM("floor", S1(A), init_fill, 0, 1)),
    HOOK_OF(HOOK_DECAY, "scalar-per-head", decay_scalar, heads, PARAM("w0", S1(H), init_decay_v5, 0, 2),
            PARAM("w1", S2(H, C), init_fill, 0, 1)),
    BARE_HOOK(HOOK_ICLR, "none", iclr_none),
    HOOK_OF(HOOK_ICLR, "scalar", iclr_scalar, NULL, PARAM("a0", S1(H), init_fill, -0.19, 1),
            PARAM("a1", S2(H, C), init_fill, 0, 1)),
    HOOK_OF(HOOK_ICLR, "doubled", iclr_doubled, NULL, RATE),
    BARE_HOOK(HOOK_GATE, "none", nothing),
    HOOK_OF(HOOK_GATE, "silu", gate_silu, NULL, PARAM("weight", S2(A, C), init_orthogonal, 0.1, 1)),
    HOOK_OF(HOOK_GATE, "sigmoid-lora", gate_sigmoid_lora, gate_rank, PARAM("g1", S2(C, Dg), init_fill, 0, 1),
            PARAM("g2", S2(Dg, A), init_ortho_wide, 0.1, 1)),
    BARE_HOOK(HOOK_BONUS, "none", nothing),
    HOOK_OF(HOOK_BONUS, "v6", bonus, heads, PARAM("u", S2(H, N), init_bonus, 0, 1)),
    HOOK_OF(HOOK_BONUS, "v7", bonus, heads, PARAM("u", S2(H, N), init_fill, -0.04, 1)),
    HOOK_OF(HOOK_KEY_NORM, "none", key_plain, NULL, PARAM("k_k", S1(C), init_key_norm, 0, 1)),
    BARE_HOOK(HOOK_KEY_SCALE, "none", key_as_it_is),
    BARE_HOOK(HOOK_VALUE_RESIDUAL, "none", value_plain),
    HOOK_OF(HOOK_VALUE_RESIDUAL, "scalar", value_scalar, NULL, PARAM("v0", S1(one), init_fill, 0.73, 1)),
    HOOK_OF(HOOK_NORM, "group", norm_group, heads, PARAM("scale", S1(A), init_ln_x, 0, 1),
            PARAM("bias", S1(A), init_fill, 0, 1)),
    HOOK_OF(HOOK_NORM, "layer", norm_layer, NULL, PARAM("scale", S1(A), init_ln_x, 0, 1),
            PARAM("bias", S1(A), init_fill, 0, 1)),
    BARE_HOOK(HOOK_NORM, "none", norm_none),
    BARE_HOOK(HOOK_CHANNEL_MIX, "none", channel_none),
    CHANNEL_MIX("gated", channel_gated, gated_params),
    CHANNEL_MIX("relu2", channel_relu2, relu2_params),
    BARE_HOOK(HOOK_EMBED_NORM, "none", norm_none),
    NULL,
};

const Hook *const *hook_list(void) { return hooks; }

const Hook *hook_find(HookSlot slot, const char *name)
{
  for (const Hook *const *h = hook_list(); *h; h++)
    if ((*h)->slot == slot && strcmp((*h)->name, name) == 0) return *h;
  return NULL;
}
