#include "compare.h"

#include "engine/err.h"

#include <math.h>
#include <string.h>

enum { PART = 512 };

/* ---- functions ---- */

static double same(double x, const double k[2]) { return (void)k, x; }
static double times(double x, const double k[2]) { return x * k[0]; }
static double plus(double x, const double k[2]) { return x + k[0]; }
static double exponential(double x, const double k[2]) { return (void)k, exp(x); }
static double logarithm(double x, const double k[2]) { return (void)k, log(x); }
static double log_minus(double x, const double k[2]) { return (void)k, log(-x); }
static double exp_exp(double x, const double k[2]) { return (void)k, exp(-exp(x)); }
static double sigmoid(double x, const double k[2]) { return (void)k, 1 / (1 + exp(-x)); }
static double silu(double x, const double k[2]) { return x * sigmoid(x, k); }
static double hyperbolic(double x, const double k[2]) { return (void)k, tanh(x); }
static double square(double x, const double k[2]) { return (void)k, x * x; }
static double relu(double x, const double k[2]) { return (void)k, x > 0 ? x : 0; }
static double clamp(double x, const double k[2]) { return x < k[0] ? k[0] : x > k[1] ? k[1] : x; }

static double rounded(double x, Storage storage)
{
  real number = (real)x;
  packed_round(&number, storage, 1);
  return (double)number;
}
static double bf16(double x, const double k[2]) { return (void)k, rounded(x, STORED_BF16); }
static double f16(double x, const double k[2]) { return (void)k, rounded(x, STORED_F16); }

CompareFunction *compare_function(const char *name)
{
  static const struct {
    const char *name;
    CompareFunction *function;
  } functions[] = {
      {"same", same},           {"times", times},     {"plus", plus},       {"exp", exponential}, {"log", logarithm},
      {"log_minus", log_minus}, {"exp_exp", exp_exp}, {"sigmoid", sigmoid}, {"silu", silu},       {"tanh", hyperbolic},
      {"square", square},       {"relu", relu},       {"bf16", bf16},       {"f16", f16},         {"clamp", clamp}};
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
    if (strcmp(name, functions[i].name) == 0) return functions[i].function;
  return NULL;
}

/* ---- boxes ---- */

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static bool add_error(Likeness *l, double found, double expected)
{
  double e = compare_error(found, expected, l->scale);
  l->squares += e * e;
  l->count++;
  if (e > l->worst) l->worst = e;
  return e <= l->tol;
}

/* n numbers that are `step` apart. */
static void read_steps(CompareNumbers x, ptrdiff_t at, ptrdiff_t step, size_t n, double *out)
{
  if (step == 1) x.read(x.from, (size_t)at, n, out);
  else
    for (size_t i = 0; i < n; i++) x.read(x.from, (size_t)(at + (ptrdiff_t)i * step), 1, out + i);
}

static bool like_run(Likeness *l, ptrdiff_t found_at, ptrdiff_t found_step, ptrdiff_t at, ptrdiff_t step, size_t n)
{
  double found[PART], expected[PART], other[PART];
  for (size_t done = 0, m; done < n; done += m) {
    rwkv_poll();
    ptrdiff_t moved = (ptrdiff_t)done;
    m = least(n - done, done ? PART : 16); /* the first few usually decide */
    read_steps(l->found, found_at + moved * found_step, found_step, m, found);
    read_steps(l->expected, at + moved * step, step, m, expected);
    if (l->other) read_steps(*l->other, at + moved * step, step, m, other);
    for (size_t i = 0; i < m; i++) {
      double x = l->function(expected[i], l->k);
      if (l->other) x += l->share * other[i];
      if (!add_error(l, found[i], x)) return false;
    }
  }
  return true;
}

static void check_box(const char *what, size_t n, size_t from, int axes, const size_t *size, const ptrdiff_t *step)
{
  ptrdiff_t low = (ptrdiff_t)from, high = low;
  for (int i = 0; i < axes; i++) {
    ptrdiff_t reach = (ptrdiff_t)(size[i] - 1) * step[i];
    if (reach < 0) low += reach;
    else high += reach;
  }
  if (low < 0 || high >= (ptrdiff_t)n)
    rwkv_fail("compare: the box takes places %td to %td of the %s numbers, there are %zu", low, high, what, n);
}

