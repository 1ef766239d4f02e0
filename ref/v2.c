/* RWKV-2 (2022; official code RWKV-v2-RNN/src/model.py). The first RWKV that is an RNN: the weights of
   the past are exponentials, so two sums carry all of it. The residual stream itself is normalised. */
#include "version.h"

#include "engine/err.h"

#include <math.h>

/* ---- parameters ---- */

/* log(f1 f2^(7 c/(C-1))): the faster the smaller c, with hand-tuned f1 and f2 for every layer. The
   official code divides by L-2; in a model of two layers that part is 0 here. */
static void init_decay(const Init *in)
{
  int i = in->layer, L = in->d->L;
  double along = L != 2 ? (i - 1.0) / (L - 2.0) : 0;
  double f1 = 3.0 - 1.8 * along + (i == 1 ? 0.5 : 0), f2 = 0.65 - 0.25 * along;
  if (i == L - 2) f2 = 0.4;
  if (i == L - 1) f2 = 0.37;
  for (size_t c = 0; c < in->n; c++) in->out[c] = log(f1 * pow(f2, 7 * init_part_of_last(in, c)));
}

static void init_half(const Init *in) /* the first half of the channels from the token before */
{
  for (size_t c = 0; c < in->n; c++) in->out[c] = c < in->n / 2 ? 0 : 1;
}

static void init_log_0_3(const Init *in)
{
  for (size_t c = 0; c < in->n; c++) in->out[c] = log(0.3);
}

/* clang-format off */
#define V2_GLOBAL(P)                                                                                           \
  GLOBAL_BASE(P, init_emb_orthogonal, 1e-4)                                                                    \
  GLOBAL_COPY_HEAD(P)

#define V2_BLOCK(P)                                                                                            \
  /* field          official name               shape            where            initial value    gain  lr */ \
  P(ln1_w,          "ln1.weight",               S1(C),           always,          init_fill,         1, 1)     \
  P(ln1_b,          "ln1.bias",                 S1(C),           always,          init_fill,         0, 1)     \
  P(ln2_w,          "ln2.weight",               S1(C),           always,          init_fill,         1, 1)     \
  P(ln2_b,          "ln2.bias",                 S1(C),           always,          init_fill,         0, 1)     \
  P(decay,          "att.time_decay",           S2(C, one),      has_time_mix,    init_decay,        0, 1)     \
  P(first,          "att.time_first",           S2(C, one),      has_time_mix,    init_log_0_3,      0, 1)     \
  P(mix,            "att.time_mix",             S3(one, one, C), has_shift,       init_half,         0, 1)     \
  P(key,            "att.key.weight",           S2(C, C),        has_time_mix,    init_fill,         0, 1)     \
  P(value,          "att.value.weight",         S2(C, C),        has_time_mix,    init_ortho_wide,   1, 1)     \
  P(receptance,     "att.receptance.weight",    S2(C, C),        has_time_mix,    init_fill,         0, 1)     \
  P(output,         "att.output.weight",        S2(C, C),        has_time_mix,    init_fill,         0, 1)     \
  P(pre_mix,        "ffnPre.time_mix",          S3(one, one, C), has_pre_ffn,     init_half,         0, 1)     \
  P(pre_key,        "ffnPre.key.weight",        S2(F, C),        has_pre_ffn,     init_ortho_wide,   1, 1)     \
  P(pre_receptance, "ffnPre.receptance.weight", S2(C, C),        has_pre_ffn,     init_fill,         0, 1)     \
  P(pre_value,      "ffnPre.value.weight",      S2(C, F),        has_pre_ffn,     init_fill,         0, 1)     \
  P(ffn_mix,        "ffn.time_mix",             S3(one, one, C), has_ffn_shift,   init_half,         0, 1)     \
  P(ffn_key,        "ffn.key.weight",           S2(F, C),        has_channel_mix, init_ortho_wide,   1, 1)     \
  P(ffn_receptance, "ffn.receptance.weight",    S2(C, C),        has_channel_mix, init_fill,         0, 1)     \
  P(ffn_value,      "ffn.value.weight",         S2(C, F),        has_channel_mix, init_fill,         0, 1)
/* clang-format on */

