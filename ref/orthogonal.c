/* Random matrices whose rows, or columns if there are fewer, are orthonormal.

   torch.nn.init.orthogonal_ takes the Q of the QR factorisation of a Gaussian matrix, the signs of R's diagonal made
   positive. There is only one such Q, so any way to it will do. This one is Gram-Schmidt by panels of vectors: first
   the panel is made orthogonal to all vectors before it, which is nearly all of the work and a product of matrices,
   then its vectors to each other. No sum depends on who computes: the bits are the same on every machine. */
#include "init.h"

#include "engine/err.h"
#include "engine/k_panel.h"
#include "engine/memory.h"
#include "engine/share.h"

#include <math.h>

enum { ROWS = 32, PIECE = 256, LONG = 2048 }; /* rows, and numbers of a row, that are worked on together */

typedef struct {
  const Init *in;
  acc *q;                          /* [count,n]: Gaussian vectors, which become orthonormal one panel after the other */
  size_t count, n;                 /* count <= n */
  acc *x;                          /* [n,PANEL]: the panel, */
  size_t at, wide;                 /* vectors at .. at + wide - 1 */
  acc *s;                          /* [count,PANEL] */
  acc *sums;                       /* [pieces of LONG,PANEL] */
  acc before[PANEL], after[PANEL]; /* squares of the panel's lengths as it came, and as it was made orthogonal */
  size_t column;                   /* of the panel, at work */
  acc *vectors;                    /* [count,n] of a tall matrix */
} Orthogonal;

static size_t pieces(size_t n, size_t size) { return (n + size - 1) / size; }
static size_t piece(size_t n, size_t from, size_t size) { return n - from < size ? n - from : size; }

/* ---- all vectors before the panel ---- */

static void along_rows(const void *arg, size_t i)
{
  const Orthogonal *o = arg;
  size_t j = i * ROWS, rows = piece(o->at, j, ROWS);
  for (size_t k = 0; k < rows * PANEL; k++) o->s[j * PANEL + k] = 0;
  for (size_t from = 0; from < o->n; from += PIECE)
    k_panel_along(&(Panel){.s = o->s + j * PANEL,
                           .x = o->x + from * PANEL,
                           .q = o->q + j * o->n + from,
                           .stride = o->n,
                           .rows = rows,
                           .n = piece(o->n, from, PIECE)});
}

static void without_rows(const void *arg, size_t i)
{
  const Orthogonal *o = arg;
  size_t from = i * PIECE;
  k_panel_without(&(Panel){.s = o->s,
                           .x = o->x + from * PANEL,
                           .q = o->q + from,
                           .stride = o->n,
                           .rows = o->at,
                           .n = piece(o->n, from, PIECE)});
}

/* ---- the panel's own vectors ---- */

static void sum_piece(const void *arg, size_t i)
{
  const Orthogonal *o = arg;
  size_t from = i * LONG, n = piece(o->n, from, LONG);
  acc *vector = o->q + (o->at + o->column) * o->n + from, *x = o->x + from * PANEL, *s = o->sums + i * PANEL;
  for (size_t k = 0; k < n; k++) vector[k] = x[k * PANEL + o->column];
  for (int c = 0; c < PANEL; c++) s[c] = 0;
  k_panel_along(&(Panel){.s = s, .x = x, .q = vector, .stride = o->n, .rows = 1, .n = n});
}

/* s[0]: how much of this column each later one has, over the square of its length. */
static void subtract_piece(const void *arg, size_t i)
{
  const Orthogonal *o = arg;
  size_t from = i * LONG, n = piece(o->n, from, LONG);
  acc *vector = o->q + (o->at + o->column) * o->n + from, length = sqrt(o->after[o->column]);
  k_panel_without(&(Panel){.s = o->s, .x = o->x + from * PANEL, .q = vector, .stride = o->n, .rows = 1, .n = n});
  for (size_t k = 0; k < n; k++) vector[k] /= length;
}

static void orthogonalise_panel(Orthogonal *o)
{
  size_t parts = pieces(o->n, LONG);
  for (o->column = 0; o->column < o->wide; o->column++) {
    rwkv_share(parts, sum_piece, o);
    for (size_t i = 1; i < parts; i++)
      for (int c = 0; c < PANEL; c++) o->sums[c] += o->sums[i * PANEL + (size_t)c];
    o->after[o->column] = o->sums[o->column];
    for (size_t c = 0; c < PANEL; c++) o->s[c] = c > o->column ? o->sums[c] / o->sums[o->column] : 0;
    rwkv_share(parts, subtract_piece, o);
  }
}

