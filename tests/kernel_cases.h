/* What a test must know of an op that its row does not say: sizes, kinds, and what numbers its operands may hold.

   A new op needs a line in kernel_cases.c; without one, tests fail. A backward op has the sizes, ways and values of its
   forward op, and needs a line only for what it has besides. */
#ifndef AVIARY_KERNEL_CASES_H
#define AVIARY_KERNEL_CASES_H

#include "kernel_call.h"

typedef struct {
  size_t at;           /* where the sizes begin in the struct; they stand together, in the order of the columns */
  const size_t *sizes; /* [rows,width]; width 0: set says them */
  int rows;
  size_t width;
  const void *start;              /* the struct before its sizes are put in; NULL: zeros */
  int ways;                       /* each row of sizes comes in so many; 0: in one, or in those of the forward op */
  void (*set)(void *op, int way); /* what else the struct has */
  int rounded;                    /* from this way on factors are in bfloat16; 0: never */
  void (*values)(Call *c);        /* changes numbers, where not any will do, and leaves operands out */
  const char *optional;           /* operands that can be NULL, besides gradients: "gy gS1" */
  double wide;                    /* EXTREME: the largest numbers; 0: 100 */
  double loose;         /* multiple of the usual tolerance, for long chains of rounding and cancellation; 0: 1 */
  double loose_rounded; /* the same with factors in bfloat16, one of which may fall to either side; 0: as loose */
  const char *shape;    /* when times are taken; */
  size_t bench[8];      /* the same as sizes */
} KernelCase;

extern const KernelCase kernel_cases[OP_COUNT];

/* Sizes that fill a device, of forward ops (kernel_large.c); all 0: there are none. */
extern const size_t kernel_large[OP_COUNT][8];

#endif
