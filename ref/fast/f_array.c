/* Many products of small matrices. */
/* clang-format off */
#include "f_gemm.h"

typedef struct {
  Product first;                 /* of product 0; the others are so many numbers further: */
  size_t c_step, a_step, b_step;
} Series;

static void series(const void *arg, size_t from, size_t to)
{
  const Series *s = arg;
  for (size_t i = from; i < to; i++) {
    Product q = s->first;
    q.c += i * s->c_step, q.a += i * s->a_step, q.b += i * s->b_step;
    fast_product_here(&q);
  }
}

/* Where all products add to one matrix they come one after the other. */
static void products(size_t batch, Product q, size_t c_step, size_t a_step, size_t b_step)
{
  Series s = {q, c_step, a_step, b_step};
  fast_flush();
  if (c_step) fast_for(batch, pieces(4 * LIGHT, at_least_1(q.M * q.N * q.K)), series, &s);
  else series(&s, 0, batch);
}

void f_bmm(const Bmm *q)
{
  size_t M = q->M, N = q->N, K = q->K;
  Product y = {.c = q->y, .a = q->a, .b = q->b, .M = M, .N = N, .K = K, .a_row = K, .a_col = 1, .b_row = N, .b_col = 1};
  if (!q->batch || !M || !N || !K) fast_reference(OP_bmm, q);
  else products(q->batch, y, M * N, q->a_step, q->b_step);
}

void f_bmm_backward(const BmmBackward *q)
{
  const Bmm *f = &q->forward;
  size_t M = f->M, N = f->N, K = f->K;
  Product ga = {.c = q->ga, .a = q->g, .b = f->b, .M = M, .N = K, .K = N, .a_row = N, .a_col = 1, .b_row = 1,
                .b_col = N, .add = true};
  Product gb = {.c = q->gb, .a = f->a, .b = q->g, .M = K, .N = N, .K = M, .a_row = 1, .a_col = K, .b_row = N,
                .b_col = 1, .add = true};
  if (!f->batch || !M || !N || !K) return;
  if (q->ga) products(f->batch, ga, f->a_step, M * N, f->b_step);
  if (q->gb) products(f->batch, gb, f->b_step, f->a_step, M * N);
}
