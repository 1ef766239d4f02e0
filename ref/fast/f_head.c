/* The head with its loss. The logits of a few positions are made, become the gradient by them, and give gx, while they
   are in the cache. Those of a stretch of positions stay until they have given their part of gw. W is taken in panels
   of its rows. All sums depend on the sizes alone. */
#include "f_loss.h"
#include "f_math.h"
#include "f_multiply.h"

#include <string.h>

enum {
  ROWS = 32,                /* positions at a time: 1 MiB of logits at V = 8192 */
  STRETCH_BYTES = 16 << 20, /* of logits that stay, */
  STRETCH_ROWS = 128,       /* of so many positions at least */
  PANEL_LEAST = 64,
  PANEL_MOST = 512
};

typedef struct {
  HeadLoss op;
  size_t panel, panels;    /* rows of W in a panel */
  const void **down, **up; /* [panels] laid out for x W', and for g W */
  real *top;               /* [rows of a stretch,panels] the largest logit up to a panel */
  real *g;                 /* of each panel [rows of a stretch,n], dense: logits, then the gradient by them */
  acc *loss;               /* [rows] */
  acc scored;              /* at least 1 */
  size_t first, rows;      /* of the stretch */
} Head;

/* What is known of a row after some panels: its largest logit and where, and the sum of exp(logit - largest). */
typedef struct {
  real largest;
  size_t best;
  acc sum;
} Row;

/* A panel's logits x [n], from column j0 on, become exp(x - largest so far), and the row is told. */
JOB static void take_panel(Row *row, real *restrict x, size_t j0, size_t n)
{
  if (!j0) *row = (Row){.largest = x[0]};
  size_t at;
  real before = row->largest, sum = 0;
  if (fast_larger(x, n, &row->largest, &at)) row->best = j0 + at;
  real top = row->largest;
  SIMD_SUM(sum)
  for (size_t j = 0; j < n; j++) {
    x[j] = fast_exp(x[j] - top);
    sum += x[j];
  }
  row->sum = row->sum * exp((acc)before - (acc)top) + (acc)sum;
}

JOB static void scale(real *restrict x, size_t n, real by)
{
  for (size_t j = 0; j < n; j++) x[j] *= by;
}

/* Panel p of g from row i of the stretch on; its rows are dense. */
static real *panel_of(const Head *q, size_t p, size_t i)
{
  size_t j0 = p * q->panel;
  return q->g + j0 * q->rows + i * smaller(q->panel, q->op.V - j0);
}

/* Panel p of W as a factor, [C,n] where it is turned. */
static Gemm with_panel(const Head *q, size_t p, bool turned)
{
  size_t j0 = p * q->panel, n = smaller(q->panel, q->op.V - j0);
  Gemm g = {.b = q->op.w + j0 * q->op.C, .b_step = q->op.C, .b_turned = turned, .factors = q->op.factors};
  g.n = turned ? n : q->op.C, g.k = turned ? q->op.C : n;
  return g;
}

/* The logits of `rows` positions of the stretch, panel by panel; top [rows,panels]; goal [rows]: the target's logit. */
static void exponentials(const Head *q, Row *row, real *top, real *goal, size_t from, size_t rows)
{
  size_t C = q->op.C, first = q->first + from;
  for (size_t p = 0; p < q->panels; p++) {
    Gemm y = with_panel(q, p, true);
    size_t j0 = p * q->panel;
    real *g = panel_of(q, p, from);
    y.a = q->op.x + first * C, y.a_step = C, y.m = rows, y.c = g, y.c_step = y.n, y.b_laid_out = q->down[p];
    fast_multiply(&y);
    for (size_t i = 0; i < rows; i++) {
      size_t target = (size_t)q->op.target[first + i]; /* where there is none, beyond all columns */
      if (target - j0 < y.n) goal[i] = g[i * y.n + target - j0];
      take_panel(&row[i], g + i * y.n, j0, y.n);
      top[i * q->panels + p] = row[i].largest;
    }
  }
}

