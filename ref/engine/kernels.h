/* Kernels: plain loops over plain memory, in the order of the mathematics.
   - Outputs first, then inputs, then sizes. They cannot fail and allocate nothing.
   - A forward kernel overwrites its outputs. A backward kernel *adds* to the gradients it is given,
     and leaves out those that are NULL. `g` is the gradient that flows in. Sums are in double.
   - Outputs never overlap inputs.
   B batch, T time, C channels = H heads x N, rows = any leading axes taken together. */
#ifndef AVIARY_KERNELS_H
#define AVIARY_KERNELS_H

#include "packed.h"

/* ---- pointwise (k_point.c) ---- */

typedef enum { U_NEG, U_EXP, U_LOG, U_SQRT, U_SQUARE, U_ABS, U_TANH, U_SIGMOID, U_SILU, U_RELU, U_RELU2,
               U_SOFTPLUS, U_MISH, U_SIN, U_COS, UNARY_COUNT } UnaryKind;
typedef enum { B_ADD, B_SUB, B_MUL, B_DIV, B_MAX, B_MIN, BINARY_COUNT } BinaryKind;

typedef struct {
  const char *name;
  acc (*f)(acc x);
  acc (*df)(acc x, acc y); /* derivative at x, where y = f(x) */
} Unary;

typedef struct {
  const char *name;
  acc (*f)(acc a, acc b);
  acc (*dfa)(acc a, acc b);
  acc (*dfb)(acc a, acc b);
} Binary;

extern const Unary unary_table[UNARY_COUNT];
extern const Binary binary_table[BINARY_COUNT];

/* Two operands broadcast against each other: the result has sizes n; an operand's index moves by its
   step along each axis, 0 where it is repeated. */
typedef struct {
  int n[4];
  size_t step_a[4], step_b[4];
} Broadcast;

void k_clear(real *x, size_t n); /* zeros */
void k_unary(real *y, const real *x, size_t n, UnaryKind kind);
void k_unary_backward(real *gx, const real *g, const real *x, const real *y, size_t n, UnaryKind kind);
void k_binary(real *y, const real *a, const real *b, const Broadcast *s, BinaryKind kind);
void k_binary_backward(real *ga, real *gb, const real *g, const real *a, const real *b,
                       const Broadcast *s, BinaryKind kind);
/* y = 1 where a is greater than b (and so on), otherwise 0; a NaN is only unequal. No gradient flows. */
typedef enum { C_GT, C_GE, C_LT, C_LE, C_EQ, C_NE, COMPARE_COUNT } CompareKind;
extern const char *const compare_names[COMPARE_COUNT];
void k_compare(real *y, const real *a, const real *b, const Broadcast *s, CompareKind kind);
/* y = a where mask is not 0, otherwise b: an infinity in the other one does no harm */
void k_where(real *y, const real *mask, const real *a, const real *b, size_t n);
void k_where_backward(real *ga, real *gb, const real *g, const real *mask, size_t n);
/* y = scale x + offset */
void k_affine(real *y, const real *x, acc scale, acc offset, size_t n);
void k_affine_backward(real *gx, const real *g, acc scale, size_t n);
/* z = x + (p - x) mu; mu has mu_rows rows, repeated over the rows of x (mu_rows = 1 or rows) */
void k_lerp(real *z, const real *x, const real *p, const real *mu, size_t rows, size_t mu_rows, size_t C);
void k_lerp_backward(real *gx, real *gp, real *gmu, const real *g, const real *x, const real *p,
                     const real *mu, size_t rows, size_t mu_rows, size_t C);

/* ---- linear maps (k_linear.c) ---- */

/* y[rows,out] = x[rows,in] W' (+ bias[out]), W [out,in] */
void k_linear(real *y, const real *x, const real *w, const real *bias, size_t rows, size_t in, size_t out);
void k_linear_backward(real *gx, real *gw, real *gbias, const real *g, const real *x, const real *w,
                       size_t rows, size_t in, size_t out);
/* y[rows,out] = x[rows,in] M, M [in,out] */
void k_matmul(real *y, const real *x, const real *m, size_t rows, size_t in, size_t out);
void k_matmul_backward(real *gx, real *gm, const real *g, const real *x, const real *m, size_t rows,
                       size_t in, size_t out);
/* y[i] = table[index[i]], rows of C; an index is < the table's rows */
void k_rows(real *y, const real *table, const int *index, size_t count, size_t C);
void k_rows_backward(real *gtable, const real *g, const int *index, size_t count, size_t C);

