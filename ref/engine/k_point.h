/* Pointwise ops. */
#ifndef AVIARY_K_POINT_H
#define AVIARY_K_POINT_H

#include "num.h"

typedef struct { /* x = 0 */
  real *x;
  size_t n;
} Clear;
void k_clear(const Clear *op);

/* ---- one operand: y = f(x) ---- */

/* clang-format off */
typedef enum { U_NEG, U_EXP, U_LOG, U_SQRT, U_SQUARE, U_ABS, U_TANH, U_SIGMOID, U_SILU, U_RELU, U_RELU2,
               U_SOFTPLUS, U_MISH, U_SIN, U_COS, UNARY_COUNT } UnaryKind;
/* clang-format on */

typedef struct {
  const char *name;
  acc (*f)(acc x);
  acc (*df)(acc x, acc y); /* derivative at x, where y = f(x) */
} UnaryFunction;
extern const UnaryFunction k_unary_functions[UNARY_COUNT];

typedef struct {
  real *y;
  const real *x;
  size_t n;
  UnaryKind kind;
} Unary;
typedef struct {
  real *gx;
  const real *g;
  Unary forward;
} UnaryBackward;
void k_unary(const Unary *op);
void k_unary_backward(const UnaryBackward *op);

/* ---- two operands, broadcast against each other: y = f(a, b) ---- */

typedef enum { B_ADD, B_SUB, B_MUL, B_DIV, B_MAX, B_MIN, BINARY_COUNT } BinaryKind;

typedef struct {
  const char *name;
  acc (*f)(acc a, acc b);
  acc (*dfa)(acc a, acc b);
  acc (*dfb)(acc a, acc b);
} BinaryFunction;
extern const BinaryFunction k_binary_functions[BINARY_COUNT];

/* The result has sizes n; an operand's index moves by its step along each axis, 0 where it is repeated. */
typedef struct {
  int n[4];
  size_t step_a[4], step_b[4];
} Broadcast;
size_t k_broadcast_size(const Broadcast *s);                       /* numbers of the result, */
size_t k_broadcast_held(const Broadcast *s, const size_t *step);   /* and of an operand */
size_t k_broadcast_parts(const Broadcast *s);                      /* the first size that is not 1, */
bool k_broadcast_in_parts(const Broadcast *s, const size_t *step); /* and whether an operand has it too */

typedef struct {
  real *y;
  const real *a, *b;
  Broadcast shape;
  BinaryKind kind;
} Binary;
typedef struct {
  real *ga, *gb;
  const real *g;
  Binary forward;
} BinaryBackward;
void k_binary(const Binary *op);
void k_binary_backward(const BinaryBackward *op);

/* y = 1 where a is greater than b (and so on), otherwise 0; a NaN is only unequal. No gradient flows. */
typedef enum { C_GT, C_GE, C_LT, C_LE, C_EQ, C_NE, COMPARE_COUNT } CompareKind;
extern const char *const k_compare_names[COMPARE_COUNT];

typedef struct {
  real *y;
  const real *a, *b;
  Broadcast shape;
  CompareKind kind;
} Compare;
void k_compare(const Compare *op);

/* ---- three operands of one size ---- */

typedef struct { /* y = a where mask is not 0, otherwise b: an infinity in the other one does no harm */
  real *y;
  const real *mask, *a, *b;
  size_t n;
} Choose;
typedef struct {
  real *ga, *gb;
  const real *g;
  Choose forward;
} ChooseBackward;
void k_choose(const Choose *op);
void k_choose_backward(const ChooseBackward *op);

/* ---- linear in each number ---- */

typedef struct { /* y = scale x + offset */
  real *y;
  const real *x;
  acc scale, offset;
  size_t n;
} Affine;
typedef struct {
  real *gx;
  const real *g;
  Affine forward;
} AffineBackward;
void k_affine(const Affine *op);
void k_affine_backward(const AffineBackward *op);

/* z = x + (p - x) mu; mu has mu_rows rows, repeated over the rows of x (mu_rows = 1 or rows) */
typedef struct {
  real *z;
  const real *x, *p; /* [rows,C] */
  const real *mu;    /* [mu_rows,C] */
  size_t rows, mu_rows, C;
} Lerp;
typedef struct {
  real *gx, *gp, *gmu;
  const real *g;
  Lerp forward;
} LerpBackward;
void k_lerp(const Lerp *op);
void k_lerp_backward(const LerpBackward *op);

#endif
