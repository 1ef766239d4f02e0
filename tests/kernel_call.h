/* One call of an op, made from what its row says (engine/op_table.h) and its case (kernel_cases.h), and run by any backend.
   Every operand lies between guard zones. What is read holds random numbers, what is overwritten NaN, and gradients are
   not zero at first. What a backward op takes from its forward op (a trace, say) comes from a run of the reference. */
#ifndef AVIARY_KERNEL_CALL_H
#define AVIARY_KERNEL_CALL_H

#include "engine/backend.h"
#include "engine/rng.h"

typedef enum { PLAIN, EXTREME, WITH_NAN } Mode; /* EXTREME: many zeros, tiny and large numbers; WITH_NAN: one is NaN */
enum { BENCH = -1 };                            /* the variant whose time is taken */

typedef struct {
  int variant;
  Mode mode;
  unsigned nulls; /* bit i (of 16, then over again): the i-th operand that can be NULL is */
  int nan;        /* WITH_NAN: which of the operands with random numbers has one */
} Setting;

typedef struct {
  OpId id;
  Setting setting;
  Rng rng;
  int optional, inputs; /* operands that can be NULL; operands with random numbers */
  int operands;
  Operand operand[MOST_OPERANDS]; /* data: of the call itself; NULL if it is left out */
  _Alignas(max_align_t) char op[MOST_OP_BYTES]; /* the struct of the row */
} Call;

Call call_new(OpId id, Setting s);
void call_free(Call *c);
int call_variants(OpId id);      /* 0: the op has no case */
const char *call_shape(OpId id); /* of the variant BENCH, in words */

/* ---- for cases ---- */

Operand *call_operand(Call *c, const char *name); /* fails the test if there is none */
void call_leave_out(Call *c, const char *name);
int call_way(const Call *c); /* which of the case's ways; BENCH */

/* ---- runs ---- */

/* What holds nothing yet (what is overwritten, scratch), and what is around operands: a byte for each. */
typedef struct {
  char stale, guard;
} Filling;
extern const Filling usual_filling; /* NaN; large numbers */

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

bool is_output(const Operand *o); /* there, and written */
char *run_numbers(const Run *r, int operand);

/* What is wrong with a run, in a buffer until the next one, or NULL: a guard zone is broken, or what is only read has
   changed. */
const char *run_fault(const Run *r);
/* The first output in which they differ by more, or NULL. allowed 0: bit for bit. */
const char *runs_differ(const Run *got, const Run *want, double allowed);
/* The larger of the worst and the RMS difference; both relative to the operand's RMS, the worst also to the number where
   that is larger. NaN must meet NaN and infinity itself: otherwise the answer is infinite. */
double operand_difference(const Operand *o, const char *got, const char *want);

#endif