bool compare_like(Likeness *l, const CompareBox *b)
{
  size_t index[COMPARE_AXES] = {0};
  for (int i = 0; i < b->axes; i++)
    if (b->size[i] == 0) return true;
  check_box("found", l->found_n, b->found_from, b->axes, b->size, b->found_step);
  check_box("expected", l->expected_n, b->expected_from, b->axes, b->size, b->expected_step);
  ptrdiff_t found = (ptrdiff_t)b->found_from, expected = (ptrdiff_t)b->expected_from;
  int last = b->axes - 1, axis = last;
  while (axis >= 0 || last < 0) {
    if (last < 0) return like_run(l, found, 1, expected, 1, 1);
    if (!like_run(l, found, b->found_step[last], expected, b->expected_step[last], b->size[last])) return false;
    for (axis = last - 1; axis >= 0; axis--) { /* the next index of the axes before */
      found += b->found_step[axis], expected += b->expected_step[axis];
      if (++index[axis] < b->size[axis]) break;
      found -= (ptrdiff_t)b->size[axis] * b->found_step[axis];
      expected -= (ptrdiff_t)b->size[axis] * b->expected_step[axis];
      index[axis] = 0;
    }
  }
  return true;
}

/* ---- softmax ---- */

/* log sum e^x of a row. */
static double log_sum(CompareNumbers x, size_t from, size_t n)
{
  double part[PART], most = -INFINITY, sum = 0;
  for (size_t at = 0, m; at < n; at += m) {
    m = least(n - at, PART);
    x.read(x.from, from + at, m, part);
    double before = most;
    for (size_t i = 0; i < m; i++) most = fmax(most, part[i]);
    sum *= exp(before - most);
    for (size_t i = 0; i < m; i++) sum += exp(part[i] - most);
  }
  return most + log(sum);
}

bool compare_softmax(Likeness *l, size_t rows, size_t row, bool of_log)
{
  double found[PART], expected[PART];
  if (rows * row > l->found_n || rows * row > l->expected_n)
    rwkv_fail("compare: %zu rows of %zu, there are %zu found numbers and %zu expected", rows, row, l->found_n,
              l->expected_n);
  for (size_t r = 0; r < rows; r++) {
    rwkv_poll();
    double all = log_sum(l->expected, r * row, row);
    for (size_t at = 0, m; at < row; at += m) {
      m = least(row - at, PART);
      l->found.read(l->found.from, r * row + at, m, found);
      l->expected.read(l->expected.from, r * row + at, m, expected);
      for (size_t i = 0; i < m; i++) {
        double x = expected[i] - all;
        if (!add_error(l, found[i], of_log ? x : exp(x))) return false;
      }
    }
  }
  return true;
}

/* ---- sums ---- */

CompareSums compare_sums(CompareNumbers found, CompareNumbers expected, size_t n)
{
  double f[PART], e[PART], ff = 0, fe = 0, ee = 0;
  CompareSums s = {
      .found_low = INFINITY, .found_high = -INFINITY, .expected_low = INFINITY, .expected_high = -INFINITY};
  for (size_t at = 0, m; at < n; at += m) {
    rwkv_poll();
    m = least(n - at, PART);
    found.read(found.from, at, m, f);
    expected.read(expected.from, at, m, e);
    for (size_t i = 0; i < m; i++) {
      if (isfinite(e[i])) s.expected_low = fmin(s.expected_low, e[i]), s.expected_high = fmax(s.expected_high, e[i]);
      if (!isfinite(f[i])) continue;
      s.zeros += f[i] == 0;
      if (f[i] < s.found_low) s.found_low = f[i], s.low = 0;
      if (f[i] > s.found_high) s.found_high = f[i], s.high = 0;
      s.low += f[i] == s.found_low, s.high += f[i] == s.found_high;
      if (!isfinite(e[i])) continue;
      s.finite++;
      s.found += f[i], s.expected += e[i], ff += f[i] * f[i], fe += f[i] * e[i], ee += e[i] * e[i];
    }
  }
  double count = (double)(s.finite ? s.finite : 1);
  s.found /= count, s.expected /= count;
  s.ratio = fe / ee;
  return s;
}
