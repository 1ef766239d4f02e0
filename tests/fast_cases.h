/* The cases of test_fast.c: one function for each op of the table (ref/engine/ops.h).

   To add one for a new op: write `static void c_<op>(Run *r)`, which takes its operands from in(), out()
   and their like (the same numbers in every run), calls the op once inside TIMED through r->o, and takes
   its sizes from r->variant (or from r->bench, where it is timed); then add a line to `cases`. An op
   without a case fails the test. */
#ifndef FAST_CASES_H
#define FAST_CASES_H

#include "engine/ops.h"
#include "engine/rng.h"

#include <math.h>
#include <string.h>

typedef enum { PLAIN, EXTREME, WITH_NAN } Mode;

/* One call of one op. */
typedef struct {
  const Ops *o;
  int variant, last;  /* 0 .. last: which of the case's shapes and kinds */
  Mode mode;
  unsigned nulls;     /* PLAIN: bit i: the i-th optional operand is NULL */
  int nan;            /* WITH_NAN: the operand that has one */
  bool bench;
  Rng rng;
  int buffers, optional, operands;
  struct Buffer { char *memory, *data; size_t count, size; char type; } buffer[32];
  double seconds;     /* bench: for one call */
} Run;

/* ---- operands (test_fast.c) ---- */

static double seconds_now(void);
/* count elements between guard zones; type: 'r' real, 'a' acc, 'i' int, 'w' work space, not compared */
static void *buffer(Run *r, size_t count, char type);
/* Random numbers of mean 0 and deviation `scale`. EXTREME: many are 0, `wide` times as large, or tiny.
   WITH_NAN: a number of one operand is NaN. */
static real *in(Run *r, size_t n, double scale, double wide);
static bool left_out(Run *r); /* whether the next optional operand or gradient is NULL */
static real *grad(Run *r, size_t n); /* not zero at first, or NULL */

#define OUT(r, n) ((real *)buffer(r, n, 'r'))
#define TIMED(r, call)                                                            \
  do {                                                                            \
    double start_ = seconds_now();                                                \
    int calls_ = 0;                                                               \
    do { call; calls_++; } while ((r)->bench && (calls_ < 3 || seconds_now() - start_ < 0.05)); \
    (r)->seconds = (seconds_now() - start_) / calls_;                             \
  } while (0)

/* ---- sizes ---- */

/* Odd ones, and such as take every path: several pieces for threads and tiles, the sizes that kernels treat apart
   (heads of 64, 16 states), more rows than column sums have parts, and enough for each part to be full. */
typedef struct { size_t rows, C; } Sheet;
static const Sheet sheets[] = {{1, 1}, {3, 17}, {17, 3}, {1, 130}, {65, 64}, {64, 65}, {130, 130}, {300, 65}, {5, 300},
                               {280, 530}};
enum { SHEETS = sizeof sheets / sizeof *sheets };
static Sheet sheet(const Run *r) { return r->bench ? (Sheet){4096, 64} : sheets[r->variant % SHEETS]; }

static const size_t lengths[] = {1, 3, 17, 64, 65, 130, 20011};
enum { LENGTHS = sizeof lengths / sizeof *lengths };
static size_t length_of(const Run *r) { return r->bench ? 4096 * 64 : lengths[r->variant % LENGTHS]; }
/* with one more for ops that are cheap */
static size_t any_length_of(const Run *r) { return !r->bench && r->variant == LENGTHS ? 600011 : length_of(r); }

/* ---- pointwise ---- */

static UnaryKind unary_kind(const Run *r) { return r->bench ? U_TANH : (UnaryKind)(r->variant / LENGTHS); }

static real *unary_in(Run *r, size_t n)
{
  real *x = in(r, n, 1, 40);
  UnaryKind kind = unary_kind(r);
  if (kind == U_LOG || kind == U_SQRT)
    for (size_t i = 0; i < n; i++) x[i] = (real)fabs((double)x[i]) + (real)1e-3;
  if (r->mode == EXTREME && n > 16 && kind != U_MISH && kind != U_SILU) x[5] = (real)INFINITY, x[6] = (real)-INFINITY;
  return x;
}

static void c_unary(Run *r)
{
  size_t n = length_of(r);
  real *x = unary_in(r, n), *y = OUT(r, n);
  TIMED(r, r->o->unary(y, x, n, unary_kind(r)));
}

static void c_unary_backward(Run *r)
{
  size_t n = length_of(r);
  real *x = unary_in(r, n), *y = in(r, n, 1, 1), *g = in(r, n, 1, 1000), *gx = grad(r, n);
  reference_ops.unary(y, x, n, unary_kind(r));
  for (size_t i = 0; i < n; i++)
    if (isinf(x[i]) || isinf(y[i])) x[i] = 1, y[i] = (real)unary_table[unary_kind(r)].f(1);
  if (gx) TIMED(r, r->o->unary_backward(gx, g, x, y, n, unary_kind(r)));
}

static const Broadcast casts[] = {
    {{1, 1, 1, 1}, {0, 0, 0, 0}, {0, 0, 0, 0}},         {{1, 1, 1, 17}, {0, 0, 0, 1}, {0, 0, 0, 1}},
    {{5, 13, 20, 13}, {3380, 260, 13, 1}, {3380, 260, 13, 1}}, /* equal */
    {{1, 8, 65, 33}, {0, 2145, 33, 1}, {0, 0, 0, 1}},         /* [C] */
    {{1, 8, 65, 33}, {0, 0, 0, 1}, {0, 2145, 33, 1}},         /* [C] first */
    {{3, 7, 5, 17}, {595, 85, 17, 1}, {0, 0, 17, 1}},          /* [H,N] */
    {{3, 40, 5, 33}, {6600, 165, 33, 1}, {200, 5, 1, 0}},     /* [..,1] */
    {{3, 40, 5, 33}, {200, 5, 1, 0}, {6600, 165, 33, 1}},     /* [..,1] first */
    {{1, 1, 1, 130}, {0, 0, 0, 1}, {0, 0, 0, 0}},              /* a number */
    {{1, 3, 17, 3}, {0, 51, 3, 1}, {0, 3, 0, 1}},              /* in the middle */
    {{1, 1, 17, 65}, {0, 0, 0, 1}, {0, 0, 1, 0}},              /* outer: row by column */
    {{1, 2, 3, 300}, {0, 900, 300, 1}, {0, 0, 300, 1}},
};
enum { CASTS = sizeof casts / sizeof *casts };
static const Broadcast bench_cast = {{1, 64, 64, 64}, {0, 4096, 64, 1}, {0, 0, 0, 1}};

static void binary_in(Run *r, const Broadcast **s, BinaryKind *kind, real **a, real **b, size_t *na, size_t *nb)
{
  *s = r->bench ? &bench_cast : &casts[r->variant % CASTS];
  *kind = r->bench ? B_MUL : (BinaryKind)(r->variant / CASTS);
  *na = *nb = 1;
  for (int d = 0; d < 4; d++) {
    if ((*s)->step_a[d]) *na *= (size_t)(*s)->n[d];
    if ((*s)->step_b[d]) *nb *= (size_t)(*s)->n[d];
  }
  *a = in(r, *na, 1, 1e4);
  *b = in(r, *nb, 1, 1e4);
  for (size_t i = 0; *kind == B_DIV && i < *nb; i++) (*b)[i] += (*b)[i] < 0 ? (real)-0.1 : (real)0.1;
}