static void bring_piece(const void *arg, size_t i)
{
  const Orthogonal *o = arg;
  for (size_t k = i * LONG; k < i * LONG + piece(o->n, i * LONG, LONG); k++)
    for (size_t c = 0; c < PANEL; c++) o->x[k * PANEL + c] = c < o->wide ? o->q[(o->at + c) * o->n + k] : 0;
}

static void square_vector(const void *arg, size_t c)
{
  const Orthogonal *o = arg;
  acc sum = 0, *q = o->q + (o->at + c) * o->n;
  for (size_t k = 0; k < o->n; k++) sum += q[k] * q[k];
  o->sums[c] = sum;
}

/* A vector of which little is left holds what rounding has left of the others, too. Once more takes that away: twice is
   enough (Giraud et al. 2005). */
static bool little_is_left(const Orthogonal *o)
{
  for (size_t c = 0; c < o->wide; c++)
    if (o->after[c] < 0.01 * o->before[c]) return true;
  return false;
}

static void panel(Orthogonal *o)
{
  for (int round = 0; round < 2; round++) {
    rwkv_share(o->wide, square_vector, o);
    for (size_t c = 0; c < o->wide; c++) o->before[c] = o->sums[c];
    rwkv_share(pieces(o->n, LONG), bring_piece, o);
    rwkv_share(pieces(o->at, ROWS), along_rows, o);
    rwkv_share(pieces(o->n, PIECE), without_rows, o);
    orthogonalise_panel(o);
    if (!little_is_left(o)) return;
  }
}
/* ---- the matrix ---- */

enum { SIDE = 32 };

typedef struct {
  acc *y;       /* [cols,rows] */
  const acc *x; /* [rows,cols] */
  size_t rows, cols;
} Transpose;

static void transpose_stripe(const void *arg, size_t stripe)
{
  const Transpose *t = arg;
  size_t i0 = stripe * SIDE, i1 = i0 + piece(t->rows, i0, SIDE);
  for (size_t j0 = 0; j0 < t->cols; j0 += SIDE)
    for (size_t j = j0; j < j0 + piece(t->cols, j0, SIDE); j++)
      for (size_t i = i0; i < i1; i++) t->y[j * t->rows + i] = t->x[i * t->cols + j];
}

static void transpose(acc *y, const acc *x, size_t rows, size_t cols)
{
  rwkv_share(pieces(rows, SIDE), transpose_stripe, &(Transpose){y, x, rows, cols});
}

static void scale_piece(const void *arg, size_t i)
{
  const Init *in = arg;
  for (size_t k = i * LONG; k < i * LONG + piece(in->n, i * LONG, LONG); k++) in->out[k] *= in->gain;
}

static void make_orthogonal(void *arg)
{
  Orthogonal *o = arg;
  const Init *in = o->in;
  bool tall = in->rows >= in->cols;
  Init plain = *in;
  plain.gain = 1;
  init_normal(&plain);
  o->q = in->out; /* columns are put in rows: walking down them is twenty times slower */
  if (tall) transpose(o->q = o->vectors, in->out, in->rows, in->cols);
  for (o->at = 0; o->at < o->count; o->at += PANEL) {
    double part = (double)o->at / (double)o->count;
    init_tell(in, (size_t)((double)in->n * part * part));
    o->wide = piece(o->count, o->at, PANEL);
    panel(o);
  }
  if (tall) transpose(in->out, o->q, in->cols, in->rows);
  rwkv_share(pieces(in->n, LONG), scale_piece, in);
}

void init_orthogonal(const Init *in)
{
  if (!in->n) return;
  bool tall = in->rows >= in->cols;
  Orthogonal o = {.in = in, .count = tall ? in->cols : in->rows, .n = tall ? in->rows : in->cols};
  size_t panel_size = o.n * PANEL, s = o.count * PANEL, sums = pieces(o.n, LONG) * PANEL;
  acc *room = rwkv_alloc(panel_size + s + sums + (tall ? in->n : 0), sizeof *room, "an orthogonal matrix");
  o.x = room, o.s = o.x + panel_size, o.sums = o.s + s, o.vectors = o.sums + sums;
  const char *error = rwkv_protect(make_orthogonal, &o);
  rwkv_release(room);
  if (error) rwkv_fail("%s", error);
}
