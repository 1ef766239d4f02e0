/* Products of the matrices of a batch. */
#include "blas.h"
#include "columns.h"

/* Where one b serves all, the rows of all a are those of one large matrix. */
static bool is_one(const Bmm *f) { return f->b_step == 0 && (f->a_step != 0 || f->batch == 1); }

void c_bmm(const Bmm *op)
{
  Product y = {};
  if (!op->batch) return;
  y.C = op->y, y.A = op->a, y.B = op->b, y.M = op->M, y.N = op->N, y.K = op->K;
  if (is_one(op)) y.M *= op->batch;
  else y.batch = op->batch, y.step_A = op->a_step, y.step_B = op->b_step, y.step_C = op->M * op->N;
  product(&y);
}

struct OfBatch {
  const real *made; /* [batch,n] */
  size_t n;
  __device__ real operator()(size_t i, size_t c) const { return made[i * n + c]; }
};

/* C += the sum over the batch of op(A) op(B): so many products at a time as there is room for, and their sum. */
static void product_sum(const Product *all)
{
  size_t n = all->M * all->N, at_once = smaller(all->batch, larger(1, PRODUCT_ROOM / (larger(n, 1) * sizeof(real))));
  real *made = (real *)device_scratch(at_once * n * sizeof(real));
  for (size_t from = 0; from < all->batch; from += at_once) {
    Product p = *all;
    p.C = made, p.step_C = n, p.add = false, p.batch = smaller(at_once, all->batch - from);
    p.A += from * p.step_A, p.B += from * p.step_B;
    product(&p);
    add_columns(all->C, OfBatch{made, n}, p.batch, n);
  }
}

void c_bmm_backward(const BmmBackward *op)
{
  const Bmm *f = &op->forward;
  Product ga = {}, gb = {};
  if (!f->batch) return;
  ga.C = op->ga, ga.A = op->g, ga.B = f->b, ga.B_is_turned = true, ga.add = true; /* ga = g b' */
  ga.M = f->M, ga.N = f->K, ga.K = f->N;
  gb.C = op->gb, gb.A = f->a, gb.A_is_turned = true, gb.B = op->g, gb.add = true; /* gb = a' g */
  gb.M = f->K, gb.N = f->N, gb.K = f->M;
  if (is_one(f)) ga.M *= f->batch, gb.K *= f->batch;
  else {
    ga.batch = gb.batch = f->batch;
    ga.step_A = gb.step_B = f->M * f->N, ga.step_B = f->b_step, gb.step_A = f->a_step;
    ga.step_C = f->a_step, gb.step_C = f->b_step;
  }
  if (op->ga && ga.batch > 1 && !ga.step_C) product_sum(&ga);
  else if (op->ga) product(&ga);
  if (op->gb && gb.batch > 1 && !gb.step_C) product_sum(&gb);
  else if (op->gb) product(&gb);
}