/* ---- the same with a matrix that is kept in fewer bits, for inference (k_packed.c) ---- */

void k_linear_packed(real *y, const real *x, Packed w, const real *bias, size_t rows, size_t in, size_t out);
void k_matmul_packed(real *y, const real *x, Packed m, size_t rows, size_t in, size_t out);
void k_rows_packed(real *y, Packed table, const int *index, size_t count, size_t C);

/* ---- normalisation (k_norm.c) ---- */

/* In each row every group of N = C/H channels is brought to mean 0 and (biased) variance 1, then scaled
   by weight[C] and moved by bias[C]. H = 1: layer norm. stats [rows,H,2] keeps mean and 1/deviation. */
void k_norm(real *y, acc *stats, const real *x, const real *weight, const real *bias, acc eps, size_t rows,
            size_t H, size_t N);
void k_norm_backward(real *gx, real *gweight, real *gbias, const real *g, const acc *stats, const real *x,
                     const real *weight, size_t rows, size_t H, size_t N);
/* each group of N numbers divided by max(its euclidean length, eps) */
void k_l2norm(real *y, const real *x, acc eps, size_t groups, size_t N);
void k_l2norm_backward(real *gx, const real *g, const real *x, acc eps, size_t groups, size_t N);

/* ---- time shift, slices, sums (k_shift.c, k_shape.c) ---- */

/* prev[b,0] = carry[b], prev[b,t] = x[b,t-1] */
void k_shift(real *prev, const real *x, const real *carry, size_t B, size_t T, size_t C);
void k_shift_backward(real *gx, real *gcarry, const real *g, size_t B, size_t T, size_t C);
/* part [outer,count,inner] = whole [outer,size,inner] at from .. from+count-1 of the middle axis */
void k_slice(real *part, const real *whole, size_t outer, size_t size, size_t inner, size_t from, size_t count);
void k_slice_add(real *part, const real *whole, size_t outer, size_t size, size_t inner, size_t from, size_t count);
/* the way back: writes (k_unslice) or adds (k_unslice_add) the part into the whole */
void k_unslice(real *whole, const real *part, size_t outer, size_t size, size_t inner, size_t from, size_t count);
void k_unslice_add(real *whole, const real *part, size_t outer, size_t size, size_t inner, size_t from, size_t count);
/* y [outer,inner] = scale * sum over the middle axis of x [outer,size,inner] */
void k_sum(real *y, const real *x, acc scale, size_t outer, size_t size, size_t inner);
void k_sum_backward(real *gx, const real *g, acc scale, size_t outer, size_t size, size_t inner);
/* y_s = sum of x_r over r <= s along the middle axis */
void k_cumsum(real *y, const real *x, size_t outer, size_t size, size_t inner);
void k_cumsum_backward(real *gx, const real *g, size_t outer, size_t size, size_t inner);

/* ---- arrays (k_array.c) ---- */

/* y of sizes n, row-major; its element (i,j,k,l) is x's at the sum of index times step */
typedef struct {
  size_t n[4], step[4];
} Strides;
void k_permute(real *y, const real *x, const Strides *s);
void k_permute_backward(real *gx, const real *g, const Strides *s);
/* y [outer,inner] the largest along the middle axis of x [outer,size,inner], at [outer,inner] where it was */
void k_max(real *y, int *at, const real *x, size_t outer, size_t size, size_t inner);
void k_max_backward(real *gx, const real *g, const int *at, size_t outer, size_t size, size_t inner);
/* y [rows,count] = x [rows,n] at index [rows,count] */
void k_gather(real *y, const real *x, const int *index, size_t rows, size_t n, size_t count);
void k_gather_backward(real *gx, const real *g, const int *index, size_t rows, size_t n, size_t count);
/* each row of n */
void k_softmax(real *y, const real *x, size_t rows, size_t n);
void k_softmax_backward(real *gx, const real *g, const real *y, size_t rows, size_t n);
/* y [batch,M,N] = a [batch,M,K] b [batch,K,N]; a step of 0 where one matrix serves all */
typedef struct {
  size_t batch, M, K, N, a_step, b_step;
} Matrices;
void k_bmm(real *y, const real *a, const real *b, const Matrices *s);
void k_bmm_backward(real *ga, real *gb, const real *g, const real *a, const real *b, const Matrices *s);

/* ---- loss (k_loss.c) ---- */

/* loss[1] = mean over the scored rows of -log softmax(logits)[target]; a row with target < 0 is not
   scored. log_sum [rows] keeps each row's log of the sum of exponentials. No scored row: loss 0. */
