/* f_few for any processor, and the choice among the three. */
#include "f_few.h"

#include "f_math.h"

#include <string.h>

#ifdef AVIARY_DOUBLE

static void unpack(real *out, Packed w, size_t from, size_t n)
{
  for (size_t i = 0; i < n; i++) out[i] = (real)packed_number(w, from + i);
}

const FewCode few_default = {NULL, NULL, unpack};

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
#define FEW_CODE few_default
#include "f_few_body.h"
#endif

/* Chosen anew each time: a few instructions. */
static const FewCode *code(void)
{
#if FEW_LEVELS == 3
  if (__builtin_cpu_supports("x86-64-v4")) return &few_v4;
  if (__builtin_cpu_supports("x86-64-v3")) return &few_v3;
#endif
  return &few_default;
}

void few_unpack(real *out, Packed w, size_t from, size_t n) { code()->unpack(out, w, from, n); }

/* ---- in pieces ---- */

enum { PIECE = 1 << 16 }; /* bytes of the matrix in a piece */

static void linear_piece(const void *arg, size_t from, size_t to) { code()->linear(arg, from, to); }
static void matmul_piece(const void *arg, size_t from, size_t to) { code()->matmul(arg, from, to); }

void few_linear(OpId id, const void *op, const Few *q)
{
  size_t row = at_least_1(q->in * storage_size(q->w.storage));
  fast_put(fast_place_whole(id, op), q->out, pieces(PIECE, row), linear_piece, q, sizeof *q);
}

void few_matmul(OpId id, const void *op, const Few *q)
{
  size_t column = at_least_1(q->in * storage_size(q->w.storage));
  size_t grain = pieces(pieces(PIECE, column), 64) * 64; /* in whole cache lines */
  fast_put(fast_place_whole(id, op), q->out, grain, matmul_piece, q, sizeof *q);
}