static size_t cast_size(const Broadcast *s)
{
  return (size_t)s->n[0] * (size_t)s->n[1] * (size_t)s->n[2] * (size_t)s->n[3];
}

static void c_binary(Run *r)
{
  const Broadcast *s;
  BinaryKind kind;
  real *a, *b;
  size_t na, nb;
  binary_in(r, &s, &kind, &a, &b, &na, &nb);
  real *y = OUT(r, cast_size(s));
  TIMED(r, r->o->binary(y, a, b, s, kind));
}

static void c_binary_backward(Run *r)
{
  const Broadcast *s;
  BinaryKind kind;
  real *a, *b;
  size_t na, nb;
  binary_in(r, &s, &kind, &a, &b, &na, &nb);
  real *g = in(r, cast_size(s), 1, 1), *ga = grad(r, na), *gb = grad(r, nb);
  TIMED(r, r->o->binary_backward(ga, gb, g, a, b, s, kind));
}

static void c_compare(Run *r)
{
  const Broadcast *s = r->bench ? &bench_cast : &casts[r->variant % CASTS];
  size_t na = 1, nb = 1;
  for (int d = 0; d < 4; d++) {
    if (s->step_a[d]) na *= (size_t)s->n[d];
    if (s->step_b[d]) nb *= (size_t)s->n[d];
  }
  real *a = in(r, na, 1, 1e4), *b = in(r, nb, 1, 1e4), *y = OUT(r, cast_size(s));
  for (size_t i = 0; i < na; i++) a[i] = (real)rint((double)a[i]); /* so that some are equal */
  for (size_t i = 0; i < nb; i++) b[i] = (real)rint((double)b[i]);
  TIMED(r, r->o->compare(y, a, b, s, r->bench ? C_GT : (CompareKind)(r->variant / CASTS)));
}

/* many are 0 */
static real *mask_in(Run *r, size_t n)
{
  real *mask = in(r, n, 1, 1e4);
  for (size_t i = 0; i < n; i++) mask[i] = (real)rint((double)mask[i]);
  return mask;
}

static void c_where(Run *r)
{
  size_t n = length_of(r);
  real *mask = mask_in(r, n), *a = in(r, n, 1, 1e6), *b = in(r, n, 1, 1e6), *y = OUT(r, n);
  TIMED(r, r->o->where(y, mask, a, b, n));
}

static void c_where_backward(Run *r)
{
  size_t n = length_of(r);
  real *mask = mask_in(r, n), *g = in(r, n, 1, 1e6), *ga = grad(r, n), *gb = grad(r, n);
  TIMED(r, r->o->where_backward(ga, gb, g, mask, n));
}

static void c_clear(Run *r)
{
  size_t n = length_of(r);
  real *x = OUT(r, n);
  TIMED(r, r->o->clear(x, n));
}

static void c_affine(Run *r)
{
  size_t n = length_of(r);
  real *x = in(r, n, 1, 1e6), *y = OUT(r, n);
  TIMED(r, r->o->affine(y, x, -0.75, 1.25, n));
}

static void c_affine_backward(Run *r)
{
  size_t n = length_of(r);
  real *g = in(r, n, 1, 1e6), *gx = grad(r, n);
  if (gx) TIMED(r, r->o->affine_backward(gx, g, -0.75, n));
}

static size_t mu_rows(const Run *r, Sheet s)
{
  int how = r->variant / SHEETS;
  return r->bench || how == 0 ? 1 : how == 1 ? s.rows : s.rows % 5 == 0 ? 5 : 1;
}

static void c_lerp(Run *r)
{
  Sheet s = sheet(r);
  size_t n = s.rows * s.C;
  real *x = in(r, n, 1, 1e3), *p = in(r, n, 1, 1e3), *mu = in(r, mu_rows(r, s) * s.C, 0.5, 2), *z = OUT(r, n);
  TIMED(r, r->o->lerp(z, x, p, mu, s.rows, mu_rows(r, s), s.C));
}

static void c_lerp_backward(Run *r)
{
  Sheet s = sheet(r);
  size_t n = s.rows * s.C, m = mu_rows(r, s) * s.C;
  real *x = in(r, n, 1, 1e3), *p = in(r, n, 1, 1e3), *mu = in(r, m, 0.5, 2), *g = in(r, n, 1, 1e3);
  real *gx = grad(r, n), *gp = grad(r, n), *gmu = grad(r, m);
  TIMED(r, r->o->lerp_backward(gx, gp, gmu, g, x, p, mu, s.rows, mu_rows(r, s), s.C));
}

/* ---- linear maps ---- */

static const size_t maps[][3] = {{1, 1, 1}, {1, 3, 17}, {3, 17, 3}, {17, 64, 65}, {65, 65, 64},
                                 {130, 3, 130}, {4, 700, 130}, {2, 300, 500},
                                 {700, 64, 32}, {270, 33, 300}, {7, 300, 17},
                                 {1, 400, 1030}, {300, 64, 1},
                                 {300, 1, 64}, {17, 5, 1}, {1, 64, 1}, {70, 1, 1}, {1, 1, 70},
                                 {2, 65, 9}, {3, 130, 1030}, {8, 1100, 70}, {6, 67, 130}, {9, 1100, 140},
                                 {520, 17, 130}}; /* rows in out */
enum { MAPS = sizeof maps / sizeof *maps };
static const size_t *map(const Run *r)
{
  static const size_t bench[] = {4096, 64, 64};
  return r->bench ? bench : maps[r->variant % MAPS];
}

static void linear(Run *r, bool matmul)
{
  const size_t *n = map(r);
  bool with_bias = !matmul && r->variant >= MAPS;
  real *x = in(r, n[0] * n[1], 1, 100), *w = in(r, n[1] * n[2], 1, 100), *bias = in(r, n[2], 1, 100);
  real *y = OUT(r, n[0] * n[2]);
  if (matmul) TIMED(r, r->o->matmul(y, x, w, n[0], n[1], n[2]));
  else TIMED(r, r->o->linear(y, x, w, with_bias ? bias : NULL, n[0], n[1], n[2]));
}

static void linear_backward(Run *r, bool matmul)
{
  const size_t *n = map(r);
  real *x = in(r, n[0] * n[1], 1, 100), *w = in(r, n[1] * n[2], 1, 100), *g = in(r, n[0] * n[2], 1, 100);
  real *gx = grad(r, n[0] * n[1]), *gw = grad(r, n[1] * n[2]);
  if (matmul) {
    TIMED(r, r->o->matmul_backward(gx, gw, g, x, w, n[0], n[1], n[2]));
  } else {
    real *gbias = r->bench ? NULL : grad(r, n[2]);
    TIMED(r, r->o->linear_backward(gx, gw, gbias, g, x, w, n[0], n[1], n[2]));
  }
}

static void c_linear(Run *r) { linear(r, false); }
static void c_matmul(Run *r) { linear(r, true); }
static void c_linear_backward(Run *r) { linear_backward(r, false); }
static void c_matmul_backward(Run *r) { linear_backward(r, true); }

