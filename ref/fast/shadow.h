/* Shadow mode: every op runs twice on the same operands, by its fast kernel and by the reference, and the first
   output in which they disagree ends the run with an error that names it. What goes on from there are the numbers
   of the reference, so that a run in shadow mode is a run of the reference bit for bit. */
#ifndef AVIARY_SHADOW_H
#define AVIARY_SHADOW_H

#include "../engine/ops.h"

/* Puts the pairs into `ops`; fast_enable takes them out again. */
void shadow_enable(void);

/* The kernels that are checked: shadow_enable sets them to the fast ones. A test can put in a wrong one. */
extern Ops shadowed;

/* ---- for shadow_ops.c: what surrounds the two calls of an op ---- */

typedef struct {
  const char *name;
  void *data;      /* NULL where the caller does not want it */
  size_t count;
  enum { IS_REAL, IS_ACC, IS_INT } type;
  bool kept;       /* the kernel adds to what is there, or leaves some of it; otherwise it overwrites all */
  double terms;    /* how many products a number of it is the float sum of, */
  double term;     /* and how large they can be; 0: about as large as the sum */
} Output;

typedef struct {
  const char *op;
  const Output *out;
  int outputs;
  const char *size_names; /* "rows, in, out" */
  const size_t *sizes;
  int size_count;
  char *copies;           /* of each output: as it was before, then what the fast kernel made of it */
} ShadowCall;

void shadow_before(ShadowCall *c);      /* the fast kernel, */
void shadow_between(ShadowCall *c);     /* the reference, */
void shadow_after(ShadowCall *c);       /* compares */

/* For tests: called before the fast kernel, and when it has left its results in the outputs; may spoil them. */
extern void (*shadow_watch)(const ShadowCall *c, bool before);

/* The pairs, one for each op. */
extern const Ops shadow_ops;

#endif
