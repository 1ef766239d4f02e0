/* Pointwise kernels. */
#include "k_point.h"
#include "elementary.h"

#include <math.h>

static acc sigmoid(acc x) { return 1 / (1 + m_exp(-x)); }
static acc softplus(acc x) { return m_log1p(m_exp(-fabs(x))) + fmax(x, 0); }

void k_clear(const Clear *op)
{
  for (size_t i = 0; i < op->n; i++) op->x[i] = 0;
}

/* ---- one operand: y = f(x), dy/dx = df(x, y) ---- */

static acc f_neg(acc x) { return -x; }
static acc d_neg(acc x, acc y) { return (void)x, (void)y, -1; }
static acc f_exp(acc x) { return m_exp(x); }
static acc d_exp(acc x, acc y) { return (void)y, m_exp(x); }
static acc f_log(acc x) { return m_log(x); }
static acc d_log(acc x, acc y) { return (void)y, 1 / x; }
static acc f_sqrt(acc x) { return sqrt(x); }
static acc d_sqrt(acc x, acc y) { return (void)y, 0.5 / sqrt(x); }
static acc f_square(acc x) { return x * x; }
static acc d_square(acc x, acc y) { return (void)y, 2 * x; }
static acc f_abs(acc x) { return fabs(x); }
static acc d_abs(acc x, acc y) { return (void)y, x > 0 ? 1 : x < 0 ? -1 : 0; }
static acc f_tanh(acc x) { return m_tanh(x); }
static acc d_tanh(acc x, acc y) { return (void)x, 1 - y * y; }
static acc f_sigmoid(acc x) { return sigmoid(x); }
static acc d_sigmoid(acc x, acc y) { return (void)x, y * (1 - y); }
static acc f_silu(acc x) { return x * sigmoid(x); }
static acc d_silu(acc x, acc y) { return sigmoid(x) + y * (1 - sigmoid(x)); }
static acc f_relu(acc x) { return x < 0 ? 0 : x; } /* NaN stays NaN */
static acc d_relu(acc x, acc y) { return (void)y, x > 0 ? 1 : 0; }
static acc f_relu2(acc x) { return x < 0 ? 0 : x * x; }
static acc d_relu2(acc x, acc y) { return (void)y, x > 0 ? 2 * x : 0; }
static acc f_softplus(acc x) { return softplus(x); }
static acc d_softplus(acc x, acc y) { return (void)y, sigmoid(x); }
static acc f_mish(acc x) { return x * m_tanh(softplus(x)); }
static acc d_mish(acc x, acc y)
{
  acc t = m_tanh(softplus(x));
  return (void)y, t + x * (1 - t * t) * sigmoid(x);
}

static acc f_sin(acc x) { return sin(x); }
static acc d_sin(acc x, acc y) { return (void)y, cos(x); }
static acc f_cos(acc x) { return cos(x); }
static acc d_cos(acc x, acc y) { return (void)y, -sin(x); }

/* clang-format off */
const UnaryFunction k_unary_functions[UNARY_COUNT] = {
    [U_NEG] = {"neg", f_neg, d_neg},             [U_EXP] = {"exp", f_exp, d_exp},
    [U_LOG] = {"log", f_log, d_log},             [U_SQRT] = {"sqrt", f_sqrt, d_sqrt},
    [U_SQUARE] = {"square", f_square, d_square}, [U_ABS] = {"abs", f_abs, d_abs},
    [U_TANH] = {"tanh", f_tanh, d_tanh},         [U_SIGMOID] = {"sigmoid", f_sigmoid, d_sigmoid},
    [U_SILU] = {"silu", f_silu, d_silu},         [U_RELU] = {"relu", f_relu, d_relu},
    [U_RELU2] = {"relu2", f_relu2, d_relu2},     [U_SOFTPLUS] = {"softplus", f_softplus, d_softplus},
    [U_MISH] = {"mish", f_mish, d_mish},         [U_SIN] = {"sin", f_sin, d_sin},
    [U_COS] = {"cos", f_cos, d_cos},
};
/* clang-format on */

