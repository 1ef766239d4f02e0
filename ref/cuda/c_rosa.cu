/* ROSA: a thread has a group of channels of a sequence. */
#include "device.h"

#define ROSA_FUNCTION DEVICE
extern "C++" {
#include "../engine/k_rosa_group.h"
}

KERNEL rosa(Rosa op)
{
  EACH(i, op.B * op.G) {
    RosaGroup r = {&op, i / op.G, i % op.G};
    rosa_forward(r);
  }
}

KERNEL rosa_backward_numbers(RosaBackward op, real *room)
{
  const Rosa &f = op.forward;
  EACH(i, f.B * f.G) {
    RosaGroup r = {&f, i / f.G, i % f.G};
    rosa_backward(&op, r, room + i * 2 * f.U, false);
  }
}

/* Sequences one after the other, so that nothing is added twice at once. */
KERNEL rosa_backward_levels(RosaBackward op, real *room)
{
  const Rosa &f = op.forward;
  EACH(group, f.G) {
    for (size_t b = 0; b < f.B; b++) {
      RosaGroup r = {&f, b, group};
      rosa_backward(&op, r, room + group * 2 * f.U, true);
    }
  }
}

void c_rosa(const Rosa *op)
{
  size_t n = op->B * op->G;
  if (n && op->T) LAUNCH(rosa, BLOCKS_FOR(n), BLOCK, 0, *op);
}

void c_rosa_backward(const RosaBackward *op)
{
  const Rosa *f = &op->forward;
  size_t n = f->B * f->G;
  if (!n || !f->T) return;
  real *room = (real *)device_scratch(2 * n * f->U * sizeof(real));
  LAUNCH(rosa_backward_numbers, BLOCKS_FOR(n), BLOCK, 0, *op, room);
  if (op->glow || op->ghigh) LAUNCH(rosa_backward_levels, BLOCKS_FOR(f->G), BLOCK, 0, *op, room);
}