void k_cross_entropy(real *loss, acc *log_sum, const real *logits, const int *target, size_t rows, size_t V);
/* l2wrap > 0 also adds, at each scored row's largest logit m, l2wrap * m / scored (SPEC: L2Wrap) */
void k_cross_entropy_backward(real *glogits, acc g, const acc *log_sum, const real *logits,
                              const int *target, acc l2wrap, size_t rows, size_t V);
/* best[i] = index of the largest of row i; the first one where several are equal */
void k_argmax(int *best, const real *x, size_t rows, size_t n);

/* ---- optimiser (k_adam.c) ---- */

typedef struct {
  double lr, beta1, beta2, eps, decay;
  double unbias1, unbias2; /* 1 - beta^step */
} AdamStep;

/* AdamW (Loshchilov & Hutter 2019): m, v the running moments, p -= lr (decay p + m^ / (sqrt v^ + eps));
   the gradient is first multiplied by `scale` (clipping). */
void k_adamw(real *p, real *m, real *v, const real *g, acc scale, const AdamStep *step, size_t n);
acc k_sum_squares(const real *x, size_t n);

/* ---- the copy head of v1-v4 (k_copy.c) ---- */

/* y [rows,V]: for each row and each position u < limit[row] of its sequence, (q . k_u) / D is added on
   token u. k [B,U,D], token [B,U]; row i is of sequence batch[i]. */
void k_copy_scores(real *y, const real *q, const real *k, const int *token, const int *batch, const int *limit,
                   size_t rows, size_t U, size_t D, size_t V);
void k_copy_scores_backward(real *gq, real *gk, const real *g, const real *q, const real *k, const int *token,
                            const int *batch, const int *limit, size_t rows, size_t U, size_t D, size_t V);

/* y_t = sum_{u <= t} (q_t.k_u) v_u for the last T of U positions: q [B,T,D], k [B,U,D], v [B,U,C], y [B,T,C] */
void k_linear_attention(real *y, const real *q, const real *k, const real *v, size_t B, size_t T, size_t U,
                        size_t D, size_t C);
void k_linear_attention_backward(real *gq, real *gk, real *gv, const real *g, const real *q, const real *k,
                                 const real *v, size_t B, size_t T, size_t U, size_t D, size_t C);

/* ---- softmax attention (k_attention.c) ---- */

/* y_t = sum_{u <= t} softmax_u(q_t.k_u / sqrt N) v_u for the last T of U positions: q y [B,T,H,N], k v [B,U,H,N].
   log_sum [B,T,H] keeps each row's log of the sum of exponentials; may be NULL.
   scratch: k_attention_scratch(U) numbers for each of B H, contents undefined. */
size_t k_attention_scratch(size_t U);
void k_attention(real *y, acc *log_sum, acc *scratch, const real *q, const real *k, const real *v, size_t B,
                 size_t T, size_t U, size_t H, size_t N);
void k_attention_backward(real *gq, real *gk, real *gv, acc *scratch, const real *g, const acc *log_sum,
                          const real *q, const real *k, const real *v, size_t B, size_t T, size_t U, size_t H,
                          size_t N);

/* ---- the recurrences (ref/wkv*.c) ---- */

/* [v1.4]. k v [B,U,H,N], y [B,T,H,N] for the last T <= U <= ctx positions; w alpha beta [H,ctx] */
void k_wkv1(real *y, const real *w, const real *alpha, const real *beta, const real *k, const real *v,
            size_t B, size_t T, size_t U, size_t H, size_t N, size_t ctx);
typedef struct {
  real *w, *alpha, *beta, *k, *v;
} Wkv1Grads;
void k_wkv1_backward(const Wkv1Grads *out, const real *gy, const real *w, const real *alpha, const real *beta,
                     const real *k, const real *v, size_t B, size_t T, size_t U, size_t H, size_t N, size_t ctx);

/* [v2.4], [v2.5]. w [C] log-decay, u [C]; e > 0, v, y [B,T,C]; state a b [B,C] before (0), after (1).
   trace [B,T,2,C] keeps a, b before each token; may be NULL. */
void k_wkv2(real *y, real *a1, real *b1, real *trace, const real *w, const real *u, const real *e,
            const real *v, const real *a0, const real *b0, acc eps, size_t B, size_t T, size_t C);
