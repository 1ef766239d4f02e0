/* The recurrence of RWKV-2 and RWKV-3: a mean of values weighted by e = exp(min(key, 60)), fading by
   lambda = e^w a step (w < 0), with a weight U = e^u of its own for the current token:

     y_t = (a + U e v) / (b + U e + eps)      [v2.4]
     a <- lambda a + e v,  b <- lambda b + e  [v2.5]                                             */
#include "engine/kernels.h"
#include "engine/elementary.h"

#include <math.h>

void k_wkv2(real *y, real *a1, real *b1, real *trace, const real *w, const real *u, const real *e,
            const real *v, const real *a0, const real *b0, acc eps, size_t B, size_t T, size_t C)
{
  for (size_t bi = 0; bi < B; bi++)
    for (size_t c = 0; c < C; c++) {
      acc lambda = m_exp((acc)w[c]), U = m_exp((acc)u[c]);
      real a = a0[bi * C + c], b = b0[bi * C + c];
      for (size_t t = 0; t < T; t++) {
        size_t row = bi * T + t, at = row * C + c;
        if (trace) trace[row * 2 * C + c] = a, trace[(row * 2 + 1) * C + c] = b;
        y[at] = (real)(((acc)a + U * (acc)e[at] * (acc)v[at]) / ((acc)b + U * (acc)e[at] + eps));
        a = (real)(lambda * (acc)a + (acc)e[at] * (acc)v[at]);
        b = (real)(lambda * (acc)b + (acc)e[at]);
      }
      a1[bi * C + c] = a, b1[bi * C + c] = b;
    }
}

void k_wkv2_backward(const Wkv2Grads *out, const real *gy, const real *ga1, const real *gb1, const real *trace,
                     const real *w, const real *u, const real *e, const real *v, acc eps, size_t B, size_t T,
                     size_t C)
{
  for (size_t c = 0; c < C; c++) {
    acc lambda = m_exp((acc)w[c]), U = m_exp((acc)u[c]), glambda = 0, gU = 0;
    for (size_t bi = 0; bi < B; bi++) {
      acc ga = ga1 ? ga1[bi * C + c] : 0, gb = gb1 ? gb1[bi * C + c] : 0;
      for (size_t t = T; t-- > 0;) {
        size_t row = bi * T + t, at = row * C + c;
        acc a = trace[row * 2 * C + c], b = trace[(row * 2 + 1) * C + c], et = e[at], vt = v[at];
        acc ge = ga * vt + gb, gv = ga * et; /* the update */
        glambda += ga * a + gb * b;
        ga *= lambda, gb *= lambda;
        if (gy) { /* the read-out */
          acc den = b + U * et + eps, y = (a + U * et * vt) / den, g = (acc)gy[at] / den;
          ga += g;
          gb -= g * y;
          ge += g * U * (vt - y);
          gv += g * U * et;
          gU += g * et * (vt - y);
        }
        if (out->e) out->e[at] += (real)ge;
        if (out->v) out->v[at] += (real)gv;
      }
      if (out->a0) out->a0[bi * C + c] += (real)ga;
      if (out->b0) out->b0[bi * C + c] += (real)gb;
    }
    if (out->w) out->w[c] += (real)(glambda * lambda);
    if (out->u) out->u[c] += (real)(gU * U);
  }
}
