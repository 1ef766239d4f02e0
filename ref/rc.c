/* The release candidates of RWKV-7 that compute something else (official code RWKV-v7/rwkv_v7_demo.py at four commits
   of 2024; rc4a.c has the last one, which is RWKV-7 under other names): v7's recurrence behind other maps.
     rc2  e03eb39  mixes that depend on the token, one removal key over all heads, learning rates up to 2
     rc3  bd74d48  a removal key a head, learning rates up to 1, keys scaled by learned parts of rate and decay
     rc4  c453b42  the value residual, a sigmoid gate, v7's channel mixing                                     */
#include "rc.h"
#include "v6.h"
#include "v7.h"

#include "engine/err.h"

#include <math.h>

/* ---- parameters ----
   Initial values as BlinkDL/modded-nanogpt-rwkv has them for rc3 (b9ab40d) and rc4 (1055693); rc2, for which none are
   published, starts as rc3. What that trainer has in another form starts as v6's and v7's does. */

/* 1 - ((c/C)^(power (1 - layer/L)) + rise layer/(L-1)) */
static void rising_mix(const Init *in, double power, double rise)
{
  for (size_t c = 0; c < in->n; c++)
    in->out[c] = 1 - (init_channel_power(in, c, power * init_ratio_1_to_almost0(in)) + rise * init_ratio_0_to_1(in));
}

void rc_init_mix_k(const Init *in) { rising_mix(in, 0.9, 0.4); }
void rc_init_mix_v(const Init *in) { rising_mix(in, 0.4, 0.6); }

/* 1 - (c/C)^(0.6 (1 - layer/L)^0.9) */
static void init_mix_x(const Init *in)
{
  double power = 0.6 * pow(init_ratio_1_to_almost0(in), 0.9);
  for (size_t c = 0; c < in->n; c++) in->out[c] = 1 - init_channel_power(in, c, power);
}

/* -6.5 + 5 (n/last)^(0.85 + (layer/(L-1))^0.5) */
void rc_init_decay(const Init *in)
{
  double power = 0.85 + sqrt(init_ratio_0_to_1(in));
  for (size_t i = 0; i < in->n; i++) in->out[i] = -6.5 + 5 * pow(init_part_of_last(in, i), power);
}

/* Uniform in +-gain / sqrt C. */
static void init_by_width(const Init *in)
{
  Init scaled = *in;
  scaled.gain /= sqrt(in->d->C);
  init_uniform(&scaled);
}

/* [streams,Dm,C], each stream by itself. */
static void init_ortho_slices(const Init *in)
{
  size_t rows = (size_t)in->d->Dm, cols = (size_t)in->d->C;
  for (size_t from = 0; from < in->n; from += rows * cols) {
    Init slice = *in;
    slice.out += from, slice.n = rows * cols, slice.rows = rows, slice.cols = cols;
    init_ortho_wide(&slice);
  }
}

