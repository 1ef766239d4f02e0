/* What each op puts out, for shadow mode: the op with its parameters and how to pass them on, the sizes that a message
   names, and its outputs. An op of OPS() without an entry does not compile.

   WRITES(y, count) is overwritten, ADDS(gx, count, terms) added to or partly left as it was; SUMS(y, count, terms) is
   an overwritten one that is a sum. `terms`: of how many products; longer sums may differ more, see shadow.c.
   SUMMED(gx, count, terms, term) is added to, and adds how large a term can be, for sums that may be nothing but
   rounding (the gradient of v1's key bias is one). */
#include "shadow.h"

#include <math.h>

#define SIZES(...) .size_names = #__VA_ARGS__, .sizes = (size_t[]){__VA_ARGS__}, \
  .size_count = sizeof((size_t[]){__VA_ARGS__}) / sizeof(size_t)
#define TYPE_OF(x) _Generic(x, acc *: sizeof(real) == sizeof(acc) ? IS_REAL : IS_ACC, int *: IS_INT, default: IS_REAL)
#define WRITES(x, count) {#x, x, count, TYPE_OF(x), false, 1, 0}
#define SUMS(x, count, terms) {#x, x, count, TYPE_OF(x), false, terms, 0}
#define ADDS(x, count, terms) {#x, x, count, TYPE_OF(x), true, terms, 0}

#define SUMMED(x, count, terms, term) {#x, x, count, TYPE_OF(x), true, terms, term}

static double largest(const real *x, size_t n)
{
  double most = 0;
  for (size_t i = 0; i < n; i++) most = fabs((double)x[i]) > most ? fabs((double)x[i]) : most;
  return most;
}

