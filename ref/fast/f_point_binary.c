/* Pointwise functions of two operands. Most broadcasts come down to two axes: axes of size 1 are dropped
   and neighbours are joined where both operands run on through them. */
#include "f_math.h"

/* The result as [rows, C], and how far an operand moves with a row and with a column (0 or 1). */
typedef struct {
  size_t row, col;
} Step;

typedef struct {
  size_t rows, C;
  Step a, b;
} Plane;

static bool plane(Plane *p, const Broadcast *s)
{
  size_t n[4], a[4], b[4], axes = 0;
  for (int d = 0; d < 4; d++) {
    size_t size = (size_t)s->n[d];
    if (size == 1) continue;
    if (axes && a[axes - 1] == s->step_a[d] * size && b[axes - 1] == s->step_b[d] * size) n[axes - 1] *= size;
    else n[axes++] = size;
    a[axes - 1] = s->step_a[d], b[axes - 1] = s->step_b[d];
  }
  if (axes > 2) return false;
  *p = (Plane){1, 1, {0, 0}, {0, 0}};
  if (axes > 0) p->C = n[axes - 1], p->a.col = a[axes - 1], p->b.col = b[axes - 1];
  if (axes > 1) p->rows = n[0], p->a.row = a[0], p->b.row = b[0];
  return p->a.col <= 1 && p->b.col <= 1;
}

INLINE real value(BinaryKind kind, real a, real b)
{
  switch (kind) {
  case B_ADD: return a + b;
  case B_SUB: return a - b;
  case B_MUL: return a * b;
  case B_DIV: return a / b;
  case B_MAX: return a >= b || a != a ? a : b;
  default: return a <= b || a != a ? a : b;
  }
}

/* g times the derivative by a, or by b */
INLINE real slope(BinaryKind kind, bool by_b, real g, real a, real b)
{
  switch (kind) {
  case B_ADD: return g;
  case B_SUB: return by_b ? -g : g;
  case B_MUL: return g * (by_b ? a : b);
  case B_DIV: return by_b ? -g * (a / b / b) : g / b;
  case B_MAX: return (a >= b) != by_b ? g : zero_like(g);
  default: return (a <= b) != by_b ? g : zero_like(g);
  }
}

/* Does ... (which uses KIND) with KIND a constant in each case: a loop of its own for each kind. */
/* clang-format off */
#define EACH_KIND(kind, ...)                                    \
  switch (kind) {                                               \
  case B_ADD: { const BinaryKind KIND = B_ADD; __VA_ARGS__; } break; \
  case B_SUB: { const BinaryKind KIND = B_SUB; __VA_ARGS__; } break; \
  case B_MUL: { const BinaryKind KIND = B_MUL; __VA_ARGS__; } break; \
  case B_DIV: { const BinaryKind KIND = B_DIV; __VA_ARGS__; } break; \
  case B_MAX: { const BinaryKind KIND = B_MAX; __VA_ARGS__; } break; \
  default: { const BinaryKind KIND = B_MIN; __VA_ARGS__; } break;    \
  }
/* clang-format on */

/* What a job walks: the result, or the gradient of one operand. */
typedef struct {
  real *out;
  const real *g, *a, *b;
  Plane p;
  BinaryKind kind;
  bool by_b, add;
} Walk;

/* ---- forward ---- */

INLINE void values(real *y, const real *a, const real *b, size_t col_a, size_t col_b, size_t n, BinaryKind kind)
{
  if (col_a && col_b)
    for (size_t c = 0; c < n; c++) y[c] = value(kind, a[c], b[c]);
  else if (col_a)
    for (size_t c = 0; c < n; c++) y[c] = value(kind, a[c], *b);
  else if (col_b)
    for (size_t c = 0; c < n; c++) y[c] = value(kind, *a, b[c]);
  else
    for (size_t c = 0; c < n; c++) y[c] = value(kind, *a, *b);
}

JOB static void binary_forward_rows(const void *arg, size_t from, size_t to)
{
  const Walk *q = arg;
  const Plane *p = &q->p;
  EACH_KIND(q->kind, for (size_t i = from; i < to; i++) values(q->out + i * p->C, q->a + i * p->a.row,
                                                               q->b + i * p->b.row, p->a.col, p->b.col, p->C, KIND))
}

JOB static void binary_forward_line(const void *arg, size_t from, size_t to) /* a single row, in pieces */
{
  const Walk *q = arg;
  const Plane *p = &q->p;
  EACH_KIND(q->kind,
            values(q->out + from, q->a + from * p->a.col, q->b + from * p->b.col, p->a.col, p->b.col, to - from, KIND))
}

static void over_plane(OpId id, const void *op, const Walk *q, Job *line, Job *rows)
{
  bool one = q->p.rows == 1;
  fast_put(fast_when(id, op), one ? q->p.C : q->p.rows, one ? LIGHT : pieces(LIGHT, at_least_1(q->p.C)),
           one ? line : rows, q, sizeof *q);
}

void f_binary(const Binary *op)
{
  Walk q = {.out = op->y, .a = op->a, .b = op->b, .kind = op->kind};
  if (plane(&q.p, &op->shape)) over_plane(OP_binary, op, &q, binary_forward_line, binary_forward_rows);
  else fast_reference(OP_binary, op);
}

