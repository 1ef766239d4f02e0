/* Causal softmax attention (Vaswani et al. 2017, arXiv:1706.03762, eq. 1), per head:

     y_t = sum_{u <= t} p_tu v_u,    p_tu = e^{s_tu} / sum_{u <= t} e^{s_tu},    s_tu = q_t.k_u / sqrt N

   The backward pass forms p_tu = e^{s_tu - L_t} once more, from the logarithm L_t of the sum. */
#include "k_attention.h"
#include "elementary.h"

#include <math.h>

static acc dot(const real *a, const real *b, size_t n)
{
  acc sum = 0;
  for (size_t i = 0; i < n; i++) sum += (acc)a[i] * (acc)b[i];
  return sum;
}

void k_attention(const Attention *op)
{
  size_t T = op->T, U = op->U, H = op->H, N = op->N;
  acc scale = 1 / sqrt((acc)N), *p = op->scratch;
  for (size_t b = 0; b < op->B; b++)
    for (size_t t = 0; t < T; t++)
      for (size_t h = 0; h < H; h++) {
        size_t row = (b * T + t) * H + h, first = b * U * H + h, seen = U - T + t + 1; /* k_u at (first + u H) N */
        acc top = -INFINITY, sum = 0;
        for (size_t u = 0; u < seen; u++) {
          p[u] = scale * dot(op->q + row * N, op->k + (first + u * H) * N, N);
          top = fmax(top, p[u]);
        }
        for (size_t u = 0; u < seen; u++) {
          p[u] = m_exp(p[u] - top);
          sum += p[u];
        }
        for (size_t n = 0; n < N; n++) {
          acc mean = 0;
          for (size_t u = 0; u < seen; u++) mean += p[u] * (acc)op->v[(first + u * H) * N + n];
          op->y[row * N + n] = (real)(mean / sum);
        }
        if (op->log_sum) op->log_sum[row] = top + m_log(sum);
      }
}

/* gp_tu = g_t.v_u,  gs_tu = p_tu (gp_tu - sum_u p_tu gp_tu) */
void k_attention_backward(const AttentionBackward *op)
{
  const Attention *f = &op->forward;
  size_t T = f->T, U = f->U, H = f->H, N = f->N;
  acc scale = 1 / sqrt((acc)N), *p = op->scratch, *gs = op->scratch + U;
  for (size_t b = 0; b < f->B; b++)
    for (size_t t = 0; t < T; t++)
      for (size_t h = 0; h < H; h++) {
        size_t row = (b * T + t) * H + h, first = b * U * H + h, seen = U - T + t + 1;
        const real *qt = f->q + row * N, *gt = op->g + row * N;
        acc mean = 0;
        for (size_t u = 0; u < seen; u++) {
          size_t at = (first + u * H) * N;
          p[u] = m_exp(scale * dot(qt, f->k + at, N) - f->log_sum[row]);
          gs[u] = dot(gt, f->v + at, N);
          mean += p[u] * gs[u];
        }
        for (size_t u = 0; u < seen; u++) {
          size_t at = (first + u * H) * N;
          gs[u] = scale * p[u] * (gs[u] - mean);
          for (size_t n = 0; op->gv && n < N; n++) op->gv[at + n] += (real)(p[u] * (acc)gt[n]);
          for (size_t n = 0; op->gk && n < N; n++) op->gk[at + n] += (real)(gs[u] * (acc)qt[n]);
        }
        for (size_t n = 0; op->gq && n < N; n++) {
          acc sum = 0;
          for (size_t u = 0; u < seen; u++) sum += gs[u] * (acc)f->k[(first + u * H) * N + n];
          op->gq[row * N + n] += (real)sum;
        }
      }
}