/* A matrix of n numbers, kept as the variant wants it: the variants come in groups of `group`. */
static Packed packed_in(Run *r, size_t n, double scale, int group)
{
  Storage storage = r->bench ? STORED_BF16 : (Storage)(r->variant / group % STORAGE_COUNT);
  real *x = in(r, n, scale, 100);
  void *bits = buffer(r, n * storage_size(storage) / sizeof(int) + 1, 'i');
  packed_write(bits, storage, x, n);
  return (Packed){bits, storage};
}

static void linear_packed(Run *r, bool matmul)
{
  const size_t *n = map(r), row = 768;
  bool with_bias = !matmul && r->variant >= MAPS * STORAGE_COUNT;
  size_t rows = r->bench ? 1 : n[0], inner = r->bench ? row : n[1], out = r->bench ? row : n[2];
  real *x = in(r, rows * inner, 1, 1000), *bias = with_bias ? in(r, out, 1, 10) : NULL, *y = OUT(r, rows * out);
  Packed w = packed_in(r, inner * out, 1 / sqrt((double)inner), MAPS);
  if (matmul) TIMED(r, r->o->matmul_packed(y, x, w, rows, inner, out));
  else TIMED(r, r->o->linear_packed(y, x, w, bias, rows, inner, out));
}

static void c_linear_packed(Run *r) { linear_packed(r, false); }
static void c_matmul_packed(Run *r) { linear_packed(r, true); }

static int *indices(Run *r, size_t n, size_t below, bool with_minus_1)
{
  int *index = buffer(r, n, 'i');
  for (size_t i = 0; i < n; i++) index[i] = (int)rng_below(&r->rng, below + with_minus_1) - with_minus_1;
  return index;
}

static void c_rows(Run *r)
{
  Sheet s = sheet(r);
  real *table = in(r, 50 * s.C, 1, 1e6), *y = OUT(r, s.rows * s.C);
  int *index = indices(r, s.rows, 50, false);
  TIMED(r, r->o->rows(y, table, index, s.rows, s.C));
}

static void c_rows_packed(Run *r)
{
  Sheet s = sheet(r);
  real *y = OUT(r, s.rows * s.C);
  Packed table = packed_in(r, 50 * s.C, 1, SHEETS);
  int *index = indices(r, s.rows, 50, false);
  TIMED(r, r->o->rows_packed(y, table, index, s.rows, s.C));
}

static void c_rows_backward(Run *r)
{
  Sheet s = sheet(r);
  real *g = in(r, s.rows * s.C, 1, 1e3), *gtable = grad(r, 50 * s.C);
  int *index = indices(r, s.rows, 50, false);
  if (gtable) TIMED(r, r->o->rows_backward(gtable, g, index, s.rows, s.C));
}

/* ---- norms ---- */

static size_t heads(const Run *r) { return r->variant >= SHEETS ? 3 : 1; }

static void c_norm(Run *r)
{
  Sheet s = sheet(r);
  size_t H = heads(r), C = H * s.C;
  real *x = in(r, s.rows * C, 1, 1e4), *weight = in(r, C, 1, 10), *bias = in(r, C, 1, 10), *y = OUT(r, s.rows * C);
  acc *stats = buffer(r, s.rows * H * 2, 'a');
  TIMED(r, r->o->norm(y, stats, x, weight, bias, 1e-5, s.rows, H, s.C));
}

static void c_norm_backward(Run *r)
{
  Sheet s = sheet(r);
  size_t H = heads(r), C = H * s.C, n = s.rows * C;
  real *x = in(r, n, 1, 1e4), *weight = in(r, C, 1, 10), *g = in(r, n, 1, 100), *y = buffer(r, n, 'w');
  acc *stats = buffer(r, s.rows * H * 2, 'a'), eps = s.C == 1 ? 1 : 1e-5; /* of one number only rounding is left */
  reference_ops.norm(y, stats, x, weight, weight, eps, s.rows, H, s.C);
  real *gx = grad(r, n), *gweight = grad(r, C), *gbias = grad(r, C);
  TIMED(r, r->o->norm_backward(gx, gweight, gbias, g, stats, x, weight, s.rows, H, s.C));
}

static real *l2norm_in(Run *r, Sheet s)
{
  real *x = in(r, s.rows * s.C, 1, 1e4);
  if (s.rows > 1 && r->mode == EXTREME) /* a vector of nothing, and one that is shorter than eps */
    for (size_t c = 0; c < s.C; c++) x[c] = 0, x[s.C + c] = (real)1e-20;
  return x;
}

static void c_l2norm(Run *r)
{
  Sheet s = sheet(r);
  real *x = l2norm_in(r, s), *y = OUT(r, s.rows * s.C);
  TIMED(r, r->o->l2norm(y, x, 1e-12, s.rows, s.C));
}

static void c_l2norm_backward(Run *r)
{
  Sheet s = sheet(r);
  real *x = l2norm_in(r, s), *g = in(r, s.rows * s.C, 1, 10), *gx = grad(r, s.rows * s.C);
  for (size_t c = 0; s.rows > 1 && r->mode == EXTREME && c < 2 * s.C; c++) g[c] *= (real)1e-10;
  if (gx) TIMED(r, r->o->l2norm_backward(gx, g, x, 1e-12, s.rows, s.C));
}

/* ---- shift, slices, sums ---- */

typedef struct { size_t B, T, C; } Cube;
static const Cube cubes[] = {{1, 1, 1}, {2, 3, 17}, {3, 17, 3}, {1, 130, 65}, {9, 65, 64}, {2, 1, 130},
                             {70, 1, 300}, {1, 40003, 1}, {3, 5, 790}};
enum { CUBES = sizeof cubes / sizeof *cubes };
static Cube cube(const Run *r) { return r->bench ? (Cube){64, 64, 64} : cubes[r->variant % CUBES]; }

static void c_shift(Run *r)
{
  Cube s = cube(r);
  real *x = in(r, s.B * s.T * s.C, 1, 1e6), *carry = in(r, s.B * s.C, 1, 1), *prev = OUT(r, s.B * s.T * s.C);
  TIMED(r, r->o->shift(prev, x, carry, s.B, s.T, s.C));
}

static void c_shift_backward(Run *r)
{
  Cube s = cube(r);
  real *g = in(r, s.B * s.T * s.C, 1, 1e6), *gx = grad(r, s.B * s.T * s.C), *gcarry = grad(r, s.B * s.C);
  TIMED(r, r->o->shift_backward(gx, gcarry, g, s.B, s.T, s.C));
}

static void slices(Run *r, __typeof__(k_slice) *op, bool back)
{
  Cube s = cube(r); /* the second half of the middle axis */
  size_t from = s.T / 2, count = s.T - from;
  size_t small = s.B * count * s.C, large = s.B * s.T * s.C;
  real *source = in(r, back ? small : large, 1, 1e6), *to = in(r, back ? large : small, 1, 1);
  TIMED(r, op(to, source, s.B, s.T, s.C, from, count));
}