#define SHADOW(name, params, args, sizes, ...)                                             \
  static void s_##name params                                                              \
  {                                                                                        \
    const Output out[] = {__VA_ARGS__};                                                    \
    ShadowCall c = {.op = #name, .out = out, .outputs = sizeof out / sizeof *out, sizes};  \
    shadow_before(&c);                                                                     \
    shadowed.name args;                                                                    \
    shadow_between(&c);                                                                    \
    reference_ops.name args;                                                               \
    shadow_after(&c);                                                                      \
  }

/* ---- pointwise ---- */

/* How many numbers an operand of a broadcast holds, by its steps; how many of the result go to each of them. */
static size_t held(const int *n, const size_t *step)
{
  size_t count = 1;
  for (int d = 0; d < 4; d++) count *= step[d] ? (size_t)n[d] : 1;
  return count;
}

static size_t all_of(const Broadcast *s)
{
  return (size_t)s->n[0] * (size_t)s->n[1] * (size_t)s->n[2] * (size_t)s->n[3];
}
static double share(const Broadcast *s, const size_t *step) { return (double)all_of(s) / (double)held(s->n, step); }

#define CAST SIZES(s->n[0], s->n[1], s->n[2], s->n[3], kind)
SHADOW(unary, (real *y, const real *x, size_t n, UnaryKind kind), (y, x, n, kind), SIZES(n, kind), WRITES(y, n))
SHADOW(unary_backward, (real *gx, const real *g, const real *x, const real *y, size_t n, UnaryKind kind),
       (gx, g, x, y, n, kind), SIZES(n, kind), ADDS(gx, n, 1))
SHADOW(binary, (real *y, const real *a, const real *b, const Broadcast *s, BinaryKind kind), (y, a, b, s, kind), CAST,
       WRITES(y, all_of(s)))
SHADOW(binary_backward, (real *ga, real *gb, const real *g, const real *a, const real *b, const Broadcast *s,
       BinaryKind kind), (ga, gb, g, a, b, s, kind), CAST, ADDS(ga, held(s->n, s->step_a), share(s, s->step_a)),
       ADDS(gb, held(s->n, s->step_b), share(s, s->step_b)))
SHADOW(compare, (real *y, const real *a, const real *b, const Broadcast *s, CompareKind kind), (y, a, b, s, kind), CAST,
       WRITES(y, all_of(s)))
SHADOW(where, (real *y, const real *mask, const real *a, const real *b, size_t n), (y, mask, a, b, n), SIZES(n),
       WRITES(y, n))
SHADOW(where_backward, (real *ga, real *gb, const real *g, const real *mask, size_t n), (ga, gb, g, mask, n), SIZES(n),
       ADDS(ga, n, 1), ADDS(gb, n, 1))
SHADOW(linear_packed, (real *y, const real *x, Packed w, const real *bias, size_t rows, size_t from, size_t to),
       (y, x, w, bias, rows, from, to), SIZES(rows, from, to), SUMS(y, rows * to, (double)from))
SHADOW(matmul_packed, (real *y, const real *x, Packed w, size_t rows, size_t from, size_t to),
       (y, x, w, rows, from, to), SIZES(rows, from, to), SUMS(y, rows * to, (double)from))
SHADOW(rows_packed, (real *y, Packed table, const int *index, size_t count, size_t C), (y, table, index, count, C),
       SIZES(count, C), WRITES(y, count * C))
SHADOW(clear, (real *x, size_t n), (x, n), SIZES(n), WRITES(x, n))
SHADOW(affine, (real *y, const real *x, acc scale, acc offset, size_t n), (y, x, scale, offset, n), SIZES(n),
       WRITES(y, n))
SHADOW(affine_backward, (real *gx, const real *g, acc scale, size_t n), (gx, g, scale, n), SIZES(n), ADDS(gx, n, 1))
SHADOW(lerp, (real *z, const real *x, const real *p, const real *mu, size_t rows, size_t mu_rows, size_t C),
       (z, x, p, mu, rows, mu_rows, C), SIZES(rows, mu_rows, C), WRITES(z, rows * C))
SHADOW(lerp_backward, (real *gx, real *gp, real *gmu, const real *g, const real *x, const real *p, const real *mu,
       size_t rows, size_t mu_rows, size_t C), (gx, gp, gmu, g, x, p, mu, rows, mu_rows, C), SIZES(rows, mu_rows, C),
       ADDS(gx, rows * C, 1), ADDS(gp, rows * C, 1), ADDS(gmu, mu_rows * C, (double)rows / (double)mu_rows))

/* ---- linear maps ---- */

static size_t beyond(const int *index, size_t n) /* all of them */
{
  int most = -1;
  for (size_t i = 0; i < n; i++) most = index[i] > most ? index[i] : most;
  return (size_t)(most + 1);
}

SHADOW(linear, (real *y, const real *x, const real *w, const real *bias, size_t rows, size_t in, size_t width),
       (y, x, w, bias, rows, in, width), SIZES(rows, in, width), SUMS(y, rows * width, (double)in))
SHADOW(linear_backward, (real *gx, real *gw, real *gbias, const real *g, const real *x, const real *w, size_t rows,
       size_t in, size_t width), (gx, gw, gbias, g, x, w, rows, in, width), SIZES(rows, in, width),
       ADDS(gx, rows * in, (double)width),
       SUMMED(gw, in * width, (double)rows, largest(g, rows * width) * largest(x, rows * in)),
       SUMMED(gbias, width, (double)rows, largest(g, rows * width)))
SHADOW(matmul, (real *y, const real *x, const real *m, size_t rows, size_t in, size_t width),
       (y, x, m, rows, in, width), SIZES(rows, in, width), SUMS(y, rows * width, (double)in))
SHADOW(matmul_backward, (real *gx, real *gm, const real *g, const real *x, const real *m, size_t rows, size_t in,
       size_t width), (gx, gm, g, x, m, rows, in, width), SIZES(rows, in, width), ADDS(gx, rows * in, (double)width),
       SUMMED(gm, in * width, (double)rows, largest(g, rows * width) * largest(x, rows * in)))
SHADOW(rows, (real *y, const real *table, const int *index, size_t count, size_t C), (y, table, index, count, C),
       SIZES(count, C), WRITES(y, count * C))
SHADOW(rows_backward, (real *gtable, const real *g, const int *index, size_t count, size_t C),
       (gtable, g, index, count, C), SIZES(count, C), ADDS(gtable, beyond(index, count) * C, (double)count))

/* ---- norms ---- */

SHADOW(norm, (real *y, acc *stats, const real *x, const real *weight, const real *bias, acc eps, size_t rows, size_t H,
       size_t N), (y, stats, x, weight, bias, eps, rows, H, N), SIZES(rows, H, N), WRITES(y, rows * H * N),
       WRITES(stats, rows * H * 2))
SHADOW(norm_backward, (real *gx, real *gweight, real *gbias, const real *g, const acc *stats, const real *x,
       const real *weight, size_t rows, size_t H, size_t N), (gx, gweight, gbias, g, stats, x, weight, rows, H, N),
       SIZES(rows, H, N), ADDS(gx, rows * H * N, (double)N), ADDS(gweight, H * N, (double)rows),
       SUMMED(gbias, H * N, (double)rows, largest(g, rows * H * N)))
SHADOW(l2norm, (real *y, const real *x, acc eps, size_t groups, size_t N), (y, x, eps, groups, N), SIZES(groups, N),
       WRITES(y, groups * N))
SHADOW(l2norm_backward, (real *gx, const real *g, const real *x, acc eps, size_t groups, size_t N),
       (gx, g, x, eps, groups, N), SIZES(groups, N), ADDS(gx, groups * N, (double)N))

/* ---- shapes ---- */

#define AXIS SIZES(outer, size, inner)
#define PART SIZES(outer, size, inner, from, count)
#define PART_PARAMS size_t outer, size_t size, size_t inner, size_t from, size_t count
SHADOW(shift, (real *prev, const real *x, const real *carry, size_t B, size_t T, size_t C), (prev, x, carry, B, T, C),
       SIZES(B, T, C), WRITES(prev, B * T * C))
SHADOW(shift_backward, (real *gx, real *gcarry, const real *g, size_t B, size_t T, size_t C), (gx, gcarry, g, B, T, C),
       SIZES(B, T, C), ADDS(gx, B * T * C, 1), ADDS(gcarry, B * C, 1))
SHADOW(slice, (real *part, const real *whole, PART_PARAMS), (part, whole, outer, size, inner, from, count), PART,
       WRITES(part, outer * count * inner))
SHADOW(slice_add, (real *part, const real *whole, PART_PARAMS), (part, whole, outer, size, inner, from, count), PART,
       ADDS(part, outer * count * inner, 1))
SHADOW(unslice, (real *whole, const real *part, PART_PARAMS), (whole, part, outer, size, inner, from, count), PART,
       ADDS(whole, outer * size * inner, 1))
SHADOW(unslice_add, (real *whole, const real *part, PART_PARAMS), (whole, part, outer, size, inner, from, count), PART,
       ADDS(whole, outer * size * inner, 1))
SHADOW(sum, (real *y, const real *x, acc scale, size_t outer, size_t size, size_t inner),
       (y, x, scale, outer, size, inner), AXIS, SUMS(y, outer * inner, (double)size))
SHADOW(sum_backward, (real *gx, const real *g, acc scale, size_t outer, size_t size, size_t inner),
       (gx, g, scale, outer, size, inner), AXIS, ADDS(gx, outer * size * inner, 1))
SHADOW(cumsum, (real *y, const real *x, size_t outer, size_t size, size_t inner), (y, x, outer, size, inner), AXIS,
       SUMS(y, outer * size * inner, (double)size))
SHADOW(cumsum_backward, (real *gx, const real *g, size_t outer, size_t size, size_t inner), (gx, g, outer, size, inner),
       AXIS, ADDS(gx, outer * size * inner, (double)size))

/* ---- arrays ---- */

#define BMM SIZES(s->batch, s->M, s->K, s->N, s->a_step, s->b_step)
static size_t bmm_a(const Matrices *s) { return (s->a_step ? s->batch : 1) * s->M * s->K; }
static size_t bmm_b(const Matrices *s) { return (s->b_step ? s->batch : 1) * s->K * s->N; }
static size_t permuted(const Strides *s) { return s->n[0] * s->n[1] * s->n[2] * s->n[3]; }

SHADOW(permute, (real *y, const real *x, const Strides *s), (y, x, s), SIZES(s->n[0], s->n[1], s->n[2], s->n[3]),
       WRITES(y, permuted(s)))
SHADOW(permute_backward, (real *gx, const real *g, const Strides *s), (gx, g, s),
       SIZES(s->n[0], s->n[1], s->n[2], s->n[3]), ADDS(gx, permuted(s), 1))
SHADOW(max, (real *y, int *at, const real *x, size_t outer, size_t size, size_t inner), (y, at, x, outer, size, inner),
       AXIS, WRITES(y, outer * inner), WRITES(at, outer * inner))
SHADOW(max_backward, (real *gx, const real *g, const int *at, size_t outer, size_t size, size_t inner),
       (gx, g, at, outer, size, inner), AXIS, ADDS(gx, outer * size * inner, 1))
SHADOW(gather, (real *y, const real *x, const int *index, size_t rows, size_t n, size_t count),
       (y, x, index, rows, n, count), SIZES(rows, n, count), WRITES(y, rows * count))
SHADOW(gather_backward, (real *gx, const real *g, const int *index, size_t rows, size_t n, size_t count),
       (gx, g, index, rows, n, count), SIZES(rows, n, count), ADDS(gx, rows * n, (double)count))
SHADOW(softmax, (real *y, const real *x, size_t rows, size_t n), (y, x, rows, n), SIZES(rows, n), WRITES(y, rows * n))
SHADOW(softmax_backward, (real *gx, const real *g, const real *y, size_t rows, size_t n), (gx, g, y, rows, n),
       SIZES(rows, n), ADDS(gx, rows * n, (double)n))
SHADOW(bmm, (real *y, const real *a, const real *b, const Matrices *s), (y, a, b, s), BMM,
       SUMS(y, s->batch * s->M * s->N, (double)s->K))
SHADOW(bmm_backward, (real *ga, real *gb, const real *g, const real *a, const real *b, const Matrices *s),
       (ga, gb, g, a, b, s), BMM, ADDS(ga, bmm_a(s), (double)(s->N * (s->a_step ? 1 : s->batch))),
       ADDS(gb, bmm_b(s), (double)(s->M * (s->b_step ? 1 : s->batch))))

/* ---- loss, optimiser ---- */

SHADOW(cross_entropy, (real *loss, acc *log_sum, const real *logits, const int *target, size_t rows, size_t V),
       (loss, log_sum, logits, target, rows, V), SIZES(rows, V), WRITES(loss, 1), WRITES(log_sum, rows))
SHADOW(cross_entropy_backward, (real *glogits, acc g, const acc *log_sum, const real *logits, const int *target,
       acc l2wrap, size_t rows, size_t V), (glogits, g, log_sum, logits, target, l2wrap, rows, V), SIZES(rows, V),
       ADDS(glogits, rows * V, 1))
SHADOW(argmax, (int *best, const real *x, size_t rows, size_t n), (best, x, rows, n), SIZES(rows, n),
       WRITES(best, rows))
SHADOW(adamw, (real *p, real *m, real *v, const real *g, acc scale, const AdamStep *step, size_t n),
       (p, m, v, g, scale, step, n), SIZES(n), ADDS(p, n, 1), ADDS(m, n, 1), ADDS(v, n, 1))

static acc s_sum_squares(const real *x, size_t n) /* the one that returns its result */
{
  acc y;
  const Output out[] = {{"result", &y, 1, TYPE_OF(&y), false, 1, 0}};
  ShadowCall c = {.op = "sum_squares", .out = out, .outputs = 1, SIZES(n)};
  shadow_before(&c);
  y = shadowed.sum_squares(x, n);
  shadow_between(&c);
  y = reference_ops.sum_squares(x, n);
  shadow_after(&c);
  return y;
}

/* ---- attention ---- */

SHADOW(copy_scores, (real *y, const real *q, const real *k, const int *token, const int *batch, const int *limit,
       size_t rows, size_t U, size_t D, size_t V), (y, q, k, token, batch, limit, rows, U, D, V), SIZES(rows, U, D, V),
       SUMS(y, rows * V, (double)(U * D)))
SHADOW(copy_scores_backward, (real *gq, real *gk, const real *g, const real *q, const real *k, const int *token,
       const int *batch, const int *limit, size_t rows, size_t U, size_t D, size_t V),
       (gq, gk, g, q, k, token, batch, limit, rows, U, D, V), SIZES(rows, U, D, V), ADDS(gq, rows * D, (double)U),
       ADDS(gk, beyond(batch, rows) * U * D, (double)rows))
SHADOW(linear_attention, (real *y, const real *q, const real *k, const real *v, size_t B, size_t T, size_t U, size_t D,
       size_t C), (y, q, k, v, B, T, U, D, C), SIZES(B, T, U, D, C), SUMS(y, B * T * C, (double)(U * D)))
SHADOW(linear_attention_backward, (real *gq, real *gk, real *gv, const real *g, const real *q, const real *k,
       const real *v, size_t B, size_t T, size_t U, size_t D, size_t C), (gq, gk, gv, g, q, k, v, B, T, U, D, C),
       SIZES(B, T, U, D, C), ADDS(gq, B * T * D, (double)(U * C)), ADDS(gk, B * U * D, (double)(T * C)),
       ADDS(gv, B * U * C, (double)(T * D)))
SHADOW(attention, (real *y, acc *log_sum, acc *scratch, const real *q, const real *k, const real *v, size_t B, size_t T,
       size_t U, size_t H, size_t N), (y, log_sum, scratch, q, k, v, B, T, U, H, N), SIZES(B, T, U, H, N),
       SUMS(y, B * T * H * N, (double)(U * N)), WRITES(log_sum, B * T * H))
SHADOW(attention_backward, (real *gq, real *gk, real *gv, acc *scratch, const real *g, const acc *log_sum,
       const real *q, const real *k, const real *v, size_t B, size_t T, size_t U, size_t H, size_t N),
       (gq, gk, gv, scratch, g, log_sum, q, k, v, B, T, U, H, N), SIZES(B, T, U, H, N),
       ADDS(gq, B * T * H * N, (double)(U * N)), ADDS(gk, B * U * H * N, (double)(T * N)),
       ADDS(gv, B * U * H * N, (double)(T * N)))

/* ---- recurrences ---- */

SHADOW(wkv1, (real *y, const real *w, const real *alpha, const real *beta, const real *k, const real *v, size_t B,
       size_t T, size_t U, size_t H, size_t N, size_t ctx), (y, w, alpha, beta, k, v, B, T, U, H, N, ctx),
       SIZES(B, T, U, H, N, ctx), SUMS(y, B * T * H * N, (double)U))
SHADOW(wkv1_backward, (const Wkv1Grads *g, const real *gy, const real *w, const real *alpha, const real *beta,
       const real *k, const real *v, size_t B, size_t T, size_t U, size_t H, size_t N, size_t ctx),
       (g, gy, w, alpha, beta, k, v, B, T, U, H, N, ctx), SIZES(B, T, U, H, N, ctx),
       ADDS(g->w, H * ctx, (double)(B * T * N)), ADDS(g->alpha, H * ctx, (double)(B * T * N)),
       ADDS(g->beta, H * ctx, (double)(B * T * N)), ADDS(g->k, B * U * H * N, (double)T),
       ADDS(g->v, B * U * H * N, (double)T))
SHADOW(wkv2, (real *y, real *a1, real *b1, real *trace, const real *w, const real *u, const real *e, const real *v,
       const real *a0, const real *b0, acc eps, size_t B, size_t T, size_t C),
       (y, a1, b1, trace, w, u, e, v, a0, b0, eps, B, T, C), SIZES(B, T, C), SUMS(y, B * T * C, (double)T),
       SUMS(a1, B * C, (double)T), SUMS(b1, B * C, (double)T), SUMS(trace, B * T * 2 * C, (double)T))
SHADOW(wkv2_backward, (const Wkv2Grads *g, const real *gy, const real *ga1, const real *gb1, const real *trace,
       const real *w, const real *u, const real *e, const real *v, acc eps, size_t B, size_t T, size_t C),
       (g, gy, ga1, gb1, trace, w, u, e, v, eps, B, T, C), SIZES(B, T, C), ADDS(g->w, C, (double)(B * T)),
       ADDS(g->u, C, (double)(B * T)), ADDS(g->e, B * T * C, (double)T), ADDS(g->v, B * T * C, (double)T),
       ADDS(g->a0, B * C, (double)T), ADDS(g->b0, B * C, (double)T))
SHADOW(wkv4, (real *y, real *a1, real *b1, real *p1, real *trace, const real *w, const real *u, const real *k,
       const real *v, const real *a0, const real *b0, const real *p0, size_t B, size_t T, size_t C, size_t decay_rows),
       (y, a1, b1, p1, trace, w, u, k, v, a0, b0, p0, B, T, C, decay_rows), SIZES(B, T, C, decay_rows),
       SUMS(y, B * T * C, (double)T), SUMS(a1, B * C, (double)T), SUMS(b1, B * C, (double)T), WRITES(p1, B * C),
       SUMS(trace, B * T * 3 * C, (double)T))
SHADOW(wkv4_backward, (const Wkv4Grads *g, const real *gy, const real *ga1, const real *gb1, const real *gp1,
       const real *trace, const real *w, const real *u, const real *k, const real *v, size_t B, size_t T, size_t C,
       size_t decay_rows), (g, gy, ga1, gb1, gp1, trace, w, u, k, v, B, T, C, decay_rows), SIZES(B, T, C, decay_rows),
       ADDS(g->w, decay_rows * C, (double)(B * T)), ADDS(g->u, C, (double)(B * T)), ADDS(g->k, B * T * C, (double)T),
       ADDS(g->v, B * T * C, (double)T), ADDS(g->a0, B * C, (double)T), ADDS(g->b0, B * C, (double)T),
       ADDS(g->p0, B * C, (double)T))

#define HEAD_SIZES SIZES(B, T, H, N)
#define SEGMENTS ((T + WKV_SEGMENT - 1) / WKV_SEGMENT)
SHADOW(wkv6, (real *y, real *S1, real *segments, const real *r, const real *w, const real *k, const real *v,
       const real *u, const real *S0, size_t B, size_t T, size_t H, size_t N, size_t decay_rows),
       (y, S1, segments, r, w, k, v, u, S0, B, T, H, N, decay_rows), SIZES(B, T, H, N, decay_rows),
       SUMS(y, B * T * H * N, (double)(T * N)), SUMS(S1, B * H * N * N, (double)T),
       SUMS(segments, B * H * SEGMENTS * N * N, (double)T))
SHADOW(wkv6_backward, (const Wkv6Grads *g, real *scratch, const real *gy, const real *gS1, const real *segments,
       const real *r, const real *w, const real *k, const real *v, const real *u, size_t B, size_t T, size_t H,
       size_t N, size_t decay_rows), (g, scratch, gy, gS1, segments, r, w, k, v, u, B, T, H, N, decay_rows),
       SIZES(B, T, H, N, decay_rows), ADDS(g->r, B * T * H * N, (double)(T * N)),
       ADDS(g->w, decay_rows * H * N, (double)(B * T * N)), ADDS(g->k, B * T * H * N, (double)(T * N)),
       ADDS(g->v, B * T * H * N, (double)(T * N)), ADDS(g->u, H * N, (double)(B * T * N)),
       ADDS(g->S0, B * H * N * N, (double)T))
SHADOW(wkv7, (real *y, real *S1, real *segments, const real *r, const real *w, const real *k, const real *v,
       const real *a, const real *b, const real *S0, size_t B, size_t T, size_t H, size_t N),
       (y, S1, segments, r, w, k, v, a, b, S0, B, T, H, N), HEAD_SIZES, SUMS(y, B * T * H * N, (double)(T * N)),
       SUMS(S1, B * H * N * N, (double)(T * N)), SUMS(segments, B * H * SEGMENTS * N * N, (double)(T * N)))
SHADOW(wkv7_backward, (const Wkv7Grads *g, real *scratch, const real *gy, const real *gS1, const real *segments,
       const real *r, const real *w, const real *k, const real *v, const real *a, const real *b, size_t B, size_t T,
       size_t H, size_t N), (g, scratch, gy, gS1, segments, r, w, k, v, a, b, B, T, H, N), HEAD_SIZES,
       ADDS(g->r, B * T * H * N, (double)(T * N)), ADDS(g->w, B * T * H * N, (double)(T * N)),
       ADDS(g->k, B * T * H * N, (double)(T * N)), ADDS(g->v, B * T * H * N, (double)(T * N)),
       ADDS(g->a, B * T * H * N, (double)(T * N)), ADDS(g->b, B * T * H * N, (double)(T * N)),
       ADDS(g->S0, B * H * N * N, (double)(T * N)))
SHADOW(selective_scan, (real *y, real *h1, real *segments, const real *x, const real *delta, const real *A,
       const real *Bm, const real *Cm, const real *h0, size_t B, size_t T, size_t D, size_t N),
       (y, h1, segments, x, delta, A, Bm, Cm, h0, B, T, D, N), SIZES(B, T, D, N), SUMS(y, B * T * D, (double)(T * N)),
       SUMS(h1, B * D * N, (double)T), SUMS(segments, B * SEGMENTS * D * N, (double)T))
SHADOW(selective_scan_backward, (const ScanGrads *g, real *scratch, const real *gy, const real *gh1,
       const real *segments, const real *x, const real *delta, const real *A, const real *Bm, const real *Cm, size_t B,
       size_t T, size_t D, size_t N), (g, scratch, gy, gh1, segments, x, delta, A, Bm, Cm, B, T, D, N),
       SIZES(B, T, D, N), ADDS(g->x, B * T * D, (double)(T * N)), ADDS(g->delta, B * T * D, (double)(T * N)),
       ADDS(g->A, D * N, (double)(B * T)), ADDS(g->B, B * T * N, (double)(T * D)),
       ADDS(g->C, B * T * N, (double)(T * D)), ADDS(g->h0, B * D * N, (double)T))

#define ENTRY(name) .name = s_##name,
const Ops shadow_ops = {OPS(ENTRY)};