/* Panel p of g, from exponentials to the gradient by the logits: softmax / scored, less 1 / scored at the target; zeros
   where there is none. */
static void panel_back(const Head *q, const Row *row, const real *top, size_t p, size_t from, size_t rows)
{
  size_t j0 = p * q->panel, n = smaller(q->panel, q->op.V - j0);
  for (size_t i = 0; i < rows; i++) {
    real *x = panel_of(q, p, from + i);
    int target = q->op.target[q->first + from + i];
    acc by = exp((acc)top[i * q->panels + p] - (acc)row[i].largest) / (row[i].sum * q->scored);
    if (target < 0) memset(x, 0, n * sizeof *x);
    else scale(x, n, (real)by);
    if (target >= 0 && (size_t)target - j0 < n) x[(size_t)target - j0] -= (real)(1 / q->scored);
  }
}

/* Positions from .. to-1 of the stretch. */
static void some_rows(const void *arg, size_t from, size_t to)
{
  const Head *q = arg;
  const HeadLoss *op = &q->op;
  size_t C = op->C, first = q->first + from, rows = to - from;
  Row row[ROWS];
  real goal[ROWS] = {0}, *top = q->top + from * q->panels;
  exponentials(q, row, top, goal, from, rows);
  for (size_t i = 0; i < rows; i++) {
    op->best[first + i] = (int)row[i].best, op->largest[first + i] = row[i].largest;
    q->loss[first + i] = op->target[first + i] < 0 ? 0 : (acc)row[i].largest + log(row[i].sum) - (acc)goal[i];
  }
  for (size_t p = 0; (op->gx || op->gw) && p < q->panels; p++) {
    panel_back(q, row, top, p, from, rows);
    if (!op->gx) continue;
    Gemm gx = with_panel(q, p, false);
    gx.a = panel_of(q, p, from), gx.a_step = gx.k, gx.m = rows, gx.c = op->gx + first * C, gx.c_step = C;
    gx.add = p > 0, gx.b_laid_out = q->up[p];
    fast_multiply(&gx);
  }
}

/* gw += g' x over the stretch, of panels from .. to-1 */
static void some_weights(const void *arg, size_t from, size_t to)
{
  const Head *q = arg;
  const HeadLoss *op = &q->op;
  for (size_t p = from; p < to; p++) {
    Gemm gw = {.a = panel_of(q, p, 0),
               .a_turned = true,
               .b = op->x + q->first * op->C,
               .b_step = op->C,
               .n = op->C,
               .k = q->rows,
               .c = op->gw + p * q->panel * op->C,
               .c_step = op->C,
               .add = q->first > 0,
               .factors = op->factors};
    gw.m = gw.a_step = smaller(q->panel, op->V - p * q->panel);
    fast_multiply(&gw);
  }
}

static const void **lay_out(const Head *q, bool turned)
{
  const void **list = fast_memory(q->panels * sizeof *list);
  for (size_t p = 0; p < q->panels; p++) {
    Gemm g = with_panel(q, p, turned);
    list[p] = fast_lay_out(&g);
  }
  return list;
}

