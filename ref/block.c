/* What stands around the parts of a block: the norm of the embedding, and the residual stream. */
#include "version.h"

Tensor *block_embed_norm(Pass *ps, Tensor *x, Tensor *weight, Tensor *bias)
{
  if (ps->layer > 0) return x;
  x = HOOK(ps, HOOK_EMBED_NORM, t_layer_norm(ps->tp, x, weight, bias, 1e-5), x);
  TRACE(ps, "ln0", "x", x);
  return x;
}

Tensor *block_add(Pass *ps, HookSlot slot, Tensor *x, Tensor *returned)
{
  x = t_add(ps->tp, x, hook_works(ps->d, slot, ps->layer) ? hook_apply(ps, slot, &returned, 1) : returned);
  if (slot == HOOK_TIME_OUT) TRACE(ps, "mid", "x", x); /* after channel mixing it is the block's "out.x" */
  return x;
}
