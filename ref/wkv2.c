/* The recurrence of RWKV-2 and RWKV-3: a mean of values weighted by e = exp(min(key, 60)), fading by
   lambda = e^w a step (w < 0), with a weight U = e^u of its own for the current token:

     y_t = (a + U e v) / (b + U e + eps)      [v2.4]
     a <- lambda a + e v,  b <- lambda b + e  [v2.5]                                             */
#include "engine/k_wkv.h"
#include "engine/elementary.h"

#include <math.h>

void k_wkv2(const Wkv2 *op)
{
  size_t T = op->T, C = op->C;
  for (size_t bi = 0; bi < op->B; bi++)
    for (size_t c = 0; c < C; c++) {
      acc lambda = m_exp((acc)op->w[c]), U = m_exp((acc)op->u[c]);
      real a = op->a0[bi * C + c], b = op->b0[bi * C + c];
      for (size_t t = 0; t < T; t++) {
        size_t row = bi * T + t, at = row * C + c;
        if (op->trace) op->trace[row * 2 * C + c] = a, op->trace[(row * 2 + 1) * C + c] = b;
        op->y[at] = (real)(((acc)a + U * (acc)op->e[at] * (acc)op->v[at]) / ((acc)b + U * (acc)op->e[at] + op->eps));
        a = (real)(lambda * (acc)a + (acc)op->e[at] * (acc)op->v[at]);
        b = (real)(lambda * (acc)b + (acc)op->e[at]);
      }
      op->a1[bi * C + c] = a, op->b1[bi * C + c] = b;
    }
}

void k_wkv2_backward(const Wkv2Backward *op)
{
  const Wkv2 *f = &op->forward;
  size_t T = f->T, C = f->C;
  for (size_t c = 0; c < C; c++) {
    acc lambda = m_exp((acc)f->w[c]), U = m_exp((acc)f->u[c]), glambda = 0, gU = 0;
    for (size_t bi = 0; bi < f->B; bi++) {
      acc ga = op->ga1 ? op->ga1[bi * C + c] : 0, gb = op->gb1 ? op->gb1[bi * C + c] : 0;
      for (size_t t = T; t-- > 0;) {
        size_t row = bi * T + t, at = row * C + c;
        acc a = f->trace[row * 2 * C + c], b = f->trace[(row * 2 + 1) * C + c], et = f->e[at], vt = f->v[at];
        acc ge = ga * vt + gb, gv = ga * et; /* the update */
        glambda += ga * a + gb * b;
        ga *= lambda, gb *= lambda;
        if (op->gy) { /* the read-out */
          acc den = b + U * et + f->eps, y = (a + U * et * vt) / den, g = (acc)op->gy[at] / den;
          ga += g;
          gb -= g * y;
          ge += g * U * (vt - y);
          gv += g * U * et;
          gU += g * et * (vt - y);
        }
        if (op->ge) op->ge[at] += (real)ge;
        if (op->gv) op->gv[at] += (real)gv;
      }
      if (op->ga0) op->ga0[bi * C + c] += (real)ga;
      if (op->gb0) op->gb0[bi * C + c] += (real)gb;
    }
    if (op->gw) op->gw[c] += (real)(glambda * lambda);
    if (op->gu) op->gu[c] += (real)(gU * U);
  }
}