void f_head_loss(const HeadLoss *op)
{
  size_t rows = op->rows, V = op->V, scored = k_scored(op->target, rows);
  Head q = {.op = *op};
  if (!op->C || !rows) {
    fast_reference(OP_head_loss, op);
    return;
  }
  fast_flush();
  size_t stretch = smaller(rows, larger(STRETCH_ROWS, STRETCH_BYTES / (V * sizeof(real)) / ROWS * ROWS));
  q.panel = smaller(PANEL_MOST, larger(PANEL_LEAST, V / 8 / 16 * 16)), q.panels = pieces(V, q.panel);
  q.scored = (acc)at_least_1(scored);
  q.down = lay_out(&q, true), q.up = lay_out(&q, false);
  q.top = fast_memory(stretch * q.panels * sizeof *q.top);
  q.g = fast_memory(stretch * V * sizeof *q.g), q.loss = fast_memory(rows * sizeof *q.loss);
  for (q.first = 0; q.first < rows; q.first += stretch) {
    q.rows = smaller(stretch, rows - q.first);
    fast_for(q.rows, ROWS, some_rows, &q);
    if (op->gw) fast_for(q.panels, 1, some_weights, &q);
  }
  acc total = 0;
  for (size_t i = 0; i < rows; i++) total += q.loss[i];
  op->loss[0] = (real)(scored ? total / (acc)scored : 0);
}

/* ---- backward ---- */

typedef struct {
  HeadLossBackward op;
  acc scored;
  bool add;
} Back;

/* l2wrap's part by the largest logit of position i */
static real by_largest(const Back *q, size_t i)
{
  const HeadLoss *f = &q->op.forward;
  return f->target[i] < 0 ? 0 : (real)(q->op.l2wrap * (acc)f->largest[i] / q->scored);
}

JOB static void rows_back(const void *arg, size_t from, size_t to)
{
  const Back *q = arg;
  const HeadLoss *f = &q->op.forward;
  real g = q->op.g[0];
  for (size_t i = from; i < to; i++) {
    real *restrict gx = q->op.gx + i * f->C;
    const real *restrict fgx = f->gx + i * f->C, *restrict w = f->w + (size_t)f->best[i] * f->C;
    real by = q->op.l2wrap > 0 ? by_largest(q, i) : 0;
    for (size_t c = 0; c < f->C; c++) gx[c] = OLD(q->add, gx[c]) + g * fgx[c];
    for (size_t c = 0; by != 0 && c < f->C; c++) gx[c] += by * w[c];
  }
}

JOB static void weights_back(const void *arg, size_t from, size_t to)
{
  const Back *q = arg;
  real *restrict gw = q->op.gw, g = q->op.g[0];
  const real *restrict fgw = q->op.forward.gw;
  SIMD
  for (size_t i = from; i < to; i++) gw[i] += g * fgw[i];
}

/* Rows of gw may meet, so each sum over the positions stays in one thread: columns from .. to-1. */
static void largest_back(const void *arg, size_t from, size_t to)
{
  const Back *q = arg;
  const HeadLoss *f = &q->op.forward;
  for (size_t i = 0; i < f->rows; i++) {
    real by = by_largest(q, i);
    for (size_t c = from; c < to; c++) q->op.gw[(size_t)f->best[i] * f->C + c] += by * f->x[i * f->C + c];
  }
}

void f_head_loss_backward(const HeadLossBackward *op)
{
  const HeadLoss *f = &op->forward;
  Back q = {*op, (acc)at_least_1(k_scored(f->target, f->rows)), true};
  HeadLossBackward x = *op, w = *op; /* each with one of the gradients */
  x.gw = w.gx = NULL;
  if (op->gx) {
    q.add = !fast_overwrite(op->gx);
    When when = fast_when(OP_head_loss_backward, &x);
    if (when != NOW) q.op.forward.target = fast_keep(f->target, f->rows * sizeof *f->target);
    fast_put(when, f->rows, pieces(LIGHT, at_least_1(f->C)), rows_back, &q, sizeof q);
  }
  if (!op->gw) return;
  When when = fast_when_whole(OP_head_loss_backward, &w);
  fast_put(when, f->V * f->C, LIGHT, weights_back, &q, sizeof q);
  if (!(op->l2wrap > 0)) return;
  When after = fast_when_whole(OP_head_loss_backward, &w);
  if (after != NOW) q.op.forward.target = fast_keep(f->target, f->rows * sizeof *f->target);
  fast_put(after, f->C, pieces(f->C, 16), largest_back, &q, sizeof q);
}
