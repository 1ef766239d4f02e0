/* The short convolution. */
#include "k_conv.h"

/* Where token t + j of the carried tokens and x, one after the other, is: in x, or in the carry. */
typedef struct {
  bool carried;
  size_t at;
} Tap;

static Tap tap(const Conv *op, size_t b, size_t t, size_t j, size_t c)
{
  size_t before = op->W - 1;
  if (t + j < before) return (Tap){true, (b * before + t + j) * op->C + c};
  return (Tap){false, (b * op->T + t + j - before) * op->C + c};
}

void k_conv(const Conv *op)
{
  for (size_t b = 0; b < op->B; b++)
    for (size_t t = 0; t < op->T; t++)
      for (size_t c = 0; c < op->C; c++) {
        acc sum = 0;
        for (size_t j = 0; j < op->W; j++) {
          Tap p = tap(op, b, t, j, c);
          sum += (acc)op->w[c * op->W + j] * (acc)(p.carried ? op->carry : op->x)[p.at];
        }
        op->y[(b * op->T + t) * op->C + c] = (real)sum;
      }
}

void k_conv_backward(const ConvBackward *op)
{
  const Conv *f = &op->forward;
  for (size_t c = 0; c < f->C; c++)
    for (size_t j = 0; j < f->W; j++) {
      acc gw = 0, w = f->w[c * f->W + j];
      for (size_t b = 0; b < f->B; b++)
        for (size_t t = 0; t < f->T; t++) {
          Tap p = tap(f, b, t, j, c);
          acc g = op->g[(b * f->T + t) * f->C + c];
          real *gx = p.carried ? op->gcarry : op->gx;
          if (gx) gx[p.at] += (real)(g * w);
          gw += g * (acc)(p.carried ? f->carry : f->x)[p.at];
        }
      if (op->gw) op->gw[c * f->W + j] += (real)gw;
    }
}