static void c_slice(Run *r) { slices(r, r->o->slice, false); }
static void c_slice_add(Run *r) { slices(r, r->o->slice_add, false); }
static void c_unslice(Run *r) { slices(r, r->o->unslice, true); }
static void c_unslice_add(Run *r) { slices(r, r->o->unslice_add, true); }

static void c_sum(Run *r)
{
  Cube s = r->variant == 2 * CUBES ? (Cube){1, 600011, 1} : cube(r);
  size_t inner = r->variant >= CUBES ? 1 : s.C, size = inner == 1 ? s.C * s.T : s.T;
  real *x = in(r, s.B * s.T * s.C, 1, 1e3), *y = OUT(r, s.B * inner);
  TIMED(r, r->o->sum(y, x, 0.3, s.B, size, inner));
}

static void c_sum_backward(Run *r)
{
  Cube s = cube(r);
  size_t inner = r->variant >= CUBES ? 1 : s.C, size = inner == 1 ? s.C * s.T : s.T;
  real *g = in(r, s.B * inner, 1, 1e3), *gx = grad(r, s.B * s.T * s.C);
  if (gx) TIMED(r, r->o->sum_backward(gx, g, 0.3, s.B, size, inner));
}

static void c_cumsum(Run *r)
{
  Cube s = cube(r);
  real *x = in(r, s.B * s.T * s.C, 1, 1e3), *y = OUT(r, s.B * s.T * s.C);
  TIMED(r, r->o->cumsum(y, x, s.B, s.T, s.C));
}

static void c_cumsum_backward(Run *r)
{
  Cube s = cube(r);
  real *g = in(r, s.B * s.T * s.C, 1, 1e3), *gx = grad(r, s.B * s.T * s.C);
  if (gx) TIMED(r, r->o->cumsum_backward(gx, g, s.B, s.T, s.C));
}

/* ---- loss ---- */

static Sheet loss_sheet(const Run *r) { return r->bench ? (Sheet){512, 256} : sheet(r); }

static void c_cross_entropy(Run *r)
{
  Sheet s = loss_sheet(r);
  real *x = in(r, s.rows * s.C, 3, 100), *loss = OUT(r, 1);
  int *target = indices(r, s.rows, s.C, s.rows > 4);
  acc *log_sum = buffer(r, s.rows, 'a');
  TIMED(r, r->o->cross_entropy(loss, log_sum, x, target, s.rows, s.C));
}

static void c_cross_entropy_backward(Run *r)
{
  Sheet s = loss_sheet(r);
  real *x = in(r, s.rows * s.C, 3, 100), loss, *gx = grad(r, s.rows * s.C);
  int *target = indices(r, s.rows, s.C, s.rows > 4);
  acc *log_sum = buffer(r, s.rows, 'a');
  reference_ops.cross_entropy(&loss, log_sum, x, target, s.rows, s.C);
  if (gx)
    TIMED(r, r->o->cross_entropy_backward(gx, 0.7, log_sum, x, target, r->variant >= SHEETS ? 1e-2 : 0, s.rows, s.C));
}

static void c_argmax(Run *r)
{
  Sheet s = loss_sheet(r);
  real *x = in(r, s.rows * s.C, 1, 1e3);
  for (size_t i = 0; r->variant >= SHEETS && i < s.rows * s.C; i++) x[i] = (real)rint((double)x[i]); /* ties */
  int *best = buffer(r, s.rows, 'i');
  TIMED(r, r->o->argmax(best, x, s.rows, s.C));
}

/* ---- optimiser ---- */

static void c_adamw(Run *r)
{
  size_t n = any_length_of(r);
  real *g = in(r, n, 1, 1e3), *p = in(r, n, 1, 1), *m = in(r, n, 0.1, 1), *v = in(r, n, 0.1, 1);
  for (size_t i = 0; i < n; i++) v[i] *= v[i];
  AdamStep step = {1e-3, 0.9, 0.99, 1e-8, 0.1, 0.5, 0.3};
  TIMED(r, r->o->adamw(p, m, v, g, 0.5, &step, n));
}

static void c_sum_squares(Run *r)
{
  real *x = in(r, any_length_of(r), 1, 1e6);
  acc *y = buffer(r, 1, 'a');
  TIMED(r, y[0] = r->o->sum_squares(x, any_length_of(r)));
}

/* ---- attention ---- */

static const size_t copies[][5] = {{1, 1, 1, 1, 2}, {3, 2, 5, 17, 9}, {17, 3, 64, 65, 130},
                                   {90, 9, 33, 17, 65}}; /* rows B U D V */
enum { COPIES = sizeof copies / sizeof *copies };

static void copy_scores(Run *r, bool back)
{
  static const size_t at_bench[] = {512, 64, 64, 64, 256};
  const size_t *n = r->bench ? at_bench : copies[r->variant], rows = n[0], B = n[1], U = n[2], D = n[3], V = n[4];
  real *q = in(r, rows * D, 1, 100), *k = in(r, B * U * D, 1, 100);
  int *token = indices(r, B * U, V, false), *batch = indices(r, rows, B, false);
  int *limit = indices(r, rows, U + 1, false);
  if (!back) {
    real *y = OUT(r, rows * V);
    TIMED(r, r->o->copy_scores(y, q, k, token, batch, limit, rows, U, D, V));
  } else {
    real *g = in(r, rows * V, 1, 1), *gq = grad(r, rows * D), *gk = grad(r, B * U * D);
    TIMED(r, r->o->copy_scores_backward(gq, gk, g, q, k, token, batch, limit, rows, U, D, V));
  }
}

static void c_copy_scores(Run *r) { copy_scores(r, false); }
static void c_copy_scores_backward(Run *r) { copy_scores(r, true); }

static const size_t attentions[][5] = {{1, 1, 1, 1, 1}, {2, 3, 5, 17, 3}, {3, 17, 17, 3, 65}, {1, 1, 64, 65, 130},
                                       {9, 19, 23, 8, 64}};
enum { ATTENTIONS = sizeof attentions / sizeof *attentions }; /* B T U D C */

static void linear_attention(Run *r, bool back)
{
  static const size_t at_bench[] = {64, 64, 64, 8, 64};
  const size_t *n = r->bench ? at_bench : attentions[r->variant], B = n[0], T = n[1], U = n[2], D = n[3], C = n[4];
  real *q = in(r, B * T * D, 1, 100), *k = in(r, B * U * D, 1, 100), *v = in(r, B * U * C, 1, 100);
  if (!back) {
    real *y = OUT(r, B * T * C);
    TIMED(r, r->o->linear_attention(y, q, k, v, B, T, U, D, C));
  } else {
    real *g = in(r, B * T * C, 1, 1), *gq = grad(r, B * T * D), *gk = grad(r, B * U * D), *gv = grad(r, B * U * C);
    TIMED(r, r->o->linear_attention_backward(gq, gk, gv, g, q, k, v, B, T, U, D, C));
  }
}

static void c_linear_attention(Run *r) { linear_attention(r, false); }
static void c_linear_attention_backward(Run *r) { linear_attention(r, true); }

