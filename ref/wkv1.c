/* The sum of RWKV-1: every earlier key-value pair, weighted by its distance in time,

     y_t = sum_{u<=t} w[ctx-1-(t-u)] alpha[u] beta[t] k_u v_u  /  sum_{u<=t} k_u      [v1.4]

   with one row of w, alpha, beta per head. It cannot be cut down to a state: all pairs are kept. k, v are
   those of all U positions so far, y is for the last T of them. k > 0. */
#include "engine/kernels.h"

static acc weight(const real *w, const real *alpha, const real *beta, size_t h, size_t t, size_t u, size_t ctx)
{
  return (acc)w[h * ctx + ctx - 1 - (t - u)] * (acc)alpha[h * ctx + u] * (acc)beta[h * ctx + t];
}

void k_wkv1(real *y, const real *w, const real *alpha, const real *beta, const real *k, const real *v,
            size_t B, size_t T, size_t U, size_t H, size_t N, size_t ctx)
{
  size_t C = H * N;
  for (size_t b = 0; b < B; b++)
    for (size_t t = U - T; t < U; t++)
      for (size_t c = 0; c < C; c++) {
        acc sum = 0, total = 0;
        for (size_t u = 0; u <= t; u++) {
          size_t at = (b * U + u) * C + c;
          sum += weight(w, alpha, beta, c / N, t, u, ctx) * (acc)k[at] * (acc)v[at];
          total += (acc)k[at];
        }
        y[(b * T + t - (U - T)) * C + c] = (real)(sum / total);
      }
}

void k_wkv1_backward(const Wkv1Grads *out, const real *gy, const real *w, const real *alpha, const real *beta,
                     const real *k, const real *v, size_t B, size_t T, size_t U, size_t H, size_t N, size_t ctx)
{
  size_t C = H * N;
  for (size_t b = 0; b < B; b++)
    for (size_t t = U - T; t < U; t++)
      for (size_t c = 0; c < C; c++) {
        size_t h = c / N;
        acc sum = 0, total = 0;
        for (size_t u = 0; u <= t; u++) {
          size_t at = (b * U + u) * C + c;
          sum += weight(w, alpha, beta, h, t, u, ctx) * (acc)k[at] * (acc)v[at];
          total += (acc)k[at];
        }
        acc g = (acc)gy[(b * T + t - (U - T)) * C + c] / total, y = sum / total;
        for (size_t u = 0; u <= t; u++) { /* dy = (sum' - y total') / total */
          size_t at = (b * U + u) * C + c, distance = h * ctx + ctx - 1 - (t - u);
          acc kv = (acc)k[at] * (acc)v[at], a = (acc)alpha[h * ctx + u], be = (acc)beta[h * ctx + t];
          acc full = (acc)w[distance] * a * be;
          if (out->k) out->k[at] += (real)(g * (full * (acc)v[at] - y));
          if (out->v) out->v[at] += (real)(g * full * (acc)k[at]);
          if (out->w) out->w[distance] += (real)(g * a * be * kv);
          if (out->alpha) out->alpha[h * ctx + u] += (real)(g * (acc)w[distance] * be * kv);
          if (out->beta) out->beta[h * ctx + t] += (real)(g * (acc)w[distance] * a * kv);
        }
      }
}
