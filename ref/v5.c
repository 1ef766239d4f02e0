/* RWKV-5 "Eagle" (Peng et al. 2024, arXiv:2404.05892; official code: 5.0 and 5.1 RWKV-v4neo/src/model.py,
   5.2 RWKV-v5/src/model.py). The state of a head becomes a matrix S [N key, N value]; exponentials of
   keys and the denominator are gone, a group norm takes their place.
     5.0  one decay and one bonus per head, the bonus as an exponential; no gate
     5.1  the bonus as it is; a gate
     5.2  a decay and a bonus for every key channel                                                 */
#include "version.h"

#include "engine/err.h"

/* ---- parameters ---- */

static void init_bonus_per_head(const Init *in) /* layer/(L-1) (1 - h/(H-1)) */
{
  for (size_t h = 0; h < in->n; h++) in->out[h] = init_ratio_0_to_1(in) * (1 - init_part_of_last(in, h));
}

/* clang-format off */
#define V5_GLOBAL(P, emb_range)                                                                                     \
  GLOBAL_BASE(P, init_emb_uniform, emb_range)

/* key_gain and ffn_key_init: what 5.0 and 5.1 do otherwise than 5.2 */
#define V5_COMMON(P, key_gain, ffn_key_init)                                                                        \
  BLOCK_NORMS(P)                                                                                                    \
  /* field          official name            shape            where            initial value            gain  lr */ \
  P(mix_k,          "att.time_mix_k",        S3(one, one, C), has_shift,       init_mix,                   1, 1)    \
  P(mix_v,          "att.time_mix_v",        S3(one, one, C), has_shift,       init_mix_v,                 0, 1)    \
  P(mix_r,          "att.time_mix_r",        S3(one, one, C), has_shift,       init_mix,                 0.5, 1)    \
  P(receptance,     "att.receptance.weight", S2(A, C),        has_receptance,  init_ortho_wide,            1, 1)    \
  P(key,            "att.key.weight",        S2(A, C),        has_time_mix,    init_ortho_wide,     key_gain, 1)    \
  P(value,          "att.value.weight",      S2(A, C),        has_time_mix,    init_ortho_wide,            1, 1)    \
  P(output,         "att.output.weight",     S2(C, A),        has_time_mix,    init_fill,                  0, 1)    \
  P(ln_x_w,         "att.ln_x.weight",       S1(A),           has_norm,        init_ln_x,                  0, 1)    \
  P(ln_x_b,         "att.ln_x.bias",         S1(A),           has_norm,        init_fill,                  0, 1)    \
  P(ffn_mix_k,      "ffn.time_mix_k",        S3(one, one, C), has_ffn_shift,   init_mix,                   1, 1)    \
  P(ffn_mix_r,      "ffn.time_mix_r",        S3(one, one, C), has_ffn_shift,   init_mix,                   1, 1)    \
  P(ffn_key,        "ffn.key.weight",        S2(F, C),        has_channel_mix, ffn_key_init,               1, 1)    \
  P(ffn_receptance, "ffn.receptance.weight", S2(C, C),        has_channel_mix, init_fill,                  0, 1)    \
  P(ffn_value,      "ffn.value.weight",      S2(C, F),        has_channel_mix, init_fill,                  0, 1)

#define V5_GATE(P, gain)                                                                                            \
  P(mix_g,          "att.time_mix_g",        S3(one, one, C), has_shift,       init_mix,                 0.5, 1)    \
  P(gate,           "att.gate.weight",       S2(A, C),        has_gate,        init_ortho_wide,         gain, 1)

#define V5_0_BLOCK(P)                                                                                               \
  V5_COMMON(P, 1, init_ortho_wide)                                                                                  \
  P(decay,          "att.time_decay",        S1(H),           has_decay,       init_decay_v5,              0, 2)    \
  P(first,          "att.time_first",        S1(H),           has_bonus,       init_fill,               -3.0, 3)