static const size_t softmax_attentions[][5] = {
    {1, 1, 1, 1, 1}, {2, 3, 5, 2, 17}, {3, 17, 17, 1, 65}, {1, 1, 64, 3, 64}, {2, 66, 70, 2, 64}, {1, 5, 130, 1, 130},
    {5, 33, 33, 2, 64}, {9, 7, 7, 3, 32}};
enum { SOFTMAX_ATTENTIONS = sizeof softmax_attentions / sizeof *softmax_attentions }; /* B T U H N */

static void attention(Run *r, bool back)
{
  static const size_t at_bench[] = {64, 64, 64, 1, 64};
  const size_t *s = r->bench ? at_bench : softmax_attentions[r->variant];
  size_t B = s[0], T = s[1], U = s[2], H = s[3], N = s[4], n = B * T * H * N, all = B * U * H * N;
  real *q = in(r, n, 1, 10), *k = in(r, all, 1, 10), *v = in(r, all, 1, 100);
  acc *scratch = buffer(r, 2 * B * H * k_attention_scratch(U), 'w'); /* 'w' counts in reals */
  if (!back) {
    real *y = OUT(r, n);
    acc *log_sum = left_out(r) ? NULL : buffer(r, B * T * H, 'a');
    TIMED(r, r->o->attention(y, log_sum, scratch, q, k, v, B, T, U, H, N));
  } else {
    real *y = buffer(r, n, 'w'), *g = in(r, n, 1, 10), *gq = grad(r, n), *gk = grad(r, all), *gv = grad(r, all);
    acc *log_sum = buffer(r, B * T * H, 'a');
    k_attention(y, log_sum, scratch, q, k, v, B, T, U, H, N);
    TIMED(r, r->o->attention_backward(gq, gk, gv, scratch, g, log_sum, q, k, v, B, T, U, H, N));
  }
}

static void c_attention(Run *r) { attention(r, false); }
static void c_attention_backward(Run *r) { attention(r, true); }

/* ---- recurrences ---- */

static real *positive(real *x, size_t n)
{
  for (size_t i = 0; i < n; i++) x[i] = (real)fabs((double)x[i]) + (real)1e-3;
  return x;
}

static const size_t wkv1_sizes[][6] = {{1, 1, 1, 1, 1, 1}, {2, 3, 5, 2, 17, 9}, {3, 17, 17, 1, 64, 20},
                                       {1, 1, 40, 5, 13, 65}, {9, 21, 21, 2, 32, 40}};
enum { WKV1_SIZES = sizeof wkv1_sizes / sizeof *wkv1_sizes }; /* B T U H N ctx */

static void wkv1(Run *r, bool back)
{
  static const size_t at_bench[] = {64, 64, 64, 1, 64, 64};
  const size_t *s = r->bench ? at_bench : wkv1_sizes[r->variant];
  size_t B = s[0], T = s[1], U = s[2], H = s[3], N = s[4], ctx = s[5];
  size_t n = B * T * H * N, all = B * U * H * N, m = H * ctx;
  real *w = in(r, m, 1, 10), *alpha = in(r, m, 1, 10), *beta = in(r, m, 1, 10);
  real *k = positive(in(r, all, 1, 1e3), all), *v = in(r, all, 1, 10);
  if (!back) {
    real *y = OUT(r, n);
    TIMED(r, r->o->wkv1(y, w, alpha, beta, k, v, B, T, U, H, N, ctx));
  } else {
    real *gy = in(r, n, 1, 1);
    Wkv1Grads out = {grad(r, m), grad(r, m), grad(r, m), grad(r, all), grad(r, all)};
    TIMED(r, r->o->wkv1_backward(&out, gy, w, alpha, beta, k, v, B, T, U, H, N, ctx));
  }
}

static void c_wkv1(Run *r) { wkv1(r, false); }
static void c_wkv1_backward(Run *r) { wkv1(r, true); }

/* log-decay <= 0; EXTREME: none at all, next to none, and all at once */
static real *log_decay(Run *r, size_t n, double scale)
{
  static const real bounds[] = {0, (real)-1e-8, -30, -2000};
  real *w = in(r, n, scale, 1);
  for (size_t i = 0; i < n; i++)
    w[i] = r->mode == EXTREME && i % 5 < 4 ? bounds[i % 5] : -(real)fabs((double)w[i]);
  return w;
}

static const Cube wkv4_cubes[] = {{1, 1, 1}, {2, 3, 17}, {3, 65, 64}, {1, 17, 65}, {2, 130, 130}, {5, 40, 3},
                                  {1, 3, 300}, {9, 33, 32}};
enum { WKV4_CUBES = sizeof wkv4_cubes / sizeof *wkv4_cubes };

/* One decay for all tokens, or one for each; a state of something, or the one before the first token. */
typedef struct { Cube s; size_t decay_rows; real *k, *v, *w, *u, *a, *b, *p; } Wkv4In;

static Wkv4In wkv4_in(Run *r)
{
  Cube s = r->bench ? (Cube){64, 64, 64} : wkv4_cubes[r->variant % WKV4_CUBES];
  int how = r->variant / WKV4_CUBES;
  bool fresh = how % 2;
  size_t n = s.B * s.T * s.C, m = s.B * s.C, decay_rows = how < 2 ? 1 : s.B * s.T;
  Wkv4In q = {s, decay_rows, in(r, n, 1, 60), in(r, n, 1, 10), log_decay(r, decay_rows * s.C, 1), in(r, s.C, 1, 20),
              in(r, m, 1, 1), in(r, m, 1, 1), in(r, m, 1, 30)};
  for (size_t i = 0; i < m; i++) q.b[i] = fresh ? 0 : (real)fabs((double)q.b[i]) + (real)0.1;
  for (size_t i = 0; fresh && i < m; i++) q.a[i] = 0, q.p[i] = (real)-1e38;
  return q;
}

static void c_wkv4(Run *r)
{
  Wkv4In q = wkv4_in(r);
  Cube s = q.s;
  size_t n = s.B * s.T * s.C, m = s.B * s.C;
  real *y = OUT(r, n), *a1 = OUT(r, m), *b1 = OUT(r, m), *p1 = OUT(r, m), *trace = left_out(r) ? NULL : OUT(r, 3 * n);
  TIMED(r, r->o->wkv4(y, a1, b1, p1, trace, q.w, q.u, q.k, q.v, q.a, q.b, q.p, s.B, s.T, s.C, q.decay_rows));
}

static void c_wkv4_backward(Run *r)
{
  Wkv4In q = wkv4_in(r);
  Cube s = q.s;
  size_t n = s.B * s.T * s.C, m = s.B * s.C;
  real *trace = buffer(r, 3 * n, 'w'), *y = buffer(r, n + 3 * m, 'w');
  k_wkv4(y, y + n, y + n + m, y + n + 2 * m, trace, q.w, q.u, q.k, q.v, q.a, q.b, q.p, s.B, s.T, s.C, q.decay_rows);
  real *gy = in(r, n, 1, 1), *ga = in(r, m, 1, 1), *gb = in(r, m, 1, 1), *gp = in(r, m, 1, 1);
  if (left_out(r)) ga = gp = NULL;
  if (left_out(r)) gy = NULL;
  Wkv4Grads out = {grad(r, q.decay_rows * s.C), grad(r, s.C), grad(r, n), grad(r, n), grad(r, m), grad(r, m),
                   grad(r, m)};
  TIMED(r, r->o->wkv4_backward(&out, gy, ga, gb, gp, trace, q.w, q.u, q.k, q.v, s.B, s.T, s.C, q.decay_rows));
}

