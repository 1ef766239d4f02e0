/* What stands around the blocks from v2 to v7: embedding, final norm, head, and the copy head of v2, v3
   and some v4 models. */
#include "version.h"

Tensor *token_rows(Pass *ps, Tensor *table) { return t_rows(ps->tp, table, ps->tokens, 2, (int[]){ps->B, ps->T}); }

Tensor *token_numbers(Pass *ps)
{
  Tensor *t = tape_tensor(ps->tp, 2, (int[]){ps->B, ps->T});
  real *ids = arena_alloc(&ps->tp->arena, t->n * sizeof *ids);
  for (size_t i = 0; i < t->n; i++) ids[i] = (real)ps->tokens[i];
  tensor_write(t, 0, t->n, ids);
  return t;
}

Tensor *global_embed(Pass *ps)
{
  const Global *p = ps->global;
  Tensor *x = token_rows(ps, p->emb);
  TRACE_GLOBAL(ps, "emb.x", x);
  return x;
}

Tensor *global_copies(Pass *ps, Tensor *q, Tensor *k, const int *position, int count)
{
  Tape *tp = ps->tp;
  Tensor **st = ps->global_state;
  st[COPY_KEYS] = t_append(tp, st[COPY_KEYS], k);
  st[COPY_TOKENS] = t_append(tp, st[COPY_TOKENS], token_numbers(ps));
  if (!position) count = ps->B * ps->T;
  return t_copy_scores(tp, q, st[COPY_KEYS], st[COPY_TOKENS], ps->tokens, ps->T, position, count, ps->d->V);
}

Head global_head(Pass *ps, Tensor *x, const int *position, int count)
{
  const Global *p = ps->global;
  Tape *tp = ps->tp;
  Tensor *y = t_layer_norm(tp, x, p->ln_out_w, p->ln_out_b, 1e-5); /* [B,T,C] */
  TRACE_GLOBAL(ps, "ln_out.y", y);
  Tensor *flat = t_reshape(tp, y, 2, (int[]){ps->B * ps->T, ps->d->C});
  Tensor *at = position ? t_rows(tp, flat, position, 1, &count) : y; /* [count,C] or [B,T,C] */
  Head head = {at, p->head ? p->head : p->emb, NULL};
  if (!p->head_q) return head;
  Tensor *k = t_linear(tp, y, p->head_k), *q = t_linear(tp, at, p->head_q);
  head.copies = global_copies(ps, q, k, position, count); /* [v2.7] */
  return head;
}
