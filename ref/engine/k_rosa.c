/* ROSA [rosa.1] and its gradient [rosa.2] by the table. In the official code (RWKV-LM, RWKV-v8:
   251014_rosa_1bit_layer.py, 251105_reverse_run.py, 260222_rosa4bitLM_L12.py) a suffix automaton finds the same. */
#include "k_rosa_group.h"

void k_rosa(const Rosa *op)
{
  for (size_t b = 0; b < op->B; b++)
    for (size_t group = 0; group < op->G; group++) rosa_forward((RosaGroup){op, b, group});
}

void k_rosa_backward(const RosaBackward *op)
{
  const Rosa *f = &op->forward;
  for (size_t b = 0; b < f->B; b++)
    for (size_t group = 0; group < f->G; group++)
      for (int levels = 0; levels < 2; levels++)
        rosa_backward(op, (RosaGroup){f, b, group}, op->scratch + (b * f->G + group) * 2 * f->U, levels);
}
