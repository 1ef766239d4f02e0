/* Normalisation. A team of threads (team.h) has a group. */
#include "reduce.h"
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

/* gweight += the sum over rows of g z, and gbias that of g: numbers k of the one, and then of the other, or of the one
   that is there. */
struct Gradients {
  typedef real Value;
  NormBackward op;
  size_t C, weights; /* C or, without gweight, 0 */
  __device__ real term(size_t k, size_t row) const
  {
    const Norm *f = &op.forward;
    size_t c = k < weights ? k : k - weights;
    real g = op.g[row * C + c];
    if (k >= weights) return g;
    const acc *stats = f->stats + 2 * (row * f->H + c / f->N);
    return g * (less(f->x[row * C + c], stats[0]) * (real)stats[1]);
  }
  __device__ void store(size_t k, real v) const
  {
    if (k < weights) op.gweight[k] += v;
    else op.gbias[k - weights] += v;
  }
};

static void add_gradients(const NormBackward *op, bool weight, bool bias)
{
  size_t C = op->forward.H * op->forward.N, weights = weight ? C : 0;
  reduce(Gradients{*op, C, weights}, weights + (bias ? C : 0), op->forward.rows, false);
}

void c_norm_backward(const NormBackward *op)
{
  const Norm *f = &op->forward;
  size_t groups = f->rows * f->H;
  if (!groups || !f->N) return;
  bool same = op->gweight == op->gbias; /* memory: one after the other */
  if (op->gx) TEAM_LAUNCH(norm_gx, groups, f->N, *op);
  add_gradients(op, op->gweight != NULL, op->gbias && !same);
  if (same) add_gradients(op, false, op->gbias != NULL);
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
