/* The short convolution. */
#include "columns.h"

/* Number c of token p of the carried tokens and x, one after the other. */
DEVICE const real *tap(const Conv &op, size_t b, size_t p, size_t c)
{
  size_t before = op.W - 1;
  return p < before ? op.carry + (b * before + p) * op.C + c : op.x + (b * op.T + p - before) * op.C + c;
}

/* y_t = sum_j w_j x_{t-W+1+j}: a thread has one number of y. */
KERNEL conv(Conv op)
{
  size_t T = op.T, C = op.C, W = op.W;
  EACH(i, op.B * T * C) {
    size_t c = i % C, t = i / C % T, b = i / C / T;
    real sum = 0;
    for (size_t j = 0; j < W; j++) sum += op.w[c * W + j] * *tap(op, b, t + j, c);
    op.y[i] = sum;
  }
}

/* What token p gave to the W tokens from p - W + 1 of y on: a thread has one number of the carried tokens or of x. */
KERNEL conv_backward(ConvBackward op)
{
  const Conv &f = op.forward;
  size_t T = f.T, C = f.C, W = f.W, before = W - 1, all = before + T;
  EACH(i, f.B * all * C) {
    size_t c = i % C, p = i / C % all, b = i / C / all;
    real *gx = p < before ? op.gcarry : op.gx;
    if (!gx) continue;
    real sum = 0;
    for (size_t j = 0; j < W && j <= p; j++)
      if (p - j < T) sum += f.w[c * W + j] * op.g[(b * T + p - j) * C + c];
    gx[p < before ? (b * before + p) * C + c : (b * T + p - before) * C + c] += sum;
  }
}

/* gw[c,j] = sum over b and t of g_t x_{t-W+1+j}, as a column c W + j */
struct WeightTerm {
  ConvBackward op;
  __device__ real operator()(size_t row, size_t column) const
  {
    const Conv &f = op.forward;
    size_t c = column / f.W;
    return op.g[row * f.C + c] * *tap(f, row / f.T, row % f.T + column % f.W, c);
  }
};

void c_conv(const Conv *op)
{
  size_t n = op->B * op->T * op->C;
  if (n) LAUNCH(conv, BLOCKS_FOR(n), BLOCK, 0, *op);
}

void c_conv_backward(const ConvBackward *op)
{
  const Conv *f = &op->forward;
  size_t n = f->B * (f->W - 1 + f->T) * f->C;
  if (n && (op->gx || op->gcarry)) LAUNCH(conv_backward, BLOCKS_FOR(n), BLOCK, 0, *op);
  if (op->gw) add_columns(op->gw, WeightTerm{*op}, f->B * f->T, f->C * f->W);
}
