/* One call of an op, made from what its row says (engine/op_table.h) and its case (kernel_cases.h). What it reads holds
   random numbers, and gradients are not zero at first. What a backward op takes from its forward op (a trace, say)
   comes from a run of the reference. kernel_run.h runs it. */
#ifndef AVIARY_KERNEL_CALL_H
#define AVIARY_KERNEL_CALL_H

#include "engine/backend.h"
#include "engine/rng.h"

typedef enum { PLAIN, EXTREME, WITH_NAN } Mode; /* EXTREME: many zeros, tiny and large numbers; WITH_NAN: one is NaN */
/* Variants besides those that are counted: whose time is taken; large enough for a device. Their way is BENCH. */
enum { BENCH = -1, LARGE = -2 };

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
  Operand operand[MOST_OPERANDS];               /* data: of the call itself; NULL if it is left out */
  _Alignas(max_align_t) char op[MOST_OP_BYTES]; /* the struct of the row */
} Call;

Call call_new(OpId id, Setting s);
void call_free(Call *c);
int call_variants(OpId id);      /* fails the test if the op has no case */
bool call_is_large(OpId id);     /* whether it has the variant LARGE */
const char *call_shape(OpId id); /* of the variant BENCH, in words */

bool is_output(const Operand *o);                              /* there, and written */
void call_point(char *op, const Operand *o, const void *data); /* sets the operand's pointer in the struct */

/* ---- for cases ---- */

Operand *call_operand(Call *c, const char *name); /* fails the test if there is none */
void call_leave_out(Call *c, const char *name);
int call_way(const Call *c);
bool call_is_rounded(const Call *c); /* its factors are in bfloat16 */ /* which of the case's ways; BENCH */

#endif