/* clang-format off */
#define RC_COMMON(P, gate_w1_init, gate_w1_gain)                                                                       \
  BLOCK_NORMS(P)                                                                                                       \
  /* field          official name            shape            where               initial value             gain lr */ \
  P(maa_x,          "att.time_maa_x",        S3(one, one, C), has_shift,          init_mix_x,                 0, 1)    \
  P(maa_r,          "att.time_maa_r",        S3(one, one, C), has_shift,          init_prev_mix,            0.2, 1)    \
  P(maa_w,          "att.time_maa_w",        S3(one, one, C), has_shift,          init_prev_mix,            0.9, 1)    \
  P(maa_k,          "att.time_maa_k",        S3(one, one, C), has_shift,          rc_init_mix_k,              0, 1)    \
  P(maa_v,          "att.time_maa_v",        S3(one, one, C), has_shift,          rc_init_mix_v,              0, 1)    \
  P(maa_a,          "att.time_maa_a",        S3(one, one, C), has_shift,          init_prev_mix,            0.9, 1)    \
  P(maa_g,          "att.time_maa_g",        S3(one, one, C), has_shift,          init_prev_mix,            0.2, 1)    \
  P(maa_w1,         "att.time_maa_w1",       S2(C, Dx),       has_shift,          init_fill,                  0, 1)    \
  P(maa_w2,         "att.time_maa_w2",       S3(six, Dm, C),  has_shift,          init_ortho_slices,        0.1, 1)    \
  P(decay,          "att.time_decay",        S3(one, one, C), has_decay,          rc_init_decay,              0, 2)    \
  P(decay_w1,       "att.time_decay_w1",     S2(C, Dw),       has_decay,          init_fill,                  0, 1)    \
  P(decay_w2,       "att.time_decay_w2",     S2(Dw, C),       has_decay,          init_ortho_wide,          0.1, 1)    \
  P(aaaaa,          "att.time_aaaaa",        S3(one, one, C), has_iclr,           init_fill,                  0, 1)    \
  P(aaa_w1,         "att.time_aaa_w1",       S2(C, Da),       has_iclr,           init_fill,                  0, 1)    \
  P(aaa_w2,         "att.time_aaa_w2",       S2(Da, C),       has_iclr,           init_ortho_wide,          0.1, 1)    \
  P(gate_w1,        "att.gate_w1",           S2(C, Dg),       has_gate,           gate_w1_init,    gate_w1_gain, 1)    \
  P(gate_w2,        "att.gate_w2",           S2(Dg, C),       has_gate,           init_ortho_wide,          0.1, 1)    \
  P(kkk_w1,         "att.time_kkk_w1",       S2(C, Dk),       has_key_norm,       init_fill,                  0, 1)    \
  P(kkk_w2,         "att.time_kkk_w2",       S2(Dk, C),       has_key_norm,       init_ortho_wide,          0.1, 1)    \
  P(faaaa,          "att.time_faaaa",        S2(H, N),        has_bonus,          init_fill,                  0, 1)    \
  P(receptance,     "att.receptance.weight", S2(C, C),        has_receptance,     init_by_width,            0.5, 1)    \
  P(key,            "att.key.weight",        S2(C, C),        has_time_mix,       init_by_width,           0.05, 1)    \
  P(value,          "att.value.weight",      S2(C, C),        has_time_mix,       init_by_width,            0.5, 1)    \
  P(output,         "att.output.weight",     S2(C, C),        has_time_mix,       init_fill,                  0, 1)    \
  P(ln_x_w,         "att.ln_x.weight",       S1(C),           has_norm,           init_ln_x,                  0, 1)    \
  P(ln_x_b,         "att.ln_x.bias",         S1(C),           has_norm,           init_fill,                  0, 1)

#define RC3_KEYS(P)                                                                                                    \
  P(misc_a,         "att.time_misc_a",       S3(one, one, C), has_key_scale,      init_fill,                  0, 1)    \
  P(ma_w1,          "att.ma_w1",             S2(C, Dka),      has_key_scale,      init_fill,                  0, 1)    \
  P(ma_w2,          "att.ma_w2",             S2(Dka, C),      has_key_scale,      init_ortho_wide,          0.1, 1)    \
  P(misc_k,         "att.time_misc_k",       S3(one, one, C), has_key_scale,      init_fill,                  0, 1)    \
  P(mk_w1,          "att.mk_w1",             S2(C, Dkw),      has_key_scale,      init_fill,                  0, 1)    \
  P(mk_w2,          "att.mk_w2",             S2(Dkw, C),      has_key_scale,      init_ortho_wide,          0.1, 1)

#define RC4_VALUES(P)                                                                                                  \
  P(misc_v,         "att.time_misc_v",       S3(one, one, C), has_value_residual, init_fill,                  1, 1)    \
  P(mv_w1,          "att.mv_w1",             S2(C, Dv),       has_value_residual, init_fill,                  0, 1)    \
  P(mv_w2,          "att.mv_w2",             S2(Dv, C),       has_value_residual, init_ortho_wide,          0.1, 1)

#define RC_CHANNELS(P, init_mix)                                                                                       \
  P(ffn_maa_k,      "ffn.time_maa_k",        S3(one, one, C), has_ffn_shift,      init_mix,                   0, 1)    \
  P(ffn_key,        "ffn.key.weight",        S2(F, C),        has_channel_mix,    init_orthogonal,            1, 1)    \
  P(ffn_value,      "ffn.value.weight",      S2(C, F),        has_channel_mix,    init_fill,                  0, 1)