#define V5_1_BLOCK(P)                                                                                               \
  V5_COMMON(P, 1, init_ortho_wide)                                                                                  \
  V5_GATE(P, 1)                                                                                                     \
  P(decay,          "att.time_decay",        S1(H),           has_decay,       init_decay_v5,              0, 2)    \
  P(faaaa,          "att.time_faaaa",        S1(H),           has_bonus,       init_bonus_per_head,        0, 1)

#define V5_2_BLOCK(P)                                                                                               \
  V5_COMMON(P, 0.1, init_orthogonal)                                                                                \
  V5_GATE(P, 0.1)                                                                                                   \
  P(decay,          "att.time_decay",        S2(H, N),        has_decay,       init_decay_v5,              0, 2)    \
  P(faaaa,          "att.time_faaaa",        S2(H, N),        has_bonus,       init_bonus,                 0, 1)
/* clang-format on */

typedef struct {
  V5_COMMON(PARAM_FIELD, 0, 0)
  V5_GATE(PARAM_FIELD, 0) /* NULL in 5.0 */
  Tensor *decay, *first, *faaaa;
} V5Block;
#define BLOCK V5Block
static const ParamSpec params_5_0[] = {V5_0_BLOCK(PARAM_SPEC)};
static const ParamSpec params_5_1[] = {V5_1_BLOCK(PARAM_SPEC)};
static const ParamSpec params_5_2[] = {V5_2_BLOCK(PARAM_SPEC)};
#undef BLOCK
#define BLOCK Global
static const ParamSpec global_neo[] = {V5_GLOBAL(PARAM_SPEC, 6e-4)};
static const ParamSpec global_5_2[] = {V5_GLOBAL(PARAM_SPEC, 1e-4)};
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

/* One number per head [H] becomes one per channel [H,N]. */
static Tensor *per_channel(Pass *ps, Tensor *x)
{
  int H = ps->d->H, N = ps->d->N;
  if (x->n == (size_t)H * (size_t)N) return x;
  return t_add(ps->tp, t_reshape(ps->tp, x, 2, (int[]){H, 1}), tape_zeros(ps->tp, 2, (int[]){H, N}));
}

/* u [A]; zero when a hook adds the bonus instead */
static Tensor *bonus(Pass *ps, const V5Block *p)
{
  if (dims_hook(ps->d, HOOK_BONUS, ps->layer)) return tape_zeros(ps->tp, 1, &ps->d->A);
  return per_channel(ps, p->first ? t_exp(ps->tp, p->first) : p->faaaa);
}

static Tensor *time_mix(Pass *ps, const V5Block *p, Tensor *x, Tensor **st)
{
  Tape *tp = ps->tp;
  Tensor *prev = t_shift(tp, x, &st[ATT_XX]); /* [B,T,C] */
  Tensor *mu[] = {p->mix_k, p->mix_v, p->mix_r, p->mix_g};
  Tensor **m = mixes_prev_to_x(ps, HOOK_SHIFT, x, prev, mu);              /* [v5.1]  mu x_t + (1 - mu) x_{t-1} */
  Tensor *xk = m[0], *xv = m[1], *xr = m[2], *xg = m[ps->d->streams - 1]; /* in 5.0 there is no xg but xr */

  Tensor *r = HOOK(ps, HOOK_RECEPTANCE, t_linear(tp, xr, p->receptance), xr); /* [B,T,A], no sigmoid */
  Tensor *k = t_linear(tp, xk, p->key);                                       /* no exponential */
  Tensor *v = t_linear(tp, xv, p->value);

  Tensor *w = HOOK(ps, HOOK_DECAY, per_channel(ps, v4_decay(tp, p->decay)), xk); /* [v5.2]  log-decay, <= 0 */
  Tensor *u = bonus(ps, p);                                                      /* [v5.3] */
  Tensor *wkv = HOOK(ps, HOOK_RECURRENCE, t_wkv6(tp, r, w, k, v, u, &st[ATT_KV]), r, w, k, v, u); /* [v5.4] [v5.5] */
  Tensor *now = HOOK(ps, HOOK_BONUS, NULL, r, k, v);                                              /* in place of u */
  Tensor *y = now ? t_add(tp, wkv, now) : wkv;

  Tensor *norm = HOOK(ps, HOOK_NORM, t_group_norm(tp, y, ps->d->H, p->ln_x_w, p->ln_x_b, 64e-5), y); /* [v5.6] */
  Tensor *g = HOOK(ps, HOOK_GATE, p->gate ? t_silu(tp, t_linear(tp, xg, p->gate)) : NULL, xg);       /* [v5.7] */
  y = g ? t_mul(tp, norm, g) : norm;
  if (!g) xg = NULL; /* nothing reads it */
  Tensor *out = t_linear(tp, y, p->output);
  TRACE(ps, "att", "x xk xv xr xg r w k v g wkv norm y out", x, xk, xv, xr, xg, r, w, k, v, g, wkv, norm, y, out);
  return out;
}

