/* Causal softmax attention (Vaswani et al. 2017, arXiv:1706.03762, eq. 1), per head:

     y_t = sum_{u <= t} p_tu v_u,    p_tu = e^{s_tu} / sum_{u <= t} e^{s_tu},    s_tu = q_t.k_u / sqrt N

   The backward pass forms p_tu = e^{s_tu - L_t} once more, from the logarithm L_t of the sum. */
#include "kernels.h"
#include "elementary.h"

#include <math.h>

static acc dot(const real *a, const real *b, size_t n)
{
  acc sum = 0;
  for (size_t i = 0; i < n; i++) sum += (acc)a[i] * (acc)b[i];
  return sum;
}

/* Per head: one row of weights, and one of their gradients. */
size_t k_attention_scratch(size_t U) { return 2 * U; }

void k_attention(real *y, acc *log_sum, acc *scratch, const real *q, const real *k, const real *v, size_t B,
                 size_t T, size_t U, size_t H, size_t N)
{
  acc scale = 1 / sqrt((acc)N), *p = scratch;
  for (size_t b = 0; b < B; b++)
    for (size_t t = 0; t < T; t++)
      for (size_t h = 0; h < H; h++) {
        size_t row = (b * T + t) * H + h, first = b * U * H + h, seen = U - T + t + 1; /* k_u at (first + u H) N */
        acc top = -INFINITY, sum = 0;
        for (size_t u = 0; u < seen; u++) {
          p[u] = scale * dot(q + row * N, k + (first + u * H) * N, N);
          top = fmax(top, p[u]);
        }
        for (size_t u = 0; u < seen; u++) {
          p[u] = m_exp(p[u] - top);
          sum += p[u];
        }
        for (size_t n = 0; n < N; n++) {
          acc mean = 0;
          for (size_t u = 0; u < seen; u++) mean += p[u] * (acc)v[(first + u * H) * N + n];
          y[row * N + n] = (real)(mean / sum);
        }
        if (log_sum) log_sum[row] = top + m_log(sum);
      }
}

/* gp_tu = g_t.v_u,  gs_tu = p_tu (gp_tu - sum_u p_tu gp_tu) */
void k_attention_backward(real *gq, real *gk, real *gv, acc *scratch, const real *g, const acc *log_sum,
                          const real *q, const real *k, const real *v, size_t B, size_t T, size_t U, size_t H,
                          size_t N)
{
  acc scale = 1 / sqrt((acc)N), *p = scratch, *gs = scratch + U;
  for (size_t b = 0; b < B; b++)
    for (size_t t = 0; t < T; t++)
      for (size_t h = 0; h < H; h++) {
        size_t row = (b * T + t) * H + h, first = b * U * H + h, seen = U - T + t + 1;
        const real *qt = q + row * N, *gt = g + row * N;
        acc mean = 0;
        for (size_t u = 0; u < seen; u++) {
          size_t at = (first + u * H) * N;
          p[u] = m_exp(scale * dot(qt, k + at, N) - log_sum[row]);
          gs[u] = dot(gt, v + at, N);
          mean += p[u] * gs[u];
        }
        for (size_t u = 0; u < seen; u++) {
          size_t at = (first + u * H) * N;
          gs[u] = scale * p[u] * (gs[u] - mean);
          for (size_t n = 0; gv && n < N; n++) gv[at + n] += (real)(p[u] * (acc)gt[n]);
          for (size_t n = 0; gk && n < N; n++) gk[at + n] += (real)(gs[u] * (acc)qt[n]);
        }
        for (size_t n = 0; gq && n < N; n++) {
          acc sum = 0;
          for (size_t u = 0; u < seen; u++) sum += gs[u] * (acc)k[(first + u * H) * N + n];
          gq[row * N + n] += (real)sum;
        }
      }
}