#define RC2_RECEPTANCE(P)                                                                                              \
  P(ffn_maa_r,      "ffn.time_maa_r",        S3(one, one, C), has_ffn_shift,      v6_init_ffn_mix,            0, 1)    \
  P(ffn_receptance, "ffn.receptance.weight", S2(C, C),        has_channel_mix,    init_fill,                  0, 1)

#define RC2_BLOCK(P)                                                                                                   \
  RC_COMMON(P, init_ortho_wide, 0.1) RC_CHANNELS(P, v6_init_ffn_mix) RC2_RECEPTANCE(P)
#define RC3_BLOCK(P)                                                                                                   \
  RC_COMMON(P, init_ortho_wide, 0.1) RC3_KEYS(P) RC_CHANNELS(P, v6_init_ffn_mix) RC2_RECEPTANCE(P)
#define RC4_BLOCK(P)                                                                                                   \
  RC_COMMON(P, init_fill, 0) RC3_KEYS(P) RC4_VALUES(P) RC_CHANNELS(P, v7_init_ffn_mix)
/* clang-format on */

typedef struct {
  RC_COMMON(PARAM_FIELD, 0, 0)
  RC_CHANNELS(PARAM_FIELD, 0)
  RC3_KEYS(PARAM_FIELD)       /* NULL in rc2 */
  RC4_VALUES(PARAM_FIELD)     /* NULL in rc2 and rc3 */
  RC2_RECEPTANCE(PARAM_FIELD) /* NULL in rc4 */
} RcBlock;
#define BLOCK RcBlock
static const ParamSpec params_2[] = {RC2_BLOCK(PARAM_SPEC)};
static const ParamSpec params_3[] = {RC3_BLOCK(PARAM_SPEC)};
static const ParamSpec params_4[] = {RC4_BLOCK(PARAM_SPEC)};
#undef BLOCK

/* ---- the computation ---- */

typedef enum { RC2, RC3, RC4 } Candidate;

/* base + f(x w1) w2, f: tanh or nothing */
static Tensor *low_rank(Tape *tp, Tensor *x, Tensor *w1, Tensor *w2, Tensor *base, bool tanh_within)
{
  Tensor *low = t_matmul(tp, x, w1);
  return t_add(tp, t_matmul(tp, tanh_within ? t_tanh(tp, low) : low, w2), base);
}

/* [rc.2]  rc2: 2 sigmoid(..) */
static Tensor *iclr(Tape *tp, const RcBlock *p, Candidate rc, Tensor *xa)
{
  Tensor *a = v7_iclr(tp, xa, p->aaaaa, p->aaa_w1, p->aaa_w2);
  return rc == RC2 ? t_affine(tp, a, 2, 0) : a;
}

/* [rc.3]  rc2 and rc3: tanh in place of the sigmoid */
static Tensor *gate(Tape *tp, const RcBlock *p, Candidate rc, Tensor *xg)
{
  if (rc == RC4) return v7_gate(tp, xg, p->gate_w1, p->gate_w2);
  return t_matmul(tp, t_tanh(tp, t_matmul(tp, xg, p->gate_w1)), p->gate_w2);
}

/* [rc.4]  the removal key, of length 1 in each head; in rc2 over all heads together */
static Tensor *key_norm(Pass *ps, const RcBlock *p, Candidate rc, Tensor *k0, Tensor *xk)
{
  Tape *tp = ps->tp;
  return t_l2norm(tp, low_rank(tp, xk, p->kkk_w1, p->kkk_w2, k0, true), rc == RC2 ? 1 : ps->d->H, 1e-12);
}

/* [rc.5]  the key that is written, of log-decay w = -e^s: rc2 k e^{s/2}; then k (m_a + a (1 - m_a)) e^{s m_k}. No
   exponent is above 0. */
