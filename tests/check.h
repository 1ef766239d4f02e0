/* What the test programs share: comparing numbers, expecting failures, checking gradients.
   Every checker stands on a function that returns a number, so that test_check.c can plant errors. */
#ifndef AVIARY_CHECK_H
#define AVIARY_CHECK_H

#include "engine/rng.h"
#include "engine/tape.h"

/* Rounding allowed in a value that took a handful of operations. */
#ifdef AVIARY_DOUBLE
#define VALUE_TOL 1e-12
#else
#define VALUE_TOL 4e-6
#endif

/* ---- numbers ---- */

typedef enum {
  FINITE_ONLY,    /* NaN or infinity on either side is an infinite difference */
  SAME_NONFINITE, /* NaN matches NaN, an infinity its equal; anything else is an infinite difference */
} NonFinite;

/* The larger of two measures: the worst |got - want| / max(1, |want|), whose place goes to *at (may be
   NULL), and the relative RMS  |got - want| / |want|  over all, which sees errors in tensors of small
   numbers (|want| counts as at least 1e-3 an element, so that rounding around 0 passes). */
double worst_difference(const real *got, const real *want, size_t n, NonFinite mode, size_t *at);
double worst_difference_double(const double *got, const double *want, size_t n, NonFinite mode, size_t *at);

void check_close(const char *what, const real *got, const real *want, size_t n, double tol);
void check_close_double(const char *what, const double *got, const double *want, size_t n, double tol);
void check_close_nonfinite(const char *what, const real *got, const real *want, size_t n, double tol);
/* One number. */
void check_number(const char *what, double got, double want, double tol);
/* All of t against doubles computed by the test. */
void check_tensor(const char *what, const Tensor *t, const double *want, double tol);

/* ---- tensors ---- */

/* scale times standard normal numbers */
void random_fill(real *x, size_t n, Rng *rng, double scale);
/* On the heap; with a zeroed gradient if it needs one. For tensor_free. */
Tensor *new_leaf(int axes, const int *shape, bool needs_grad);
Tensor *random_leaf(int axes, const int *shape, Rng *rng, double scale, bool needs_grad);
void free_leaves(Tensor **leaves, int n);
void zero_grads(Tensor **leaves, int n);
double *doubles_of(const Tensor *t); /* for free() */

/* ---- failures ---- */

/* Whether fn(arg) ends in rwkv_fail with a message that contains the substring. fn must not use cmocka's
   asserts: they would jump over the end of rwkv_protect. */
bool fails_with(void (*fn)(void *arg), void *arg, const char *substring);
void expect_failure(void (*fn)(void *arg), void *arg, const char *substring);
/* The message contains all of the substrings; NULL ends them. */
__attribute__((sentinel)) void expect_failure_with(void (*fn)(void *arg), void *arg, const char *substring, ...);
/* A failure outside of rwkv_protect fails the running test instead of ending the program. So it is from
   the start; this puts it back for a test that changed it. */
void unprotected_failures_fail_the_test(void);

/* ---- gradients ---- */

/* Computes something from the leaves. Several outputs are put together into one (see flat_concat). It
   is run with tp->recording on and off, and must not depend on anything else that changes. */
typedef Tensor *GradFunction(Tape *tp, Tensor **leaves, void *ctx);

typedef struct {
  double directional; /* worst relative error along a direction, see gradient_errors */
  int leaf;           /* where it was: -1 along a direction through all leaves, else along that leaf's alone */
  double accumulated; /* a second backward pass has not doubled the gradient by this much */
  double unrecorded;  /* the values with recording off differ by this much */
  double moved;       /* the leaves' numbers have changed by this much */
} GradientErrors;

/* The output of f is projected onto a fixed random tensor. Then, over several random directions through
   all leaves at once and one through each leaf alone (so that a small leaf's error is not drowned), the
   derivative from tape_backward is compared with a central difference, Richardson-extrapolated from steps
   h and 2h (h: GRADIENT_STEP), its projection summed in double. A leaf whose needs_grad is off is left
   alone. The error is relative to the size of the derivative, or to what rounding of f allows to be seen
   where the derivative is smaller than that. Steps move an element by at most 2h: keep that far, and the
   sum over T of it for a decay, from kinks. The gradients of one pass are left in the leaves. */
GradientErrors gradient_errors(GradFunction *f, void *ctx, Tensor **leaves, int n);

/* double: the truncation error is h^4 ~ 1e-12, rounding 1e-16 / h ~ 1e-13, so 1e-6 is far from both.
   float: rounding of f is 6e-8, over h 6e-6, times what f's own intermediate rounding adds; 2e-2 stays
   above that for every op, and still sees a wrong sign, a lost term or a factor. */
#ifdef AVIARY_DOUBLE
#define GRADIENT_STEP 1e-3
#define GRADIENT_TOL 1e-6
#else
#define GRADIENT_STEP 1e-2
#define GRADIENT_TOL 2e-2
#endif
void check_gradient(const char *what, GradFunction *f, void *ctx, Tensor **leaves, int n);

/* Several outputs as one vector, for a GradFunction. */
Tensor *flat_concat(Tape *tp, Tensor **parts, int count);

#endif