void k_unary(const Unary *op)
{
  for (size_t i = 0; i < op->n; i++) op->y[i] = (real)k_unary_functions[op->kind].f(op->x[i]);
}

void k_unary_backward(const UnaryBackward *op)
{
  const Unary *f = &op->forward;
  for (size_t i = 0; i < f->n; i++)
    op->gx[i] += (real)((acc)op->g[i] * k_unary_functions[f->kind].df(f->x[i], f->y[i]));
}

/* ---- two operands ---- */

static acc f_add(acc a, acc b) { return a + b; }
static acc f_sub(acc a, acc b) { return a - b; }
static acc f_mul(acc a, acc b) { return a * b; }
static acc f_div(acc a, acc b) { return a / b; }
static acc f_max(acc a, acc b) { return a >= b || a != a ? a : b; }
static acc f_min(acc a, acc b) { return a <= b || a != a ? a : b; }
static acc d_one(acc a, acc b) { return (void)a, (void)b, 1; }
static acc d_minus_one(acc a, acc b) { return (void)a, (void)b, -1; }
static acc d_first(acc a, acc b) { return (void)b, a; }
static acc d_second(acc a, acc b) { return (void)a, b; }
static acc d_div_a(acc a, acc b) { return (void)a, 1 / b; }
static acc d_div_b(acc a, acc b) { return -a / (b * b); }
static acc d_max_a(acc a, acc b) { return a >= b; }
static acc d_max_b(acc a, acc b) { return !(a >= b); }
static acc d_min_a(acc a, acc b) { return a <= b; }
static acc d_min_b(acc a, acc b) { return !(a <= b); }

const BinaryFunction k_binary_functions[BINARY_COUNT] = {
    [B_ADD] = {"add", f_add, d_one, d_one},      [B_SUB] = {"sub", f_sub, d_one, d_minus_one},
    [B_MUL] = {"mul", f_mul, d_second, d_first}, [B_DIV] = {"div", f_div, d_div_a, d_div_b},
    [B_MAX] = {"max", f_max, d_max_a, d_max_b},  [B_MIN] = {"min", f_min, d_min_a, d_min_b},
};