static Tensor *key_scale(Tape *tp, const RcBlock *p, Candidate rc, Tensor *k, Tensor *a, Tensor *w, Tensor *xk,
                         Tensor *xa)
{
  Tensor *s = t_unary(tp, U_LOG, t_clamp(tp, t_neg(tp, w), 1e-30, (double)INFINITY)), *zero = tape_number(tp, 0);
  if (rc == RC2) return t_mul(tp, k, t_exp(tp, t_binary(tp, B_MIN, t_affine(tp, s, 0.5, 0), zero)));
  Tensor *ma = t_sigmoid(tp, low_rank(tp, xa, p->ma_w1, p->ma_w2, p->misc_a, false));
  Tensor *mk = t_sigmoid(tp, low_rank(tp, xk, p->mk_w1, p->mk_w2, p->misc_k, false));
  Tensor *part = t_add(tp, ma, t_mul(tp, a, t_affine(tp, ma, -1, 1)));
  return t_mul(tp, t_mul(tp, k, part), t_exp(tp, t_binary(tp, B_MIN, t_mul(tp, s, mk), zero)));
}

static Tensor *time_mix(Pass *ps, const RcBlock *p, Candidate rc, Tensor *x, Tensor **st)
{
  Tape *tp = ps->tp;
  V6Shifted s = v6_shift(ps, x, p->maa_x, p->maa_w1, p->maa_w2, &st[V7_ATT_XX]);
  Tensor *xr = v6_ddlerp(ps, &s, 0, p->maa_r); /* [rc.1] = [v6.2] of six streams  [B,T,C] */
  Tensor *xw = v6_ddlerp(ps, &s, 1, p->maa_w);
  Tensor *xk = v6_ddlerp(ps, &s, 2, p->maa_k);
  Tensor *xv = v6_ddlerp(ps, &s, 3, p->maa_v);
  Tensor *xa = v6_ddlerp(ps, &s, 4, p->maa_a);
  Tensor *xg = v6_ddlerp(ps, &s, 5, p->maa_g);

  Tensor *r = HOOK(ps, HOOK_RECEPTANCE, t_linear(tp, xr, p->receptance), xr);
  Tensor *k0 = t_linear(tp, xk, p->key);
  Tensor *v0 = t_linear(tp, xv, p->value);

  Tensor *w = HOOK(ps, HOOK_DECAY, v7_decay(tp, xw, p->decay, p->decay_w1, p->decay_w2, exp(-0.5)), xw); /* [v7.3] */
  Tensor *a = HOOK(ps, HOOK_ICLR, iclr(tp, p, rc, xa), xa, w);
  Tensor *g = HOOK(ps, HOOK_GATE, gate(tp, p, rc, xg), xg);

  Tensor *mix = NULL, *v = rc < RC4 ? v0 : v7_value(ps, v0, xv, p->misc_v, p->mv_w1, p->mv_w2, &mix); /* [v7.4] */
  Tensor *kappa = HOOK(ps, HOOK_KEY_NORM, key_norm(ps, p, rc, k0, xk), k0, xk);
  Tensor *k = HOOK(ps, HOOK_KEY_SCALE, key_scale(tp, p, rc, k0, a, w, xk, xa), k0, a, w, xk, xa);
  TRACE(ps, "att", "x low xr xw xk xv xa xg r k0 v0 w a g mix v kappa k", x, s.low, xr, xw, xk, xv, xa, xg, r, k0, v0,
        w, a, g, mix, v, kappa, k);
  return v7_read_state(ps, &(V7Inputs){r, w, k, v, kappa, a, g},
                       &(V7Outputs){p->faaaa, p->ln_x_w, p->ln_x_b, p->output}, &st[V7_ATT_KV]);
}

static Tensor *mix_channels(Pass *ps, const RcBlock *p, Candidate rc, Tensor *x, Tensor **st)
{
  const V6Channels gated = {p->ffn_maa_k, p->ffn_maa_r, p->ffn_key, p->ffn_receptance, p->ffn_value};
  return rc < RC4 ? v6_channel_mix(ps, &gated, x, &st[V7_FFN_XX])
                  : v7_channel_mix(ps, p->ffn_maa_k, p->ffn_key, p->ffn_value, x, &st[V7_FFN_XX]);
}

