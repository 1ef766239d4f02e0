/* What stands around the blocks from v2 to v7: embedding, final norm, head, and the copy head of v2, v3
   and some v4 models. */
#include "version.h"

Tensor *outer_embed(Pass *ps)
{
  const Outer *p = ps->outer;
  Tensor *x = t_rows(ps->tp, p->emb, ps->tokens, 2, (int[]){ps->B, ps->T});
  TRACE_OUTER(ps, "emb", x);
  return x;
}

Tensor *add_copies(Pass *ps, Tensor *logits, Tensor *q, Tensor *k, const int *row, int count)
{
  Tape *tp = ps->tp;
  Tensor *tokens = tape_tensor(tp, 2, (int[]){ps->B, ps->T});
  for (int i = 0; i < ps->B * ps->T; i++) tensor_write(tokens, (size_t)i, 1, &(real){(real)ps->tokens[i]});
  Tensor **st = ps->outer_state;
  st[COPY_KEYS] = t_append(tp, st[COPY_KEYS], k);
  st[COPY_TOKENS] = t_append(tp, st[COPY_TOKENS], tokens);
  Tensor *copies = t_copy_scores(tp, q, st[COPY_KEYS], st[COPY_TOKENS], ps->T, row, row ? count : ps->B * ps->T,
                                 ps->d->V);
  return t_add(tp, logits, t_reshape(tp, copies, logits->axes, logits->shape));
}

Tensor *outer_logits(Pass *ps, Tensor *x, const int *row, int count)
{
  const Outer *p = ps->outer;
  Tape *tp = ps->tp;
  Tensor *y = t_layer_norm(tp, x, p->ln_out_w, p->ln_out_b, 1e-5);         /* [B,T,C] */
  TRACE_OUTER(ps, "ln_out", y);
  Tensor *flat = t_reshape(tp, y, 2, (int[]){ps->B * ps->T, ps->d->C});
  Tensor *at = row ? t_rows(tp, flat, row, 1, &count) : y;                 /* [count,C] or [B,T,C] */
  Tensor *logits = t_linear(tp, at, p->head ? p->head : p->emb);
  if (!p->head_q) return logits;
  return add_copies(ps, logits, t_linear(tp, at, p->head_q), t_linear(tp, y, p->head_k), row, count); /* [v2.7] */
}
