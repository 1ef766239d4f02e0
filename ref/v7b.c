/* RWKV-7b (official code RWKV-v7/rwkv_v7b_demo.py, which is inference only): RWKV-7a with a head of softmax attention
   in each block, beside time mixing, whose keys and values are multiplied by vectors of their tokens ("DEA"). */
#include "past.h"
#include "v7a.h"

/* ---- parameters ----
   No initial values are published. Here it starts as RWKV-7a: the attention gives 0 (lnv), though it learns from the
   first step. */

/* clang-format off */
#define V7B_ATTENTION(P)                                                                                              \
  /* field      official name            shape                where         initial value          gain  lr */ \
  P(qq,         "qkv.qq.weight",         S2(query, C),        always,       init_orthogonal,          1, 1)    \
  P(k1,         "qkv.k1",                S2(C, side),         always,       init_ortho_wide,        0.1, 1)    \
  P(k2,         "qkv.k2",                S2(side, query),     always,       init_ortho_wide,        0.1, 1)    \
  P(v1,         "qkv.v1",                S2(C, side),         always,       init_ortho_wide,        0.1, 1)    \
  P(v2,         "qkv.v2",                S2(side, C),         always,       init_ortho_wide,        0.1, 1)    \
  P(k_emb,      "qkv.k_emb.weight",      S2(V, query),        always,       init_fill,                1, 1)    \
  P(k_emb_x,    "qkv.k_emb_x.weight",    S2(query, C),        always,       init_fill,                0, 1)    \
  P(v_emb,      "qkv.v_emb.weight",      S2(V, C),            always,       init_fill,                1, 1)    \
  P(v_emb_x,    "qkv.v_emb_x.weight",    S2(C, C),            always,       init_fill,                0, 1)    \
  P(x_q,        "qkv.x_q",               S3(one, one, query), always,       init_fill,              0.5, 1)    \
  P(x_k,        "qkv.x_k",               S3(one, one, query), always,       init_fill,              0.5, 1)    \
  P(x_v,        "qkv.x_v",               S3(one, one, C),     always,       init_fill,              0.5, 1)    \
  PAST_NORMS(P)
/* clang-format on */

typedef struct {
  V7aBlock v7a;
  V7B_ATTENTION(PARAM_FIELD)
} V7bBlock;

/* clang-format off */
static const ParamSpec params[] = {
#define BLOCK V7Block
    V7_BLOCK(PARAM_SPEC)
#undef BLOCK
#define BLOCK V7aBlock
    V7A_GATE(PARAM_SPEC)
#undef BLOCK
#define BLOCK V7bBlock
    V7B_ATTENTION(PARAM_SPEC)
#undef BLOCK
};

enum { QUERY = V7_STATES, KEYS, VALUES };
static const StateSpec state[] = {
    V7_STATE,
    /* part     name      shape              where   start */
    [QUERY]  = {"qkv_q",  S1(query),         always, 0}, /* of the last token, not yet mixed with that before */
    [KEYS]   = {"qkv_k",  S2(history, side), always, 0}, /* what keys and values of the attention are rebuilt from */
    [VALUES] = {"qkv_v",  S2(history, side), always, 0},
};
/* clang-format on */

/* ---- the computation ---- */

/* [v7b.2]  results, not what they are made of, are mixed with those of the token before: x + (prev - x) mu */
static Tensor *shifted(Tape *tp, Tensor *x, Tensor **carry, Tensor *mu)
{
  return t_lerp(tp, x, t_shift(tp, x, carry), mu);
}

/* The same of all tokens so far. */
static Tensor *shifted_past(Tape *tp, Tensor *x, Tensor *mu)
{
  Tensor *nothing = tape_zeros(tp, 2, (int[]){x->shape[0], x->shape[2]});
  return shifted(tp, x, &nothing, mu);
}

/* What tokens so far multiply keys or values with: a row of a table, and a map of the normalised embedding e. */
static Tensor *factor(Pass *ps, Tensor *table, Tensor *map, Tensor *e)
{
  return t_add(ps->tp, past_rows(ps, table), t_linear(ps->tp, e, map));
}

/* x: the residual stream as it is, [B,T,C]; e: the normalised embedding of all tokens so far, [B,U,C] */
static Tensor *attend(Pass *ps, const V7bBlock *p, Tensor *x, Tensor *e, Tensor **st)
{
  Tape *tp = ps->tp;
  Tensor *kk = past_append(ps, &st[KEYS], t_matmul(tp, x, p->k1)); /* [B,U,side] */
  Tensor *vv = past_append(ps, &st[VALUES], t_matmul(tp, x, p->v1));
  Tensor *q = t_linear(tp, x, p->qq); /* [v7b.1]  [B,T,query] */
  Tensor *k = t_mul(tp, t_matmul(tp, kk, p->k2), factor(ps, p->k_emb, p->k_emb_x, e));
  Tensor *v = t_mul(tp, t_tanh(tp, t_matmul(tp, vv, p->v2)), factor(ps, p->v_emb, p->v_emb_x, e));
  Tensor *Q = t_layer_norm(tp, shifted(tp, q, &st[QUERY], p->x_q), p->lnq_w, p->lnq_b, 1e-5); /* [v7b.3] */
  Tensor *K = t_layer_norm(tp, shifted_past(tp, k, p->x_k), p->lnk_w, p->lnk_b, 1e-5);
  Tensor *V = t_layer_norm(tp, shifted_past(tp, v, p->x_v), p->lnv_w, p->lnv_b, 1e-5);
  TRACE(ps, "qkv", "x kk vv q k v", x, past_recent(ps, kk), past_recent(ps, vv), q, past_recent(ps, k),
        past_recent(ps, v));
  return past_attend(ps, Q, K, V, 64, 1024); /* [v7b.4] */
}

static Tensor *run(Pass *ps, const void *block, Tensor *x, Tensor **st)
{
  const V7bBlock *p = block;
  const V7Block *v7 = &p->v7a.v7;
  Tape *tp = ps->tp;
  if (ps->layer == 0) {
    const Global *global = ps->global;
    ps->emb = x = block_embed_norm(ps, x, v7->ln0_w, v7->ln0_b);
    ps->past_emb = t_layer_norm(tp, past_rows(ps, global->emb), v7->ln0_w, v7->ln0_b, 1e-5);
  }
  return v7_sums(ps, v7, attend(ps, p, x, ps->past_emb, st), v7a_channel_mix, p, x, st);
}

static void complete(Dims *d) { v7_complete("v7b", d); }

static double mixing_flops(const Dims *d, int tokens) { return v7_mixing_flops(d, tokens) + past_flops(d, tokens); }

/* clang-format off */
const Version version_v7b = {
    .name = "v7b", .title = "RWKV-7b",
    .global = PARAM_LIST(v7_global_params, Global), .block = PARAM_LIST(params, V7bBlock),
    .state = STATE_LIST(state), .global_state = STATE_LIST(past_state),
    .own = {V7_OWN, [HOOK_CHANNEL_MIX] = "v7a"}, V7_STREAMS, .reads_tokens = true,
    .complete = complete, .mixing_flops = mixing_flops, .embed = past_embed, .run = run, .head = global_head,
};
/* clang-format on */
