/* RWKV-7a (official code RWKV-v7/rwkv_v7a_demo.py, which is inference only): RWKV-7 with DeepEmbed, a gate on the
   hidden layer of channel mixing that depends on the token, by way of a matrix for each token and layer. */
#include "v7a.h"

/* clang-format off */
static const ParamSpec params[] = {
#define BLOCK V7Block
    V7_BLOCK(PARAM_SPEC)
#undef BLOCK
#define BLOCK V7aBlock
    V7A_GATE(PARAM_SPEC)
#undef BLOCK
};
/* clang-format on */

/* [v7a.2]  g = (h s1 M) s2 + s0 with M [side,side] of the token, and no function in between. h is not mixed with the
   token before. -> [B,T,F] */
static Tensor *gate(Pass *ps, const V7aBlock *p, Tensor *h)
{
  Tape *tp = ps->tp;
  int B = ps->B, T = ps->T, D = ps->d->side;
  Tensor *M = t_add(tp, token_rows(ps, p->s_emb), t_linear(tp, ps->emb, p->s_emb_x)); /* [v7a.1]  [B,T,square] */
  Tensor *q = t_matmul(tp, h, p->s1);                                                 /* [B,T,side], a row: */
  Tensor *row = t_reshape(tp, q, 4, (int[]){B, T, 1, D});
  Tensor *qM = t_reshape(tp, t_bmm(tp, row, t_reshape(tp, M, 4, (int[]){B, T, D, D})), 3, (int[]){B, T, D});
  Tensor *g = t_add(tp, t_matmul(tp, qM, p->s2), p->s0);
  TRACE(ps, "ffn", "M q qM g", M, q, qM, g);
  return g;
}

Tensor *v7a_channel_mix(Pass *ps, const void *block, Tensor *h, Tensor **st)
{
  Tape *tp = ps->tp;
  const V7aBlock *p = block;
  Tensor *k = v7_hidden(ps, p->v7.ffn_x_k, p->v7.ffn_key, h, &st[V7_FFN_XX]);
  Tensor *gated = t_mul(tp, k, gate(ps, p, h)); /* [v7a.3] */
  Tensor *out = t_linear(tp, gated, p->v7.ffn_value);
  TRACE(ps, "ffn", "gated out", gated, out);
  return out;
}

static Tensor *run(Pass *ps, const void *block, Tensor *x, Tensor **st)
{
  return v7_run(ps, block, v7a_channel_mix, block, x, st);
}

static void complete(Dims *d) { v7_complete("v7a", d); }

/* clang-format off */
const Version version_v7a = {
    .name = "v7a", .title = "RWKV-7a",
    .global = PARAM_LIST(v7_global_params, Global), .block = PARAM_LIST(params, V7aBlock),
    .state = STATE_LIST(v7_state),
    .own = {V7_OWN, [HOOK_CHANNEL_MIX] = "v7a", [HOOK_EMBED_NORM] = "layer"}, V7_STREAMS,
    .reads_tokens = true, .rounds_decay = true,
    .complete = complete, .mixing_flops = v7_mixing_flops, .embed = global_embed, .run = run, .head = global_head,
};
/* clang-format on */