static Tensor *run(Pass *ps, const RcBlock *p, Candidate rc, Tensor *x, Tensor **st)
{
  Tape *tp = ps->tp;
  x = block_embed_norm(ps, x, p->ln0_w, p->ln0_b);
  Tensor *h = t_layer_norm(tp, x, p->ln1_w, p->ln1_b, 1e-5);
  x = block_add(ps, HOOK_TIME_OUT, x, HOOK(ps, HOOK_TIME_MIX, time_mix(ps, p, rc, h, st), h));
  h = t_layer_norm(tp, x, p->ln2_w, p->ln2_b, 1e-5);
  return block_add(ps, HOOK_CHANNEL_OUT, x, HOOK(ps, HOOK_CHANNEL_MIX, mix_channels(ps, p, rc, h, st), h));
}

static Tensor *run_2(Pass *ps, const void *p, Tensor *x, Tensor **st) { return run(ps, p, RC2, x, st); }
static Tensor *run_3(Pass *ps, const void *p, Tensor *x, Tensor **st) { return run(ps, p, RC3, x, st); }
static Tensor *run_4(Pass *ps, const void *p, Tensor *x, Tensor **st) { return run(ps, p, RC4, x, st); }

/* ---- sizes ---- */

static void ranks(const char *version, Dims *d, int key_norm)
{
  if (!d->Dm) d->Dm = 32;
  if (!d->Dx) d->Dx = 6 * d->Dm;
  if (d->Dx != (int64_t)6 * d->Dm) rwkv_fail("%s: 6 mixes of rank %d do not make %d", version, d->Dm, d->Dx);
  if (!d->Dw) d->Dw = 64;
  if (!d->Da) d->Da = 64;
  if (!d->Dg) d->Dg = 128;
  if (!d->Dk) d->Dk = key_norm;
  v7_complete_widths(version, d);
}

static void complete_2(Dims *d)
{
  if (!d->F) d->F = v6_hidden_width(d->C);
  ranks("rc2", d, 64);
}

static void key_ranks(Dims *d)
{
  if (!d->Dka) d->Dka = 16;
  if (!d->Dkw) d->Dkw = 16;
}

static void complete_3(Dims *d)
{
  if (!d->F) d->F = v6_hidden_width(d->C);
  key_ranks(d);
  ranks("rc3", d, 64);
}

static void complete_4(Dims *d)
{
  if (!d->Dv) d->Dv = 32;
  key_ranks(d);
  ranks("rc4", d, 32);
}

/* clang-format off */
#define RC(name_, params_, complete_, run_, channels_, value_, gate_, iclr_, ffn_streams_)                             \
  {.name = name_, .title = "RWKV-7 " name_,                                                                  \
   .global = PARAM_LIST(v7_global_params, Global), .block = PARAM_LIST(params_, RcBlock),                              \
   .state = STATE_LIST(v7_state),                                                                                      \
   .own = {[HOOK_SHIFT] = "ddlerp", [HOOK_FFN_SHIFT] = "lerp", [HOOK_RECEPTANCE] = "linear", [HOOK_DECAY] = "v7",      \
           [HOOK_ICLR] = iclr_, [HOOK_GATE] = gate_, [HOOK_BONUS] = "v7", [HOOK_KEY_NORM] = name_,                     \
           [HOOK_KEY_SCALE] = name_, [HOOK_VALUE_RESIDUAL] = value_, [HOOK_RECURRENCE] = "wkv7",                       \
           [HOOK_NORM] = "group", [HOOK_TIME_MIX] = name_, [HOOK_CHANNEL_MIX] = channels_,                             \
           [HOOK_TIME_OUT] = "none", [HOOK_CHANNEL_OUT] = "none", [HOOK_EMBED_NORM] = "layer"},                        \
   .streams = "r w k v a g", .ffn_streams = ffn_streams_, .recurrence = "r w k v a b",                                 \
   .complete = complete_, .mixing_flops = v7_mixing_flops, .embed = global_embed, .run = run_, .head = global_head}

const Version version_rc2 = RC("rc2", params_2, complete_2, run_2, "gated", NULL, "tanh-lora", "double", "k r");
const Version version_rc3 = RC("rc3", params_3, complete_3, run_3, "gated", NULL, "tanh-lora", "full", "k r");
const Version version_rc4 = RC("rc4", params_4, complete_4, run_4, "relu2", "lora", "sigmoid-lora", "full", "k");
/* clang-format on */