typedef struct { Cube s; size_t n, m; real *e, *v, *w, *u, *a, *b; } Wkv2In;

static Wkv2In wkv2_in(Run *r)
{
  Cube s = r->bench ? (Cube){64, 64, 64} : wkv4_cubes[r->variant % WKV4_CUBES];
  size_t n = s.B * s.T * s.C, m = s.B * s.C;
  return (Wkv2In){s, n, m, positive(in(r, n, 1, 1e4), n), in(r, n, 1, 10), log_decay(r, s.C, 1), in(r, s.C, 1, 5),
                  in(r, m, 1, 1), positive(in(r, m, 1, 1), m)};
}

static void c_wkv2(Run *r)
{
  Wkv2In q = wkv2_in(r);
  real *y = OUT(r, q.n), *a1 = OUT(r, q.m), *b1 = OUT(r, q.m), *trace = left_out(r) ? NULL : OUT(r, 2 * q.n);
  TIMED(r, r->o->wkv2(y, a1, b1, trace, q.w, q.u, q.e, q.v, q.a, q.b, 1e-9, q.s.B, q.s.T, q.s.C));
}

static void c_wkv2_backward(Run *r)
{
  Wkv2In q = wkv2_in(r);
  real *trace = buffer(r, 2 * q.n, 'w'), *y = buffer(r, q.n + 2 * q.m, 'w');
  k_wkv2(y, y + q.n, y + q.n + q.m, trace, q.w, q.u, q.e, q.v, q.a, q.b, 1e-9, q.s.B, q.s.T, q.s.C);
  real *gy = in(r, q.n, 1, 1), *ga = in(r, q.m, 1, 1), *gb = in(r, q.m, 1, 1);
  if (left_out(r)) ga = NULL;
  if (left_out(r)) gy = NULL;
  Wkv2Grads out = {grad(r, q.s.C), grad(r, q.s.C), grad(r, q.n), grad(r, q.n), grad(r, q.m), grad(r, q.m)};
  TIMED(r, r->o->wkv2_backward(&out, gy, ga, gb, trace, q.w, q.u, q.e, q.v, 1e-9, q.s.B, q.s.T, q.s.C));
}

typedef struct { size_t B, T, H, N; } Heads;
static const Heads all_heads[] = {{1, 1, 1, 1}, {2, 3, 1, 3}, {1, 17, 2, 17}, {3, 33, 2, 64}, {1, 16, 1, 64},
                                  {1, 20, 1, 65}, {1, 18, 1, 130}, {1, 2, 1, 260}, {2, 19, 2, 12},
                                  {1, 33, 1, 24}, {1, 18, 2, 80}, {1, 17, 1, 256},
                                  {9, 33, 1, 64}, {5, 19, 4, 32}, {5, 35, 3, 16}, {3, 17, 1, 128}};
enum { HEADS = sizeof all_heads / sizeof *all_heads };
static Heads heads_of(const Run *r) { return r->bench ? (Heads){64, 64, 1, 64} : all_heads[r->variant % HEADS]; }

typedef struct { size_t n, state; real *r, *w, *k, *v, *a, *b, *S; } Wkv7In;

/* As RWKV-7 has it: a = -kappa of length 1, b = kappa times a rate in (0,1). */
static Wkv7In wkv7_in(Run *r, Heads s)
{
  size_t n = s.B * s.T * s.H * s.N, state = s.B * s.H * s.N * s.N;
  Wkv7In q = {n, state, in(r, n, 1, 30), log_decay(r, n, 0.3), in(r, n, 1, 30), in(r, n, 1, 30),
              in(r, n, 1, 1), in(r, n, 1, 1), in(r, state, 1, 30)};
  for (size_t i = 0; i < n; i += s.N) {
    double square = 1e-12;
    for (size_t j = 0; j < s.N; j++) square += (double)q.a[i + j] * (double)q.a[i + j];
    for (size_t j = 0; j < s.N; j++) {
      q.a[i + j] = (real)((double)q.a[i + j] / sqrt(square));
      q.b[i + j] = -q.a[i + j] / (real)(1 + exp((double)q.b[i + j]));
    }
  }
  return q;
}

static size_t segment_count(Heads s) { return (s.T + WKV_SEGMENT - 1) / WKV_SEGMENT; }

static void c_wkv7(Run *r)
{
  Heads s = heads_of(r);
  Wkv7In q = wkv7_in(r, s);
  real *y = OUT(r, q.n), *S1 = OUT(r, q.state), *segments = left_out(r) ? NULL : OUT(r, segment_count(s) * q.state);
  TIMED(r, r->o->wkv7(y, S1, segments, q.r, q.w, q.k, q.v, q.a, q.b, q.S, s.B, s.T, s.H, s.N));
}

static void c_wkv7_backward(Run *r)
{
  Heads s = heads_of(r);
  Wkv7In q = wkv7_in(r, s);
  real *segments = buffer(r, segment_count(s) * q.state, 'w'), *y = buffer(r, q.n + q.state, 'w');
  k_wkv7(y, y + q.n, segments, q.r, q.w, q.k, q.v, q.a, q.b, q.S, s.B, s.T, s.H, s.N);
  real *scratch = buffer(r, s.B * s.H * k_wkv7_scratch(s.N), 'w'), *gy = in(r, q.n, 1, 1), *gS = in(r, q.state, 1, 1);
  if (left_out(r)) gS = NULL;
  if (left_out(r)) gy = NULL;
  Wkv7Grads out = {grad(r, q.n), grad(r, q.n), grad(r, q.n),    grad(r, q.n),
                   grad(r, q.n), grad(r, q.n), grad(r, q.state)};
  TIMED(r, r->o->wkv7_backward(&out, scratch, gy, gS, segments, q.r, q.w, q.k, q.v, q.a, q.b, s.B, s.T, s.H, s.N));
}

/* v6 with a decay for every token; in the second half of the variants v5 with one for all */
typedef struct { size_t n, state, decay_rows, decays; real *r, *w, *k, *v, *u, *S; } Wkv6In;

static Wkv6In wkv6_in(Run *r, Heads s)
{
  size_t C = s.H * s.N, n = s.B * s.T * C, state = n / s.T * s.N, rows = r->variant >= HEADS ? 1 : s.B * s.T;
  return (Wkv6In){n, state, rows, rows * C, in(r, n, 1, 30), log_decay(r, rows * C, 0.5), in(r, n, 1, 30),
                  in(r, n, 1, 30), in(r, C, 1, 10), in(r, state, 1, 30)};
}

static void c_wkv6(Run *r)
{
  Heads s = heads_of(r);
  Wkv6In q = wkv6_in(r, s);
  real *y = OUT(r, q.n), *S1 = OUT(r, q.state), *segments = left_out(r) ? NULL : OUT(r, segment_count(s) * q.state);
  TIMED(r, r->o->wkv6(y, S1, segments, q.r, q.w, q.k, q.v, q.u, q.S, s.B, s.T, s.H, s.N, q.decay_rows));
}

