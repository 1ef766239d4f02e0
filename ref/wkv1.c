/* The sum of RWKV-1: every earlier key-value pair, weighted by its distance in time,

     y_t = sum_{u<=t} w[ctx-1-(t-u)] alpha[u] beta[t] k_u v_u  /  sum_{u<=t} k_u      [v1.4]

   with one row of w, alpha, beta per head. It cannot be cut down to a state: all pairs are kept. k, v are
   those of all U positions so far, y is for the last T of them. k > 0. */
#include "engine/k_wkv.h"

static acc weight(const real *w, const real *alpha, const real *beta, size_t h, size_t t, size_t u, size_t ctx)
{
  return (acc)w[h * ctx + ctx - 1 - (t - u)] * (acc)alpha[h * ctx + u] * (acc)beta[h * ctx + t];
}

void k_wkv1(const Wkv1 *op)
{
  size_t T = op->T, U = op->U, N = op->N;
  size_t C = op->H * N;
  for (size_t b = 0; b < op->B; b++)
    for (size_t t = U - T; t < U; t++)
      for (size_t c = 0; c < C; c++) {
        acc sum = 0, total = 0;
        for (size_t u = 0; u <= t; u++) {
          size_t at = (b * U + u) * C + c;
          sum += weight(op->w, op->alpha, op->beta, c / N, t, u, op->ctx) * (acc)op->k[at] * (acc)op->v[at];
          total += (acc)op->k[at];
        }
        op->y[(b * T + t - (U - T)) * C + c] = (real)(sum / total);
      }
}

void k_wkv1_backward(const Wkv1Backward *op)
{
  const Wkv1 *f = &op->forward;
  size_t T = f->T, U = f->U, N = f->N, ctx = f->ctx;
  size_t C = f->H * N;
  for (size_t b = 0; b < f->B; b++)
    for (size_t t = U - T; t < U; t++)
      for (size_t c = 0; c < C; c++) {
        size_t h = c / N;
        acc sum = 0, total = 0;
        for (size_t u = 0; u <= t; u++) {
          size_t at = (b * U + u) * C + c;
          sum += weight(f->w, f->alpha, f->beta, h, t, u, ctx) * (acc)f->k[at] * (acc)f->v[at];
          total += (acc)f->k[at];
        }
        acc g = (acc)op->gy[(b * T + t - (U - T)) * C + c] / total, y = sum / total;
        for (size_t u = 0; u <= t; u++) { /* dy = (sum' - y total') / total */
          size_t at = (b * U + u) * C + c, distance = h * ctx + ctx - 1 - (t - u);
          acc kv = (acc)f->k[at] * (acc)f->v[at], a = (acc)f->alpha[h * ctx + u], be = (acc)f->beta[h * ctx + t];
          acc full = (acc)f->w[distance] * a * be;
          if (op->gk) op->gk[at] += (real)(g * (full * (acc)f->v[at] - y));
          if (op->gv) op->gv[at] += (real)(g * full * (acc)f->k[at]);
          if (op->gw) op->gw[distance] += (real)(g * a * be * kv);
          if (op->galpha) op->galpha[h * ctx + u] += (real)(g * (acc)f->w[distance] * be * kv);
          if (op->gbeta) op->gbeta[h * ctx + t] += (real)(g * (acc)f->w[distance] * a * kv);
        }
      }
}
