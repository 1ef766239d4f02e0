/* Normalisation. A team of threads (team.h) has a group. */
#include "columns.h"
#include "team.h"

/* ---- mean 0 and variance 1 in each of H groups of N: y = (x - mean) scale weight + bias ---- */

/* The mean is first found roughly; what is left over it is summed beside the squares, and corrects both. */
template <int TEAM> KERNEL norm(Norm op)
{
  size_t group = TEAM_ROW(TEAM), N = op.N, h = group % op.H;
  if (group >= op.rows * op.H) return;
  const real *x = op.x + group * N, *weight = op.weight + h * N, *bias = op.bias + h * N;
  real *y = op.y + group * N, sum = 0, rest = 0, squares = 0;
  TEAM_EACH(j, N, TEAM) sum += x[j];
  real rough = team_sum<TEAM>(sum) / (real)N;
  TEAM_EACH(j, N, TEAM)
  {
    real d = x[j] - rough;
    rest += d, squares += d * d;
  }
  acc left = (acc)team_sum<TEAM>(rest) / (acc)N, square = (acc)team_sum<TEAM>(squares) / (acc)N;
  acc mean = (acc)rough + left, variance = square - left * left;
  acc scale = 1 / sqrt((variance < 0 ? 0 : variance) + op.eps);
  TEAM_EACH(j, N, TEAM) y[j] = less(x[j], mean) * (real)scale * weight[j] + bias[j];
  if (threadIdx.x % TEAM) return;
  op.stats[2 * group] = mean;
  op.stats[2 * group + 1] = scale;
}

void c_norm(const Norm *op)
{
  size_t groups = op->rows * op->H;
  if (groups && op->N) TEAM_LAUNCH(norm, groups, op->N, *op);
}

/* With z = (x - mean) scale and q = g weight:  gx += scale (q - mean(q) - z mean(q z)) */
template <int TEAM> KERNEL norm_gx(NormBackward op)
{
  const Norm *f = &op.forward;
  size_t group = TEAM_ROW(TEAM), N = f->N;
  if (group >= f->rows * f->H) return;
  const real *x = f->x + group * N, *g = op.g + group * N, *weight = f->weight + group % f->H * N;
  acc mean = f->stats[2 * group];
  real *gx = op.gx + group * N, scale = (real)f->stats[2 * group + 1], sum_q = 0, sum_qz = 0;
  TEAM_EACH(j, N, TEAM)
  {
    real q = g[j] * weight[j];
    sum_q += q, sum_qz += q * (less(x[j], mean) * scale);
  }
  real mean_q = team_sum<TEAM>(sum_q) / (real)N, mean_qz = team_sum<TEAM>(sum_qz) / (real)N;
  TEAM_EACH(j, N, TEAM) gx[j] += scale * (g[j] * weight[j] - mean_q - less(x[j], mean) * scale * mean_qz);
}

struct GradientOfWeight {
  const real *g, *x; /* [rows,H,N] */
  const acc *stats;  /* [rows,H,2] */
  size_t H, N;
  __device__ real operator()(size_t row, size_t c) const
  {
    const acc *of = stats + 2 * (row * H + c / N);
    size_t i = row * H * N + c;
    return g[i] * (less(x[i], of[0]) * (real)of[1]);
  }
};

struct GradientOfBias {
  const real *g; /* [rows,C] */
  size_t C;
  __device__ real operator()(size_t row, size_t c) const { return g[row * C + c]; }
};

void c_norm_backward(const NormBackward *op)
{
  const Norm *f = &op->forward;
  size_t groups = f->rows * f->H, C = f->H * f->N;
  if (!groups || !f->N) return;
  if (op->gx) TEAM_LAUNCH(norm_gx, groups, f->N, *op);
  if (op->gweight) add_columns(op->gweight, GradientOfWeight{op->g, f->x, f->stats, f->H, f->N}, f->rows, C);
  if (op->gbias) add_columns(op->gbias, GradientOfBias{op->g, C}, f->rows, C);
}

/* ---- a vector divided by its length, or by eps if that is larger ---- */

/* Squares are taken in double: they leave the range of float32 early. */
template <int TEAM> DEVICE acc length(const real *x, size_t N)
{
  acc sum = 0;
  TEAM_EACH(j, N, TEAM) sum += (acc)x[j] * (acc)x[j];
  return sqrt(team_sum<TEAM>(sum));
}

template <int TEAM> KERNEL l2norm(L2Norm op)
{
  size_t group = TEAM_ROW(TEAM), N = op.N;
  if (group >= op.groups) return;
  const real *x = op.x + group * N;
  real *y = op.y + group * N;
  acc by = 1 / fmax(length<TEAM>(x, N), op.eps);
  TEAM_EACH(j, N, TEAM) y[j] = (real)((acc)x[j] * by);
}

void c_l2norm(const L2Norm *op)
{
  if (op->groups && op->N) TEAM_LAUNCH(l2norm, op->groups, op->N, *op);
}

/* y = x/|x|:  gx += (g - y (y.g)) / |x|; below eps the divisor is constant and gx += g / eps */
template <int TEAM> KERNEL l2norm_gx(L2NormBackward op)
{
  size_t group = TEAM_ROW(TEAM), N = op.forward.N;
  if (group >= op.forward.groups) return;
  const real *x = op.forward.x + group * N, *g = op.g + group * N;
  real *gx = op.gx + group * N;
  acc d = length<TEAM>(x, N), along = 0, eps = op.forward.eps;
  TEAM_EACH(j, N, TEAM) along += (acc)x[j] * (acc)g[j];
  along = team_sum<TEAM>(along);
  acc by = 1 / (d > eps ? d : eps), turn = d > eps ? along * by * by : 0;
  TEAM_EACH(j, N, TEAM) gx[j] += (real)(((acc)g[j] - (acc)x[j] * turn) * by);
}

void c_l2norm_backward(const L2NormBackward *op)
{
  if (op->forward.groups && op->forward.N) TEAM_LAUNCH(l2norm_gx, op->forward.groups, op->forward.N, *op);
}
