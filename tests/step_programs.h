/* Programs of steps that tests run: the recurrences of v4, v6 and v7, one that uses every instruction, and small ones.
   */
#ifndef AVIARY_STEP_PROGRAMS_H
#define AVIARY_STEP_PROGRAMS_H

#include "engine/k_steps.h"

typedef enum { STEPS_V7, STEPS_V6, STEPS_V4, STEPS_MIXED, STEPS_SMALL, STEPS_CARRIED, STEP_PROGRAMS } StepProgramName;

/* For heads of N channels; shapes are set, so that kernels can run it. */
const StepProgram *step_program(StepProgramName name, int N);

/* ---- to write one ---- */

int steps_input(StepProgram *p, StepInputKind kind, int rows, int cols); /* all of them before the first state */
int steps_state(StepProgram *p, int rows, int cols);                     /* all of them before the first instruction */
int steps_do(StepProgram *p, const char *name, int a, int b);            /* each returns the register */
int steps_affine(StepProgram *p, int a, double scale, double offset);
int steps_number(StepProgram *p, double value);
int steps_sum(StepProgram *p, const char *name, int a, double scale);

#endif