/* for (i0..i3) over sizes n */
/* clang-format off */
#define FOR4(n, i)                             \
  for (size_t i##0 = 0; i##0 < (n)[0]; i##0++) \
    for (size_t i##1 = 0; i##1 < (n)[1]; i##1++) \
      for (size_t i##2 = 0; i##2 < (n)[2]; i##2++) \
        for (size_t i##3 = 0; i##3 < (n)[3]; i##3++)
#define DOT4(i, s) (i##0 * (s)[0] + i##1 * (s)[1] + i##2 * (s)[2] + i##3 * (s)[3])
/* clang-format on */

void k_binary(const Binary *op)
{
  real *y = op->y;
  const Broadcast *s = &op->shape;
  size_t n[4] = {(size_t)s->n[0], (size_t)s->n[1], (size_t)s->n[2], (size_t)s->n[3]};
  FOR4(n, i) *y++ = (real)k_binary_functions[op->kind].f(op->a[DOT4(i, s->step_a)], op->b[DOT4(i, s->step_b)]);
}

/* The gradient of one operand: at each of its elements, the sum over everything it was repeated for. */
static void binary_backward_one(real *gx, const size_t *step_x, const real *g, const real *a, const real *b,
                                const Broadcast *s, acc (*df)(acc, acc))
{
  size_t own[4], repeated[4], step[4] = {1, 1, 1, 1}; /* step: of the result */
  for (int d = 2; d >= 0; d--) step[d] = step[d + 1] * (size_t)s->n[d + 1];
  for (int d = 0; d < 4; d++) {
    own[d] = step_x[d] ? (size_t)s->n[d] : 1;
    repeated[d] = step_x[d] ? 1 : (size_t)s->n[d];
  }
  FOR4(own, i) {
    acc sum = 0;
    FOR4(repeated, j) {
      size_t at = DOT4(i, step) + DOT4(j, step);
      size_t ia = DOT4(i, s->step_a) + DOT4(j, s->step_a), ib = DOT4(i, s->step_b) + DOT4(j, s->step_b);
      sum += (acc)g[at] * df(a[ia], b[ib]);
    }
    gx[DOT4(i, step_x)] += (real)sum;
  }
}

void k_binary_backward(const BinaryBackward *op)
{
  const Binary *f = &op->forward;
  const Broadcast *s = &f->shape;
  if (op->ga) binary_backward_one(op->ga, s->step_a, op->g, f->a, f->b, s, k_binary_functions[f->kind].dfa);
  if (op->gb) binary_backward_one(op->gb, s->step_b, op->g, f->a, f->b, s, k_binary_functions[f->kind].dfb);
}

/* ---- comparing and choosing ---- */

const char *const k_compare_names[COMPARE_COUNT] = {
    [C_GT] = "gt", [C_GE] = "ge", [C_LT] = "lt", [C_LE] = "le", [C_EQ] = "eq", [C_NE] = "ne"};

static bool holds(CompareKind kind, real a, real b)
{
  switch (kind) {
  case C_GT: return a > b;
  case C_GE: return a >= b;
  case C_LT: return a < b;
  case C_LE: return a <= b;
  case C_EQ: return a == b;
  default: return a != b;
  }
}

void k_compare(const Compare *op)
{
  real *y = op->y;
  const Broadcast *s = &op->shape;
  size_t n[4] = {(size_t)s->n[0], (size_t)s->n[1], (size_t)s->n[2], (size_t)s->n[3]};
  FOR4(n, i) *y++ = holds(op->kind, op->a[DOT4(i, s->step_a)], op->b[DOT4(i, s->step_b)]);
}

void k_choose(const Choose *op)
{
  for (size_t i = 0; i < op->n; i++) op->y[i] = op->mask[i] != 0 ? op->a[i] : op->b[i];
}

void k_choose_backward(const ChooseBackward *op)
{
  const Choose *f = &op->forward;
  for (size_t i = 0; i < f->n; i++) {
    if (op->ga && f->mask[i] != 0) op->ga[i] += op->g[i];
    if (op->gb && f->mask[i] == 0) op->gb[i] += op->g[i];
  }
}

/* ---- y = scale x + offset ---- */

void k_affine(const Affine *op)
{
  for (size_t i = 0; i < op->n; i++) op->y[i] = (real)(op->scale * (acc)op->x[i] + op->offset);
}

void k_affine_backward(const AffineBackward *op)
{
  const Affine *f = &op->forward;
  for (size_t i = 0; i < f->n; i++) op->gx[i] += (real)(f->scale * (acc)op->g[i]);
}

/* ---- z = x + (p - x) mu ---- */

void k_lerp(const Lerp *op)
{
  size_t C = op->C;
  for (size_t i = 0; i < op->rows; i++)
    for (size_t c = 0; c < C; c++) {
      size_t at = i * C + c;
      op->z[at] = (real)((acc)op->x[at] + ((acc)op->p[at] - (acc)op->x[at]) * (acc)op->mu[i % op->mu_rows * C + c]);
    }
}

void k_lerp_backward(const LerpBackward *op)
{
  const Lerp *f = &op->forward;
  size_t rows = f->rows, mu_rows = f->mu_rows, C = f->C;
  for (size_t i = 0; i < rows; i++)
    for (size_t c = 0; c < C; c++) {
      size_t at = i * C + c;
      acc m = f->mu[i % mu_rows * C + c];
      if (op->gx) op->gx[at] += (real)((acc)op->g[at] * (1 - m));
      if (op->gp) op->gp[at] += (real)((acc)op->g[at] * m);
    }
  for (size_t j = 0; op->gmu && j < mu_rows; j++)
    for (size_t c = 0; c < C; c++) {
      acc sum = 0;
      for (size_t i = j; i < rows; i += mu_rows) {
        size_t at = i * C + c;
        sum += (acc)op->g[at] * ((acc)f->p[at] - (acc)f->x[at]);
      }
      op->gmu[j * C + c] += (real)sum;
    }
}
