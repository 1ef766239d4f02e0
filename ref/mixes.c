#include "version.h"

static Tensor **lerps(Pass *ps, HookSlot slot, Tensor *from, Tensor *to, Tensor *const *mu)
{
  int streams = hook_streams(ps->d, slot);
  Tensor **out = arena_alloc(&ps->tp->arena, (size_t)streams * sizeof *out);
  for (int i = 0; i < streams; i++) out[i] = t_lerp(ps->tp, from, to, mu[i]);
  return out;
}

Tensor **mixes_x_to_prev(Pass *ps, HookSlot slot, Tensor *x, Tensor *prev, Tensor *const *mu)
{
  return dims_hook(ps->d, slot, ps->layer) ? hook_shift(ps, slot, x, prev) : lerps(ps, slot, x, prev, mu);
}

Tensor **mixes_prev_to_x(Pass *ps, HookSlot slot, Tensor *x, Tensor *prev, Tensor *const *mu)
{
  return dims_hook(ps->d, slot, ps->layer) ? hook_shift(ps, slot, x, prev) : lerps(ps, slot, prev, x, mu);
}
