/* A program of steps with leaves for its inputs and its state: run as a program, or as ops of the tape. */
#ifndef AVIARY_STEP_SUBJECT_H
#define AVIARY_STEP_SUBJECT_H

#include "check.h"
#include "step_programs.h"

typedef struct {
  int B, T, H, N;
} Sizes;

/* ---- what comes of a run: the output, the states after, the gradients by all leaves; one after the other ---- */

enum { MOST = 1 << 16 };
typedef struct {
  real number[MOST];
  size_t n;
} Result;

typedef struct {
  const StepProgram *p;
  Sizes z;
  Tensor *in[STEP_INPUTS], *S; /* leaves */
} Subject;

/* y [B,T,A] of a subject, and the state after it */
typedef Tensor *Run(Tape *tp, const Subject *s, Tensor **S);
Tensor *subject_as_steps(Tape *tp, const Subject *s, Tensor **S);
Tensor *subject_as_ops(Tape *tp, const Subject *s, Tensor **S); /* a sequence of at most 64 tokens */

Subject subject_new(const StepProgram *p, Sizes z, uint64_t seed);
void subject_free(Subject *s);
/* The loss is a sum of y and of the states, each number with a weight of its own. */
void subject_run(Run *f, Subject *s, Result *r);
/* The program, on the reference and on the fast backend, against g on the reference, gradients included. */
void subject_compare(const char *what, Subject *s, Run *g, double tol);

#endif
