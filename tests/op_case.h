/* One case of a tape op: how to run it on random leaves, and its value written down a second time.
   check_op compares the values, checks the gradients, and checks each leaf's again with all other leaves
   constant (kernels leave out what is not asked for). */
#ifndef AVIARY_OP_CASE_H
#define AVIARY_OP_CASE_H

#include "check.h"

/* A case says what it has; the rest is meant to be 0. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

enum { CASE_LEAVES = 8 };

typedef struct {
  int axes, shape[MAX_AXES];
} Shape;

#define SCALAR \
  {            \
    0, { 0 }   \
  }
#define SHAPE(...)                                                     \
  {                                                                    \
    (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), { __VA_ARGS__ } \
  }
#define COUNT_OF(a) (sizeof(a) / sizeof *(a))

typedef struct OpCase OpCase;
struct OpCase {
  const char *name;
  Tensor *(*run)(Tape *tp, Tensor **leaf, const OpCase *c);
  void (*want)(double *y, double *const *x, const OpCase *c); /* y starts as zeros */
  void (*fill)(Tensor **leaf, const OpCase *c, Rng *rng);     /* NULL: standard normal */
  int leaves;
  Shape leaf[CASE_LEAVES];
  int arg[6];
  double number[2];
  const int *index;
  double loosen; /* of VALUE_TOL; 0 means 1 */
};

void check_op(const OpCase *c);
void check_all(const OpCase *cases, size_t n);
void check_value(const OpCase *c); /* the value alone */
/* The run fails with this message. */
void check_op_fails(const OpCase *c, const char *message);

typedef struct {
  const char *message;
  OpCase run;
} Refusal;

void check_refusals(const Refusal *refusals, size_t n);
/* Takes a case that fits and spoils one operand after the other. */
void check_each_operand(OpCase c, const char *const *messages);

/* What many cases share. */
void want_first(double *y, double *const *x, const OpCase *c); /* the value is the first leaf's */
/* Both signs, but not within 0.2 of the kinks at 0; positive if arg[0] is U_LOG or U_SQRT. */
void fill_around_zero(Tensor **leaf, const OpCase *c, Rng *rng);
/* On two combs that are 0.25 apart: no two are close (max, min), the second is not near 0 (div). */
void fill_combs(Tensor **leaf, const OpCase *c, Rng *rng);

void new_leaves(Tensor **leaf, const OpCase *c, bool needs_grad);

size_t count_of(const Shape *s);
int axis_of(const Shape *s, int axis); /* negative: from the end */
/* Flat index and coordinates. */
void unravel(size_t at, const Shape *s, int *coordinate);
size_t ravel(const int *coordinate, const Shape *s);

#endif
