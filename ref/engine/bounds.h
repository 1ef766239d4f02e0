/* Checks of numbers: whether they are finite and in a range. Where the backend's memory is the process's own, a check
   fails at once. On a device that would be a wait for each: there checks are put down, and all of them are looked at
   together, when numbers are read anyway, and before the step ends at the latest. */
#ifndef AVIARY_BOUNDS_H
#define AVIARY_BOUNDS_H

#include "tensor.h"

typedef struct BoundsList BoundsList;

BoundsList *bounds_new(void);
void bounds_free(BoundsList *list); /* what was put down is forgotten */

typedef struct {
  double low, high;
  unsigned rule;    /* as in k_bounds.h */
  const char *what; /* "at most 0" */
} BoundsRange;

/* "wkv7: w is -3 at [1,2], expected at most 0": `whose` says what stands before the number, for `arg`, in a buffer of
   its own. */
typedef const char *BoundsTitle(const void *arg);
void bounds_check(BoundsList *list, const Tensor *t, const BoundsRange *r, BoundsTitle *whose, const void *arg);

/* Fails with the first check, of those of all lists, that was put down and did not hold; no check is left then. */
void bounds_look(void);

/* What a hook swallows that belongs to the run: fails once more if a look has failed since there were so many. */
size_t bounds_failures(void);
void bounds_fail_again(size_t failures);

#endif