/* ---- backward, to one of the operands ---- */

/* out [n] along the columns: the operand is repeated nowhere */
INLINE void slopes(real *out, const real *g, const real *a, const real *b, size_t col_a, size_t col_b, size_t n,
                   BinaryKind kind, bool by_b, bool add)
{
  if (col_a && col_b)
    for (size_t c = 0; c < n; c++) out[c] = OLD(add, out[c]) + slope(kind, by_b, g[c], a[c], b[c]);
  else if (col_a)
    for (size_t c = 0; c < n; c++) out[c] = OLD(add, out[c]) + slope(kind, by_b, g[c], a[c], *b);
  else
    for (size_t c = 0; c < n; c++) out[c] = OLD(add, out[c]) + slope(kind, by_b, g[c], *a, b[c]);
}

INLINE acc slope_sum(const real *g, const real *a, const real *b, size_t col_a, size_t col_b, size_t n, BinaryKind kind,
                     bool by_b)
{
  acc sum = 0;
  SIMD_SUM(sum)
  for (size_t c = 0; c < n; c++) sum += (acc)slope(kind, by_b, g[c], a[c * col_a], b[c * col_b]);
  return sum;
}

JOB static void binary_back_line(const void *arg, size_t from, size_t to)
{
  const Walk *q = arg;
  const Plane *p = &q->p;
  EACH_KIND(q->kind, slopes(q->out + from, q->g + from, q->a + from * p->a.col, q->b + from * p->b.col, p->a.col,
                            p->b.col, to - from, KIND, q->by_b, q->add))
}

JOB static void binary_back_rows(const void *arg, size_t from, size_t to)
{
  const Walk *q = arg;
  const Plane *p = &q->p;
  size_t row = q->by_b ? p->b.row : p->a.row;
  EACH_KIND(q->kind, for (size_t i = from; i < to; i++)
                         slopes(q->out + i * row, q->g + i * p->C, q->a + i * p->a.row, q->b + i * p->b.row, p->a.col,
                                p->b.col, p->C, KIND, q->by_b, q->add))
}

/* The operand has one number for a whole row. */
JOB static void binary_back_row_sums(const void *arg, size_t from, size_t to)
{
  const Walk *q = arg;
  const Plane *p = &q->p;
  EACH_KIND(
      q->kind, for (size_t i = from; i < to; i++) {
        const real *g = q->g + i * p->C, *a = q->a + i * p->a.row, *b = q->b + i * p->b.row;
        acc sum = q->by_b ? slope_sum(g, a, b, 1, 0, p->C, KIND, true) : slope_sum(g, a, b, 0, 1, p->C, KIND, false);
        q->out[i * (q->by_b ? p->b.row : p->a.row)] += (real)sum;
      })
}

/* The operand has one row for all of them. */
JOB static void binary_back_columns(const void *arg, acc (*sum)[TILE], size_t row0, size_t row1, size_t col0,
                                    size_t col1)
{
  const Walk *q = arg;
  const Plane *p = &q->p;
  EACH_KIND(
      q->kind, for (size_t i = row0; i < row1; i++) {
        const real *g = q->g + i * p->C + col0, *a = q->a + i * p->a.row + col0 * p->a.col,
                   *b = q->b + i * p->b.row + col0 * p->b.col;
        acc *s = sum[0];
        size_t n = col1 - col0;
        if (p->a.col && p->b.col)
          for (size_t c = 0; c < n; c++) s[c] += (acc)slope(KIND, q->by_b, g[c], a[c], b[c]);
        else
          for (size_t c = 0; c < n; c++) s[c] += (acc)slope(KIND, q->by_b, g[c], a[c * p->a.col], b[c * p->b.col]);
      })
}

/* op: with one of its gradients only */
static void backward_one(const BinaryBackward *op, bool by_b)
{
  const Binary *f = &op->forward;
  Walk q = {
      .out = by_b ? op->gb : op->ga, .g = op->g, .a = f->a, .b = f->b, .kind = f->kind, .by_b = by_b, .add = true};
  bool flat = plane(&q.p, &f->shape);
  Step own = by_b ? q.p.b : q.p.a, other = by_b ? q.p.a : q.p.b;
  if (flat && own.col && (own.row || q.p.rows == 1)) {
    q.add = !fast_overwrite(q.out);
    over_plane(OP_binary_backward, op, &q, binary_back_line, binary_back_rows);
  } else if (flat && own.col) {
    fast_columns(OP_binary_backward, op, (real *[SUMS]){q.out}, q.p.rows, q.p.C, binary_back_columns, &q, sizeof q);
  } else if (flat && own.row && other.col) {
    over_plane(OP_binary_backward, op, &q, NULL, binary_back_row_sums);
  } else {
    fast_reference(OP_binary_backward, op);
  }
}

void f_binary_backward(const BinaryBackward *op)
{
  BinaryBackward by_a = *op, by_b = *op;
  by_a.gb = by_b.ga = NULL;
  if (op->ga) backward_one(&by_a, false);
  if (op->gb) backward_one(&by_b, true);
}
