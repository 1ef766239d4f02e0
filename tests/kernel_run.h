/* Runs a call on any backend, with every operand between guard zones, and compares what comes of it. */
#ifndef AVIARY_KERNEL_RUN_H
#define AVIARY_KERNEL_RUN_H

#include "kernel_call.h"

/* What holds nothing yet (what is overwritten, scratch), and what is around operands: a byte for each. */
typedef struct {
  char stale, guard;
} Filling;
extern const Filling usual_filling; /* NaN; numbers below 1, so that what is added to them shows */

typedef struct {
  const Call *call;
  const Backend *backend;
  _Alignas(max_align_t) char op[MOST_OP_BYTES]; /* with the operands where the backend reaches them */
  Filling filling;
  char *there[MOST_OPERANDS]; /* in the backend's memory: a guard zone, the operand, a guard zone; */
  char *image[MOST_OPERANDS]; /* and a copy of it on the host, of before the run or, once taken, of after it */
} Run;

void run_put(Run *r, const Call *c, const Backend *b, Filling f);
void run_take(Run *r); /* waits for the backend, and brings back everything */
void run_free(Run *r);
Run run_call(const Call *c, const Backend *b, Filling f); /* all of it, up to run_take */
double call_seconds(const Call *c, const Backend *b);

char *run_numbers(const Run *r, int operand);

/* What is wrong with a run, in a buffer until the next one, or NULL: a guard zone is broken, or what is only read has
   changed. */
const char *run_fault(const Run *r);
/* The first output in which they differ by more, or NULL. allowed 0: bit for bit. */
const char *runs_differ(const Run *got, const Run *want, double allowed);
/* The larger of the worst and the RMS difference; both relative to the operand's RMS, the worst also to the number
   where that is larger. NaN must meet NaN and infinity itself: otherwise the answer is infinite. */
double operand_difference(const Operand *o, const char *got, const char *want);

#endif