static Tensor *run(Pass *ps, const void *block, Tensor *x, Tensor **st)
{
  const V5Block *p = block;
  Tape *tp = ps->tp;
  x = block_embed_norm(ps, x, p->ln0_w, p->ln0_b);
  Tensor *h = t_layer_norm(tp, x, p->ln1_w, p->ln1_b, 1e-5);
  x = block_add(ps, HOOK_TIME_OUT, x, HOOK(ps, HOOK_TIME_MIX, time_mix(ps, p, h, st), h));
  h = t_layer_norm(tp, x, p->ln2_w, p->ln2_b, 1e-5);
  return block_add(
      ps, HOOK_CHANNEL_OUT, x,
      channel_mix(ps, h, &st[FFN_XX], p->ffn_mix_k, p->ffn_mix_r, p->ffn_key, p->ffn_receptance, p->ffn_value));
}

static void complete_neo(Dims *d)
{
  if (!d->A) d->A = d->C;
  if (!d->F) d->F = 4 * d->C;
  dims_complete_heads("v5", d, 64);
}

static void complete_5_2(Dims *d)
{
  if (!d->A) d->A = d->C;
  if (!d->F) d->F = 7 * d->C / 2 / 32 * 32; /* 3.5 C, down to a multiple of 32 */
  if (!d->F) d->F = 4 * d->C;
  dims_complete_heads("v5.2", d, 64);
}

static double mixing_flops(const Dims *d, int tokens) { return (void)tokens, 5.0 * d->A * d->N; }

/* clang-format off */
#define V5(name_, title_, global_, params_, complete_, streams_, decay_, gate_)                           \
  {.name = name_, .title = title_, .global = PARAM_LIST(global_, Global),                                \
   .block = PARAM_LIST(params_, V5Block), .state = STATE_LIST(state), .complete = complete_,             \
   .own = {[HOOK_SHIFT] = "lerp", [HOOK_FFN_SHIFT] = "lerp", [HOOK_RECEPTANCE] = "linear",               \
           [HOOK_DECAY] = decay_, [HOOK_GATE] = gate_, [HOOK_BONUS] = name_, [HOOK_RECURRENCE] = "wkv5", \
           [HOOK_NORM] = "group", [HOOK_TIME_MIX] = name_, [HOOK_CHANNEL_MIX] = "gated",                 \
           [HOOK_TIME_OUT] = "none", [HOOK_CHANNEL_OUT] = "none", [HOOK_EMBED_NORM] = "layer"},          \
   .streams = streams_, .ffn_streams = "k r", .recurrence = "r w k v u",                                 \
   .mixing_flops = mixing_flops, .embed = global_embed, .run = run, .head = global_head}
/* clang-format on */

/* clang-format off */
const Version version_v5_0 = V5("v5.0", "RWKV-5.0", global_neo, params_5_0, complete_neo, "k v r", "v5.0", "none");
const Version version_v5_1 = V5("v5.1", "RWKV-5.1", global_neo, params_5_1, complete_neo,
                                  "k v r g", "v5.0", "silu");
const Version version_v5_2 = V5("v5.2", "RWKV-5.2 Eagle", global_5_2, params_5_2, complete_5_2,
                                  "k v r g", "v5", "silu");
/* clang-format on */