typedef struct {
  V2_BLOCK(PARAM_FIELD)
} V2Block;
#define BLOCK V2Block
static const ParamSpec params[] = {V2_BLOCK(PARAM_SPEC)};
#undef BLOCK
#define BLOCK Global
static const ParamSpec global_params[] = {V2_GLOBAL(PARAM_SPEC)};
#undef BLOCK

enum { ATT_XX, ATT_AA, ATT_BB, FFN_XX };
/* clang-format off */
static const StateSpec state[] = {
    /* part     name      shape  where            start */
    [ATT_XX] = {"att_xx", S1(C), has_shift_state, 0},
    [ATT_AA] = {"att_aa", S1(C), has_time_mix,    0},
    [ATT_BB] = {"att_bb", S1(C), has_time_mix,    0},
    [FFN_XX] = {"ffn_xx", S1(C), has_channel_mix, 0},
};
/* clang-format on */
static const StateSpec global_state[] = {COPY_STATE};

/* ---- the computation ---- */

static Tensor *time_mix(Pass *ps, const V2Block *p, Tensor *x, Tensor **st)
{
  Tape *tp = ps->tp;
  Tensor *prev = t_shift(tp, x, &st[ATT_XX]);                       /* [B,T,C] */
  Tensor *z = mixes_prev_to_x(ps, HOOK_SHIFT, x, prev, &p->mix)[0]; /* [v2.1]  one mix for k, v and r */
  Tensor *e = t_exp(tp, t_binary(tp, B_MIN, t_linear(tp, z, p->key), tape_number(tp, 60))); /* [v2.2] */
  Tensor *v = t_linear(tp, z, p->value);
  Tensor *r = t_sigmoid(tp, t_linear(tp, z, p->receptance));
  Tensor *w = t_neg(tp, t_exp(tp, p->decay)); /* [v2.3]  log-decay per step */
  Tensor *y = t_wkv2(tp, w, p->first, e, v, 1e-16, &st[ATT_AA], &st[ATT_BB]);
  Tensor *out = t_linear(tp, t_mul(tp, r, y), p->output);
  TRACE(ps, "att", "x z w e v r y out", x, z, w, e, v, r, y, out);
  return out;
}

static Tensor *run(Pass *ps, const void *block, Tensor *x, Tensor **st)
{
  const V2Block *p = block;
  Tape *tp = ps->tp;
  x = t_layer_norm(tp, x, p->ln1_w, p->ln1_b, 1e-5); /* [v2.8]  not pre-norm: x itself */
  Tensor *mixed = p->pre_key ? channel_mix_pre_ffn(ps, x, &st[ATT_XX], p->pre_mix, p->pre_mix, p->pre_key,
                                                   p->pre_receptance, p->pre_value)
                             : HOOK(ps, HOOK_TIME_MIX, time_mix(ps, p, x, st), x);
  x = block_add(ps, HOOK_TIME_OUT, x, mixed);
  x = t_layer_norm(tp, x, p->ln2_w, p->ln2_b, 1e-5);
  return block_add(
      ps, HOOK_CHANNEL_OUT, x,
      channel_mix(ps, x, &st[FFN_XX], p->ffn_mix, p->ffn_mix, p->ffn_key, p->ffn_receptance, p->ffn_value));
}

static void complete(Dims *d)
{
  if (!d->F) d->F = 4 * d->C;
  if (!d->Q) d->Q = 256;
}

static double mixing_flops(const Dims *d, int tokens) { return (void)tokens, 12.0 * d->C; }

/* clang-format off */
const Version version_v2 = {
    .name = "v2", .title = "RWKV-2",
    .global = PARAM_LIST(global_params, Global), .block = PARAM_LIST(params, V2Block),
    .state = STATE_LIST(state), .global_state = STATE_LIST(global_state),
    .own = {[HOOK_SHIFT] = "lerp", [HOOK_FFN_SHIFT] = "lerp", [HOOK_TIME_MIX] = "v2", [HOOK_CHANNEL_MIX] = "gated",
            [HOOK_TIME_OUT] = "none", [HOOK_CHANNEL_OUT] = "none"},
    .streams = "x", .ffn_streams = "x",
    .complete = complete, .mixing_flops = mixing_flops, .embed = global_embed, .run = run, .head = global_head,
};
/* clang-format on */
