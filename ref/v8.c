/* The first public code of RWKV-8, both inference only:
     v8_rc00         RWKV-v7/rwkv_v8_rc00_demo.py: RWKV-7, the output of channel mixing times a vector of the token
     v8_rc00_hybrid  RWKV-v7/rwkv_v8_rc00_hybrid_demo.py: the same with a head of softmax attention in each block, and
                     no norm of the embedding, though files hold one                                              */
#include "past.h"
#include "v7.h"

/* ---- parameters ----
   No initial values are published. Here it starts as RWKV-7: the vectors are 1, and the attention gives 0 (lnv), though
   it learns from the first step. */

/* clang-format off */
#define V8_TABLE(P)                                                                                             \
  /* field      official name            shape            where               initial value         gain  lr */ \
  P(enn,        "ffn.enn.weight",        S2(V, C),        has_channel_mix,    init_fill,               1, 1)

#define V8_ATTENTION(P)                                                                                         \
  P(qq,         "qkv.qq.weight",         S2(query, C),    always,             init_orthogonal,         1, 1)    \
  P(kk,         "qkv.kk.weight",         S2(side, C),     always,             init_orthogonal,         1, 1)    \
  P(kkup,       "qkv.kkup.weight",       S2(query, side), always,             init_orthogonal,         1, 1)    \
  P(vv,         "qkv.vv.weight",         S2(side, C),     always,             init_orthogonal,         1, 1)    \
  P(vvup,       "qkv.vvup.weight",       S2(C, side),     always,             init_orthogonal,         1, 1)    \
  P(ennk,       "qkv.ennk.weight",       S2(V, query),    always,             init_fill,               1, 1)    \
  P(emm,        "qkv.emm.weight",        S2(V, C),        always,             init_fill,               1, 1)    \
  PAST_NORMS(P)

#define V8_HYBRID_V7(P)                                                                                         \
  BLOCK_NORMS_WHERE(P, has_idle_ln0)                                                                            \
  V7_PARTS(P)
/* clang-format on */

typedef struct {
  V7Block v7;
  V8_TABLE(PARAM_FIELD)
  V8_ATTENTION(PARAM_FIELD) /* NULL in v8_rc00 */
} V8Block;

/* clang-format off */
static const ParamSpec params[] = {
#define BLOCK V7Block
    V7_BLOCK(PARAM_SPEC)
#undef BLOCK
#define BLOCK V8Block
    V8_TABLE(PARAM_SPEC)
#undef BLOCK
};
static const ParamSpec hybrid_params[] = {
#define BLOCK V7Block
    V8_HYBRID_V7(PARAM_SPEC)
#undef BLOCK
#define BLOCK V8Block
    V8_TABLE(PARAM_SPEC)
    V8_ATTENTION(PARAM_SPEC)
#undef BLOCK
};

enum { KEYS = V7_STATES, VALUES };
static const StateSpec hybrid_state[] = {
    V7_STATE,
    /* part     name      shape              where   start */
    [KEYS]   = {"qkv_k",  S2(history, side), always, 0}, /* what keys and values of the attention are rebuilt from */
    [VALUES] = {"qkv_v",  S2(history, side), always, 0},
};
/* clang-format on */

/* ---- the computation ---- */

static Tensor *mix_channels(Pass *ps, const void *block, Tensor *h, Tensor **st)
{
  Tape *tp = ps->tp;
  const V8Block *p = block;
  Tensor *k = v7_hidden(ps, p->v7.ffn_x_k, p->v7.ffn_key, h, &st[V7_FFN_XX]);
  Tensor *y = t_linear(tp, k, p->v7.ffn_value), *d = token_rows(ps, p->enn);
  Tensor *out = t_mul(tp, y, d); /* [v8.1] */
  TRACE(ps, "ffn", "y d out", y, d, out);
  return out;
}

static Tensor *run(Pass *ps, const void *block, Tensor *x, Tensor **st)
{
  return v7_run(ps, block, mix_channels, block, x, st);
}

/* [v8.2]  x: the residual stream as it is, [B,T,C] */
static Tensor *attend(Pass *ps, const V8Block *p, Tensor *x, Tensor **st)
{
  Tape *tp = ps->tp;
  Tensor *kk = past_append(ps, &st[KEYS], t_linear(tp, x, p->kk)); /* [B,U,side] */
  Tensor *vv = past_append(ps, &st[VALUES], t_linear(tp, x, p->vv));
  Tensor *q = t_linear(tp, x, p->qq); /* [B,T,query] */
  Tensor *k = t_mul(tp, t_linear(tp, kk, p->kkup), past_rows(ps, p->ennk));
  Tensor *v = t_mul(tp, t_tanh(tp, t_linear(tp, vv, p->vvup)), past_rows(ps, p->emm));
  Tensor *Q = t_layer_norm(tp, q, p->lnq_w, p->lnq_b, 1e-5); /* [v8.3] */
  Tensor *K = t_layer_norm(tp, k, p->lnk_w, p->lnk_b, 1e-5);
  Tensor *V = t_layer_norm(tp, v, p->lnv_w, p->lnv_b, 1e-5);
  TRACE(ps, "qkv", "x kk vv q k v", x, past_recent(ps, kk), past_recent(ps, vv), q, past_recent(ps, k),
        past_recent(ps, v));
  return past_attend(ps, Q, K, V, 32, 512); /* [v8.4] */
}

static Tensor *run_hybrid(Pass *ps, const void *block, Tensor *x, Tensor **st)
{
  const V8Block *p = block;
  return v7_sums(ps, &p->v7, attend(ps, p, x, st), mix_channels, p, x, st);
}

static void complete(Dims *d) { v7_complete("v8_rc00", d); }
static void complete_hybrid(Dims *d) { v7_complete("v8_rc00_hybrid", d); }

static double hybrid_flops(const Dims *d, int tokens) { return v7_mixing_flops(d, tokens) + past_flops(d, tokens); }

/* clang-format off */
const Version version_v8_rc00 = {
    .name = "v8_rc00", .title = "RWKV-8 rc00",
    .global = PARAM_LIST(v7_global_params, Global), .block = PARAM_LIST(params, V8Block), .state = STATE_LIST(v7_state),
    .own = {V7_OWN, [HOOK_CHANNEL_MIX] = "v8", [HOOK_EMBED_NORM] = "layer"}, V7_STREAMS,
    .reads_tokens = true, .rounds_decay = true,
    .complete = complete, .mixing_flops = v7_mixing_flops, .embed = global_embed, .run = run, .head = global_head,
};
const Version version_v8_rc00_hybrid = {
    .name = "v8_rc00_hybrid", .title = "RWKV-8 rc00 hybrid",
    .global = PARAM_LIST(v7_global_params, Global), .block = PARAM_LIST(hybrid_params, V8Block),
    .state = STATE_LIST(hybrid_state), .global_state = STATE_LIST(past_state),
    .own = {V7_OWN, [HOOK_CHANNEL_MIX] = "v8"}, V7_STREAMS,
    .reads_tokens = true,
    .complete = complete_hybrid, .mixing_flops = hybrid_flops, .embed = past_embed, .run = run_hybrid,
    .head = global_head,
};
/* clang-format on */
