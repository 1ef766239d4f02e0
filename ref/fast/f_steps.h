/* What the two ways through a program of steps share. */
#ifndef AVIARY_FAST_STEPS_H
#define AVIARY_FAST_STEPS_H

#include "f_flow.h"

typedef void RunFlow(const Flow *f, real *const *at); /* at[v]: where value v is */

/* For the widest vectors that all matrices have whole ones of; or the widest of all, where most of a row is such. */
RunFlow *f_steps_widest(const StepProgram *p);

/* Where values stand: those that are the same for every token; inputs, through which nothing writes; and value[i],
   which is state i of those that begin at S. */
void f_steps_places(Flow *f, real **at, real *room);
void f_steps_inputs(const Flow *f, real **at, const Steps *op, size_t row, size_t h);
void f_steps_states(const StepProgram *p, real **at, const int *value, real *S);

/* Heads are cut into a few pieces, each of which has a workspace of so many numbers. */
size_t f_steps_heads(const Steps *op);
real *f_steps_rooms(const Steps *op, size_t each);

/* What waits is done first; the memory of what was done before is free again. */
void f_steps_begin(OpId id, const void *op);

/* The states after a token, as values that nothing else is; and whether they may be written where those before it
   are. */
void f_steps_own_states(Flow *f, const StepProgram *p, int *after);
bool f_steps_in_place(const Flow *f, const StepProgram *p, const int *before, const int *after);

#endif
