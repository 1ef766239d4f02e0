#include "past.h"

/* clang-format off */
const StateSpec past_state[] = {{"tokens", S1(history), always, 0}};
/* clang-format on */

double past_flops(const Dims *d, int tokens) { return 2.0 * (d->query + d->C) * (tokens + 1.0); }

static const int *as_ids(Tape *tp, const Tensor *t)
{
  real *numbers = arena_alloc(&tp->arena, t->n * sizeof *numbers);
  int *ids = arena_alloc(&tp->arena, t->n * sizeof *ids);
  tensor_read(t, 0, t->n, numbers);
  for (size_t i = 0; i < t->n; i++) ids[i] = (int)numbers[i];
  return ids;
}

static Tensor *mask(Tape *tp, int T, int U)
{
  Tensor *m = tape_tensor(tp, 2, (int[]){T, U});
  real *sees = arena_alloc(&tp->arena, m->n * sizeof *sees);
  for (int t = 0; t < T; t++)
    for (int u = 0; u < U; u++) sees[t * U + u] = u <= U - T + t;
  tensor_write(m, 0, m->n, sees);
  return m;
}

Tensor *past_embed(Pass *ps)
{
  Tape *tp = ps->tp;
  Tensor **tokens = &ps->global_state[0];
  *tokens = t_append(tp, *tokens, token_numbers(ps));
  int U = (*tokens)->shape[1];
  Past *past = arena_alloc(&tp->arena, sizeof *past);
  *past = (Past){U > ps->T ? as_ids(tp, *tokens) : ps->tokens, U, ps->T > 1 ? mask(tp, ps->T, U) : NULL};
  ps->past = past;
  return global_embed(ps);
}

Tensor *past_rows(Pass *ps, Tensor *table)
{
  return t_rows(ps->tp, table, ps->past->id, 2, (int[]){ps->B, ps->past->U});
}

Tensor *past_append(Pass *ps, Tensor **kept, Tensor *x) { return *kept = t_append(ps->tp, *kept, x); }

Tensor *past_recent(Pass *ps, Tensor *x)
{
  int U = ps->past->U, T = ps->T;
  return U == T ? x : t_slice(ps->tp, x, 1, U - T, T);
}

Tensor *past_attend(Pass *ps, Tensor *q, Tensor *k, Tensor *v, double cap, double scale)
{
  Tape *tp = ps->tp;
  Tensor *qk = t_bmm(tp, q, t_transpose(tp, k, 1, 2)); /* [B,T,U] */
  Tensor *score = t_affine(tp, t_tanh(tp, t_affine(tp, qk, 1 / scale, 0)), cap, 0);
  if (ps->past->mask) score = t_where(tp, ps->past->mask, score, tape_number(tp, -1e30));
  Tensor *p = t_softmax(tp, score);
  Tensor *y = t_bmm(tp, p, v);
  TRACE(ps, "qkv", "Q K V p out", q, past_recent(ps, k), past_recent(ps, v), p, y);
  return y;
}
