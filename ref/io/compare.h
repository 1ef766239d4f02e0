/* Found numbers against those expected: how far they are off and where, and whether they are the expected ones in
   another order or under another function. Numbers come in parts, so nothing here takes memory; rwkv_poll is asked. */
#ifndef AVIARY_COMPARE_H
#define AVIARY_COMPARE_H

#include "engine/tensor.h"

/* Numbers in an order, wherever they are: n of them from place `at` on, as doubles. */
typedef struct {
  void (*read)(const void *from, size_t at, size_t n, double *out);
  const void *from;
} CompareNumbers;

CompareNumbers compare_doubles(const double *x);
CompareNumbers compare_ints(const int *x);
CompareNumbers compare_tensor(const Tensor *t);
CompareNumbers compare_gradient(const Tensor *t);

/* What every error is measured with: the tensor's largest finite number, but at least 1e-3 and at most 1. */
double compare_scale(CompareNumbers expected, size_t n);
/* |found - expected| / max(scale, |expected|). 0 if both are NaN, or the same infinity; infinite if one of them is NaN
   or they differ by infinity. */
double compare_error(double found, double expected, double scale);

/* ---- how far off, and where (compare.c) ---- */

/* Found number i answers to the expected number at offset + i % period. Expected numbers run over positions, as
   [.., positions, row]; where they do not, positions is 1. */
typedef struct {
  CompareNumbers found, expected;
  size_t n;              /* found */
  size_t all;            /* expected: the scale is theirs, of all of them */
  size_t offset, period; /* period: at least 1 */
  size_t positions, row; /* at least 1 */
  double tol;
  double *by_position; /* [positions] the largest error at each, or -1 where nothing was compared; or NULL */
} Comparison;

typedef struct {
  double scale;
  double worst, rms;                /* errors, as compare_error has them: the largest, the root of the mean square */
  double worst_absolute;            /* |found - expected| */
  double worst_relative;            /* |found - expected| / |expected| */
  size_t at;                        /* the place of the worst in `found`; 0 if all are right */
  bool above;                       /* an error is above tol: */
  size_t first;                     /* the worst of the first position that has one; its place in `found` */
  size_t strange, strange_expected; /* how many are NaN or infinite */
} Difference;

Difference compare_numbers(const Comparison *c);

/* ---- what it is instead (compare_like.c) ---- */

enum { COMPARE_AXES = 8 };

/* What is done to an expected number; k: up to two constants. */
typedef double CompareFunction(double x, const double k[2]);
/* "same", "times" k0, "plus" k0, "exp", "log", "log_minus" log(-x), "exp_exp" exp(-exp(x)), "sigmoid", "silu", "tanh",
   "square", "relu", "bf16" and "f16" (rounded to them), "clamp" to k0..k1; NULL: there is none of this name. */
CompareFunction *compare_function(const char *name);

/* A part of both arrays, axis by axis; steps and places count numbers, and may run backwards. */
typedef struct {
  int axes; /* 0 .. COMPARE_AXES */
  size_t size[COMPARE_AXES];
  ptrdiff_t found_step[COMPARE_AXES], expected_step[COMPARE_AXES];
  size_t found_from, expected_from; /* the place of the first */
} CompareBox;

typedef struct {
  CompareNumbers found, expected;
  size_t found_n, expected_n;
  CompareFunction *function;
  double k[2];
  const CompareNumbers *other; /* times `share` added to what the function gives; or NULL. As many as expected */
  double share;
  double scale, tol;
  double worst, squares; /* of the errors so far: a question has several boxes */
  size_t count;
} Likeness;

/* Whether all numbers of the box are within tol; ends at the first that is not. Fails if the box leaves an array. */
bool compare_like(Likeness *l, const CompareBox *box);
/* The same for rows of softmax(expected), or its logarithm. found and expected: [rows, row] */
bool compare_softmax(Likeness *l, size_t rows, size_t row, bool logarithm);

typedef struct {
  double found, expected;       /* means of the pairs of which both are finite */
  double found_low, found_high; /* of all finite numbers */
  double expected_low, expected_high;
  double ratio;                    /* by least squares: found = ratio expected */
  size_t finite, zeros, low, high; /* pairs that are finite; found ones that are 0, the lowest, the highest */
} CompareSums;

CompareSums compare_sums(CompareNumbers found, CompareNumbers expected, size_t n);

/* Of two arrays [outer, size, inner]: order[i] is the slice of the expected one that found slice i is, within l->tol: i
   itself, or else what a random projection has nearest, or one of the two below. room: [2,size]. */
enum { COMPARE_ZEROS = -1, COMPARE_NONE = -2 };
typedef struct {
  double key; /* the projection */
  bool zeros; /* there is nothing else */
  int at;
} CompareSlice;
void compare_order(Likeness *l, size_t outer, size_t size, size_t inner, CompareSlice *room, int *order);

/* off[axis][i]: whether an error above l->tol stands at index i of the axis. Both are arrays of these sizes. */
void compare_marks(const Likeness *l, int axes, const size_t *size, bool *const *off);

#endif