static void c_wkv6_backward(Run *r)
{
  Heads s = heads_of(r);
  Wkv6In q = wkv6_in(r, s);
  real *segments = buffer(r, segment_count(s) * q.state, 'w'), *y = buffer(r, q.n + q.state, 'w');
  k_wkv6(y, y + q.n, segments, q.r, q.w, q.k, q.v, q.u, q.S, s.B, s.T, s.H, s.N, q.decay_rows);
  real *scratch = buffer(r, s.B * s.H * k_wkv6_scratch(s.N), 'w'), *gy = in(r, q.n, 1, 1), *gS = in(r, q.state, 1, 1);
  if (left_out(r)) gS = NULL;
  if (left_out(r)) gy = NULL;
  Wkv6Grads out = {grad(r, q.n), grad(r, q.decays), grad(r, q.n), grad(r, q.n), grad(r, s.H * s.N), grad(r, q.state)};
  TIMED(r, r->o->wkv6_backward(&out, scratch, gy, gS, segments, q.r, q.w, q.k, q.v, q.u, s.B, s.T, s.H, s.N,
                               q.decay_rows));
}

static const size_t scans[][4] = {{1, 1, 1, 1}, {2, 3, 17, 3}, {3, 33, 5, 16}, {1, 17, 65, 17}, {2, 40, 16, 1},
                                  {5, 16, 3, 64}, {1, 3, 2, 260},
                                  {9, 33, 40, 16}};
enum { SCANS = sizeof scans / sizeof *scans }; /* B T D N */

static void scan(Run *r, bool back)
{
  static const size_t at_bench[] = {64, 64, 64, 16};
  const size_t *s = r->bench ? at_bench : scans[r->variant], B = s[0], T = s[1], D = s[2], N = s[3];
  size_t n = B * T * D, m = B * T * N, state = B * D * N, kept = (T + WKV_SEGMENT - 1) / WKV_SEGMENT * state;
  real *x = in(r, n, 1, 30), *delta = positive(in(r, n, 0.5, 10), n), *A = log_decay(r, D * N, 1);
  real *Bm = in(r, m, 1, 30), *Cm = in(r, m, 1, 30), *h = in(r, state, 1, 30);
  if (!back) {
    real *y = OUT(r, n), *h1 = OUT(r, state), *segments = left_out(r) ? NULL : OUT(r, kept);
    TIMED(r, r->o->selective_scan(y, h1, segments, x, delta, A, Bm, Cm, h, B, T, D, N));
  } else {
    real *segments = buffer(r, kept, 'w'), *y = buffer(r, n + state, 'w');
    k_selective_scan(y, y + n, segments, x, delta, A, Bm, Cm, h, B, T, D, N);
    real *scratch = buffer(r, B * k_selective_scan_scratch(D, N), 'w'), *gy = in(r, n, 1, 1), *gh = in(r, state, 1, 1);
    if (left_out(r)) gh = NULL;
    if (left_out(r)) gy = NULL;
    ScanGrads out = {grad(r, n), grad(r, n), grad(r, D * N), grad(r, m), grad(r, m), grad(r, state)};
    TIMED(r, r->o->selective_scan_backward(&out, scratch, gy, gh, segments, x, delta, A, Bm, Cm, B, T, D, N));
  }
}

static void c_selective_scan(Run *r) { scan(r, false); }
static void c_selective_scan_backward(Run *r) { scan(r, true); }

/* ---- the table ---- */

typedef struct {
  const char *op;
  void (*run)(Run *r);
  int variants;
  const char *shape; /* of the bench */
  double loose;      /* multiple of the usual tolerance, for long chains of rounding and cancellation */
} Case;

/* ---- arrays ---- */

static void permute(Run *r, bool back)
{
  static const Strides all[] = {
      {{1, 1, 1, 1}, {0, 0, 0, 0}}, {{1, 1, 17, 3}, {0, 0, 1, 17}}, {{3, 5, 17, 2}, {2, 6, 30, 1}}};
  static const Strides bench = {{64, 8, 64, 64}, {32768, 64, 512, 1}};
  const Strides *s = r->bench ? &bench : &all[r->variant];
  size_t n = s->n[0] * s->n[1] * s->n[2] * s->n[3];
  real *x = in(r, n, 1, 100);
  if (!back) {
    real *y = OUT(r, n);
    TIMED(r, r->o->permute(y, x, s));
  } else {
    real *gx = grad(r, n);
    if (gx) TIMED(r, r->o->permute_backward(gx, x, s));
  }
}

static void c_permute(Run *r) { permute(r, false); }
static void c_permute_backward(Run *r) { permute(r, true); }

static void c_max(Run *r)
{
  Cube s = cube(r);
  real *x = in(r, s.B * s.T * s.C, 1, 100), *y = OUT(r, s.B * s.C);
  int *at = buffer(r, s.B * s.C, 'i');
  TIMED(r, r->o->max(y, at, x, s.B, s.T, s.C));
}

static void c_max_backward(Run *r)
{
  Cube s = cube(r);
  real *g = in(r, s.B * s.C, 1, 100), *gx = grad(r, s.B * s.T * s.C);
  int *at = indices(r, s.B * s.C, s.T, false);
  if (gx) TIMED(r, r->o->max_backward(gx, g, at, s.B, s.T, s.C));
}

static void c_gather(Run *r)
{
  Sheet s = sheet(r);
  real *x = in(r, s.rows * s.C, 1, 100), *y = OUT(r, s.rows * 3);
  int *index = indices(r, s.rows * 3, s.C, false);
  TIMED(r, r->o->gather(y, x, index, s.rows, s.C, 3));
}

static void c_gather_backward(Run *r)
{
  Sheet s = sheet(r);
  real *g = in(r, s.rows * 3, 1, 100), *gx = grad(r, s.rows * s.C);
  int *index = indices(r, s.rows * 3, s.C, false);
  if (gx) TIMED(r, r->o->gather_backward(gx, g, index, s.rows, s.C, 3));
}

static void c_softmax(Run *r)
{
  Sheet s = sheet(r);
  real *x = in(r, s.rows * s.C, 1, 100), *y = OUT(r, s.rows * s.C);
  TIMED(r, r->o->softmax(y, x, s.rows, s.C));
}

static void c_softmax_backward(Run *r)
{
  Sheet s = sheet(r);
  real *y = in(r, s.rows * s.C, 1, 1), *g = in(r, s.rows * s.C, 1, 100), *gx = grad(r, s.rows * s.C);
  if (gx) TIMED(r, r->o->softmax_backward(gx, g, y, s.rows, s.C));
}

static const Matrices matrices[] = {{1, 1, 1, 1, 1, 1}, {4, 1, 9, 1, 9, 9}, {4, 9, 1, 9, 9, 9}, {4, 9, 9, 1, 81, 9},
                                    {4, 1, 9, 9, 9, 81}, {3, 5, 7, 4, 35, 28}, {2, 17, 64, 33, 0, 2112},
                                    {7, 3, 130, 2, 390, 0}, {4, 65, 3, 64, 195, 192},
                                    {37, 17, 9, 33, 153, 297}, {31, 17, 9, 33, 0, 297}, {31, 17, 9, 33, 153, 0}};