typedef struct {
  real *w, *u, *e, *v, *a0, *b0;
} Wkv2Grads;
void k_wkv2_backward(const Wkv2Grads *out, const real *gy, const real *ga1, const real *gb1, const real *trace,
                     const real *w, const real *u, const real *e, const real *v, acc eps, size_t B, size_t T,
                     size_t C);

/* Tokens between two states that wkv6, wkv7 and the selective scan keep for their backward pass. */
enum { WKV_SEGMENT = 16 };

/* [v4.4]-[v4.6]; r is applied outside. w = log-decay <= 0, [C] (decay_rows = 1) or [B,T,C] (B T); u [C];
   k v y [B,T,C]; state a b p [B,C] before (0) and after (1).
   trace [B,T,3,C] keeps a, b, p before each token for the backward pass; may be NULL. */
void k_wkv4(real *y, real *a1, real *b1, real *p1, real *trace, const real *w, const real *u,
            const real *k, const real *v, const real *a0, const real *b0, const real *p0, size_t B,
            size_t T, size_t C, size_t decay_rows);
typedef struct {
  real *w, *u, *k, *v, *a0, *b0, *p0;
} Wkv4Grads;
/* gy, ga1, gb1, gp1: incoming gradients, each may be NULL. */
void k_wkv4_backward(const Wkv4Grads *out, const real *gy, const real *ga1, const real *gb1,
                     const real *gp1, const real *trace, const real *w, const real *u, const real *k,
                     const real *v, size_t B, size_t T, size_t C, size_t decay_rows);

/* [v5.4], [v5.5]. r k v y [B,T,H,N]; w = log-decay <= 0, [H,N] (decay_rows = 1) or [B,T,H,N] (B T);
   u [H,N]; state S [B,H,N key,N value] before (0), after (1); segments as in wkv7 */
void k_wkv6(real *y, real *S1, real *segments, const real *r, const real *w, const real *k, const real *v,
            const real *u, const real *S0, size_t B, size_t T, size_t H, size_t N, size_t decay_rows);
typedef struct {
  real *r, *w, *k, *v, *u, *S0;
} Wkv6Grads;
size_t k_wkv6_scratch(size_t N);
void k_wkv6_backward(const Wkv6Grads *out, real *scratch, const real *gy, const real *gS1, const real *segments,
                     const real *r, const real *w, const real *k, const real *v, const real *u, size_t B, size_t T,
                     size_t H, size_t N, size_t decay_rows);

/* [v7.8]. r w k v a b y [B,T,H,N], w = log-decay <= 0; state S [B,H,N value,N key] before (0), after (1).
   segments [B,H,ceil(T/WKV_SEGMENT),N,N] keeps the state before each segment; may be NULL. */
void k_wkv7(real *y, real *S1, real *segments, const real *r, const real *w, const real *k, const real *v,
            const real *a, const real *b, const real *S0, size_t B, size_t T, size_t H, size_t N);
typedef struct {
  real *r, *w, *k, *v, *a, *b, *S0;
} Wkv7Grads;
/* gy, gS1 may be NULL. scratch: k_wkv7_scratch(N) reals for each of B*H, contents undefined. */
size_t k_wkv7_scratch(size_t N);
void k_wkv7_backward(const Wkv7Grads *out, real *scratch, const real *gy, const real *gS1,
                     const real *segments, const real *r, const real *w, const real *k, const real *v,
                     const real *a, const real *b, size_t B, size_t T, size_t H, size_t N);

/* ---- the selective scan (k_scan.c) ---- */

/* h_t = e^{delta A} h_{t-1} + delta B x, y = C' h_t. x delta y [B,T,D], A [D,N] <= 0, Bm Cm [B,T,N]; state h [B,D,N]
   before (0), after (1). segments [B,ceil(T/WKV_SEGMENT),D,N] keeps the state before each segment; may be NULL. */
void k_selective_scan(real *y, real *h1, real *segments, const real *x, const real *delta, const real *A,
                      const real *Bm, const real *Cm, const real *h0, size_t B, size_t T, size_t D, size_t N);
typedef struct {
  real *x, *delta, *A, *B, *C, *h0;
} ScanGrads;
/* gy, gh1 may be NULL. scratch: k_selective_scan_scratch(D, N) reals for each of B, contents undefined. */
size_t k_selective_scan_scratch(size_t D, size_t N);
void k_selective_scan_backward(const ScanGrads *out, real *scratch, const real *gy, const real *gh1,
                               const real *segments, const real *x, const real *delta, const real *A, const real *Bm,
                               const real *Cm, size_t B, size_t T, size_t D, size_t N);

#endif
