/* f_gemv for any processor, and the choice among the three. */
#include "f_gemv.h"

#include "f_math.h"
#include "f_round.h"
#include "pool.h"

#include <string.h>

#ifdef AVIARY_DOUBLE

static void unpack(real *out, Packed w, size_t from, size_t n)
{
  for (size_t i = 0; i < n; i++) out[i] = (real)packed_number(w, from + i);
}

const GemvCode fast_gemv_default = {NULL, NULL, unpack};

#else

#define VECTOR 16

INLINE void halves_to_floats(float *out, const char *p, bool brain)
{
  for (int i = 0; i < VECTOR / 4; i++) {
    uint16_t h;
    memcpy(&h, p + 2 * i, 2);
    out[i] = brain ? of_bits((uint32_t)h << 16) : half_float(h);
  }
}

typedef union {
  float x[VECTOR / 4];
  float v __attribute__((vector_size(VECTOR)));
} Floats;

INLINE __typeof__(((Floats *)0)->v) halves(const char *p, bool brain)
{
  Floats f;
  halves_to_floats(f.x, p, brain);
  return f.v;
}

#define UNPACK_BF16(p) halves(p, true)
#define UNPACK_F16(p) halves(p, false)
#define GEMV_CODE fast_gemv_default
#include "f_gemv_body.h"
#endif

/* Chosen anew each time: a few instructions. */
static const GemvCode *code(void)
{
#if GEMV_LEVELS == 3
  if (__builtin_cpu_supports("x86-64-v4")) return &fast_gemv_v4;
  if (__builtin_cpu_supports("x86-64-v3")) return &fast_gemv_v3;
#endif
  return &fast_gemv_default;
}

void fast_gemv_unpack(real *out, Packed w, size_t from, size_t n) { code()->unpack(out, w, from, n); }

/* ---- what comes next ---- */

/* Token after token the same matrices are read in the same order: what followed a matrix the last time follows it now.
   The threads that wait while one of them does the small operations in between bring it nearer. */
typedef struct {
  const void *matrix, *next;
  size_t next_bytes;
} Followed;

static void expect_next(const Gemv *q)
{
  enum { KNOWN = 1 << 10 };
  static Followed known[KNOWN], *last = known;
  last->next = q->w.bits;
  last->next_bytes = q->in * q->out * storage_size(q->w.storage);
  last = &known[((size_t)q->w.bits >> 6) * 0x9E3779B97F4A7C15u >> 54];
  if (last->matrix != q->w.bits) *last = (Followed){q->w.bits, NULL, 0};
  pool_expect(last->next, last->next_bytes);
}

/* ---- in pieces ---- */

enum { PIECE = 1 << 15 }; /* bytes of the matrix in a piece */

static void linear_piece(const void *arg, size_t from, size_t to) { code()->linear(arg, from, to); }
static void matmul_piece(const void *arg, size_t from, size_t to) { code()->matmul(arg, from, to); }

static void put(OpId id, const void *op, const Gemv *q, size_t grain, Job *job)
{
  expect_next(q);
  if (q->factors == FACTORS_FULL) {
    fast_put(fast_when_whole(id, op), q->out, grain, job, q, sizeof *q);
    return;
  }
#ifndef AVIARY_DOUBLE
  Gemv g = *q;
  fast_flush(); /* x is rounded once for all pieces */
  real *x = fast_memory(q->rows * q->in * sizeof *x);
  fast_round_in_real(x, q->x, q->in, q->rows, q->in);
  g.x = x;
  fast_put(NOW, q->out, grain, job, &g, sizeof g);
#endif
}

void fast_gemv_linear(OpId id, const void *op, const Gemv *q)
{
  size_t row = at_least_1(q->in * storage_size(q->w.storage));
  put(id, op, q, pieces(PIECE, row), linear_piece);
}

void fast_gemv_matmul(OpId id, const void *op, const Gemv *q)
{
  size_t column = at_least_1(q->in * storage_size(q->w.storage));
  size_t grain = pieces(pieces(PIECE, column), 64) * 64; /* in whole cache lines */
  put(id, op, q, grain, matmul_piece);
}
