/* The token shift: every position sees the row before it; the first one sees what was carried in. */
#include "each.h"
#include "walk.h"

struct Before { /* number i of prev [B,T,C] */
  Shift op;
  Divisor sequence; /* T C */
  __device__ real operator()(size_t i) const
  {
    size_t b = quotient(i, sequence), inside = i - b * op.T * op.C;
    return inside < op.C ? op.carry[b * op.C + inside] : op.x[i - op.C];
  }
};

void c_shift(const Shift *op)
{
  size_t n = op->B * op->T * op->C;
  if (n) write_each(op->prev, Before{*op, divisor(op->T * op->C)}, n);
}

/* A thread has some numbers of g [B,T,C]; each goes to one place: of gcarry for t = 0, otherwise of gx. */
KERNEL shift_backward(ShiftBackward op, Divisor sequence, size_t n)
{
  size_t C = op.forward.C;
  EACH(i, n) {
    size_t b = quotient(i, sequence), inside = i - b * sequence.by;
    if (inside >= C && op.gx) op.gx[i - C] += op.g[i];
    if (inside < C && op.gcarry) op.gcarry[b * C + inside] += op.g[i];
  }
}

void c_shift_backward(const ShiftBackward *op)
{
  size_t sequence = op->forward.T * op->forward.C, n = op->forward.B * sequence;
  if (!n || (!op->gx && !op->gcarry)) return;
  LAUNCH(shift_backward, BLOCKS_FOR(pieces(n, 4)), BLOCK, 0, *op, divisor(sequence), n);
}