static void c_bmm(Run *r)
{
  Matrices s = r->bench ? (Matrices){64, 64, 64, 64, 4096, 4096} : matrices[r->variant];
  real *a = in(r, s.a_step ? s.batch * s.M * s.K : s.M * s.K, 1, 100),
       *b = in(r, s.b_step ? s.batch * s.K * s.N : s.K * s.N, 1, 100), *y = OUT(r, s.batch * s.M * s.N);
  TIMED(r, r->o->bmm(y, a, b, &s));
}

static void c_bmm_backward(Run *r)
{
  Matrices s = r->bench ? (Matrices){64, 64, 64, 64, 4096, 4096} : matrices[r->variant];
  size_t na = s.a_step ? s.batch * s.M * s.K : s.M * s.K, nb = s.b_step ? s.batch * s.K * s.N : s.K * s.N;
  real *a = in(r, na, 1, 100), *b = in(r, nb, 1, 100), *g = in(r, s.batch * s.M * s.N, 1, 100);
  real *ga = grad(r, na), *gb = grad(r, nb);
  TIMED(r, r->o->bmm_backward(ga, gb, g, a, b, &s));
}

#define CASE(op, variants, shape, loose) {#op, c_##op, variants, shape, loose}
static const Case cases[] = {
    CASE(clear, LENGTHS, "[64,64,64]", 1),
    CASE(unary, LENGTHS * UNARY_COUNT, "tanh [64,64,64]", 1),
    CASE(unary_backward, LENGTHS * UNARY_COUNT, "tanh [64,64,64]", 1),
    CASE(binary, CASTS * BINARY_COUNT, "[64,64,64] * [64]", 1),
    CASE(binary_backward, CASTS * BINARY_COUNT, "[64,64,64] * [64]", 1),
    CASE(compare, CASTS * COMPARE_COUNT, "[64,64,64] > [64]", 1),
    CASE(where, LENGTHS, "[64,64,64]", 1),
    CASE(where_backward, LENGTHS, "[64,64,64]", 1),
    CASE(affine, LENGTHS, "[64,64,64]", 1),
    CASE(affine_backward, LENGTHS, "[64,64,64]", 1),
    CASE(lerp, 3 * SHEETS, "[64,64,64], mu [64]", 1),
    CASE(lerp_backward, 3 * SHEETS, "[64,64,64], mu [64]", 1),
    CASE(linear, 2 * MAPS, "[4096,64] [64,64]", 1),
    CASE(linear_backward, MAPS, "[4096,64] [64,64]", 1),
    CASE(matmul, MAPS, "[4096,64] [64,64]", 1),
    CASE(matmul_backward, MAPS, "[4096,64] [64,64]", 1),
    CASE(rows, SHEETS, "4096 of [50,64]", 1),
    CASE(rows_backward, SHEETS, "4096 of [50,64]", 1),
    CASE(linear_packed, 2 * MAPS * STORAGE_COUNT, "[1,768] [768,768] bf16", 1),
    CASE(matmul_packed, MAPS * STORAGE_COUNT, "[1,768] [768,768] bf16", 1),
    CASE(rows_packed, SHEETS * STORAGE_COUNT, "4096 of [50,64] bf16", 1),
    CASE(norm, 2 * SHEETS, "[4096,64]", 1),
    CASE(norm_backward, 2 * SHEETS, "[4096,64]", 1),
    CASE(l2norm, SHEETS, "[4096,64]", 1),
    CASE(l2norm_backward, SHEETS, "[4096,64]", 1),
    CASE(shift, CUBES, "[64,64,64]", 1),
    CASE(shift_backward, CUBES, "[64,64,64]", 1),
    CASE(slice, CUBES, "[64,64,64]", 1),
    CASE(slice_add, CUBES, "[64,64,64]", 1),
    CASE(unslice, CUBES, "[64,64,64]", 1),
    CASE(unslice_add, CUBES, "[64,64,64]", 1),
    CASE(sum, 2 * CUBES + 1, "[64,64,64] over T", 1),
    CASE(sum_backward, 2 * CUBES, "[64,64,64] over T", 1),
    CASE(cumsum, CUBES, "[64,64,64] over T", 1),
    CASE(cumsum_backward, CUBES, "[64,64,64] over T", 1),
    CASE(permute, 3, "[64,64,8,64] to heads", 1),
    CASE(permute_backward, 3, "[64,64,8,64] to heads", 1),
    CASE(max, CUBES, "[64,64,64] over T", 1),
    CASE(max_backward, CUBES, "[64,64,64] over T", 1),
    CASE(gather, SHEETS, "3 of each of [4096,64]", 1),
    CASE(gather_backward, SHEETS, "3 of each of [4096,64]", 1),
    CASE(softmax, SHEETS, "[4096,64]", 1),
    CASE(softmax_backward, SHEETS, "[4096,64]", 1),
    CASE(bmm, sizeof matrices / sizeof *matrices, "64 times [64,64] [64,64]", 1),
    CASE(bmm_backward, sizeof matrices / sizeof *matrices, "64 times [64,64] [64,64]", 1),
    CASE(cross_entropy, SHEETS, "[512,256]", 1),
    CASE(cross_entropy_backward, 2 * SHEETS, "[512,256]", 1),
    CASE(argmax, 2 * SHEETS, "[512,256]", 1),
    CASE(adamw, LENGTHS + 1, "262144", 1),
    CASE(sum_squares, LENGTHS + 1, "262144", 1),
    CASE(copy_scores, COPIES, "512 rows, U D 64, V 256", 1),
    CASE(copy_scores_backward, COPIES, "512 rows, U D 64, V 256", 1),
    CASE(linear_attention, ATTENTIONS, "B T C 64, D 8", 1),
    CASE(linear_attention_backward, ATTENTIONS, "B T C 64, D 8", 1),
    CASE(attention, SOFTMAX_ATTENTIONS, "B T N 64, H 1", 4),
    CASE(attention_backward, SOFTMAX_ATTENTIONS, "B T N 64, H 1", 10),
    CASE(wkv1, WKV1_SIZES, "B T N 64, H 1", 1),
    CASE(wkv1_backward, WKV1_SIZES, "B T N 64, H 1", 4),
    CASE(wkv2, WKV4_CUBES, "B T C 64", 1),
    CASE(wkv2_backward, WKV4_CUBES, "B T C 64", 1),
    CASE(wkv6, 2 * HEADS, "B T N 64, H 1", 1),
    CASE(wkv6_backward, 2 * HEADS, "B T N 64, H 1", 1),
    CASE(wkv4, 4 * WKV4_CUBES, "B T C 64", 4),
    CASE(wkv4_backward, 4 * WKV4_CUBES, "B T C 64", 10),
    CASE(wkv7, HEADS, "B T N 64, H 1", 1),
    CASE(wkv7_backward, HEADS, "B T N 64, H 1", 1),
    CASE(selective_scan, SCANS, "B T D 64, N 16", 1),
    CASE(selective_scan_backward, SCANS, "B T D 64, N 16", 1),
};
enum { CASES = sizeof cases / sizeof *cases };

#endif
